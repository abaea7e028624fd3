//! Tokens against forgery across sites: each principal sends the latest that he was shown, with what changes something.

use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{AppendHeaders, IntoResponse, Response};
use axum::routing::{get, post};
use gainsay::campaign::{Options, Report, campaign};
use gainsay::drive::{Client, Limits};
use gainsay::generate::{self, Generator};
use gainsay::model::Model;
use gainsay::report::{self, Style};
use gainsay::run::Runner;

/// A board for whoever is logged in. How its tokens go is for the test to say.
const MODEL: &str = r#"
model: board
defaults: { csrf: 418 }
entities:
  session:
    fields: { id: string }
    auth: { jar: true, CSRF }
  post:
    fields: { id: string, author: session, text: string }
setup: [log_in: 2]
rules:
  log_in:
    by: anyone
    request: POST /login
    responds: 201
    creates: { session: { id: "${body.id}" } }
  pin:
    by: session
    with: { text: "text(1, 20)" }
    request: POST /posts
    form: { text: "${text}" }
    responds: 201
    creates: { post: { id: "${body.id}", author: "${actor}", text: "${text}" } }
  unpin:
    by: session
    pick: { post: posts }
    request: DELETE /posts/{post}
    requires: { own_post: { that: post.author == actor, else: 403 } }
    responds: 204
    deletes: post
invariants:
  post_stays:
    for: post
    by: post.author
    read: GET /posts/{post}
    always: body.text == post.text
"#;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    /// As Laravel and Django do: a cookie, encoded, whose value comes back in a header.
    Cookie,
    /// As many services on Rails do: every answer has a new one in a header.
    Header,
    /// As forms have it: every page has a new one, which comes back in a field.
    Field,
}

impl Way {
    fn model(self) -> String {
        let csrf = match self {
            Way::Cookie => "csrf: { cookie: XSRF-TOKEN, header: X-XSRF-TOKEN }",
            Way::Header => r#"csrf: { from: '${headers["x-csrf-token"]}', header: X-CSRF-Token }"#,
            Way::Field => r#"csrf: { from: "${body.csrf}", field: _token }"#,
        };
        MODEL.replace("CSRF", csrf)
    }
}

/// What a server forgets of the token when something is taken off.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Lapse {
    /// To look for one at all.
    Any,
    /// Whose it is: any will do.
    Whose,
}

#[derive(Default)]
struct Board {
    next: usize,
    /// For each session its latest token.
    tokens: Vec<String>,
    /// All of them.
    all: Vec<String>,
    posts: Vec<(String, usize, String)>,
    /// What should have had no token.
    strays: usize,
    /// Posts may be taken off by anybody.
    careless: bool,
    lapse: Option<Lapse>,
}

#[derive(Clone)]
struct Shared {
    way: Way,
    board: Arc<Mutex<Board>>,
}

fn sid(n: usize) -> String {
    format!("{:08x}-session-{:016x}", n * 0x9e37, n * 7919)
}

impl Shared {
    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().expect("nobody panicked")
    }

    /// Shows somebody a new token in an answer.
    fn answer(
        &self,
        board: &mut Board,
        who: usize,
        status: StatusCode,
        body: serde_json::Value,
    ) -> Response {
        let n = board.all.len() + 1;
        let token = format!("tok+{:08x}/{:016x}==", n * 0x9e37, n * 104_729);
        board.tokens[who] = token.clone();
        board.all.push(token.clone());
        let mut body = body;
        let mut headers = vec![(SET_COOKIE, format!("sid={}; Path=/; HttpOnly", sid(who)))];
        match self.way {
            Way::Cookie => {
                let encoded = token
                    .replace('+', "%2B")
                    .replace('/', "%2F")
                    .replace('=', "%3D");
                headers.push((SET_COOKIE, format!("XSRF-TOKEN={encoded}; Path=/")));
            }
            Way::Header => headers.push(("x-csrf-token".parse().expect("a name"), token)),
            Way::Field => body["csrf"] = token.into(),
        }
        let headers = AppendHeaders(headers);
        match status == StatusCode::NO_CONTENT && self.way != Way::Field {
            true => (status, headers).into_response(),
            false => (status, headers, axum::Json(body)).into_response(),
        }
    }

    /// Who asks, with the right token where one is needed.
    fn who(
        &self,
        board: &mut Board,
        method: &Method,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<usize, StatusCode> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let cookies = text(COOKIE.as_str()).unwrap_or_default();
        let mut pairs = cookies.split("; ").filter_map(|pair| pair.split_once('='));
        let shown = pairs
            .find(|(name, _)| *name == "sid")
            .map(|(_, value)| value);
        let who = (0..board.tokens.len()).find(|n| shown == Some(sid(*n).as_str()));
        let who = who.ok_or(StatusCode::UNAUTHORIZED)?;
        let form: Vec<(String, String)> = form_urlencoded::parse(body).into_owned().collect();
        let field = form.iter().find(|(name, _)| name == "_token");
        let token = match self.way {
            Way::Cookie => text("x-xsrf-token"),
            Way::Header => text("x-csrf-token"),
            Way::Field => field.map(|(_, value)| value.as_str()),
        };
        if *method == Method::GET {
            board.strays += usize::from(token.is_some());
            return Ok(who);
        }
        let lapse = board.lapse.filter(|_| *method == Method::DELETE);
        let accepted = match lapse {
            None => token == Some(board.tokens[who].as_str()),
            Some(Lapse::Whose) => token.is_some(),
            Some(Lapse::Any) => true,
        };
        if !accepted {
            return Err(StatusCode::IM_A_TEAPOT);
        }
        Ok(who)
    }
}

async fn log_in(State(shared): State<Shared>) -> Response {
    let mut board = shared.board();
    let who = board.tokens.len();
    board.tokens.push(String::new());
    let id = serde_json::json!({ "id": format!("s{who}") });
    shared.answer(&mut board, who, StatusCode::CREATED, id)
}

async fn pin(
    State(shared): State<Shared>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut board = shared.board();
    let who = match shared.who(&mut board, &method, &headers, &body) {
        Ok(who) => who,
        Err(status) => return status.into_response(),
    };
    let mut form = form_urlencoded::parse(&body);
    let text = form
        .find(|(name, _)| name == "text")
        .map(|(_, value)| value.into_owned());
    let text = text.filter(|text| (1..=20).contains(&text.chars().count()));
    let Some(text) = text else {
        return shared.answer(
            &mut board,
            who,
            StatusCode::UNPROCESSABLE_ENTITY,
            serde_json::json!({}),
        );
    };
    board.next += 1;
    let id = format!("p{}", board.next);
    board.posts.push((id.clone(), who, text));
    shared.answer(
        &mut board,
        who,
        StatusCode::CREATED,
        serde_json::json!({ "id": id }),
    )
}

async fn pinned(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut board = shared.board();
    let who = match shared.who(&mut board, &method, &headers, &body) {
        Ok(who) => who,
        Err(status) => return status.into_response(),
    };
    let none = serde_json::json!({});
    let Some(at) = board.posts.iter().position(|(post, ..)| *post == id) else {
        return shared.answer(&mut board, who, StatusCode::NOT_FOUND, none);
    };
    if board.posts[at].1 != who && !board.careless {
        return shared.answer(&mut board, who, StatusCode::FORBIDDEN, none);
    }
    match method == Method::DELETE {
        true => {
            board.posts.remove(at);
            // An answer without a body shows nothing: the token before it is still the latest.
            match shared.way {
                Way::Field => StatusCode::NO_CONTENT.into_response(),
                _ => shared.answer(&mut board, who, StatusCode::NO_CONTENT, none),
            }
        }
        false => {
            let text = serde_json::json!({ "text": board.posts[at].2 });
            shared.answer(&mut board, who, StatusCode::OK, text)
        }
    }
}

async fn drive(shared: &Shared, source: &str) -> (Report, Arc<Model>, String) {
    let routes = Router::new()
        .route("/login", post(log_in))
        .route("/posts", post(pin))
        .route("/posts/{id}", get(pinned).delete(pinned))
        .with_state(shared.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("its address"));
    let serving = tokio::spawn(async move { axum::serve(listener, routes).await });
    let model = Arc::new(Model::parse("board.yaml", source).expect("a model"));
    let tolerate = model.tolerate.clone();
    let client = Client::new(&url, Vec::new(), Limits::default(), tolerate, false);
    let generator = Generator::new(model.clone(), generate::Options::default());
    let runner = Runner::new(model.clone(), client.expect("a client"), generator.start());
    let report = campaign(&generator, &runner, &Options::default(), &mut |_| {}).await;
    serving.abort();
    (report.expect("it runs"), model, url)
}

fn shared(way: Way) -> Shared {
    let board = Arc::default();
    Shared { way, board }
}

fn found(report: &Report) -> Vec<String> {
    let failures = report.failures().into_iter();
    failures.map(|(id, _)| id.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_latest_token_goes_with_what_changes_something() {
    for way in [Way::Cookie, Way::Header, Way::Field] {
        let shared = shared(way);
        let (report, ..) = drive(&shared, &way.model()).await;
        assert!(report.held(), "{way:?}: {:?}", found(&report));
        assert_eq!(shared.board().strays, 0, "{way:?}");
        let (all, tried) = report.access.totals();
        assert_eq!(all, tried, "{way:?}: {:?}", report.access);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_it_nothing_can_be_changed() {
    let (report, ..) = drive(&shared(Way::Header), &MODEL.replace(", CSRF", "")).await;
    let found = found(&report);
    assert!(found.iter().any(|id| id == "pin: ok"), "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_forgets_to_look_at_it_is_found() {
    for way in [Way::Cookie, Way::Header, Way::Field] {
        for lapse in [Lapse::Any, Lapse::Whose] {
            let shared = shared(way);
            shared.board().lapse = Some(lapse);
            let (report, model, _) = drive(&shared, &way.model()).await;
            assert_eq!(found(&report), ["unpin: csrf"], "{way:?} {lapse:?}");
            let found = &report.counterexamples[0];
            let story = report::story(&model, found, Style::PLAIN);
            let wrong = match lapse {
                Lapse::Any => "without the token against forgery",
                Lapse::Whose => "with a token against forgery that nobody was shown",
            };
            assert!(story.contains(wrong), "{story}");
            assert_eq!(found.plan.len(), 3, "{story}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_output_shows_a_token() {
    for way in [Way::Cookie, Way::Header, Way::Field] {
        let shared = shared(way);
        shared.board().careless = true;
        let (report, model, url) = drive(&shared, &way.model()).await;
        assert_eq!(found(&report), ["unpin: own_post"], "{way:?}");
        let found = &report.counterexamples[0];
        assert!(found.standing.certain(), "{way:?}");
        let script = report::curl(&model, found, &url);
        let shown = report::story(&model, found, Style::PLAIN) + &script;
        for token in &shared.board().all {
            assert!(!shown.contains(token.as_str()), "{way:?}: {shown}");
        }
        if way == Way::Header {
            assert!(script.contains("_CSRF_"), "{script}");
        }
    }
}

#[test]
fn what_the_reference_shows_is_a_model() {
    let reference = std::fs::read_to_string("docs/reference.md").expect("the reference");
    let (_, section) = reference
        .split_once("#### Tokens against forgery")
        .expect("it is there");
    let (section, _) = section.split_once("\n#### ").expect("another one follows");
    let shown = section
        .split('`')
        .filter(|text| text.starts_with("auth: {"));
    let mut count = 0;
    for auth in shown {
        let source = MODEL.replace("auth: { jar: true, CSRF }", auth);
        let model = Model::parse("board.yaml", &source);
        assert!(
            model.is_ok(),
            "{auth}\n{}",
            model
                .err()
                .map(|e| e.render(false, 100))
                .unwrap_or_default()
        );
        count += 1;
    }
    assert!(count >= 5, "{count}");
}
