//! The events of runs over websockets.

use std::time::Duration;

use futures_util::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::super::Slip;
use super::harness::{Api, answer};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

fn path(run: &str) -> String {
    format!("/runs/ws/run/{run}")
}

/// A websocket, or the status that refuses it.
async fn open(api: &Api, path: &str, key: Option<&str>) -> Result<Socket, u16> {
    let url = format!("ws://{}/api/v1{path}", api.server.address());
    let mut request = url.into_client_request().unwrap();
    if let Some(key) = key {
        let headers = request.headers_mut();
        headers.insert("X-ACM2-API-Key", key.parse().unwrap());
    }
    match connect_async(request).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(response)) => Err(response.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

/// The next event, or the code that the websocket is closed with.
async fn next(socket: &mut Socket) -> Result<Value, u16> {
    let soon = Duration::from_secs(10);
    let message = tokio::time::timeout(soon, socket.next()).await;
    match message.expect("something comes").unwrap().unwrap() {
        Message::Text(text) => Ok(serde_json::from_str(&text).unwrap()),
        Message::Close(frame) => Err(frame.unwrap().code.into()),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_run_is_told_until_it_is_over() {
    let api = Api::start(&[]).await;
    let user = api.user().await;
    let run = api.run(&user.key).await;
    let event = |seq: i64, kind: &str| Ok(json!({ "run_id": run, "seq": seq, "type": kind }));
    assert_eq!(api.go(&user.key, &run, "start").await, 200);
    let mut socket = open(&api, &path(&run), Some(&user.key)).await.unwrap();
    assert_eq!(next(&mut socket).await, event(1, "started"));
    assert_eq!(api.go(&user.key, &run, "finish").await, 200);
    assert_eq!(next(&mut socket).await, event(2, "completed"));
    assert_eq!(next(&mut socket).await, Err(1000));
    // Once it is over, all of it at once; and the key may stand in the query.
    let in_query = format!("{}?api_key={}", path(&run), user.key);
    let mut socket = open(&api, &in_query, None).await.unwrap();
    assert_eq!(next(&mut socket).await, event(1, "started"));
    assert_eq!(next(&mut socket).await, event(2, "completed"));
    assert_eq!(next(&mut socket).await, Err(1000));
}

#[tokio::test]
async fn a_websocket_ends_with_the_server() {
    let api = Api::start(&[]).await;
    let user = api.user().await;
    let run = api.run(&user.key).await;
    let mut stopped = open(&api, &path(&run), Some(&user.key)).await.unwrap();
    let (ended, ()) = tokio::join!(next(&mut stopped), api.server.stop());
    assert_eq!(ended, Err(1001));
}

#[tokio::test]
async fn one_that_is_no_websocket_is_told_so() {
    let api = Api::start(&[]).await;
    let (user, other) = (api.user().await, api.user().await);
    let run = api.run(&user.key).await;
    for (key, status) in [(&user.key, 400), (&other.key, 404), (&String::new(), 401)] {
        let request = api.request(key, Method::GET, &path(&run));
        assert_eq!(answer(request).await.0, status);
    }
}

#[tokio::test]
async fn who_may_watch_a_run() {
    for (slips, nobodys, others) in [
        (&[] as &[Slip], Some(401), Some(404)),
        (&[Slip::WsNoAuth], None, Some(404)),
        (&[Slip::WsNoOwner], Some(401), None),
    ] {
        let api = Api::start(slips).await;
        let (user, other) = (api.user().await, api.user().await);
        let run = api.run(&user.key).await;
        assert_eq!(api.go(&user.key, &run, "start").await, 200);
        let unknown = format!("{}-{}", "0".repeat(32), "0".repeat(32));
        for (run, key, refused) in [
            (&run, None, nobodys),
            (&run, Some("acm2_guessed"), nobodys),
            (&run, Some(&*other.key), others),
            (&run, Some(&*user.key), None),
            (&unknown, Some(&*user.key), Some(404)),
        ] {
            let opened = open(&api, &path(run), key).await;
            assert_eq!(opened.as_ref().err().copied(), refused, "{slips:?}");
            if let Ok(mut socket) = opened {
                assert_eq!(next(&mut socket).await.unwrap()["type"], "started");
            }
        }
    }
}
