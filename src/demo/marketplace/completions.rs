//! `POST /api/v1/chat/completions`: a chat with a model, through the session of the key that asks or through one that
//! the request names. Answered whole, or as server-sent events.

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::post;
use serde_json::json;

use super::credentials::Key;
use super::errors::{Answer, Refusal, ok};
use super::gateway::{App, Seat, finish};
use super::input::Fields;
use super::models::{DEFAULT_MODEL, known};
use super::slips::Slip;
use super::upstream::Reply;

/// How many characters a chunk of a streamed answer has.
const CHUNK: usize = 8;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/api/v1/chat/completions", post(complete))
}

/// The model that a request asks for.
pub(super) fn resolved(app: &App, name: &str) -> Result<&'static str, Refusal> {
    match known(name) {
        Err(_) if app.slips.has(Slip::SilentDefaultModel) => Ok(DEFAULT_MODEL),
        resolved => resolved,
    }
}

struct Chat {
    model: String,
    prompt: String,
    session: Option<String>,
    stream: bool,
}

impl Chat {
    fn read(fields: &Fields) -> Result<Self, Refusal> {
        let mut prompt = None;
        for message in fields.objects("messages")? {
            let role = message.required_text("role")?;
            let content = message.required_text("content")?;
            match role.as_str() {
                "user" => prompt = Some(content),
                "system" | "assistant" => {}
                _ => return Err(Refusal::unprocessable("role must be a known one")),
            }
        }
        Ok(Self {
            model: fields.required_text("model")?,
            prompt: prompt.unwrap_or_default(),
            session: fields.text("session_id")?,
            stream: fields.flag("stream")?,
        })
    }
}

async fn complete(State(app): State<App>, headers: HeaderMap, fields: Fields) -> Answer {
    let chat = Chat::read(&fields)?;
    finish(async move {
        let key = app.key(&headers).await?;
        let seat = seat(&app, &key, &chat).await?;
        let reply = app.ask(&seat, &chat.prompt).await?;
        match chat.stream {
            true => Ok(streamed(&reply)),
            false => ok(json!({
                "model": reply.model,
                "session": reply.session,
                "echo": reply.echo,
            })),
        }
    })
    .await
}

async fn seat(app: &App, key: &Key, chat: &Chat) -> Result<Seat, Refusal> {
    let _lock = app.lock_to_find(key).await;
    app.check_active(key).await?;
    let model = resolved(app, &chat.model)?;
    let Some(session) = &chat.session else {
        return app.find_or_open(key, model).await;
    };
    let owner = match app.slips.has(Slip::ForeignSessionOk) {
        true => None,
        false => Some(key),
    };
    let seat = app.sit(session, owner).await?;
    let seat = seat.ok_or_else(|| Refusal::absent("session"))?;
    match app.upstream.model(session)? == model {
        true => Ok(seat),
        false => Err(Refusal::bad("the session is one of another model")),
    }
}

/// The reply in pieces, the first with who answers.
fn streamed(reply: &Reply) -> axum::response::Response {
    let first = json!({ "model": reply.model, "session": reply.session });
    let mut events = vec![first.to_string()];
    let characters: Vec<char> = reply.echo.chars().collect();
    for piece in characters.chunks(CHUNK) {
        let piece: String = piece.iter().collect();
        events.push(json!({ "delta": piece }).to_string());
    }
    events.push("[DONE]".to_owned());
    let body: String = events.iter().map(|e| format!("data: {e}\n\n")).collect();
    ([(CONTENT_TYPE, "text/event-stream")], body).into_response()
}
