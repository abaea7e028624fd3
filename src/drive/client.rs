//! The client: sends one request to the target, waits where the server says 'not now', and bounds everything.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use futures_util::stream;
use reqwest::Url;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use tokio::sync::{Mutex, oneshot};

use super::disguises;
use super::events::Format;
use super::history::{Exchange, Request, Response};
use super::relay::{LINGER, Relay, pipeline};
use super::websocket;
use crate::generate::{Damage, Delivery, Effect, Fault};
use crate::model::Statuses;

/// So long a stream of events is read that does not end.
const STREAMED: Duration = Duration::from_secs(5);

/// So many headers an answer may have: some servers set a cookie for every little thing.
const MOST_HEADERS: usize = 1024;

/// What a run may use up.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How long one request may take.
    pub timeout: Duration,
    /// Requests a second, over all jobs.
    pub rate: Option<f64>,
    /// Requests in all.
    pub max_requests: Option<u64>,
    /// The bytes of a body that are read.
    pub max_body: usize,
    /// How often a request is sent again because the server says 'not now'.
    pub max_deferrals: u32,
    /// How long after its connection was closed a request may still take effect.
    pub fence: Duration,
    /// A websocket is listened to until nothing has come for so long.
    pub quiet: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            timeout: Duration::from_secs(30),
            rate: None,
            max_requests: None,
            max_body: 8 << 20,
            max_deferrals: 8,
            fence: Duration::from_secs(2),
            quiet: Duration::from_secs(1),
        }
    }
}

/// Why a request has no answer. None of these is a violation.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClientError {
    /// The target is not on this machine, and nobody allowed that.
    #[error(
        "{host} is not a loopback address; testing another machine needs --allow-remote, or allow_remote = true in its gainsay.toml entry"
    )]
    Remote {
        /// Its host.
        host: String,
    },
    /// The address is not one.
    #[error("`{url}` is not an http:// or https:// address")]
    Address {
        /// As it was given.
        url: String,
    },
    /// The HTTP client could not be set up.
    #[error("cannot set up the HTTP client: {reason}")]
    Setup {
        /// What it said.
        reason: String,
    },
    /// The server could not be reached, or the connection broke.
    #[error("{method} {path}: {reason}")]
    Transport {
        /// The method.
        method: String,
        /// The path.
        path: String,
        /// What happened.
        reason: String,
        /// Whether nothing at all could be sent.
        unreachable: bool,
    },
    /// There is no answer in time.
    #[error("{method} {path}: no answer within {seconds} s")]
    Timeout {
        /// The method.
        method: String,
        /// The path.
        path: String,
        /// The bound.
        seconds: u64,
    },
    /// The requests are used up.
    #[error("the budget of {max} requests is used up")]
    Exhausted {
        /// The bound.
        max: u64,
    },
    /// Somebody wanted it to end.
    #[error("it was interrupted")]
    Interrupted,
    /// What was to happen to the server's process could not be made to happen.
    #[error("{reason}")]
    Process {
        /// What happened, and what to do.
        reason: String,
    },
    /// A header cannot be sent.
    #[error("the header {name} cannot be sent: its value has characters that no header may have")]
    Header {
        /// Its name.
        name: String,
    },
}

impl ClientError {
    /// What happened, where the server was there and gave no answer: it closed the connection, or took too long.
    pub fn silence(&self) -> Option<String> {
        match self {
            ClientError::Transport {
                reason,
                unreachable: false,
                ..
            } => Some(format!("the connection broke: {reason}")),
            ClientError::Timeout { seconds, .. } => Some(format!("nothing came in {seconds} s")),
            _ => None,
        }
    }
}

/// What came of a race.
#[derive(Debug)]
pub struct Race {
    /// Branch by branch what was sent, in order.
    pub branches: Vec<Vec<Raced>>,
    /// From the first byte of the first branch to the first byte of the last one.
    pub spread: Duration,
}

/// A request of a race.
#[derive(Debug)]
pub struct Raced {
    /// What was sent, when, and what came back.
    pub exchange: Exchange,
    /// Why there is no answer, where there is none.
    pub error: Option<ClientError>,
}

/// Sends requests to one target.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    headers: Arc<[(String, String)]>,
    limits: Limits,
    tolerate: Statuses,
    /// What no answer is to show, in each of its forms, and what stands in its place.
    hidden: Arc<[(String, String)]>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    sent: AtomicU64,
    next: Mutex<Option<Instant>>,
    /// The same client without a pool: every request has a connection of its own.
    alone: OnceLock<reqwest::Client>,
    /// The one without a pool that speaks HTTP/1.1 alone: a websocket is opened by it.
    upgrading: OnceLock<reqwest::Client>,
    /// Relays that nobody uses now.
    relays: std::sync::Mutex<Vec<Relay>>,
}

impl Shared {
    fn relays(&self) -> MutexGuard<'_, Vec<Relay>> {
        // Whoever panicked while holding it left it as it was.
        self.relays.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The address of a path at a target.
pub(super) fn address(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
    url
}

/// A client that is made when it is needed for the first time.
fn kept(
    place: &OnceLock<reqwest::Client>,
    builder: impl FnOnce() -> reqwest::ClientBuilder,
) -> Result<&reqwest::Client, ClientError> {
    if let Some(made) = place.get() {
        return Ok(made);
    }
    let made = builder()
        .build()
        .map_err(|e| ClientError::Setup { reason: chain(&e) })?;
    Ok(place.get_or_init(|| made))
}

/// What all HTTP clients have in common.
fn builder(limits: &Limits) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        // A redirect is an answer like any other; following it could carry credentials elsewhere.
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .tcp_nodelay(true)
        .http1_max_headers(MOST_HEADERS)
        .timeout(limits.timeout)
        .user_agent(concat!("gainsay/", env!("CARGO_PKG_VERSION")))
}

impl Client {
    /// A client of the target at `url`, which sends `headers` with every request.
    ///
    /// # Errors
    ///
    /// [`ClientError::Remote`] where the host is not a loopback address and `allow_remote` is false,
    /// [`ClientError::Address`] where the address is none.
    pub fn new(
        url: &str,
        headers: Vec<(String, String)>,
        limits: Limits,
        tolerate: Statuses,
        allow_remote: bool,
    ) -> Result<Client, ClientError> {
        let address = || ClientError::Address {
            url: url.to_owned(),
        };
        let mut base = Url::parse(url).map_err(|_| address())?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(address());
        }
        let host = base.host_str().ok_or_else(address)?.to_owned();
        if !is_loopback(&host) && !allow_remote {
            return Err(ClientError::Remote { host });
        }
        let path = base.path().trim_end_matches('/').to_owned();
        base.set_path(&path);
        let http = builder(&limits)
            .pool_max_idle_per_host(256)
            .build()
            .map_err(|e| ClientError::Setup { reason: chain(&e) })?;
        Ok(Client {
            http,
            base,
            headers: headers.into(),
            limits,
            tolerate,
            hidden: Arc::default(),
            shared: Arc::new(Shared::default()),
        })
    }

    /// Replaces in answers what these headers hold, which is sent with every request and is nobody's business: a server may
    /// show what it was sent. It is gone before anything sees the answer.
    #[must_use]
    pub fn hiding(mut self, headers: &[(String, String)]) -> Client {
        let mut forms = Vec::new();
        for (name, value) in headers {
            // Of `Bearer …` the token, too.
            let parts = value.split_whitespace().chain([value.as_str()]);
            for part in parts.filter(|part| part.len() >= disguises::SHORTEST) {
                let all = disguises::with_itself(part);
                forms.extend(all.map(|form| (form, format!("‹{name}›"))));
            }
        }
        forms.sort_by_key(|(form, _)| std::cmp::Reverse(form.len()));
        self.hidden = forms.into();
        self
    }

    /// An answer without what is to be hidden.
    fn without_hidden(&self, mut response: Response) -> Response {
        let hide = |text: &mut String| {
            for (form, symbol) in self.hidden.iter() {
                if text.contains(form.as_str()) {
                    *text = text.replace(form.as_str(), symbol);
                }
            }
        };
        if self.hidden.is_empty() {
            return response;
        }
        for (_, value) in &mut response.headers {
            hide(value);
        }
        response.body = match String::from_utf8(response.body) {
            Ok(mut text) => {
                hide(&mut text);
                text.into_bytes()
            }
            Err(error) => {
                let bytes = error.into_bytes();
                let lossy = String::from_utf8_lossy(&bytes).into_owned();
                let mut text = lossy.clone();
                hide(&mut text);
                // What is no text stays as it is, unless it shows something.
                match text == lossy {
                    true => bytes,
                    false => text.into_bytes(),
                }
            }
        };
        response
    }

    /// How many requests were sent so far.
    pub fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::Relaxed)
    }

    /// The address of the target.
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// Sends a request and reads the answer whole; sends it again while the server says 'not now', and what only reads
    /// once more on a connection of its own where the connection breaks: a server may close one that it keeps open just
    /// when it is used again.
    ///
    /// # Errors
    ///
    /// [`ClientError`] where there is no answer.
    pub async fn send(
        &self,
        request: &Request,
        since: Instant,
    ) -> Result<(Exchange, Arc<Response>), ClientError> {
        let sent = self.send_by(self.pooled(request)?, request, since).await;
        match sent {
            Err(ClientError::Transport {
                unreachable: false, ..
            }) if matches!(request.method.as_str(), "GET" | "HEAD") => {
                self.send_by(self.alone()?, request, since).await
            }
            sent => sent,
        }
    }

    /// The client without a pool.
    fn alone(&self) -> Result<&reqwest::Client, ClientError> {
        kept(&self.shared.alone, || {
            builder(&self.limits).pool_max_idle_per_host(0)
        })
    }

    /// The client for a request that may use a connection again, which a websocket never does.
    fn pooled(&self, request: &Request) -> Result<&reqwest::Client, ClientError> {
        match request.is_websocket() {
            true => {
                let apart = || builder(&self.limits).pool_max_idle_per_host(0).http1_only();
                kept(&self.shared.upgrading, apart)
            }
            false => Ok(&self.http),
        }
    }

    async fn send_by(
        &self,
        http: &reqwest::Client,
        request: &Request,
        since: Instant,
    ) -> Result<(Exchange, Arc<Response>), ClientError> {
        let mut deferred = 0;
        loop {
            self.admit().await?;
            let started = Instant::now();
            let response = self.once(http, request).await?;
            let took = started.elapsed();
            if self.tolerate.allow(response.status) && deferred < self.limits.max_deferrals {
                tokio::time::sleep(pause(&response, deferred)).await;
                deferred += 1;
                continue;
            }
            let response = Arc::new(response);
            let exchange = Exchange {
                request: request.clone(),
                response: Some(response.clone()),
                started: started.saturating_duration_since(since),
                took,
                deferred,
            };
            return Ok((exchange, response));
        }
    }

    /// Delivers a request as a step has it. There is no response where nobody waits for one.
    ///
    /// # Errors
    ///
    /// [`ClientError`] where there is no answer to something that should have one, or the fault could not be made.
    pub async fn deliver(
        &self,
        request: &Request,
        delivery: Delivery,
        since: Instant,
    ) -> Result<(Exchange, Option<Arc<Response>>), ClientError> {
        let told = |(exchange, response)| (exchange, Some(response));
        match delivery {
            Delivery::Once
            | Delivery::Again { lost: false, .. }
            | Delivery::Behind { .. }
            | Delivery::KeyOf { .. }
            | Delivery::Link { .. }
            | Delivery::Own(_)
            | Delivery::Paused => self.send(request, since).await.map(told),
            Delivery::Again { lost: true, .. }
            | Delivery::Retried { .. }
            | Delivery::AfterCrash
            | Delivery::AfterStop => {
                let http = match request.is_websocket() {
                    true => self.pooled(request)?,
                    false => self.alone()?,
                };
                self.send_by(http, request, since).await.map(told)
            }
            Delivery::Malformed(damage) => {
                let request = damaged(request, damage);
                let sent = match damage {
                    // Whoever waits for the rest of it waits until the connection ends.
                    Damage::Length => self.send_by(self.alone()?, &request, since).await,
                    _ => self.send(&request, since).await,
                };
                match sent {
                    // A server need not read to its end what it does not take.
                    Err(ClientError::Transport {
                        unreachable: false, ..
                    }) => Ok((unanswered(request, since, Instant::now()), None)),
                    sent => sent.map(told),
                }
            }
            Delivery::Slow
            | Delivery::Cut(_)
            | Delivery::Abandoned { .. }
            | Delivery::Late
            | Delivery::Crashed { .. } => self.relayed(request, delivery, since).await,
        }
    }

    /// A relay that is ready for a request: one that nobody uses now, or a new one.
    fn relay(&self) -> Result<Relay, ClientError> {
        let idle = self.shared.relays().pop();
        let relay = match idle {
            Some(relay) => relay,
            None => Relay::new(&self.base, builder(&self.limits))?,
        };
        relay.arm();
        Ok(relay)
    }

    /// Sends a request by way of a relay.
    async fn relayed(
        &self,
        request: &Request,
        delivery: Delivery,
        since: Instant,
    ) -> Result<(Exchange, Option<Arc<Response>>), ClientError> {
        self.admit().await?;
        let relay = self.relay()?;
        let started = Instant::now();
        let bound = self.limits.timeout;
        let http = relay.http.clone();
        let sent = self.once(&http, request);
        tokio::pin!(sent);
        let answer = tokio::select! {
            carried = tokio::time::timeout(bound, relay.carry(delivery)) => match carried {
                // The server may close the connection with its answer.
                Ok(Ok(())) if delivery.effect() == Effect::Told => Some(sent.await?),
                Ok(Ok(())) => None,
                // What is broken off may as well be so by the server.
                Ok(Err(error)) if delivery.effect() != Effect::Told
                    && error.kind() != std::io::ErrorKind::ConnectionRefused => None,
                Ok(Err(error)) => return Err(ClientError::Transport {
                    method: request.method.clone(),
                    path: request.path.clone(),
                    unreachable: error.kind() == std::io::ErrorKind::ConnectionRefused,
                    reason: format!("while it was to be {}: {error}", named(delivery)),
                }),
                Err(_) => return Err(ClientError::Timeout {
                    method: request.method.clone(),
                    path: request.path.clone(),
                    seconds: bound.as_secs(),
                }),
            },
            answer = &mut sent => Some(answer?),
        };
        self.shared.relays().push(relay);
        let response = answer.map(Arc::new);
        let exchange = Exchange {
            response: response.clone(),
            ..unanswered(request.clone(), since, started)
        };
        Ok((exchange, response))
    }

    /// Sends the first request of every branch at the same instant, and in each branch what follows one by one, as soon
    /// as what came before is answered. A branch says how its first request is delivered: where one goes right behind
    /// another, all first requests do, over one connection, unless that is encrypted: what is said on it then is not ours to
    /// put together. Nobody waits for the answer to one that is abandoned or late. `on_their_way` is told once all are.
    ///
    /// # Errors
    ///
    /// [`ClientError`] where the race cannot begin: then nothing at all was sent of it.
    pub async fn race(
        &self,
        branches: &[(Delivery, Vec<Request>)],
        on_their_way: Option<oneshot::Sender<()>>,
        since: Instant,
    ) -> Result<Race, ClientError> {
        let behind = |(delivery, _): &(Delivery, _)| matches!(delivery, Delivery::Behind { .. });
        let joined = branches.iter().any(behind) && self.base.scheme() == "http";
        let mut relays = Vec::new();
        for (_, branch) in branches {
            for _ in branch {
                self.admit().await?;
            }
            relays.push(self.relay()?);
        }
        let runners: Vec<_> = (branches.iter().zip(&relays))
            .map(|((_, branch), relay)| {
                let (client, http, branch) = (self.clone(), relay.http.clone(), branch.clone());
                let (go, released) = oneshot::channel::<Instant>();
                let runner =
                    tokio::spawn(
                        async move { client.branch(&http, &branch, released, since).await },
                    );
                (runner, go)
            })
            .collect();
        let holding = try_join_all(relays.iter().map(Relay::hold));
        let failed = |reason: String, unreachable| ClientError::Transport {
            method: "a race".into(),
            path: String::new(),
            reason,
            unreachable,
        };
        let held = match tokio::time::timeout(self.limits.timeout, holding).await {
            Ok(Ok(held)) => Ok(held),
            Ok(Err(error)) => Err(failed(
                error.to_string(),
                error.kind() == std::io::ErrorKind::ConnectionRefused,
            )),
            Err(_) => Err(failed(
                "its connections did not stand in time".into(),
                false,
            )),
        };
        let mut held = match held {
            Ok(held) => held,
            Err(error) => {
                for (runner, _) in runners {
                    runner.abort();
                }
                return Err(error);
            }
        };
        let mut released = Vec::with_capacity(held.len());
        for held in &mut held {
            released.push(Instant::now());
            if !joined {
                // A server that has hung up by now is seen to where its answer is waited for.
                let _ = held.release().await;
            }
        }
        let spread = match (released.first(), released.last()) {
            (Some(first), Some(last)) => last.saturating_duration_since(*first),
            _ => Duration::ZERO,
        };
        let mut finished = Vec::new();
        if joined {
            tokio::spawn(pipeline(held));
        } else {
            for (held, (delivery, _)) in held.into_iter().zip(branches) {
                match delivery {
                    Delivery::Abandoned { .. } | Delivery::Late => {
                        tokio::spawn(held.forsake(*delivery))
                    }
                    _ => tokio::spawn(held.answer()),
                };
            }
        }
        if let Some(on_their_way) = on_their_way {
            // Whoever wanted to know may have gone.
            let _ = on_their_way.send(());
        }
        for (at, (runner, go)) in released.into_iter().zip(runners) {
            // Whoever is to be told waits, or has been told already that the connection broke.
            let _ = go.send(at);
            finished.push(runner);
        }
        let mut told = Vec::new();
        for runner in finished {
            told.push(runner.await.map_err(|e| failed(e.to_string(), false))?);
        }
        self.shared.relays().extend(relays);
        Ok(Race {
            branches: told,
            spread,
        })
    }

    /// Runs one branch of a race. What is not answered ends it.
    async fn branch(
        &self,
        http: &reqwest::Client,
        requests: &[Request],
        mut released: oneshot::Receiver<Instant>,
        since: Instant,
    ) -> Vec<Raced> {
        let mut told = Vec::new();
        for (index, request) in requests.iter().enumerate() {
            let began = Instant::now();
            let sent = match index {
                0 => self.once(http, request).await,
                _ => match self.pooled(request) {
                    Ok(http) => self.once(http, request).await,
                    Err(error) => Err(error),
                },
            };
            let ended = Instant::now();
            // The first one was kept back for a while.
            let began = match index {
                0 => (&mut released).await.unwrap_or(began),
                _ => began,
            };
            let deferred = matches!(&sent, Ok(r) if self.tolerate.allow(r.status));
            let sent = match sent {
                Ok(response) if deferred => {
                    tokio::time::sleep(pause(&response, 0)).await;
                    let sent = self.send(request, since).await;
                    sent.map(|(exchange, response)| (exchange.deferred + 1, response))
                }
                sent => sent.map(|response| (0, Arc::new(response))),
            };
            let ended = if deferred { Instant::now() } else { ended };
            let (deferred, response) = match &sent {
                Ok((deferred, response)) => (*deferred, Some(response.clone())),
                Err(_) => (0, None),
            };
            told.push(Raced {
                exchange: Exchange {
                    request: request.clone(),
                    response,
                    started: began.saturating_duration_since(since),
                    took: ended.saturating_duration_since(began),
                    deferred,
                },
                error: sent.err(),
            });
            if told.last().is_some_and(|raced| raced.error.is_some()) {
                break;
            }
        }
        told
    }

    /// The exchange of a request that was sent and not answered.
    pub fn unanswered(&self, request: &Request, since: Instant, started: Instant) -> Exchange {
        unanswered(request.clone(), since, started)
    }

    /// Until when a request that is sent now may take effect, although nobody waits for its answer.
    pub fn fence(&self) -> Instant {
        Instant::now() + self.fence_after()
    }

    /// For how long a request may take effect, although nobody waits for its answer.
    pub fn fence_after(&self) -> Duration {
        LINGER + self.limits.fence
    }

    /// Waits for the request's turn, and counts it.
    async fn admit(&self) -> Result<(), ClientError> {
        let sent = self.shared.sent.fetch_add(1, Ordering::Relaxed);
        if let Some(max) = self.limits.max_requests.filter(|max| sent >= *max) {
            self.shared.sent.fetch_sub(1, Ordering::Relaxed);
            return Err(ClientError::Exhausted { max });
        }
        if let Some(rate) = self.limits.rate.filter(|rate| *rate > 0.0) {
            let turn = {
                let mut next = self.shared.next.lock().await;
                let now = Instant::now();
                let turn = next.map_or(now, |next| next.max(now));
                *next = Some(turn + Duration::from_secs_f64(1.0 / rate));
                turn
            };
            tokio::time::sleep_until(turn.into()).await;
        }
        Ok(())
    }

    async fn once(
        &self,
        http: &reqwest::Client,
        request: &Request,
    ) -> Result<Response, ClientError> {
        let broken = |error: reqwest::Error| {
            if error.is_timeout() {
                ClientError::Timeout {
                    method: request.method.clone(),
                    path: request.path.clone(),
                    seconds: self.limits.timeout.as_secs(),
                }
            } else {
                ClientError::Transport {
                    method: request.method.clone(),
                    path: request.path.clone(),
                    unreachable: error.is_connect(),
                    reason: chain(&error.without_url()),
                }
            }
        };
        let mut url = address(&self.base, &request.path);
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&request.query);
        }
        let method = request.method.parse().unwrap_or(reqwest::Method::GET);
        let socket = (request.is_websocket()).then(websocket::Key::new);
        let mut builder = match &socket {
            None => http.request(method, url),
            Some(key) => key.ask(http.get(url)),
        };
        for (name, value) in self.headers.iter().chain(&request.headers) {
            let bad = || ClientError::Header { name: name.clone() };
            let header: HeaderName = name.parse().map_err(|_| bad())?;
            let mut value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| bad())?;
            // So that no log of the HTTP client shows it.
            value.set_sensitive(true);
            builder = builder.header(header, value);
        }
        // What is said on a websocket is said once it is open.
        if let Some(body) = request.body.as_ref().filter(|_| socket.is_none()) {
            if request.header(CONTENT_TYPE.as_str()).is_none() {
                builder = builder.header(CONTENT_TYPE, &body.content_type);
            }
            let said = request.header(CONTENT_LENGTH.as_str());
            let said = said.and_then(|said| said.parse::<usize>().ok());
            builder = builder.body(match said.is_some_and(|said| said > body.bytes.len()) {
                true => short(body.bytes.clone()),
                false => body.bytes.clone().into(),
            });
        }
        let mut response = builder.send().await.map_err(broken)?;
        let status = response.status().as_u16();
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| {
                let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                (name.as_str().to_owned(), value)
            })
            .collect();
        // A stream may have no end of its own, and is read for a while; anything else has to come whole.
        let bound = STREAMED.min(self.limits.timeout / 2);
        if let Some(key) = socket.filter(|_| status == websocket::OPEN) {
            let apart = |reason: String| ClientError::Transport {
                method: request.method.clone(),
                path: request.path.clone(),
                unreachable: false,
                reason,
            };
            if let Some(lack) = key.lacks(&response) {
                return Err(apart(lack.to_owned()));
            }
            let patience = websocket::Patience {
                quiet: self.limits.quiet,
                whole: bound,
                bytes: self.limits.max_body,
            };
            let upgraded = response.upgrade().await.map_err(broken)?;
            let said = request.body.as_ref();
            let told = websocket::talk(upgraded, said, headers, patience).await;
            return told.map(|told| self.without_hidden(told)).map_err(apart);
        }
        let streamed = response.headers().get(CONTENT_TYPE);
        let streamed = streamed.and_then(|value| Format::of(value.to_str().ok()?));
        let until = streamed.map(|_| tokio::time::Instant::now() + bound);
        let mut body = Vec::new();
        let mut truncated = false;
        loop {
            let next = response.chunk();
            let chunk = match until {
                Some(until) => match tokio::time::timeout_at(until, next).await {
                    Ok(chunk) => chunk,
                    Err(_) => {
                        truncated = true;
                        break;
                    }
                },
                None => next.await,
            };
            let Some(chunk) = chunk.map_err(broken)? else {
                break;
            };
            let room = self.limits.max_body.saturating_sub(body.len());
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if chunk.len() > room {
                truncated = true;
                break;
            }
        }
        Ok(self.without_hidden(Response {
            status,
            headers,
            body,
            truncated,
        }))
    }
}

/// Whether the host of an address is this machine. A name other than `localhost` could resolve to anything.
pub(super) fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Whether an address is on this machine; one that is none is not.
pub fn is_loopback_url(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| url.host_str().is_some_and(is_loopback))
}

/// What a delivery makes of a request, in a word.
fn named(delivery: Delivery) -> String {
    Fault::of(delivery).map_or("sent".to_owned(), |fault| fault.to_string())
}

/// An exchange without a response.
fn unanswered(request: Request, since: Instant, started: Instant) -> Exchange {
    Exchange {
        request,
        response: None,
        started: started.saturating_duration_since(since),
        took: started.elapsed(),
        deferred: 0,
    }
}

/// The request with a body that no server can take for what it was. Where the damage is a field of its own, the rest is
/// as it was, so that a server that does not look at it may take the request for a proper one.
fn damaged(request: &Request, damage: Damage) -> Request {
    let mut request = request.clone();
    let Some(body) = &mut request.body else {
        return request;
    };
    let field = |value: &[u8]| {
        let rest = body.bytes.strip_prefix(b"{").unwrap_or(b"}");
        let comma: &[u8] = if rest.trim_ascii_start() == b"}" {
            b""
        } else {
            b","
        };
        [b"{\"gainsay\":", value, comma, rest].concat()
    };
    let nested = |depth: usize| [b"[".repeat(depth), b"]".repeat(depth)].concat();
    match damage {
        Damage::Truncated => {
            body.bytes.pop();
        }
        Damage::Encoding => body.bytes = field(b"\"\xff\""),
        Damage::Nul => body.bytes = field(br#""a\u0000z""#),
        Damage::NotANumber => body.bytes = field(b"NaN"),
        Damage::Nested => body.bytes = field(&nested(NESTED)),
        Damage::Huge => body.bytes = field(&[b"\"", b"x".repeat(HUGE).as_slice(), b"\""].concat()),
        Damage::ContentType => body.content_type = "application/x-gainsay".into(),
        Damage::Length => {
            let length = (body.bytes.len() + 1).to_string();
            let header = (CONTENT_LENGTH.as_str().to_owned(), length);
            request.headers.push(header);
        }
    }
    request
}

/// A body that ends before it is as long as it was said to be. What there is of it is on its way by then.
fn short(bytes: Vec<u8>) -> reqwest::Body {
    let pieces = stream::unfold(Some(bytes), async |bytes| match bytes {
        Some(bytes) => Some((Ok::<_, Infallible>(bytes), None)),
        None => {
            tokio::time::sleep(ON_ITS_WAY).await;
            None
        }
    });
    reqwest::Body::wrap_stream(pieces)
}

/// So long a body is waited for to be sent.
const ON_ITS_WAY: Duration = Duration::from_millis(20);

/// How deep lists are nested, and how long a text is, in requests that are malformed on purpose.
const NESTED: usize = 10_000;
const HUGE: usize = 10 << 20;

/// How long to wait before asking again: what the server says, within ten seconds, or a little longer each time.
fn pause(response: &Response, deferred: u32) -> Duration {
    let said = response
        .header(RETRY_AFTER.as_str())
        .and_then(|v| v.trim().parse::<u64>().ok());
    match said {
        Some(seconds) => Duration::from_secs(seconds.min(10)),
        None => Duration::from_millis(50 << deferred.min(5)),
    }
}

/// An error and what caused it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
