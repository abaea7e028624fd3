//! The server over HTTP, as clients see it: the refusals, and what each slip shows, by itself or in requests that run at
//! once. The sound server shows none of it.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

use super::{Config, Server, Slip, serve};

/// How often a scenario is tried whose outcome depends on timing.
const TRIES: usize = 15;
const LLAMA: &str = "llama-3.3-70b";
const MISTRAL: &str = "mistral-31-24b";

/// Requests at once.
async fn all<F>(work: impl IntoIterator<Item = F>) -> Vec<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let tasks: Vec<_> = work.into_iter().map(tokio::spawn).collect();
    let mut outputs = Vec::new();
    for task in tasks {
        outputs.push(task.await.unwrap());
    }
    outputs
}

type Reply = (u16, Value);

#[derive(Clone)]
struct Key {
    id: String,
    key: String,
    user: String,
}

struct Api {
    server: Server,
    client: Client,
}

impl Api {
    async fn start(slips: &[Slip]) -> Self {
        let config = Config {
            slips: slips.to_vec(),
            ..Config::default()
        };
        Self {
            server: serve(config).await.unwrap(),
            client: Client::new(),
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}/api/v1/{path}", self.server.url());
        self.client.request(method, url)
    }

    async fn user(&self) -> String {
        let request = self.request(Method::POST, "users");
        let (status, body) = send(request.json(&json!({ "name": "a" }))).await;
        assert_eq!(status, 201, "{body}");
        body["token"].as_str().unwrap().to_owned()
    }

    async fn key_of(&self, user: &str) -> Key {
        let request = self.request(Method::POST, "auth/keys");
        let request = request.header("X-User-Token", user);
        let (status, body) = send(request.json(&json!({ "name": "k" }))).await;
        assert_eq!(status, 200, "{body}");
        Key {
            id: body["id"].as_str().unwrap().to_owned(),
            key: body["key"].as_str().unwrap().to_owned(),
            user: user.to_owned(),
        }
    }

    async fn key(&self) -> Key {
        self.key_of(&self.user().await).await
    }

    fn chat(&self, key: &Key, model: &str, prompt: &str) -> RequestBuilder {
        let messages = json!([{ "role": "user", "content": prompt }]);
        let body = json!({ "model": model, "messages": messages });
        let request = self.request(Method::POST, "chat/completions");
        request.bearer_auth(&key.key).json(&body)
    }

    fn session(&self, key: &Key, what: &str) -> RequestBuilder {
        let method = match what {
            "upstream" => Method::GET,
            _ => Method::POST,
        };
        let request = self.request(method, &format!("session/{what}"));
        request.bearer_auth(&key.key)
    }

    fn revoke(&self, key: &Key) -> RequestBuilder {
        let request = self.request(Method::DELETE, &format!("auth/keys/{}", key.id));
        request.header("X-User-Token", &key.user)
    }

    async fn open(&self, key: &Key) -> u64 {
        let (status, body) = send(self.session(key, "upstream")).await;
        assert_eq!(status, 200, "{body}");
        body["open"].as_u64().unwrap()
    }
}

async fn send(request: RequestBuilder) -> Reply {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    (status, body)
}

/// Whether a slip shows in a scenario: at least in one of the tries with it, and in none without.
macro_rules! shows {
    ($slip:expr, $api:ident => $scenario:expr) => {
        for (slips, expected) in [(&[$slip] as &[Slip], true), (&[], false)] {
            let $api = Api::start(slips).await;
            let mut shown = 0;
            for _ in 0..TRIES {
                shown += usize::from($scenario);
            }
            assert_eq!(shown > 0, expected, "{shown} of {TRIES} with {slips:?}");
        }
    };
}

#[tokio::test(flavor = "multi_thread")]
async fn no_key_lock_fails_or_leaks_in_first_chats_at_once() {
    shows!(Slip::NoKeyLock, api => {
        let key = api.key().await;
        let chats = (0..4).map(|n| send(api.chat(&key, LLAMA, &n.to_string())));
        let replies = all(chats.collect::<Vec<_>>()).await;
        replies.iter().any(|(status, _)| *status != 200)
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn no_unique_index_has_two_sessions_open() {
    shows!(Slip::NoUniqueIndex, api => {
        let key = api.key().await;
        let chats = [LLAMA, MISTRAL].map(|model| send(api.chat(&key, model, "p")));
        for (status, body) in all(chats).await {
            assert_eq!(status, 200, "{body}");
        }
        api.open(&key).await > 1
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn leak_on_conflict_answers_well_and_leaves_a_session_open() {
    shows!(Slip::LeakOnConflict, api => {
        let key = api.key().await;
        let chats = (0..3).map(|n| send(api.chat(&key, LLAMA, &n.to_string())));
        let replies = all(chats.collect::<Vec<_>>()).await;
        for (status, body) in &replies {
            assert_eq!((*status, &body["session"]), (200, &replies[0].1["session"]));
        }
        api.open(&key).await > 1
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn shared_slot_crosses_answers() {
    shows!(Slip::SharedSlot, api => {
        let key = api.key().await;
        let chats = ["one", "two"].map(|prompt| send(api.chat(&key, LLAMA, prompt)));
        let replies = all(chats).await;
        replies[0].1["echo"] != "one" || replies[1].1["echo"] != "two"
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn close_in_flight_ends_the_chat_that_runs() {
    shows!(Slip::CloseInFlight, api => {
        let key = api.key().await;
        assert_eq!(send(api.chat(&key, LLAMA, "p")).await.0, 200);
        let chats = [LLAMA, MISTRAL].map(|model| send(api.chat(&key, model, "p")));
        let replies = all(chats).await;
        replies.iter().any(|(status, _)| *status != 200)
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn cache_by_prefix_shows_a_prompt_to_another_user() {
    shows!(Slip::CacheByPrefix, api => {
        let (one, two) = (api.key().await, api.key().await);
        let start = format!("{:.16}", one.id);
        send(api.chat(&one, LLAMA, &format!("{start} mine"))).await;
        let reply = send(api.chat(&two, LLAMA, &format!("{start} yours"))).await.1;
        reply["echo"] == format!("{start} mine")
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_session_ok_lets_a_key_chat_on_anothers_bill() {
    shows!(Slip::ForeignSessionOk, api => {
        let (one, two) = (api.key().await, api.key().await);
        let session = send(api.chat(&one, LLAMA, "p")).await.1["session"].clone();
        let messages = json!([{ "role": "user", "content": "q" }]);
        let body = json!({ "model": LLAMA, "messages": messages, "session_id": session });
        let request = |key: &Key| api.chat(key, LLAMA, "").json(&body);
        assert_eq!(send(request(&one)).await.0, 200);
        let status = send(request(&two)).await.0;
        assert!([200, 404].contains(&status), "{status}");
        status == 200
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn revoked_ok_on_session_pings_with_a_revoked_key() {
    shows!(Slip::RevokedOkOnSession, api => {
        let key = api.key().await;
        assert_eq!(send(api.revoke(&key)).await.0, 200);
        assert_eq!(send(api.chat(&key, LLAMA, "p")).await.0, 401);
        let status = send(api.session(&key, "pingsession")).await.0;
        assert!([200, 401].contains(&status), "{status}");
        status == 200
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_default_model_answers_for_one_that_is_unknown() {
    shows!(Slip::SilentDefaultModel, api => {
        let key = api.key().await;
        let (status, body) = send(api.chat(&key, "gpt-0", "p")).await;
        assert!(status == 400 || body["model"] == LLAMA, "{body}");
        status == 200
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sound_server_holds_under_a_crowd() {
    let api = Api::start(&[]).await;
    for _ in 0..TRIES {
        let (user, key) = (api.user().await, api.key().await);
        let other = api.key_of(&user).await;
        let chats = (0..12).map(|n: usize| {
            let key = if n.is_multiple_of(3) { &other } else { &key };
            send(api.chat(key, [LLAMA, MISTRAL][n % 2], &n.to_string()))
        });
        for (n, (status, body)) in all(chats.collect::<Vec<_>>()).await.iter().enumerate() {
            assert_eq!((*status, &body["echo"]), (200, &json!(n.to_string())));
            assert_eq!(body["model"], [LLAMA, MISTRAL][n % 2]);
        }
        assert_eq!(api.open(&key).await, 1);
        let requests = [
            api.session(&key, "closesession"),
            api.chat(&key, LLAMA, "p"),
            api.revoke(&other),
            api.session(&other, "pingsession"),
        ];
        let closing = all(requests.map(send));
        let statuses: Vec<u16> = closing.await.iter().map(|(status, _)| *status).collect();
        assert_eq!(statuses[..3], [200; 3]);
        assert!([200, 401].contains(&statuses[3]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_leaves_nothing_half_done() {
    let api = Api::start(&[]).await;
    let key = api.key().await;
    let body = json!({ "model": LLAMA, "messages": [] }).to_string();
    for attempt in 0..TRIES {
        let request = format!(
            "POST /api/v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            key.key,
            body.len(),
        );
        let mut socket = TcpStream::connect(api.server.address()).unwrap();
        socket.write_all(request.as_bytes()).unwrap();
        tokio::time::sleep(Duration::from_millis(attempt as u64)).await;
        drop(socket);
        let session = send(api.session(&key, "closesession")).await.1["session_id"].clone();
        assert_eq!(api.open(&key).await, 0, "after {session}");
        // It may have come after the close.
        tokio::time::sleep(Duration::from_millis(40)).await;
        assert!(api.open(&key).await <= 1);
        send(api.session(&key, "closesession")).await;
    }
}
