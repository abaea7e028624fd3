//! A server of its own for each test, and the requests that tests have in common.

use reqwest::Method;
use serde_json::{Value, json};

use crate::demo::deep_sci_fi::{Bug, Config, Keys, Server, serve};

/// A status and a JSON body.
pub struct Reply {
    pub status: u16,
    pub body: Value,
}

pub struct Agent {
    pub id: String,
    pub key: String,
}

/// The administrator's key, at every server of these tests.
const ADMIN_KEY: &str = "the-administrator";

pub struct Api {
    pub server: Server,
    pub client: reqwest::Client,
}

impl Api {
    pub async fn start(bugs: &[Bug]) -> Self {
        Self::serve(Config {
            bugs: bugs.to_vec(),
            ..Config::default()
        })
        .await
    }

    pub async fn start_with(keys: Keys) -> Self {
        Self::serve(Config {
            keys,
            ..Config::default()
        })
        .await
    }

    pub async fn stop(self) {
        self.server.stop().await;
    }

    pub async fn serve(config: Config) -> Self {
        let config = Config {
            admin_key: Some(String::from(ADMIN_KEY)),
            ..config
        };
        Self {
            server: serve(config).await.unwrap(),
            client: reqwest::Client::new(),
        }
    }

    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}/api{path}", self.server.url());
        self.client.request(method, url)
    }

    pub async fn send(request: reqwest::RequestBuilder) -> Reply {
        let response = request.send().await.unwrap();
        Reply {
            status: response.status().as_u16(),
            body: response.json().await.unwrap(),
        }
    }

    pub async fn get(&self, path: &str) -> Value {
        let reply = Self::send(self.request(Method::GET, path)).await;
        assert_eq!(reply.status, 200, "GET {path}: {}", reply.body);
        reply.body
    }

    pub async fn get_as(&self, agent: &Agent, path: &str) -> Reply {
        Self::send(
            self.request(Method::GET, path)
                .header("X-API-Key", &agent.key),
        )
        .await
    }

    pub async fn post(&self, agent: &Agent, path: &str, body: Value) -> Reply {
        let request = self.request(Method::POST, path);
        Self::send(request.header("X-API-Key", &agent.key).json(&body)).await
    }

    pub async fn patch(&self, agent: &Agent, path: &str, body: Value) -> Reply {
        let request = self.request(Method::PATCH, path);
        Self::send(request.header("X-API-Key", &agent.key).json(&body)).await
    }

    pub async fn delete(&self, agent: &Agent, path: &str) -> Reply {
        let request = self.request(Method::DELETE, path);
        Self::send(request.header("X-API-Key", &agent.key)).await
    }

    pub async fn done(&self, agent: &Agent, path: &str, body: Value) -> Value {
        let reply = self.post(agent, path, body).await;
        assert_eq!(reply.status, 200, "POST {path}: {}", reply.body);
        reply.body
    }

    // The stories of the case study, as far as most tests go

    pub async fn register(&self, username: &str) -> Reply {
        let body = json!({ "name": "An agent", "username": username });
        Self::send(self.request(Method::POST, "/auth/agent").json(&body)).await
    }

    pub async fn agent(&self) -> Agent {
        self.agent_called(&format!("agent-{:x}", rand::random::<u64>()))
            .await
    }

    pub async fn agent_called(&self, username: &str) -> Agent {
        let reply = self.register(username).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        Agent {
            id: text(&reply.body["agent"]["id"]),
            key: text(&reply.body["api_key"]["key"]),
        }
    }

    pub async fn admin(&self) -> Agent {
        let key = String::from(ADMIN_KEY);
        let me = self.request(Method::GET, "/auth/me");
        let me = Self::send(me.header("X-API-Key", &key)).await;
        Agent {
            id: text(&me.body["id"]),
            key,
        }
    }

    pub async fn draft(&self, author: &Agent) -> String {
        text(&self.done(author, "/proposals", proposal()).await["id"])
    }

    pub async fn submitted(&self, author: &Agent) -> String {
        let id = self.draft(author).await;
        self.done(
            author,
            &format!("/proposals/{id}/submit?force=true"),
            json!({}),
        )
        .await;
        id
    }

    pub async fn vote(&self, agent: &Agent, proposal: &str, verdict: &str) -> Reply {
        let path = format!("/proposals/{proposal}/validate");
        self.post(agent, &path, vote(verdict)).await
    }

    pub async fn status(&self, proposal: &str) -> String {
        text(&self.get(&format!("/proposals/{proposal}")).await["proposal"]["status"])
    }

    pub async fn world(&self, author: &Agent) -> String {
        let (one, two) = (self.agent().await, self.agent().await);
        let id = self.submitted(author).await;
        self.vote(&one, &id, "approve").await;
        text(&self.vote(&two, &id, "approve").await.body["world_created"]["id"])
    }

    pub async fn region(&self, agent: &Agent, world: &str, name: &str) -> Reply {
        self.post(
            agent,
            &format!("/dwellers/worlds/{world}/regions"),
            region(name),
        )
        .await
    }

    /// A world with the regions `Delta` and `Hills`.
    pub async fn settled(&self, author: &Agent) -> String {
        let world = self.world(author).await;
        for name in ["Delta", "Hills"] {
            assert_eq!(self.region(author, &world, name).await.status, 200);
        }
        world
    }

    pub async fn dweller(&self, agent: &Agent, world: &str, name: &str) -> String {
        let path = format!("/dwellers/worlds/{world}/dwellers");
        text(&self.done(agent, &path, dweller(name)).await["dweller"]["id"])
    }

    pub async fn claim(&self, agent: &Agent, dweller: &str) -> Reply {
        self.post(agent, &format!("/dwellers/{dweller}/claim"), json!({}))
            .await
    }

    pub async fn inhabited(&self, agent: &Agent, world: &str, name: &str) -> String {
        let id = self.dweller(agent, world, name).await;
        assert_eq!(self.claim(agent, &id).await.status, 200);
        id
    }

    pub async fn read_dweller(&self, id: &str) -> Value {
        self.get(&format!("/dwellers/{id}")).await["dweller"].take()
    }

    pub async fn token(&self, agent: &Agent, dweller: &str) -> String {
        let path = format!("/dwellers/{dweller}/act/context");
        text(&self.done(agent, &path, json!({})).await["context_token"])
    }

    /// Acts with a token fetched for it.
    pub async fn act(&self, agent: &Agent, dweller: &str, mut action: Value) -> Reply {
        action["context_token"] = json!(self.token(agent, dweller).await);
        self.post(agent, &format!("/dwellers/{dweller}/act"), action)
            .await
    }

    pub async fn aspect(&self, agent: &Agent, world: &str, kind: &str) -> String {
        let path = format!("/aspects/worlds/{world}/aspects");
        text(&self.done(agent, &path, aspect(kind)).await["aspect"]["id"])
    }

    pub async fn submitted_aspect(&self, agent: &Agent, world: &str, kind: &str) -> String {
        let id = self.aspect(agent, world, kind).await;
        self.done(agent, &format!("/aspects/{id}/submit"), json!({}))
            .await;
        id
    }

    pub async fn review(&self, agent: &Agent, aspect: &str, verdict: &str) -> Reply {
        self.post(
            agent,
            &format!("/aspects/{aspect}/validate"),
            review(verdict),
        )
        .await
    }

    pub async fn read_aspect(&self, id: &str) -> Value {
        self.get(&format!("/aspects/{id}")).await["aspect"].take()
    }

    pub async fn canon(&self, world: &str) -> Value {
        self.get(&format!("/aspects/worlds/{world}/canon")).await
    }
}

pub fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("no text: {value}"))
        .to_owned()
}

pub fn words(length: usize) -> String {
    "word ".repeat(length / 5 + 1)[..length].to_owned()
}

pub fn proposal() -> Value {
    let step = |year| json!({ "year": year, "event": words(10), "reasoning": words(10) });
    json!({
        "name": "Tides",
        "premise": words(50),
        "year_setting": 2089,
        "causal_chain": [step(2026), step(2040), step(2060)],
        "scientific_basis": words(50),
    })
}

pub fn vote(verdict: &str) -> Value {
    json!({
        "verdict": verdict,
        "critique": words(50),
        "research_conducted": words(100),
        "weaknesses": ["one"],
    })
}

pub fn region(name: &str) -> Value {
    json!({
        "name": name,
        "location": "coast",
        "cultural_blend": words(20),
        "naming_conventions": words(30),
        "language": words(10),
    })
}

pub fn dweller(name: &str) -> Value {
    json!({
        "name": name,
        "origin_region": "delta",
        "generation": "second",
        "name_context": words(20),
        "cultural_identity": words(20),
        "role": "diver",
        "age": 40,
        "personality": words(50),
        "background": words(50),
    })
}

pub fn aspect(kind: &str) -> Value {
    json!({
        "aspect_type": kind,
        "title": "Salt glass",
        "premise": words(30),
        "content": { "name": "Shoals" },
        "canon_justification": words(50),
        "proposed_timeline_entry": { "year": 2050, "event": "flood", "reasoning": "rain" },
    })
}

pub fn review(verdict: &str) -> Value {
    json!({
        "verdict": verdict,
        "critique": words(20),
        "updated_canon_summary": words(60),
        "approved_timeline_entry": { "year": 2050, "event": "flood", "reasoning": "rain" },
    })
}
