//! No output of any command shows a secret, however odd it is and whatever a server makes of it.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

/// What accounts and headers hold; the server's own are made like it.
const ODD: &str = r#"p%q"r's\t&<u>/é+k 9"#;

const MODEL: &str = r#"
model: vault
entities:
  user:
    fields: { id: string, name: string, token: secret, pin: secret }
    auth:
      headers: { X-Token: "${self.token}" }
      query: { pin: "${self.pin}" }
  clerk:
    fields: { name: string, password: secret }
    auth: { basic: { username: "${self.name}", password: "${self.password}" } }
setup: [join: 2, hire]
rules:
  join:
    by: anyone
    with: { name: "unique('u')" }
    request: POST /users
    json: { name: "${name}" }
    responds: 201
    creates:
      user: { id: "${body.id}", name: "${name}", token: "${body.token}", pin: "${body.pin}" }
  hire:
    by: anyone
    request: POST /clerks
    responds: 201
    creates: { clerk: { name: "${body.name}", password: "${body.password}" } }
  look:
    by: user
    request: GET /me
    responds: 200
    returns: { nothing_more: size(body) == 0 }
  file:
    by: clerk
    request: GET /files
    responds: 200
    returns: { nothing_more: size(body) == 0 }
  ask:
    by: user
    request: GET /page
    responds: 200
    returns: { it_is_empty: body == null }
  fail:
    by: clerk
    request: GET /failure
    responds: 200
"#;

#[derive(Clone, Default)]
struct Vault {
    /// The secrets that were given out, by whom they belong to.
    given: Arc<Mutex<Vec<Vec<String>>>>,
}

impl Vault {
    /// Secrets for somebody, made odd in these ways.
    fn secrets<const N: usize>(&self, odd: [String; N]) -> [String; N] {
        let mut given = self.given.lock().expect("nobody panicked");
        let secrets = odd.map(|odd| format!("{:04}-{odd}", given.len()));
        given.push(secrets.to_vec());
        secrets
    }

    /// All secrets of whoever shows one of them.
    fn known(&self, shown: &str) -> Vec<String> {
        let given = self.given.lock().expect("nobody panicked");
        let mut all = given.iter();
        let known = all.find(|all| all.iter().any(|secret| shown.contains(secret)));
        known.cloned().unwrap_or_default()
    }
}

async fn join(State(vault): State<Vault>, body: String) -> (StatusCode, Json<Value>) {
    let body: Value = serde_json::from_str(&body).unwrap_or_default();
    if !body["name"].is_string() {
        return (StatusCode::UNPROCESSABLE_ENTITY, Json(Value::Null));
    }
    // No header takes what is not ASCII.
    let [token, pin] = vault.secrets([ODD.replace('é', "e"), format!("{ODD}\n\tz")]);
    let user = json!({ "id": body["name"], "token": token, "pin": pin });
    (StatusCode::CREATED, Json(user))
}

async fn hire(State(vault): State<Vault>) -> (StatusCode, Json<Value>) {
    let [password] = vault.secrets([format!("{ODD}\n")]);
    let name = format!("c{}", password.len());
    let clerk = json!({ "name": name, "password": password });
    (StatusCode::CREATED, Json(clerk))
}

/// Everything that was sent, as it came and as it was meant.
fn echo(vault: &Vault, uri: &OriginalUri, headers: &HeaderMap) -> Value {
    let text = |name: &str| {
        let value = headers
            .get(name)
            .map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned());
        value.unwrap_or_default()
    };
    let basic = text("authorization");
    let decoded = basic
        .strip_prefix("Basic ")
        .and_then(|b| STANDARD.decode(b).ok());
    let decoded = decoded.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let known = vault.known(&[decoded.clone().unwrap_or_default(), text("x-token")].concat());
    json!({
        "uri": uri.0.to_string(),
        "sent": text("x-token"),
        "basic": basic,
        "decoded": decoded,
        "tenant": text("x-tenant-key"),
        "known": known,
    })
}

async fn look(
    State(vault): State<Vault>,
    uri: OriginalUri,
    headers: HeaderMap,
) -> (HeaderMap, Json<Value>) {
    let shown = echo(&vault, &uri, &headers);
    let mut more = HeaderMap::new();
    if let Some(token) = headers.get("x-token") {
        more.insert("x-seen", token.clone());
    }
    (more, Json(shown))
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

async fn page(State(vault): State<Vault>, uri: OriginalUri, headers: HeaderMap) -> String {
    let shown = echo(&vault, &uri, &headers);
    let known = shown["known"].as_array().cloned().unwrap_or_default();
    let known: Vec<&str> = known.iter().filter_map(Value::as_str).collect();
    let encoded: Vec<String> = known
        .iter()
        .map(|k| URL_SAFE.encode(format!("user:{k}")))
        .collect();
    format!(
        "<html>{}\n{}\n{}</html>",
        html(&known.join(" ")),
        encoded.join(" "),
        uri.0
    )
}

async fn failure(
    State(vault): State<Vault>,
    uri: OriginalUri,
    headers: HeaderMap,
) -> (StatusCode, String) {
    (
        StatusCode::INTERNAL_SERVER_ERROR,
        format!("{:?}", echo(&vault, &uri, &headers)),
    )
}

/// What a secret may look like anywhere. These are not the program's own functions.
fn forms(secret: &str) -> Vec<String> {
    let json = serde_json::to_string(secret).expect("a text");
    let percent = utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string();
    let query: String = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    vec![
        secret.to_owned(),
        json[1..json.len() - 1].to_owned(),
        percent.to_lowercase(),
        percent,
        query,
        html(secret),
        STANDARD.encode(secret).trim_end_matches('=').to_owned(),
        URL_SAFE.encode(secret).trim_end_matches('=').to_owned(),
        // What base64 makes of it behind other bytes: from the second block on.
        STANDARD.encode(format!("xx{secret}"))[4..]
            .trim_end_matches('=')
            .to_owned(),
        secret.replace('\'', r"'\''"),
    ]
}

fn gainsay(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gainsay"))
        .args(arguments)
        .current_dir(folder)
        .env("TENANT_KEY", format!("tenant-{ODD}"))
        .env("CLERK_PASSWORD", format!("clerk-{ODD}"))
        .env("NO_COLOR", "1")
        // There, nothing is written that nobody has accepted.
        .env_remove("CI")
        .output()
        .expect("it runs")
}

/// All files below a folder but those that the test wrote.
fn written(folder: &Path, texts: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            written(&path, texts);
        } else if path
            .extension()
            .is_none_or(|extension| extension != "toml" && extension != "yaml")
        {
            let text = String::from_utf8_lossy(&std::fs::read(&path).expect("a file")).into_owned();
            texts.push((path.display().to_string(), text));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_output_shows_a_secret() {
    let vault = Vault::default();
    let routes = Router::new()
        .route("/users", post(join))
        .route("/clerks", post(hire))
        .route("/me", get(look))
        .route("/files", get(look))
        .route("/page", get(page))
        .route("/failure", get(failure))
        .with_state(vault.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("its address"));
    let server = tokio::spawn(async move { axum::serve(listener, routes).await });
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path().to_owned();
    std::fs::write(at.join("vault.yaml"), MODEL).expect("a file");
    let config = format!(
        "[target.local]\nurl = \"{url}\"\nheaders = {{ X-Tenant-Key = {{ env = \"TENANT_KEY\" }} }}\n\n\
         [target.known]\nurl = \"{url}\"\n\n[[target.known.accounts.clerk]]\nname = \"c\"\npassword = {{ env = \"CLERK_PASSWORD\" }}\n"
    );
    std::fs::write(at.join("gainsay.toml"), config).expect("a file");
    let outputs = tokio::task::spawn_blocking(move || {
        let mut texts = Vec::new();
        let mut tell = |arguments: &[&str], code: i32| {
            let output = gainsay(&at, arguments);
            let all = [output.stdout, output.stderr].concat();
            let all = String::from_utf8_lossy(&all).into_owned();
            assert_eq!(output.status.code(), Some(code), "{arguments:?}: {all}");
            texts.push((arguments.join(" "), all));
        };
        for target in ["local", "known"] {
            let history = format!("{target}.jsonl");
            tell(
                &[
                    "run",
                    "vault.yaml",
                    "--target",
                    target,
                    "--seeds",
                    "0..3",
                    "--snapshots",
                    target,
                    "--history",
                    &history,
                    "--access",
                    "--faults",
                    "network",
                ],
                1,
            );
            // Whether some order explains the answers, which show what they should not.
            tell(&["judge", "vault.yaml", &history], 1);
        }
        let mut snapshots = Vec::new();
        written(&at, &mut snapshots);
        for (path, _) in snapshots.iter().filter(|(path, _)| path.contains(".snap")) {
            let known = path.contains("/known/");
            let target = if known { "known" } else { "local" };
            tell(&["replay", path, "--target", target], 1);
        }
        for command in [&["show", "vault.yaml"][..], &["check", "vault.yaml"]] {
            tell(command, 0);
        }
        written(&at, &mut texts);
        texts
    });
    let outputs = outputs.await.expect("it does not panic");
    server.abort();
    let mut secrets = vault.given.lock().expect("nobody panicked").concat();
    secrets.extend([format!("tenant-{ODD}"), format!("clerk-{ODD}")]);
    let kinds = |end: &str| {
        outputs
            .iter()
            .filter(|(name, _)| name.ends_with(end) && !name.starts_with("run"))
            .count()
    };
    assert!(
        kinds(".jsonl") >= 2 && kinds(".snap.new") >= 4,
        "{:?}",
        outputs.iter().map(|o| &o.0).collect::<Vec<_>>()
    );
    assert!(secrets.len() > 30, "{}", secrets.len());
    for (name, text) in &outputs {
        for secret in &secrets {
            for form in forms(secret) {
                let Some(place) = text.find(&form) else {
                    continue;
                };
                let from = (0..=place.saturating_sub(80))
                    .rev()
                    .find(|at| text.is_char_boundary(*at));
                let until = (place + form.len()..=text.len()).find(|at| text.is_char_boundary(*at));
                panic!(
                    "{name} shows {form:?}: {}",
                    &text[from.unwrap_or(0)..until.unwrap_or(text.len())]
                );
            }
        }
    }
}
