//! Servers that mean no good: whatever they answer, gainsay comes to its end, does not fail, stays small, and writes
//! nothing to the terminal that the terminal would obey. It is run as its users run it, in a process of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// So much memory gainsay may use at most, in kilobytes.
const MOST_MEMORY: u64 = 512 * 1024;

/// So long it may take: it is to end, not to be fast.
const MOST_TIME: Duration = Duration::from_secs(120);

const MODEL: &str = r#"
model: traps
entities:
  thing: { fields: { id: string, name: string, note: json } }
rules:
  make:
    by: anyone
    with: { name: "text(1, 20)" }
    request: POST /things
    json: { name: "${name}" }
    responds: 201
    invalid: []
    creates: { thing: { id: "${body.id}", name: "${name}", note: "${body.note}" } }
  look:
    by: anyone
    pick: { thing: things }
    request: GET /things/{thing}
    responds: 200
    returns: { same: "body.name == thing.name" }
invariants:
  there:
    read: GET /things
    always: status == 200
"#;

/// Reads a request whole.
fn request(reader: &mut BufReader<TcpStream>) -> Option<()> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok()?;
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()
}

/// Answers every request in the same way, on whatever connection it comes. Its thread ends with the test's process.
fn serve(answer: impl Fn(&mut TcpStream) -> std::io::Result<()> + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = std::sync::Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = answer.clone();
            thread::spawn(move || {
                let mut out = stream.try_clone().unwrap();
                let mut reader = BufReader::new(stream);
                while request(&mut reader).is_some() && answer(&mut out).is_ok() {}
                out.shutdown(Shutdown::Both).ok();
            });
        }
    });
    port
}

fn json(out: &mut TcpStream, status: &str, body: &[u8]) -> std::io::Result<()> {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    out.write_all(head.as_bytes())?;
    out.write_all(body)
}

/// The most memory that a process used so far, in kilobytes.
fn peak(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Runs gainsay against a port, and sees to it that it ends well. What it wrote.
fn survives(what: &str, port: u16) -> String {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("traps.yaml"), MODEL).unwrap();
    let url = format!("http://127.0.0.1:{port}");
    let mut child = Command::new(env!("CARGO_BIN_EXE_gainsay"))
        .args([
            "run",
            "traps.yaml",
            "--seeds",
            "0..2",
            "--steps",
            "4",
            "--curl",
        ])
        .args([
            "--url",
            &url,
            "--timeout",
            "1s",
            "--history",
            "history.jsonl",
        ])
        .current_dir(directory.path())
        .env_remove("CI")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let read = |mut from: Box<dyn Read + Send>| {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            from.read_to_end(&mut bytes).unwrap();
            bytes
        })
    };
    let out = read(Box::new(child.stdout.take().unwrap()));
    let err = read(Box::new(child.stderr.take().unwrap()));
    let began = Instant::now();
    let mut most = 0;
    let status = loop {
        most = most.max(peak(child.id()).unwrap_or(0));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if began.elapsed() > MOST_TIME {
            child.kill().unwrap();
            panic!("{what}: gainsay hangs");
        }
        thread::sleep(Duration::from_millis(5));
    };
    let out = String::from_utf8(out.join().unwrap()).unwrap();
    let err = String::from_utf8(err.join().unwrap()).unwrap();
    assert!(
        matches!(status.code(), Some(0 | 1 | 3 | 4)),
        "{what}: {status:?}\n{err}"
    );
    assert!(!err.contains("panicked"), "{what}: {err}");
    assert!(most < MOST_MEMORY, "{what}: {most} kB");
    inert(what, &out);
    inert(what, &err);
    for file in walk(directory.path()) {
        inert(
            what,
            &String::from_utf8_lossy(&std::fs::read(file).unwrap()),
        );
    }
    out
}

/// Nothing in a text is a command to a terminal.
fn inert(what: &str, text: &str) {
    let obeyed = |c: char| c.is_control() && !matches!(c, '\n' | '\t' | '\r');
    if let Some(at) = text.find(obeyed) {
        let shown: String = text[at..].chars().take(40).collect();
        panic!("{what}: at {at} there is {shown:?}");
    }
}

fn walk(directory: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap().flatten() {
        match entry.path() {
            path if path.is_dir() => files.extend(walk(&path)),
            path => files.push(path),
        }
    }
    files
}

#[test]
fn a_body_without_an_end() {
    let port = serve(|out| {
        out.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        let chunk = [b"10000\r\n".as_slice(), &[b'x'; 65536], b"\r\n"].concat();
        loop {
            out.write_all(&chunk)?;
        }
    });
    survives("an endless body", port);
}

#[test]
fn headers_that_come_letter_by_letter() {
    let port = serve(|out| {
        out.write_all(b"HTTP/1.1 200 OK\r\nX-Slow: ")?;
        loop {
            out.write_all(b"z")?;
            thread::sleep(Duration::from_millis(50));
        }
    });
    survives("slow headers", port);
}

#[test]
fn a_small_body_that_unpacks_to_a_large_one() {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..1024 {
        packed.write_all(&[b' '; 1 << 20]).unwrap();
    }
    let packed = packed.finish().unwrap();
    let port = serve(move |out| {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
            packed.len()
        );
        out.write_all(head.as_bytes())?;
        out.write_all(&packed)
    });
    survives("a gzip bomb", port);
}

#[test]
fn redirects_in_a_circle() {
    let port = serve(|out| {
        out.write_all(b"HTTP/1.1 302 Found\r\nLocation: /things\r\nContent-Length: 0\r\n\r\n")
    });
    let told = survives("a redirect loop", port);
    assert!(told.contains("302"), "{told}");
}

#[test]
fn numbers_that_no_type_holds() {
    let digits = "9".repeat(1 << 20);
    let body =
        format!(r#"{{"id":{digits},"name":1e999999999,"note":-{digits}.{digits}e-{digits}}}"#);
    let port = serve(move |out| json(out, "201 Created", body.as_bytes()));
    survives("gigantic numbers", port);
}

#[test]
fn lists_in_lists() {
    let depth = 1 << 20;
    let body = format!(
        r#"{{"id":"a","note":{}{}}}"#,
        "[".repeat(depth),
        "]".repeat(depth)
    );
    let port = serve(move |out| json(out, "201 Created", body.as_bytes()));
    survives("deep nesting", port);
}

#[test]
fn a_hundred_thousand_headers() {
    let mut answer = String::from("HTTP/1.1 200 OK\r\n");
    for n in 0..100_000 {
        answer.push_str(&format!("X-{n}: {n}\r\n"));
    }
    answer.push_str("Content-Length: 0\r\n\r\n");
    let port = serve(move |out| out.write_all(answer.as_bytes()));
    survives("100,000 headers", port);
}

#[test]
fn text_that_is_no_text() {
    let port = serve(|out| {
        json(
            out,
            "201 Created",
            b"{\"id\":\"\xff\xfe\xc3\x28\",\"name\":\"\xed\xa0\x80\"}",
        )
    });
    survives("invalid UTF-8", port);
}

#[test]
fn connections_that_are_reset() {
    let port = serve(|out| {
        out.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")?;
        socket2::SockRef::from(&*out).set_linger(Some(Duration::ZERO))?;
        Err(std::io::ErrorKind::ConnectionReset.into())
    });
    survives("connection resets", port);
}

#[test]
fn commands_to_the_terminal() {
    let body = "{\"id\":\"\u{1b}]0;owned\u{7}\u{1b}[2J\",\"name\":\"\u{9b}31m\\u001b[31mred\",\"note\":\"\\u0007\\u202e\"}";
    let port = serve(move |out| {
        let head = format!(
            "HTTP/1.1 201 Created\r\nX-Trap: \u{80}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        out.write_all(head.as_bytes())?;
        out.write_all(body.as_bytes())
    });
    let told = survives("escape sequences", port);
    assert!(told.contains("red"), "the answer is shown: {told}");
}

#[test]
fn an_answer_that_is_no_http() {
    let port = serve(|out| {
        out.write_all(&[0, 1, 2, 0xff, b'\n', b'\r', 0x1b])?;
        Err(std::io::ErrorKind::Other.into())
    });
    survives("no HTTP at all", port);
}
