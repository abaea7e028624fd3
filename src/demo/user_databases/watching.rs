//! `/runs/ws/run/{run_id}`: a websocket that tells what happened to a run, and what happens, until the run is over.

use std::time::Duration;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use serde::Deserialize;
use serde_json::json;

use super::credentials::shown;
use super::errors::{Answer, Refusal};
use super::runs::{events, owner};
use super::service::{App, Service};
use super::slips::Slip;

/// How long a client may take to receive a message, and to answer that the websocket is closed.
const PATIENCE: Duration = Duration::from_secs(5);
/// Clients have nothing to say.
const LARGEST_MESSAGE: usize = 4 * 1024;

/// Codes of RFC 6455, section 7.4.1.
const NORMAL: u16 = 1000;
const GOING_AWAY: u16 = 1001;
const INTERNAL_ERROR: u16 = 1011;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/runs/ws/run/{id}", get(watch))
}

#[derive(Deserialize)]
struct Credentials {
    api_key: Option<String>,
}

async fn watch(
    State(app): State<App>,
    Path(id): Path<String>,
    query: Result<Query<Credentials>, QueryRejection>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Answer {
    let in_query = query.ok().and_then(|Query(query)| query.api_key);
    let user = whose(&app, &id, shown(&headers).or(in_query.as_deref())).await?;
    events(&app, &user, &id, 0).await?;
    let upgrade = upgrade?.max_message_size(LARGEST_MESSAGE);
    let Ok(place) = app.sockets.clone().try_acquire_owned() else {
        let detail = "too many websockets are open";
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, detail));
    };
    Ok(upgrade.on_upgrade(move |mut socket| async move {
        let code = follow(&app, &user, &id, &mut socket).await;
        drop(tokio::time::timeout(PATIENCE, close(socket, code)).await);
        drop(place);
    }))
}

/// The user in whose file the run is to be looked for. The credentials are those of the handshake, whatever becomes of
/// them later.
async fn whose(app: &Service, run: &str, key: Option<&str>) -> Result<String, Refusal> {
    let caller = app.caller(key).await;
    let anybody = match &caller {
        Ok(_) => app.slips.has(Slip::WsNoOwner),
        Err(_) => app.slips.has(Slip::WsNoAuth),
    };
    if !anybody {
        return Ok(caller?.user);
    }
    // Its file is not made for a user whom nobody knows.
    let user: Option<String> = sqlx::query_scalar("SELECT id FROM users WHERE id = ?")
        .bind(owner(run))
        .fetch_optional(&app.master.readers)
        .await?;
    user.ok_or_else(|| Refusal::absent("run"))
}

/// Tells of the run until it is over, and why there is no more to tell; nothing, if nobody listens any more.
async fn follow(app: &Service, user: &str, run: &str, socket: &mut WebSocket) -> Option<u16> {
    // Before the first look, so that nothing comes between.
    let mut news = app.news.subscribe();
    let mut stopped = app.stopped.clone();
    let mut told = 0;
    loop {
        news.mark_unchanged();
        let Ok((events, over)) = events(app, user, run, told).await else {
            return Some(INTERNAL_ERROR);
        };
        for (seq, kind) in events {
            let text = json!({ "run_id": run, "seq": seq, "type": kind }).to_string();
            let sent = tokio::time::timeout(PATIENCE, socket.send(Message::Text(text.into())));
            sent.await.ok()?.ok()?;
            told = seq;
        }
        if over {
            return Some(NORMAL);
        }
        tokio::select! {
            _ = news.changed() => {}
            // Nothing is ever sent: it ends with its sender.
            _ = stopped.changed() => return Some(GOING_AWAY),
            () = hung_up(socket) => return None,
        }
    }
}

/// Waits until the client closes the websocket, whatever else it says.
async fn hung_up(socket: &mut WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if matches!(message, Message::Close(_)) {
            return;
        }
    }
}

/// Closes the websocket, and waits for the client to have heard it.
async fn close(mut socket: WebSocket, code: Option<u16>) {
    if let Some(code) = code {
        let frame = CloseFrame {
            code,
            reason: "".into(),
        };
        // A client that is gone needs no farewell.
        if socket.send(Message::Close(Some(frame))).await.is_err() {
            return;
        }
    }
    hung_up(&mut socket).await;
}
