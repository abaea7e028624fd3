//! `/v1/agents/{id}/messages`: the conversation with an agent. A mock of a language model answers.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use serde_json::json;

use super::actors::Seat;
use super::errors::{Answer, Refusal, Reply};
use super::input::{At, Post};
use super::keys::{Claim, Once, Turn};
use super::service::{App, Service, finish};
use super::slips::Slip;
use super::state::{ActorState, Message, Role, new_id};

/// How long the model takes.
const MODEL_TAKES: Duration = Duration::from_millis(2);

pub(super) fn routes() -> Router<App> {
    Router::new().route("/v1/agents/{id}/messages", get(history).post(send))
}

async fn history(State(app): State<App>, At(id): At<String>) -> Answer {
    Reply::ok(&app.call(&id).await?.state()?.messages)
}

async fn send(State(app): State<App>, At(id): At<String>, post: Post) -> Answer {
    let content = post.fields.required_text("content")?;
    if app.slips.has(Slip::MessageHalfStored) {
        send_in_steps(app, id, content, post.claim).await
    } else {
        finish(send_at_once(app, id, content, post.claim)).await
    }
}

impl Service {
    fn message(&self, role: Role, content: String) -> Message {
        Message {
            id: new_id(),
            role,
            content,
            date: self.now(),
        }
    }
}

/// A message on its way through an agent.
struct Asked {
    turn: Turn,
    seat: Seat,
    /// What is to become of the agent, so far.
    next: ActorState,
    message: Message,
}

enum Step {
    Asked(Box<Asked>),
    Again(Reply),
}

async fn ask(app: &App, id: &str, content: String, claim: Option<Claim>) -> Result<Step, Refusal> {
    let turn = match app.begin(claim).await? {
        Once::First(turn) => turn,
        Once::Again(reply) => return Ok(Step::Again(reply)),
    };
    if content.is_empty() {
        return Err(Refusal::bad("content must not be empty"));
    }
    let seat = app.call(id).await?;
    let mut next = seat.state()?.clone();
    let message = app.message(Role::User, content);
    next.messages.push(message.clone());
    Ok(Step::Asked(Box::new(Asked {
        turn,
        seat,
        next,
        message,
    })))
}

async fn think() {
    tokio::time::sleep(MODEL_TAKES).await;
}

/// Stores the reply, and the key; and the message, if it is not stored yet.
async fn answer(app: &App, asked: Asked) -> Answer {
    let Asked {
        turn,
        mut seat,
        mut next,
        message,
    } = asked;
    let content = format!("You said: {}", message.content);
    let answer = app.message(Role::Assistant, content);
    next.messages.push(answer.clone());
    let reply = Reply::ok(&json!({ "messages": [message, answer] }))?;
    app.save(&mut seat, next, turn.record(&reply)).await?;
    Ok(reply)
}

async fn send_at_once(app: App, id: String, content: String, claim: Option<Claim>) -> Answer {
    match ask(&app, &id, content, claim).await? {
        Step::Asked(asked) => {
            think().await;
            answer(&app, *asked).await
        }
        Step::Again(reply) => Ok(reply),
    }
}

/// With `message_half_stored`. Each step is finished once it has begun, but this future may be dropped while the model
/// thinks.
async fn send_in_steps(app: App, id: String, content: String, claim: Option<Claim>) -> Answer {
    let first = finish({
        let app = app.clone();
        async move {
            let mut step = ask(&app, &id, content, claim).await?;
            if let Step::Asked(asked) = &mut step {
                let next = asked.next.clone();
                app.save(&mut asked.seat, next, None).await?;
            }
            Ok(step)
        }
    });
    let asked = match first.await? {
        Step::Asked(asked) => *asked,
        Step::Again(reply) => return Ok(reply),
    };
    think().await;
    finish(async move { answer(&app, asked).await }).await
}
