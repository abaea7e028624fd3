//! Websockets: a request with the method `WS` opens one, says what it has to say, and listens for a while. What came is
//! the answer, so that everything else sees a request and an answer like any other.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt, StreamExt};
use reqwest::header::{CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, UPGRADE};
use reqwest::{RequestBuilder, Upgraded, Version};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::history::{Body, Response};
use crate::model::CLOSE_CODES;

/// A websocket is open.
pub(super) const OPEN: u16 = 101;

/// So many messages are read at most.
const MOST: usize = 1000;

/// So long the server has to take leave, once nobody listens any more.
const FAREWELL: Duration = Duration::from_millis(100);

/// How long a websocket is listened to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// Until nothing has come for so long.
    pub quiet: Duration,
    /// So long at most.
    pub whole: Duration,
    /// Until so many bytes have come.
    pub bytes: usize,
}

/// The key of a handshake.
pub(super) struct Key(String);

impl Key {
    pub fn new() -> Key {
        Key(generate_key())
    }

    /// Asks for a websocket.
    pub fn ask(&self, builder: RequestBuilder) -> RequestBuilder {
        builder
            .version(Version::HTTP_11)
            .header(CONNECTION, "Upgrade")
            .header(UPGRADE, "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", &self.0)
    }

    /// What a handshake that the server agreed to lacks, if it lacks anything.
    pub fn lacks(&self, response: &reqwest::Response) -> Option<&'static str> {
        let accepted = response.headers().get(SEC_WEBSOCKET_ACCEPT);
        let expected = derive_accept_key(self.0.as_bytes());
        match accepted.map(HeaderValue::as_bytes) == Some(expected.as_bytes()) {
            true => None,
            false => Some(
                "the handshake was answered with 101, but not with the right sec-websocket-accept",
            ),
        }
    }
}

/// Says what there is to say on a websocket that was opened, and listens. The answer has the status of the handshake; where
/// the server closes the websocket because it could not go on, that of an answer which says so (see [`status`]).
///
/// # Errors
///
/// What broke, in a few words, where the websocket did not end as websockets do.
pub(super) async fn talk(
    upgraded: Upgraded,
    said: Option<&Body>,
    headers: Vec<(String, String)>,
    patience: Patience,
) -> Result<Response, String> {
    let config = WebSocketConfig::default()
        .max_message_size(Some(patience.bytes))
        .max_frame_size(Some(patience.bytes));
    let mut socket = WebSocketStream::from_raw_socket(upgraded, Role::Client, Some(config)).await;
    if let Some(body) = said {
        let message = match String::from_utf8(body.bytes.clone()) {
            Ok(text) => Message::text(text),
            Err(error) => Message::binary(error.into_bytes()),
        };
        // A server that has hung up by now says so when it is listened to.
        if let Err(Error::Io(error)) = socket.send(message).await {
            return Err(error.to_string());
        }
    }
    let (messages, end) = listen(&mut socket, patience).await?;
    let closed = match &end {
        End::Closed(code, reason) => json!({ "code": code, "reason": reason }),
        End::Left => {
            let leave = async {
                // Nobody listens any more, whatever comes of it.
                let _ = socket.close(None).await;
            };
            let _ = tokio::time::timeout(FAREWELL, leave).await;
            Value::Null
        }
    };
    let body = json!({ "messages": messages, "close": closed });
    Ok(Response {
        status: status(&end),
        headers,
        body: body.to_string().into_bytes(),
        truncated: false,
    })
}

/// How listening ended.
enum End {
    /// The server closed the websocket, with a code and a reason. Without a code it is 1005 (RFC 6455, section 7.1.5).
    Closed(u16, String),
    /// Nothing more came, or too much.
    Left,
}

/// What a websocket that was opened counts as. One that the server closes for a reason of its own has that code. A server that closes it since something went wrong within (1011) has failed
/// as with 500; one that goes away (1001), is started again (1012) or asks to come later (1013) is unavailable, as with 503.
fn status(end: &End) -> u16 {
    match end {
        End::Closed(1011, _) => 500,
        End::Closed(1001 | 1012 | 1013, _) => 503,
        End::Closed(code, _) if CLOSE_CODES.contains(code) => *code,
        End::Closed(..) | End::Left => OPEN,
    }
}

async fn listen(
    socket: &mut WebSocketStream<Upgraded>,
    patience: Patience,
) -> Result<(Vec<Value>, End), String> {
    let until = Instant::now() + patience.whole;
    let mut messages = Vec::new();
    let mut bytes = 0;
    loop {
        let quiet = Instant::now() + patience.quiet;
        let Ok(next) = timeout_at(quiet.min(until), socket.next()).await else {
            return Ok((messages, End::Left));
        };
        let message = match next {
            Some(Ok(message)) => message,
            Some(Err(Error::Capacity(CapacityError::MessageTooLong { .. }))) => {
                return Ok((messages, End::Left));
            }
            Some(Err(error)) => return Err(format!("the websocket broke: {error}")),
            None => return Err("the websocket ended, and was not closed".to_owned()),
        };
        bytes += message.len();
        match message {
            Message::Text(text) => messages.push(read(text.as_str())),
            Message::Binary(data) => messages.push(match std::str::from_utf8(&data) {
                Ok(text) => read(text),
                Err(_) => json!({ "base64": STANDARD.encode(&data) }),
            }),
            Message::Close(frame) => {
                let end = frame.map_or((1005, String::new()), |frame| {
                    (frame.code.into(), frame.reason.as_str().to_owned())
                });
                return Ok((messages, End::Closed(end.0, end.1)));
            }
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
        if messages.len() >= MOST || bytes > patience.bytes {
            return Ok((messages, End::Left));
        }
    }
}

/// A message as models know it: of JSON its value, of anything else its text.
fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}
