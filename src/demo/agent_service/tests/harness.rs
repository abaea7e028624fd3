//! A server on a runtime of its own, so that it can be killed, and the requests that tests have in common.

use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use reqwest::Method;
use reqwest::blocking::{Client, RequestBuilder};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::demo::agent_service::{Config, Server, Slip, serve};

/// How often a scenario is tried whose outcome depends on when a connection closes.
pub const TRIES: usize = 50;

/// A status and a JSON body; null where there is none.
#[derive(Debug, PartialEq)]
pub struct Reply {
    pub status: u16,
    pub body: Value,
}

impl Reply {
    pub fn id(&self) -> String {
        assert_eq!(self.status, 200, "{}", self.body);
        text(&self.body["id"])
    }
}

pub struct Api {
    slips: Vec<Slip>,
    client: Client,
    directory: TempDir,
    running: Option<(Runtime, Server)>,
}

impl Api {
    pub fn start(slips: &[Slip]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let running = Some(run(slips, directory.path()));
        Self {
            slips: slips.to_vec(),
            client: Client::new(),
            directory,
            running,
        }
    }

    /// Ends the server where it is, and starts it again on the same file. When the runtime has shut down, no task of
    /// the server runs any more: transactions that were not committed never will be.
    pub fn crash(&mut self) {
        let (runtime, server) = self.running.take().unwrap();
        runtime.shutdown_timeout(Duration::from_secs(10));
        drop(server);
        self.running = Some(run(&self.slips, self.directory.path()));
    }

    /// Stops the server gracefully, and starts it again on the same file.
    pub fn restart(&mut self) {
        let (runtime, server) = self.running.take().unwrap();
        runtime.block_on(server.stop());
        self.running = Some(run(&self.slips, self.directory.path()));
    }

    fn server(&self) -> &Server {
        &self.running.as_ref().unwrap().1
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.server().url());
        self.client.request(method, url)
    }

    pub fn send(request: RequestBuilder) -> Reply {
        let response = request.send().unwrap();
        let status = response.status().as_u16();
        let body = response.text().unwrap();
        let body = match body.as_str() {
            "" => Value::Null,
            body => serde_json::from_str(body).unwrap(),
        };
        Reply { status, body }
    }

    pub fn get(&self, path: &str) -> Reply {
        Self::send(self.request(Method::GET, path))
    }

    pub fn post(&self, path: &str, body: Value) -> Reply {
        Self::send(self.request(Method::POST, path).json(&body))
    }

    pub fn patch(&self, path: &str, body: Value) -> Reply {
        Self::send(self.request(Method::PATCH, path).json(&body))
    }

    pub fn delete(&self, path: &str) -> Reply {
        Self::send(self.request(Method::DELETE, path))
    }

    pub fn keyed(&self, path: &str, key: &str, body: &Value) -> Reply {
        let request = self.request(Method::POST, path);
        Self::send(request.header("Idempotency-Key", key).json(body))
    }

    /// Sends a request, and leaves its connection open without reading the answer.
    pub fn begin(&self, method: &str, path: &str, key: &str, body: &Value) -> TcpStream {
        let body = body.to_string();
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Idempotency-Key: {key}\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        let mut socket = TcpStream::connect(self.server().address()).unwrap();
        socket.write_all(request.as_bytes()).unwrap();
        socket
    }

    /// Sends a request, and closes the connection after a moment without waiting for the answer.
    pub fn hang_up(&self, method: &str, path: &str, key: &str, body: &Value, after: Duration) {
        let socket = self.begin(method, path, key, body);
        std::thread::sleep(after);
        drop(socket);
    }

    /// The list as it is, all on one page.
    pub fn list(&self) -> Vec<Value> {
        let reply = self.get("/v1/agents?limit=100");
        assert_eq!(reply.status, 200, "{}", reply.body);
        let items = reply.body["items"].as_array().unwrap().clone();
        assert_eq!(reply.body["total"], items.len());
        items
    }

    pub fn agent(&self, name: &str) -> String {
        self.post("/v1/agents", json!({ "name": name })).id()
    }

    pub fn name(&self, id: &str) -> String {
        text(&self.get(&format!("/v1/agents/{id}")).body["name"])
    }
}

fn run(slips: &[Slip], directory: &Path) -> (Runtime, Server) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let config = Config {
        database: Some(directory.join("agents.sqlite")),
        slips: slips.to_vec(),
        ..Config::default()
    };
    let server = runtime.block_on(serve(config)).unwrap();
    (runtime, server)
}

pub fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("no text: {value}"))
        .to_owned()
}

/// Long enough for whatever a closed connection left under way.
pub fn settle() {
    std::thread::sleep(Duration::from_millis(40));
}

/// A good deal longer than an actor may be idle, or a delete be under way.
pub fn idle() {
    std::thread::sleep(Duration::from_millis(800));
}

/// When connections are closed, and servers are killed: at once, or up to a few milliseconds later.
pub fn moments() -> impl Iterator<Item = Duration> {
    (0..TRIES).map(|attempt| Duration::from_micros(attempt as u64 % 10 * 700))
}
