//! A server, and users of it.

use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use super::super::{Config, Place, Server, Slip, serve};

pub(super) struct Api {
    pub server: Server,
    client: Client,
}

/// A user with a key.
pub(super) struct User {
    pub name: String,
    pub key: String,
    pub key_id: String,
}

pub(super) fn name() -> String {
    format!("user-{:016x}", rand::random::<u64>())
}

impl Api {
    pub(super) async fn start(slips: &[Slip]) -> Self {
        Self::with(Config::from(Place {
            slips: slips.to_vec(),
            ..Place::default()
        }))
        .await
    }

    pub(super) async fn with(config: Config) -> Self {
        Self {
            server: serve(config).await.unwrap(),
            client: Client::new(),
        }
    }

    pub(super) fn request(&self, key: &str, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}/api/v1{path}", self.server.url());
        self.client
            .request(method, url)
            .header("X-ACM2-API-Key", key)
    }

    pub(super) async fn get(&self, key: &str, path: &str) -> (u16, Value) {
        answer(self.request(key, Method::GET, path)).await
    }

    pub(super) async fn post(&self, key: &str, path: &str, body: Value) -> (u16, Value) {
        answer(self.request(key, Method::POST, path).json(&body)).await
    }

    pub(super) async fn put(&self, key: &str, path: &str, body: Value) -> (u16, Value) {
        answer(self.request(key, Method::PUT, path).json(&body)).await
    }

    pub(super) async fn delete(&self, key: &str, path: &str) -> u16 {
        answer(self.request(key, Method::DELETE, path)).await.0
    }

    pub(super) async fn register(&self, name: &str, email: &str) -> (u16, Value) {
        let new = json!({ "username": name, "email": email });
        self.post("", "/users", new).await
    }

    pub(super) async fn user(&self) -> User {
        let name = name();
        let email = format!("{name}@example.com");
        let (status, body) = self.register(&name, &email).await;
        assert_eq!(status, 201, "{body}");
        User {
            name,
            key: text(&body["api_key"]),
            key_id: text(&body["key_id"]),
        }
    }

    pub(super) async fn content(&self, key: &str, name: &str) -> (u16, Value) {
        let new = json!({ "name": name, "content_type": "input_document", "body": "as it is" });
        self.post(key, "/contents", new).await
    }

    /// The id of a new run.
    pub(super) async fn run(&self, key: &str) -> String {
        let (status, run) = self.post(key, "/runs", json!({ "name": "nightly" })).await;
        assert_eq!((status, &run["status"]), (201, &json!("PENDING")));
        text(&run["run_id"])
    }

    /// The status of a transition.
    pub(super) async fn go(&self, key: &str, run: &str, to: &str) -> u16 {
        let path = format!("/runs/{run}/{to}");
        self.post(key, &path, json!({})).await.0
    }
}

pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// The status, and the body: JSON, or a text as it is.
pub(super) async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let (status, challenge) = (
        response.status(),
        response.headers().contains_key("www-authenticate"),
    );
    assert_eq!(status == StatusCode::UNAUTHORIZED, challenge);
    let text = response.text().await.unwrap();
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    (status.as_u16(), body)
}
