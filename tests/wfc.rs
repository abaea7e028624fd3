//! Authentication files of Web Fuzzing Commons: the accounts that they give, logged in at a real server by the real
//! binary, and what is refused of them.

use std::path::Path as FilePath;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::header::{AUTHORIZATION, COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use gainsay::drive::Wfc;
use gainsay::model::Model;
use serde_json::{Value, json};

const MODEL: &str = r#"
model: notes
entities:
  user:
    fields: { user: string, word: secret }
    auth: { jar: true, bearer: "${self.word}" }
  note:
    fields: { id: string, author: user, text: string }
rules:
  write:
    by: user
    with: { text: "text(1, 20)" }
    request: POST /notes
    json: { text: "${text}" }
    responds: 201
    creates: { note: { id: "${body.id}", author: "${actor}", text: "${text}" } }
  take_back:
    by: user
    pick: { note: notes }
    request: DELETE /notes/{note}
    requires: { own_note: { that: note.author == actor, else: 403 } }
    responds: 204
    deletes: note
invariants:
  note_stays:
    for: note
    by: note.author
    read: GET /notes/{note}
    always: body.text == note.text
"#;

/// In the form that the schema documents: what is alike stands in the template.
const FILE: &str = r#"
schemaVersion: "0.11.0"
auth:
  - name: ada
    loginEndpointAuth:
      payloadUserPwd: { username: ada, password: open-61-sesame, usernameField: user, passwordField: word }
      token: { extractFrom: body, extractSelector: /token/access, sendIn: header, sendName: Authorization, sendTemplate: "Bearer {token}" }
  - name: bob
    loginEndpointAuth:
      payloadRaw: '{"user": "bob", "word": "open-72-sesame"}'
      headers:
        - { name: X-Client, value: gainsay }
      token: { extractFrom: body, extractSelector: /token/access, sendIn: header, sendName: Authorization, sendTemplate: "Bearer {token}" }
  - name: cleo
    loginEndpointAuth:
      endpoint: /login?by=query
      payloadRaw: user=cleo&word=open-83-sesame
      contentType: application/x-www-form-urlencoded
      token: { extractFrom: header, extractSelector: X-Issued, sendIn: query, sendName: key, sendTemplate: "{token}" }
  - name: dora
    loginEndpointAuth:
      verb: PUT
      endpoint: /sessions
      payloadUserPwd: { username: dora, password: open-94-sesame, usernameField: user, passwordField: word }
      contentType: application/x-www-form-urlencoded
      expectCookies: true
authTemplate:
  loginEndpointAuth:
    endpoint: /login
    verb: POST
    contentType: application/json
configs: { maxTime: 5m }
"#;

/// What never changes needs no login.
const FIXED: &str = r#"{"auth": [{"name": "robot", "fixedHeaders": [{"name": "Authorization", "value": "ApiKey robot-key-5150"}]}]}"#;

const SECRETS: [&str; 6] = [
    "sesame",
    "robot-key-5150",
    "t-ada-",
    "t-bob-",
    "t-cleo-",
    "s-dora-",
];

#[derive(Default)]
struct Desk {
    logins: Vec<String>,
    /// Notes with their authors and texts.
    notes: Vec<(String, String, String)>,
    next: usize,
    /// Tokens are looked up by how they begin.
    careless: bool,
    /// Who was seen.
    seen: std::collections::BTreeSet<String>,
}

type Shared = Arc<Mutex<Desk>>;

fn desk(shared: &Shared) -> MutexGuard<'_, Desk> {
    shared.lock().expect("nobody panicked")
}

/// Everybody's token, half of which is his name.
fn token(user: &str) -> String {
    format!("t-{user}-61a7c9e2b4d8f013")
}

async fn log_in(
    State(shared): State<Shared>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let text = String::from_utf8_lossy(&body).into_owned();
    let of = |user: &str, n: u32| text.contains(user) && text.contains(&format!("open-{n}-sesame"));
    let by_json = headers["content-type"] == "application/json";
    let user = match () {
        () if by_json && of("ada", 61) => "ada",
        () if by_json && of("bob", 72) && headers.contains_key("x-client") => "bob",
        () if !by_json && of("user=cleo", 83) && query.as_deref() == Some("by=query") => "cleo",
        () => return StatusCode::UNAUTHORIZED.into_response(),
    };
    desk(&shared).logins.push(user.to_owned());
    let answer = Json(json!({ "token": { "access": token(user) } }));
    match user {
        "cleo" => ([("x-issued", token(user))], "").into_response(),
        _ => answer.into_response(),
    }
}

async fn start_session(State(shared): State<Shared>, body: Bytes) -> Response {
    if &*body != b"user=dora&word=open-94-sesame" {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    desk(&shared).logins.push("dora".to_owned());
    (
        [(SET_COOKIE, "sid=s-dora-61a7c9e2b4d8f013; Path=/; HttpOnly")],
        "",
    )
        .into_response()
}

fn who(desk: &mut Desk, headers: &HeaderMap, query: Option<&str>) -> Option<String> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = text(AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
    let key = query.and_then(|query| query.strip_prefix("key="));
    let user = if text(AUTHORIZATION) == Some("ApiKey robot-key-5150") {
        Some("robot")
    } else if text(COOKIE) == Some("sid=s-dora-61a7c9e2b4d8f013") {
        Some("dora")
    } else {
        let same = |known: &str, shown: &str| match desk.careless {
            true => shown.len() > 6 && known.starts_with(shown),
            false => known == shown,
        };
        let mut users = ["ada", "bob"].into_iter();
        let by_header = bearer.and_then(|shown| users.find(|user| same(&token(user), shown)));
        by_header.or(key.filter(|shown| token("cleo") == *shown).map(|_| "cleo"))
    };
    desk.seen.extend(user.map(str::to_owned));
    user.map(str::to_owned)
}

async fn write(
    State(shared): State<Shared>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut desk = desk(&shared);
    let Some(author) = who(&mut desk, &headers, query.as_deref()) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let text = body["text"].as_str().unwrap_or_default().to_owned();
    if !(1..=20).contains(&text.chars().count()) {
        return StatusCode::UNPROCESSABLE_ENTITY.into_response();
    }
    desk.next += 1;
    let id = format!("n{}", desk.next);
    desk.notes.push((id.clone(), author, text));
    (StatusCode::CREATED, Json(json!({ "id": id }))).into_response()
}

async fn note(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let mut desk = desk(&shared);
    let Some(user) = who(&mut desk, &headers, query.as_deref()) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let Some(at) = desk.notes.iter().position(|(note, ..)| *note == id) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    if desk.notes[at].1 != user {
        return StatusCode::FORBIDDEN.into_response();
    }
    match method == Method::DELETE {
        true => {
            desk.notes.remove(at);
            StatusCode::NO_CONTENT.into_response()
        }
        false => Json(json!({ "text": desk.notes[at].2 })).into_response(),
    }
}

/// The server on a thread of its own; it ends with the test.
fn serve(shared: Shared) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("its address"));
    listener.set_nonblocking(true).expect("it can be");
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let routes = Router::new()
                .route("/login", post(log_in))
                .route("/sessions", axum::routing::put(start_session))
                .route("/notes", post(write))
                .route("/notes/{id}", get(note).delete(note))
                .with_state(shared);
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            axum::serve(listener, routes).await
        })
    });
    url
}

fn gainsay(directory: &FilePath, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gainsay"))
        .args(arguments)
        .current_dir(directory)
        .env_remove("CI")
        .env("NO_COLOR", "1")
        .output()
        .expect("it runs")
}

/// A folder with the model and the file.
fn folder(file: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text);
    write("notes.yaml", MODEL).expect("it can be written");
    write("auth.yaml", file).expect("it can be written");
    folder
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

#[test]
fn every_account_is_logged_in_once_and_acts() {
    let shared = Shared::default();
    let url = serve(shared.clone());
    let folder = folder(FILE);
    let output = gainsay(
        folder.path(),
        &[
            "run",
            "notes.yaml",
            "--url",
            &url,
            "--auth-wfc",
            "auth.yaml",
            "--history",
            "out.jsonl",
        ],
    );
    let said = said(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let desk = desk(&shared);
    assert_eq!(desk.logins, ["ada", "bob", "cleo", "dora"]);
    let seen: Vec<&str> = desk.seen.iter().map(String::as_str).collect();
    assert_eq!(seen, ["ada", "bob", "cleo", "dora"]);
    let history = std::fs::read_to_string(folder.path().join("out.jsonl")).expect("a history");
    for secret in SECRETS {
        assert!(
            !said.contains(secret) && !history.contains(secret),
            "{secret}"
        );
    }
}

#[test]
fn fixed_headers_are_sent_as_they_are() {
    let shared = Shared::default();
    let url = serve(shared.clone());
    let folder = folder(FIXED);
    let output = gainsay(
        folder.path(),
        &[
            "run",
            "notes.yaml",
            "--url",
            &url,
            "--auth-wfc",
            "auth.yaml",
        ],
    );
    let said = said(&output);
    // One alone does not get at what is another's.
    assert_eq!(output.status.code(), Some(0), "{said}");
    let desk = desk(&shared);
    assert!(desk.logins.is_empty() && desk.seen.contains("robot"));
}

#[test]
fn who_is_let_in_with_half_a_token_is_found_and_no_token_shown() {
    let shared = Shared::default();
    desk(&shared).careless = true;
    let url = serve(shared.clone());
    let folder = folder(FILE);
    let config = format!("[target.here]\nurl = \"{url}\"\nauth_wfc = \"user=auth.yaml\"\n");
    std::fs::write(folder.path().join("gainsay.toml"), config).expect("it can be written");
    let output = gainsay(
        folder.path(),
        &["run", "notes.yaml", "--target", "here", "--curl"],
    );
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("unauthenticated"), "{said}");
    for secret in SECRETS {
        assert!(!said.contains(&format!("{secret}6")), "{secret}: {said}");
    }
}

#[test]
fn a_login_that_fails_ends_the_run_before_any_plan() {
    let shared = Shared::default();
    let url = serve(shared.clone());
    let folder = folder(&FILE.replace("open-72-sesame", "shut-72-sesame"));
    let output = gainsay(
        folder.path(),
        &[
            "run",
            "notes.yaml",
            "--url",
            &url,
            "--auth-wfc",
            "auth.yaml",
        ],
    );
    let said = said(&output);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(
        said.contains("the login of `bob` (POST /login) answered 401"),
        "{said}"
    );
    assert!(!said.contains("sesame"), "{said}");
    assert!(desk(&shared).notes.is_empty());
}

/// What is said of a file of this text.
fn refused(text: &str) -> String {
    refused_of(MODEL, None, text)
}

fn refused_of(model: &str, kind: Option<&str>, text: &str) -> String {
    let model = Model::parse("notes.yaml", model).expect("a model");
    let folder = folder(text);
    let loaded = Wfc::load(&model, kind, &folder.path().join("auth.yaml"));
    let error = loaded.err().map(|error| error.to_string());
    let error = error.unwrap_or_else(|| panic!("it is taken:\n{text}"));
    error.replace(&folder.path().display().to_string(), "")
}

#[test]
fn what_is_not_supported_is_refused_with_what_to_do() {
    let entry = |fields: &str| format!("auth: [{{ name: ada, {fields} }}]");
    let login = |fields: &str| {
        entry(&format!(
            "loginEndpointAuth: {{ verb: POST, endpoint: /login, {fields} }}"
        ))
    };
    let token =
        "token: { extractFrom: body, extractSelector: /t, sendIn: header, sendName: Authorization";
    for (text, reason, help) in [
        (
            entry("requireMockHandling: true"),
            "`requireMockHandling`",
            "from outside",
        ),
        (
            entry("createUsers: { verb: POST }"),
            "`createUsers`",
            "a rule that registers",
        ),
        (
            entry("fixedHeaders: []"),
            "how to authenticate",
            "`fixedHeaders` or",
        ),
        (
            entry("fixedHeaders: [{ name: 'a b', value: x }]"),
            "the header `a b`",
            "a name",
        ),
        (
            entry(
                "loginEndpointAuth: { verb: POST, externalEndpointURL: 'https://id.example.com', expectCookies: true }",
            ),
            "`externalEndpointURL`",
            "to the target alone",
        ),
        (
            entry("loginEndpointAuth: { verb: POST, endpoint: login, expectCookies: true }"),
            "no `endpoint`",
            "below the address",
        ),
        (login("x: 1"), "unknown field `x`", "docs/running.md"),
        (
            login("expectCookies: false"),
            "what its login brings",
            "a `token`",
        ),
        (
            login("expectCookies: true, payloadRaw: x"),
            "no `contentType`",
            "application/json",
        ),
        (
            login(
                "expectCookies: true, contentType: text/xml, payloadUserPwd: { username: a, password: b, usernameField: c, passwordField: d }",
            ),
            "`payloadUserPwd` cannot",
            "`payloadRaw`",
        ),
        (
            login("token: { extractFromField: /t }"),
            "extractFromField",
            "before 0.2.0",
        ),
        (
            login(&format!("{token}, sendTemplate: Bearer }}")),
            "no `{token}`",
            "Bearer {token}",
        ),
        (
            login(&format!("{token} }}").replace("/t", "t")),
            "begin with `/`",
            "JSON pointer",
        ),
        (
            entry("loginEndpointAuth: { verb: HEAD }"),
            "unknown variant `HEAD`",
            "docs",
        ),
        ("auth: []".into(), "it is empty", "at least one"),
        ("authTemplate: {}".into(), "no list `auth`", "give a list"),
        (
            "auth: 1\nother: 2".into(),
            "unknown field `other`",
            "it may have",
        ),
        (
            "auth: [{ name: a, fixedHeaders: [] }, { name: a, fixedHeaders: [] }]".into(),
            "two of this name",
            "rename",
        ),
    ] {
        let said = refused(&text);
        assert!(
            said.contains(reason) && said.contains(help),
            "{text}\n{said}"
        );
    }
}

#[test]
fn an_error_does_not_show_what_may_be_a_password() {
    let said = refused("auth: [{ name: ada, fixedHeaders: 6174 }]");
    assert!(
        said.contains("invalid type: integer") && !said.contains("6174"),
        "{said}"
    );
    let said = refused("auth: [{ name: ada, loginEndpointAuth: 'sesame' }]");
    assert!(!said.contains("sesame"), "{said}");
    let said = refused("auth: [{ name: ada, fixedHeaders: [{ name: A, value: \"sesame }] }]");
    assert!(!said.contains("sesame"), "{said}");
}

#[test]
fn whose_accounts_they_are_is_asked_where_that_is_open() {
    let file = "auth: [{ name: ada, fixedHeaders: [{ name: A, value: b }] }]";
    let two = MODEL.replace(
        "  note:\n",
        "  clerk: { fields: { id: string }, auth: { bearer: \"${self.id}\" } }\n  note:\n",
    );
    let said = refused_of(&two, None, file);
    assert!(
        said.contains("several kinds can act (user, clerk)") && said.contains("user=FILE"),
        "{said}"
    );
    let said = refused_of(MODEL, Some("clerk"), file);
    assert!(said.contains("no `clerk` with `auth`"), "{said}");
    let cookies = "auth: [{ name: ada, loginEndpointAuth: { verb: GET, endpoint: /login, expectCookies: true } }]";
    let said = refused_of(&two, Some("clerk"), cookies);
    assert!(
        said.contains("`jar: true` under the `auth` of `clerk`"),
        "{said}"
    );
}

#[test]
fn json_and_toml_say_the_same() {
    let model = Model::parse("notes.yaml", MODEL).expect("a model");
    let folder = tempfile::tempdir().expect("a folder");
    let texts = [
        (
            "auth.json",
            r#"{"auth": [{"name": "ada", "fixedHeaders": [{"name": "A", "value": "b"}]}]}"#,
        ),
        (
            "auth.toml",
            "[[auth]]\nname = \"ada\"\n[[auth.fixedHeaders]]\nname = \"A\"\nvalue = \"b\"\n",
        ),
    ];
    for (name, text) in texts {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("it can be written");
        let loaded = Wfc::load(&model, None, &path).expect("it is taken");
        assert_eq!(loaded.count(), 1);
    }
}
