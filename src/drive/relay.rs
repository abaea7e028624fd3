//! The relay: what stands between the HTTP client and the server while a request fails on its way. The client reaches it
//! by a Unix socket and speaks as ever; the relay passes on what the fault leaves of it. TLS goes through it unread.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::header::CONTENT_LENGTH;
use reqwest::{ClientBuilder, Url};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::time::{sleep, timeout};
use tower::ServiceExt;
use tower::layer::layer_fn;

use super::client::ClientError;
use crate::generate::{Close, Cut, Delivery};

/// A request is whole when nothing more has come for so long.
const QUIET: Duration = Duration::from_millis(3);
/// So long a server has to read what is reset then.
const READ: Duration = Duration::from_millis(1);
/// So long a connection stays open whose client waits no longer.
pub(super) const LINGER: Duration = Duration::from_secs(1);
/// What arrives slowly arrives in so many pieces, so long apart.
const PIECES: usize = 8;
const PAUSE: Duration = Duration::from_millis(4);

/// A request that is kept back.
#[derive(Debug)]
pub(super) struct Held {
    client: UnixStream,
    server: TcpStream,
    request: Vec<u8>,
}

impl Held {
    /// Lets the request go.
    pub async fn release(&mut self) -> io::Result<()> {
        self.server.write_all(&self.request).await
    }

    /// Passes on the answer, and whatever else is said, until both have done.
    pub async fn answer(mut self) -> io::Result<()> {
        copy_bidirectional(&mut self.client, &mut self.server).await?;
        Ok(())
    }

    /// Waits for no answer to the request, which was let go. Whoever sent it is told at once.
    pub async fn forsake(self, delivery: Delivery) -> io::Result<()> {
        drop(self.client);
        forsake(self.server, delivery).await
    }
}

/// Closes a connection to the server on which a request was sent, or leaves it open for a while.
async fn forsake(mut server: TcpStream, delivery: Delivery) -> io::Result<()> {
    let Delivery::Abandoned { close, after } = delivery else {
        let mut answer = Vec::new();
        // Whatever comes, nobody reads it.
        let _ = timeout(LINGER, server.read_to_end(&mut answer)).await;
        return Ok(());
    };
    let after = Duration::from_millis(u64::from(after));
    sleep(after).await;
    match close {
        Close::Fin => server.shutdown().await,
        Close::Rst => {
            // What arrived, and nobody has read, goes with a reset.
            sleep(READ.saturating_sub(after)).await;
            server.set_zero_linger()
        }
    }
}

/// Sends what some clients ask right behind one another on the connection of the first, and gives each of them his answer.
/// Where nobody can tell how long an answer is before the connection ends, it is the last one.
pub(super) async fn pipeline(held: Vec<Held>) -> io::Result<()> {
    let requests: Vec<Vec<u8>> = held.iter().map(|held| held.request.clone()).collect();
    let mut held = held.into_iter();
    let Some(Held {
        client, mut server, ..
    }) = held.next()
    else {
        return Ok(());
    };
    server.write_all(&requests.concat()).await?;
    let clients = std::iter::once(client).chain(held.map(|held| held.client));
    let (mut read, mut piece) = (Vec::new(), vec![0; 16 << 10]);
    for (mut client, request) in clients.zip(&requests) {
        let length = loop {
            match length_of_answer(&read, request) {
                Length::Open if read.len() < LONGEST_HEAD => {
                    match server.read(&mut piece).await? {
                        0 => return client.write_all(&read).await,
                        n => read.extend(&piece[..n]),
                    };
                }
                Length::Known(length) => break length,
                Length::Open | Length::Unknown => {
                    client.write_all(&read).await?;
                    tokio::io::copy(&mut server, &mut client).await?;
                    return Ok(());
                }
            }
        };
        let here = length.min(read.len());
        client.write_all(&read[..here]).await?;
        read.drain(..here);
        // What has not come yet, and nothing of what comes behind it.
        let mut rest = (&mut server).take((length - here) as u64);
        tokio::io::copy(&mut rest, &mut client).await?;
    }
    Ok(())
}

/// The most bytes of a head that are waited for.
const LONGEST_HEAD: usize = 256 << 10;

/// How many bytes an answer has.
#[derive(Debug, PartialEq, Eq)]
enum Length {
    Known(usize),
    /// Its head is not all there.
    Open,
    /// Its head does not say, or is none.
    Unknown,
}

/// How long the answer is that some bytes begin with.
fn length_of_answer(bytes: &[u8], request: &[u8]) -> Length {
    let mut headers = [httparse::EMPTY_HEADER; 128];
    let mut answer = httparse::Response::new(&mut headers);
    let head = match answer.parse(bytes) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) => return Length::Open,
        Err(_) => return Length::Unknown,
    };
    let bodiless = matches!(answer.code, Some(204 | 304)) || request.starts_with(b"HEAD ");
    let mut headers = answer.headers.iter();
    let said = headers.find(|header| header.name.eq_ignore_ascii_case(CONTENT_LENGTH.as_str()));
    let said = said.and_then(|header| std::str::from_utf8(header.value).ok()?.parse().ok());
    match (answer.code, said) {
        // More is to come, which is the answer.
        (Some(100..200), _) => Length::Unknown,
        _ if bodiless => Length::Known(head),
        (_, Some(said)) => head
            .checked_add(said)
            .map_or(Length::Unknown, Length::Known),
        (_, None) => Length::Unknown,
    }
}

/// A relay to one server, for one request at a time.
#[derive(Debug)]
pub(super) struct Relay {
    /// The client that reaches the server by way of this relay.
    pub http: reqwest::Client,
    listener: UnixListener,
    /// Whether the connection stands, TLS and all, so that what comes next is the request.
    connected: Arc<AtomicBool>,
    upstream: (String, u16),
    /// Held for its `Drop`: the socket is in it.
    _directory: TempDir,
}

impl Relay {
    /// A relay to the server of an address, with a client that is otherwise like another one.
    pub fn new(base: &Url, client: ClientBuilder) -> Result<Relay, ClientError> {
        let failed = |what: &str, reason: String| ClientError::Setup {
            reason: format!("{what}, which faults need: {reason}"),
        };
        let directory = tempfile::Builder::new()
            .prefix("gainsay-relay-")
            .tempdir()
            .map_err(|e| failed("no temporary directory", e.to_string()))?;
        let path = directory.path().join("relay");
        let listener = UnixListener::bind(&path)
            .map_err(|e| failed("no socket in the temporary directory", e.to_string()))?;
        let connected = Arc::new(AtomicBool::new(false));
        let told = connected.clone();
        let http = client
            .unix_socket(path)
            .http1_only()
            .pool_max_idle_per_host(0)
            .connector_layer(layer_fn(move |connector| {
                let told = told.clone();
                ServiceExt::<_>::map_response(connector, move |connection| {
                    told.store(true, Ordering::SeqCst);
                    connection
                })
            }))
            .build()
            .map_err(|e| failed("no HTTP client", e.to_string()))?;
        let host = base.host_str().unwrap_or_default();
        let host = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        Ok(Relay {
            http,
            listener,
            connected,
            upstream: (host, base.port_or_known_default().unwrap_or(80)),
            _directory: directory,
        })
    }

    /// Gets ready for the next request. To be called before it is sent.
    pub fn arm(&self) {
        self.connected.store(false, Ordering::SeqCst);
    }

    /// Takes one request, whole, and keeps it back. The connection that it will go over stands.
    pub async fn hold(&self) -> io::Result<Held> {
        let (mut client, _) = self.listener.accept().await?;
        let (host, port) = &self.upstream;
        let mut server = TcpStream::connect((host.as_str(), *port)).await?;
        server.set_nodelay(true)?;
        let request = self.collect(&mut client, &mut server).await?;
        Ok(Held {
            client,
            server,
            request,
        })
    }

    /// Passes on one request as a delivery has it. Returns once the fault has happened.
    pub async fn carry(&self, delivery: Delivery) -> io::Result<()> {
        let Held {
            mut client,
            mut server,
            request,
        } = self.hold().await?;
        match delivery {
            Delivery::Abandoned { .. } => {
                server.write_all(&request).await?;
                forsake(server, delivery).await
            }
            Delivery::Late | Delivery::Crashed { .. } => {
                server.write_all(&request).await?;
                drop(tokio::spawn(forsake(server, delivery)));
                Ok(())
            }
            Delivery::Cut(cut) => {
                let sent = match cut {
                    Cut::Early => request.len() / 4,
                    Cut::Late => request.len() - 1,
                };
                server.write_all(&request[..sent]).await?;
                server.shutdown().await
            }
            // The others are slow, or need no relay.
            _ => {
                for piece in request.chunks(request.len().div_ceil(PIECES)) {
                    server.write_all(piece).await?;
                    sleep(PAUSE).await;
                }
                copy_bidirectional(&mut client, &mut server).await?;
                Ok(())
            }
        }
    }

    /// Passes on what sets up the connection, and keeps back the request.
    async fn collect(
        &self,
        client: &mut UnixStream,
        server: &mut TcpStream,
    ) -> io::Result<Vec<u8>> {
        let mut request = Vec::new();
        let (mut there, mut back) = (vec![0; 16 << 10], vec![0; 16 << 10]);
        loop {
            tokio::select! {
                read = client.read(&mut there) => match read? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    n if self.connected.load(Ordering::SeqCst) => request.extend(&there[..n]),
                    n => server.write_all(&there[..n]).await?,
                },
                read = server.read(&mut back) => match read? {
                    0 => return Err(io::ErrorKind::ConnectionReset.into()),
                    n => client.write_all(&back[..n]).await?,
                },
                () = sleep(QUIET), if !request.is_empty() => return Ok(request),
            }
        }
    }
}
