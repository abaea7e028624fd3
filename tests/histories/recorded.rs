//! What a run writes: it is judged as the run was, and holds no secret that the server gave.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use gainsay::demo::marketplace::{Config, serve};
use regex::bytes::Regex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::gainsay;

/// Passes on what it reads, and keeps it.
async fn pass(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, kept: Kept) {
    let mut piece = vec![0; 16 << 10];
    let mut all = Vec::new();
    while let Ok(n @ 1..) = from.read(&mut piece).await {
        all.extend(&piece[..n]);
        if to.write_all(&piece[..n]).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
    kept.lock().expect("nobody panics").push(all);
}

type Kept = Arc<Mutex<Vec<Vec<u8>>>>;

/// An address at which a server can be reached, and what it said there on each connection that is over.
async fn overheard(server: &str) -> (String, Kept) {
    let server = server.trim_start_matches("http://").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let kept = Kept::default();
    let answers = kept.clone();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let Ok(server) = TcpStream::connect(&server).await else {
                continue;
            };
            let ((asks, answered), (answers_of, asked)) =
                (client.into_split(), server.into_split());
            tokio::spawn(pass(asks, asked, Kept::default()));
            tokio::spawn(pass(answers_of, answered, answers.clone()));
        }
    });
    (url, kept)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_with_races_and_faults_is_judged_again_and_shows_no_secret() {
    let server = serve(Config::default()).await.expect("it starts");
    let (url, kept) = overheard(&server.url()).await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("history.jsonl");
    let path = path.to_str().expect("a path").to_owned();
    let model = "models/marketplace-sessions.yaml";
    let judged = |path: &str| {
        let output = gainsay(&["judge", model, path]);
        (output.status.code(), format!("{output:?}"))
    };
    let run = {
        let (url, path) = (url.clone(), path.clone());
        tokio::task::spawn_blocking(move || {
            let faults = ["--faults", "network", "--races", "--seeds", "0..6"];
            let to = ["run", model, "--url", &url, "--history", &path];
            gainsay(&[&to[..], &faults].concat())
        })
    };
    let run = run.await.expect("it runs");
    assert_eq!(run.status.code(), Some(0), "{run:?}");
    server.stop().await;

    let history = std::fs::read_to_string(&path).expect("a history");
    for kind in ["twice", "abandoned", "slow"] {
        let noted = format!("\"fault\":{{\"fired\":true,\"kind\":\"{kind}\"}}");
        assert!(history.contains(&noted), "no {kind}");
    }
    let secret =
        Regex::new(r#""(?:access_token|token|api_key|key)":"([^"]{12,})""#).expect("it is one");
    let mut secrets = BTreeSet::new();
    for said in kept.lock().expect("nobody panics").iter() {
        for found in secret.captures_iter(said) {
            secrets.insert(String::from_utf8_lossy(&found[1]).into_owned());
        }
    }
    assert!(secrets.len() >= 20, "{}", secrets.len());
    for secret in &secrets {
        assert!(!history.contains(secret.as_str()), "a secret is written");
    }

    let (code, told) = judged(&path);
    assert_eq!(code, Some(0), "{told}");
    // The same, but one that was created was answered as if it had been there.
    let (created, refused) = ("\"status\":201", "\"status\":409");
    assert!(history.contains(created), "nothing was created");
    std::fs::write(&path, history.replacen(created, refused, 1)).expect("written");
    let (code, told) = judged(&path);
    assert_eq!(code, Some(1), "{told}");
}
