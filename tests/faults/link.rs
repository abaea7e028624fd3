//! What a link does to what goes through it.

use std::time::{Duration, Instant};

use gainsay::drive::{Link, LinkConfig};
use gainsay::generate::LinkFault;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const LEASE: Duration = Duration::from_secs(60);

/// A link to a server that sends back what it gets.
async fn link() -> Link {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let upstream = listener.local_addr().expect("an address").to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                // A connection that was cut is what is tested.
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    let listen = "127.0.0.1:0".parse().expect("an address");
    Link::start(&LinkConfig { listen, upstream })
        .await
        .expect("a link")
}

async fn connect(link: &Link) -> TcpStream {
    TcpStream::connect(link.address())
        .await
        .expect("it listens")
}

/// Sends bytes, and what came back of them before the connection ended, or all was there.
async fn echoed(stream: &mut TcpStream, bytes: &[u8]) -> Vec<u8> {
    let mut back = Vec::new();
    if stream.write_all(bytes).await.is_err() {
        return back;
    }
    let mut chunk = [0; 4096];
    while back.len() < bytes.len() {
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => break,
            Ok(read) => back.extend(&chunk[..read]),
        }
    }
    back
}

#[tokio::test]
async fn a_whole_link_passes_everything_on() {
    let link = link().await;
    let mut stream = connect(&link).await;
    let bytes: Vec<u8> = (0..100_000u32).map(|n| n as u8).collect();
    assert_eq!(echoed(&mut stream, &bytes).await, bytes);
    assert!(!link.heal_it(), "nothing was broken");
    // One direction may end first.
    let (mut from, mut to) = stream.into_split();
    to.write_all(b"last").await.expect("it is open");
    to.shutdown().await.expect("it is open");
    let mut rest = Vec::new();
    from.read_to_end(&mut rest).await.expect("in good order");
    assert_eq!(rest, b"last");
}

#[tokio::test]
async fn a_cut_ends_what_is_open_and_takes_what_is_new() {
    let link = link().await;
    let mut old = connect(&link).await;
    assert_eq!(echoed(&mut old, b"one").await, b"one");
    link.break_it(LinkFault::Cut, LEASE);
    assert_eq!(echoed(&mut old, b"two").await, b"");
    let mut new = connect(&link).await;
    assert_eq!(echoed(&mut new, b"three").await, b"three");
    assert!(link.heal_it(), "it ended a connection");
}

#[tokio::test]
async fn nothing_is_taken_while_it_refuses() {
    let link = link().await;
    link.break_it(LinkFault::Refuse, LEASE);
    let mut refused = connect(&link).await;
    assert_eq!(echoed(&mut refused, b"one").await, b"");
    assert!(link.heal_it());
    let mut taken = connect(&link).await;
    assert_eq!(echoed(&mut taken, b"two").await, b"two");
}

#[tokio::test]
async fn it_is_cut_after_so_many_bytes_of_either_direction() {
    for (answers, through) in [(false, 40), (true, 40)] {
        let link = link().await;
        let mut stream = connect(&link).await;
        let bytes = [7; 30];
        link.break_it(LinkFault::CutAfter { bytes: 40, answers }, LEASE);
        assert_eq!(echoed(&mut stream, &bytes).await.len(), 30);
        let rest = echoed(&mut stream, &bytes).await.len();
        assert!(30 + rest <= through, "{rest} more bytes came");
        assert!(link.heal_it());
    }
}

#[tokio::test]
async fn what_goes_through_takes_longer_while_it_delays_or_is_slow() {
    let link = link().await;
    let mut stream = connect(&link).await;
    for (fault, least) in [
        (LinkFault::Delay { millis: 40 }, 80),
        // 640 bytes are ten pieces.
        (LinkFault::Slow, 20),
    ] {
        link.break_it(fault, LEASE);
        let began = Instant::now();
        assert_eq!(echoed(&mut stream, &[1; 640]).await.len(), 640);
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(least), "{fault:?}: {took:?}");
        assert!(link.heal_it());
    }
}

#[tokio::test]
async fn a_lease_ends_by_itself_and_only_its_own_fault() {
    let link = link().await;
    link.break_it(LinkFault::Refuse, Duration::from_millis(30));
    let mut refused = connect(&link).await;
    assert_eq!(echoed(&mut refused, b"one").await, b"");
    tokio::time::sleep(Duration::from_millis(60)).await;
    let mut taken = connect(&link).await;
    assert_eq!(echoed(&mut taken, b"two").await, b"two");
    // The first lease runs out while the second fault lasts.
    link.break_it(LinkFault::Refuse, Duration::from_millis(30));
    link.heal_it();
    link.break_it(LinkFault::Refuse, LEASE);
    tokio::time::sleep(Duration::from_millis(60)).await;
    let mut refused = connect(&link).await;
    assert_eq!(echoed(&mut refused, b"three").await, b"");
}

/// The command by itself: it says where it listens, and breaks when it is told to.
#[test]
fn the_command_takes_orders() {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::process::{Command, Stdio};
    let server = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let upstream = server.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        for stream in server.incoming().flatten() {
            let mut stream = stream;
            let mut byte = [0];
            while stream.read_exact(&mut byte).is_ok() && stream.write_all(&byte).is_ok() {}
        }
    });
    let mut link = Command::new(env!("CARGO_BIN_EXE_gainsay"))
        .args(["link", "127.0.0.1:0", &upstream])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut lines = BufReader::new(link.stdout.take().expect("piped")).lines();
    let address = lines.next().expect("a line").expect("text");
    let mut said = BufReader::new(link.stderr.take().expect("piped")).lines();
    said.next().expect("a line").expect("text");
    let mut orders = link.stdin.take().expect("piped");
    let mut told = |order: &str| {
        writeln!(orders, "{order}").expect("it listens");
        said.next().expect("a line").expect("text")
    };
    let echo = || {
        let mut stream = std::net::TcpStream::connect(&address).expect("it listens");
        let mut byte = [0];
        let sent = stream.write_all(b"x");
        sent.and_then(|()| stream.read_exact(&mut byte)).is_ok()
    };
    assert!(echo());
    assert_eq!(told("refuse"), "broken");
    assert!(!echo());
    assert!(told("heal").starts_with("healed; something had met"));
    assert!(echo());
    assert!(told("brake").contains("is no command"));
    link.kill().expect("it runs");
    link.wait().expect("it ended");
}
