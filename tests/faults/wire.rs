//! What a server sees of each delivery: its bytes, when they came, and how the connection ended.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gainsay::drive::history::{Body, Request};
use gainsay::drive::{Client, Limits};
use gainsay::generate::{Close, Cut, Damage, Delivery};
use gainsay::model::Statuses;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What came on one connection.
#[derive(Clone, Debug, Default)]
struct Seen {
    bytes: Vec<u8>,
    reads: usize,
    /// How it ended, once it has: by a reset or in good order.
    ended: Option<bool>,
    open_for: Duration,
}

/// A server that answers 200 to whatever is whole, and remembers what it saw.
struct Recorder {
    url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Recorder {
    async fn start() -> Recorder {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let connections = seen.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mut all = connections.lock().expect("nobody panics");
                let index = all.len();
                all.push(Seen::default());
                tokio::spawn(record(stream, connections.clone(), index));
            }
        });
        Recorder { url, seen }
    }

    fn client(&self) -> Client {
        client(&self.url)
    }

    /// What was seen, once every connection but those that are kept has ended.
    async fn seen(&self) -> Vec<Seen> {
        tokio::time::sleep(Duration::from_millis(100)).await;
        self.seen.lock().expect("nobody panics").clone()
    }
}

fn client(url: &str) -> Client {
    let limits = Limits::default();
    let tolerate = Statuses::default();
    Client::new(url, Vec::new(), limits, tolerate, false).expect("a client")
}

async fn record(mut stream: TcpStream, seen: Arc<Mutex<Vec<Seen>>>, index: usize) {
    let began = Instant::now();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = stream.read(&mut buffer).await;
        let whole = {
            let mut all = seen.lock().expect("nobody panics");
            let here = &mut all[index];
            here.open_for = began.elapsed();
            match read {
                Ok(0) => {
                    here.ended = Some(false);
                    return;
                }
                Err(_) => {
                    here.ended = Some(true);
                    return;
                }
                Ok(n) => {
                    here.bytes.extend(&buffer[..n]);
                    here.reads += 1;
                    here.bytes.ends_with(b"}")
                }
            }
        };
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
        if whole && stream.write_all(answer).await.is_err() {
            seen.lock().expect("nobody panics")[index].ended = Some(true);
            return;
        }
    }
}

fn request() -> Request {
    Request {
        method: "POST".into(),
        path: "/things".into(),
        query: Vec::new(),
        headers: Vec::new(),
        body: Some(Body {
            content_type: "application/json".into(),
            bytes: br#"{"name":"a thing that is long enough to be sent in pieces"}"#.to_vec(),
        }),
    }
}

/// What the server saw of a delivery, after an ordinary one; and whether the client saw an answer.
async fn delivered(delivery: Delivery) -> (Vec<u8>, Seen, bool) {
    let server = Recorder::start().await;
    let client = server.client();
    let now = Instant::now();
    let (_, plain) = client
        .deliver(&request(), Delivery::Once, now)
        .await
        .expect("sent");
    assert!(plain.is_some());
    let (_, response) = client
        .deliver(&request(), delivery, now)
        .await
        .expect("sent");
    let seen = server.seen().await;
    assert_eq!(seen.len(), 2, "a connection of its own");
    (seen[0].bytes.clone(), seen[1].clone(), response.is_some())
}

#[tokio::test]
async fn what_is_sent_again_is_the_same_on_a_new_connection() {
    let again = Delivery::Again { of: 1, lost: true };
    let (plain, seen, answered) = delivered(again).await;
    assert_eq!(seen.bytes, plain);
    assert!(answered);
}

#[tokio::test]
async fn what_is_sent_twice_comes_on_the_same_connection() {
    let server = Recorder::start().await;
    let client = server.client();
    let now = Instant::now();
    let twice = Delivery::Again { of: 1, lost: false };
    for delivery in [Delivery::Once, twice] {
        let sent = client.deliver(&request(), delivery, now).await;
        assert!(sent.expect("sent").1.is_some());
    }
    let seen = server.seen().await;
    assert_eq!(seen.len(), 1);
    let (first, second) = seen[0].bytes.split_at(seen[0].bytes.len() / 2);
    assert_eq!(first, second);
}

/// What two requests are answered that go right behind each other, by a server that reads both and says this at once.
async fn pipelined(said: &'static str) -> [Option<String>; 2] {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let server = tokio::spawn(async move {
        let mut asked = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            asked.push(tokio::spawn(async move {
                let (mut bytes, mut piece) = (Vec::new(), vec![0; 4 << 10]);
                while bytes.iter().filter(|byte| **byte == b'}').count() < 2 {
                    match stream.read(&mut piece).await {
                        Ok(n) if n > 0 => bytes.extend(&piece[..n]),
                        _ => return bytes,
                    }
                }
                stream.write_all(said.as_bytes()).await.expect("answered");
                bytes
            }));
            if asked.len() == 2 {
                break;
            }
        }
        let mut seen = Vec::new();
        for connection in asked {
            seen.push(connection.await.expect("read"));
        }
        seen
    });
    let client = client(&url);
    let branches = [
        (Delivery::Once, vec![request()]),
        (Delivery::Behind { of: 1 }, vec![request()]),
    ];
    let race = client.race(&branches, None, Instant::now()).await;
    let mut seen: Vec<Vec<u8>> = server.await.expect("it served");
    seen.retain(|bytes| !bytes.is_empty());
    assert_eq!(seen.len(), 1, "both on one connection");
    let (first, second) = seen[0].split_at(seen[0].len() / 2);
    assert_eq!(first, second);
    let told = race.expect("sent").branches.into_iter().map(|branch| {
        let response = branch[0].exchange.response.clone();
        response.map(|r| String::from_utf8_lossy(&r.body).into_owned())
    });
    let told: Vec<_> = told.collect();
    told.try_into().expect("two")
}

#[tokio::test]
async fn what_goes_right_behind_another_has_an_answer_of_its_own() {
    let one = |said: &str| Some(said.to_owned());
    let both = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfirst\
                HTTP/1.1 409 Conflict\r\nContent-Length: 6\r\n\r\nsecond";
    assert_eq!(pipelined(both).await, [one("first"), one("second")]);
    let empty = "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecond";
    assert_eq!(pipelined(empty).await, [one(""), one("second")]);
    let closed = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nfirst";
    assert_eq!(pipelined(closed).await, [one("first"), None]);
    // How long that is the relay does not know, and nobody is told what comes behind it.
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n0\r\n\r\n\
                   HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecond";
    assert_eq!(pipelined(chunked).await, [one("first"), None]);
}

#[tokio::test]
async fn what_is_slow_comes_in_pieces() {
    let (plain, seen, answered) = delivered(Delivery::Slow).await;
    assert_eq!(seen.bytes, plain);
    assert!(seen.reads >= 4, "{} reads", seen.reads);
    assert!(answered);
}

#[tokio::test]
async fn what_is_cut_never_arrives_whole() {
    let (plain, early, answered) = delivered(Delivery::Cut(Cut::Early)).await;
    assert!(!answered && early.ended.is_some());
    assert!(plain.starts_with(&early.bytes) && early.bytes.len() == plain.len() / 4);
    let (plain, late, answered) = delivered(Delivery::Cut(Cut::Late)).await;
    assert!(!answered && late.ended.is_some());
    assert_eq!(late.bytes, plain[..plain.len() - 1]);
}

#[tokio::test]
async fn what_is_abandoned_arrives_whole_and_the_connection_ends() {
    for (close, reset) in [(Close::Fin, false), (Close::Rst, true)] {
        let (plain, seen, answered) = delivered(Delivery::Abandoned { close, after: 0 }).await;
        assert!(!answered);
        assert_eq!(seen.bytes, plain, "{close:?}");
        // Whoever answers into a connection that was closed is told so by a reset as well.
        assert!(seen.ended == Some(reset) || close == Close::Fin, "{seen:?}");
    }
}

#[tokio::test]
async fn what_says_that_it_is_longer_has_all_that_there_is_and_ends() {
    let (plain, seen, _) = delivered(Delivery::Malformed(Damage::Length)).await;
    assert!(seen.ended.is_some());
    let parts = |bytes: &[u8]| {
        let text = String::from_utf8(bytes.to_vec()).expect("it is a text");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            let length = name.eq_ignore_ascii_case("content-length");
            length.then(|| value.parse::<usize>().expect("a number"))
        });
        (length.expect("it says how long it is"), body.to_owned())
    };
    let ((length, body), (said, arrived)) = (parts(&plain), parts(&seen.bytes));
    assert_eq!((said, arrived), (length + 1, body));
}

#[tokio::test]
async fn what_is_late_arrives_whole_and_the_connection_stays_open() {
    let (plain, seen, answered) = delivered(Delivery::Late).await;
    assert!(!answered);
    assert_eq!((seen.bytes, seen.ended), (plain, None));
}

#[tokio::test]
async fn what_is_malformed_is_so_in_its_body_alone() {
    for (damage, has) in [
        (Damage::Truncated, &b"in pieces\""[..]),
        (
            Damage::Encoding,
            b"{\"gainsay\":\"\xff\",\"name\":\"a thing",
        ),
        (Damage::Nul, b"{\"gainsay\":\"a\\u0000z\",\"name"),
        (Damage::NotANumber, b"{\"gainsay\":NaN,\"name\":\"a thing"),
        (Damage::Nested, b"[[[[[[[[[[]]]]]]]]]]"),
        (Damage::Huge, b"xxxxxxxxxx"),
        (Damage::ContentType, b"application/x-gainsay"),
    ] {
        let server = Recorder::start().await;
        let limits = Limits {
            timeout: Duration::from_millis(500),
            ..Limits::default()
        };
        let tolerate = Statuses::default();
        let client = Client::new(&server.url, Vec::new(), limits, tolerate, false);
        let malformed = Delivery::Malformed(damage);
        let client = client.expect("a client");
        // The recorder does not answer to what has no end.
        let sent = client.deliver(&request(), malformed, Instant::now()).await;
        assert_eq!(sent.is_ok(), damage != Damage::Truncated, "{damage:?}");
        let seen = server.seen().await;
        let found = seen[0].bytes.windows(has.len()).any(|part| part == has);
        assert!(found, "{damage:?}");
        let long = seen[0].bytes.len() > 10 << 20;
        assert_eq!(long, damage == Damage::Huge);
    }
}
