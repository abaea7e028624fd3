//! The same faults over TLS, which the relay passes on unread. The server signs its own certificate, and a run in a
//! process of its own is told to trust it.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gainsay::drive::history::Request;
use gainsay::drive::{Client, Limits};
use gainsay::generate::{Close, Cut, Delivery};
use gainsay::model::Statuses;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

/// Set in the process that trusts the certificate; the address of the server.
const SERVER: &str = "GAINSAY_TEST_TLS_SERVER";

/// Counts, connection by connection, the bytes of requests, and answers those that are whole.
async fn serve(listener: TcpListener, tls: TlsAcceptor, seen: tokio::sync::mpsc::Sender<usize>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, seen) = (tls.clone(), seen.clone());
        tokio::spawn(async move {
            let Ok(mut stream) = tls.accept(stream).await else {
                return;
            };
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = stream.read(&mut buffer).await {
                request.extend(&buffer[..n]);
                if request.ends_with(b"\r\n\r\n") {
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                    // Nobody may be there any more.
                    let _ = stream.write_all(answer).await;
                    break;
                }
            }
            let _ = seen.send(request.len()).await;
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_go_through_tls() {
    let signed =
        rcgen::generate_simple_self_signed(vec!["127.0.0.1".into()]).expect("a certificate");
    let folder = tempfile::tempdir().expect("a folder");
    let trusted = folder.path().join("ca.pem");
    std::fs::write(&trusted, signed.cert.pem()).expect("written");
    let key = PrivatePkcs8KeyDer::from(signed.signing_key.serialize_der());
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![signed.cert.der().clone()], key.into())
        .expect("a configuration");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("https://{}", listener.local_addr().expect("an address"));
    let (seen, mut requests) = tokio::sync::mpsc::channel(16);
    tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(config)), seen));
    let run = tokio::task::spawn_blocking(move || {
        Command::new(std::env::current_exe().expect("a path"))
            .args([
                "--exact",
                "tls::in_a_process_that_trusts_it",
                "--ignored",
                "--nocapture",
            ])
            .env("SSL_CERT_FILE", trusted)
            .env(SERVER, url)
            .output()
            .expect("it runs")
    });
    let run = run.await.expect("it ends");
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(
        run.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&run.stdout)
    );
    let mut lengths = Vec::new();
    while let Ok(Some(length)) =
        tokio::time::timeout(Duration::from_millis(300), requests.recv()).await
    {
        lengths.push(length);
    }
    // Once, slow, abandoned twice and late are whole; of what was cut nothing can be read.
    let whole = lengths.iter().max().expect("something came");
    let complete = lengths.iter().filter(|length| *length == whole).count();
    assert_eq!(complete, 5, "{lengths:?}");
    assert!(lengths.iter().all(|length| length == whole || *length == 0));
}

#[tokio::test]
#[ignore = "run by faults_go_through_tls, which sets it up"]
async fn in_a_process_that_trusts_it() {
    let url = std::env::var(SERVER).expect("run by the other test");
    let (limits, tolerate) = (Limits::default(), Statuses::default());
    let client = Client::new(&url, Vec::new(), limits, tolerate, false).expect("a client");
    let request = Request {
        method: "GET".into(),
        path: "/things".into(),
        query: Vec::new(),
        headers: Vec::new(),
        body: None,
    };
    for (delivery, answered) in [
        (Delivery::Once, true),
        (Delivery::Slow, true),
        (Delivery::Cut(Cut::Early), false),
        (Delivery::Cut(Cut::Late), false),
        (
            Delivery::Abandoned {
                close: Close::Fin,
                after: 0,
            },
            false,
        ),
        (
            Delivery::Abandoned {
                close: Close::Rst,
                after: 0,
            },
            false,
        ),
        (Delivery::Late, false),
    ] {
        let sent = client.deliver(&request, delivery, Instant::now()).await;
        let (_, response) = sent.unwrap_or_else(|e| panic!("{delivery:?}: {e}"));
        assert_eq!(response.is_some(), answered, "{delivery:?}");
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}
