//! The workshop: the API on which finders and shrinkers are compared. Twelve rules, four members, one tenant per
//! plan, in memory, with three bugs that can be planted one by one.
//!
//! In: which bugs, how noisy, how slow. Out: a server on a free port of 127.0.0.1 that counts what it is asked.
//!
//! Members propose work and review each other's proposals; they claim hours at five benches, and any of them
//! releases a claim; any of them freezes and unfreezes the workshop, and nothing is validated in a frozen one.
//! `workshop.yaml`, beside this file, says the same as a model.
//!
//! Where several things are wrong with a request, the first in this order answers: 401, 404, 422, 403, 409, 423.
//! The peers' models predict one status, so the order is part of the API. It is also what makes bug C's shortest
//! plan four steps: were 423 before 409, freezing and validating a draft would show it in three.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequestParts, Path, Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

/// How many members a workshop opens with.
pub const MEMBERS: usize = 4;

/// How many live claims a workshop has room for.
pub const CLAIMS: usize = 5;

/// Which bugs are planted. None by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bugs {
    /// A second validation by the same member is a 500 and not a 409. Shortest plan: four steps.
    pub a: bool,
    /// A sixth live claim is accepted. Shortest plan: six steps.
    pub b: bool,
    /// A validation is accepted in a frozen workshop. Shortest plan: four steps. Freezing is a toggle, so spare
    /// ones can only be dropped in pairs.
    pub c: bool,
}

impl FromStr for Bugs {
    type Err = UnknownBug;

    /// Reads `A`, `A,C` or `none`.
    fn from_str(text: &str) -> Result<Self, UnknownBug> {
        let mut bugs = Self::default();
        for name in text.split(',') {
            match name.trim() {
                "A" => bugs.a = true,
                "B" => bugs.b = true,
                "C" => bugs.c = true,
                "none" => {}
                other => return Err(UnknownBug(other.to_owned())),
            }
        }
        Ok(bugs)
    }
}

/// A name that is none of `A`, `B`, `C` and `none`.
#[derive(Debug)]
pub struct UnknownBug(String);

impl fmt::Display for UnknownBug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no bug `{}`: they are A, B and C", self.0)
    }
}

impl std::error::Error for UnknownBug {}

/// Everything that can be chosen about a server.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// The planted bugs.
    pub bugs: Bugs,
    /// The share of requests, 0 to 1, that are answered with a stray 503 and do nothing. Opening a workshop is
    /// spared: a plan that never began says nothing about its finder.
    pub noise: f64,
    /// Decides which requests those are.
    pub seed: u64,
    /// How long each answer takes at least.
    pub latency: Duration,
    /// The port; 0 takes a free one.
    pub port: u16,
}

/// A running server. Dropped, it stops listening.
#[derive(Debug)]
#[allow(
    dead_code,
    reason = "the standalone server shows its counters at /counts"
)]
pub struct Workshop {
    /// Where it listens.
    pub addr: SocketAddr,
    /// Requests so far, without those that opened a workshop.
    pub requests: Arc<AtomicU64>,
    /// Workshops opened so far: one for each plan and each replay.
    pub opened: Arc<AtomicU64>,
    /// Stray 503s so far.
    pub strays: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Workshop {
    /// Serves for as long as the process lives.
    ///
    /// # Errors
    ///
    /// When the listener fails.
    #[allow(dead_code, reason = "benches drop the server instead")]
    pub async fn wait(mut self) -> std::io::Result<()> {
        (&mut self.task).await.unwrap_or(Ok(()))
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts a server with these bugs, no noise and no delay on a free port.
///
/// # Errors
///
/// When no port of 127.0.0.1 can be bound.
#[allow(dead_code, reason = "the standalone server takes all the options")]
pub async fn serve(bugs: Bugs) -> std::io::Result<Workshop> {
    let options = Options {
        bugs,
        ..Options::default()
    };
    serve_with(options).await
}

/// Starts a server.
///
/// # Errors
///
/// When the port cannot be bound.
pub async fn serve_with(options: Options) -> std::io::Result<Workshop> {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await?;
    let addr = listener.local_addr()?;
    let house = Arc::new(House {
        options,
        requests: Arc::default(),
        opened: Arc::default(),
        strays: Arc::default(),
        ids: AtomicU64::new(1),
        members: RwLock::default(),
    });
    let (requests, opened, strays) = (
        house.requests.clone(),
        house.opened.clone(),
        house.strays.clone(),
    );
    let task = tokio::spawn(axum::serve(listener, router(house)).into_future());
    Ok(Workshop {
        addr,
        requests,
        opened,
        strays,
        task,
    })
}

fn router(house: Arc<House>) -> Router {
    let rules = Router::new()
        .route("/proposals", post(create_proposal).get(list_proposals))
        .route(
            "/proposals/{proposal}",
            get(read_proposal)
                .put(revise_proposal)
                .delete(withdraw_proposal),
        )
        .route("/proposals/{proposal}/submit", post(submit_proposal))
        .route("/proposals/{proposal}/validations", post(validate_proposal))
        .route("/proposals/{proposal}/comments", post(comment))
        .route("/claims", post(claim).get(list_claims))
        .route("/claims/{claim}", delete(release))
        .route("/freeze", post(toggle_freeze))
        .layer(from_fn_with_state(house.clone(), count));
    let set_up = Router::new()
        .route("/workshops", post(open_workshop))
        .route("/counts", get(counts));
    rules.merge(set_up).with_state(house)
}

/// All the tenants. A plan only ever sees its own, which its members' tokens lead to.
struct House {
    options: Options,
    requests: Arc<AtomicU64>,
    opened: Arc<AtomicU64>,
    strays: Arc<AtomicU64>,
    /// One sequence for all tenants, so another tenant's id is unknown and never a different thing of one's own.
    ids: AtomicU64,
    /// By token.
    members: RwLock<HashMap<String, Member>>,
}

#[derive(Default)]
struct Tenant {
    members: Vec<String>,
    frozen: bool,
    proposals: BTreeMap<String, Proposal>,
    claims: BTreeMap<String, Claim>,
}

struct Proposal {
    author: usize,
    title: String,
    budget: i64,
    status: &'static str,
    votes: BTreeMap<usize, bool>,
    comments: usize,
}

struct Claim {
    holder: usize,
    hours: i64,
}

/// Why a request is refused.
struct Refusal(StatusCode, &'static str);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

type Answer = Result<(StatusCode, Json<Value>), Refusal>;

const UNAUTHENTICATED: Refusal = Refusal(StatusCode::UNAUTHORIZED, "no such member");
const UNKNOWN: Refusal = Refusal(StatusCode::NOT_FOUND, "not found");
const INVALID: Refusal = Refusal(StatusCode::UNPROCESSABLE_ENTITY, "invalid body");
const FROZEN: Refusal = Refusal(StatusCode::LOCKED, "the workshop is frozen");

fn forbidden(why: &'static str) -> Refusal {
    Refusal(StatusCode::FORBIDDEN, why)
}

fn conflict(why: &'static str) -> Refusal {
    Refusal(StatusCode::CONFLICT, why)
}

/// Who asks, and for which tenant.
#[derive(Clone)]
struct Member {
    tenant: Arc<Mutex<Tenant>>,
    index: usize,
}

impl Member {
    /// The tenant, for the length of one request. A handler never awaits while it holds this.
    fn tenant(&self) -> MutexGuard<'_, Tenant> {
        self.tenant.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FromRequestParts<Arc<House>> for Member {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, house: &Arc<House>) -> Result<Self, Refusal> {
        let token = parts
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "))
            .ok_or(UNAUTHENTICATED)?;
        let members = house.members.read().unwrap_or_else(PoisonError::into_inner);
        members.get(token).cloned().ok_or(UNAUTHENTICATED)
    }
}

impl House {
    fn next(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): one step of it turns a counter into an independent draw.
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

async fn count(State(house): State<Arc<House>>, request: Request, next: Next) -> Response {
    let number = house.requests.fetch_add(1, Ordering::Relaxed);
    if !house.options.latency.is_zero() {
        tokio::time::sleep(house.options.latency).await;
    }
    let draw = mix(house.options.seed ^ mix(number)) as f64 / u64::MAX as f64;
    if draw < house.options.noise {
        house.strays.fetch_add(1, Ordering::Relaxed);
        return Refusal(StatusCode::SERVICE_UNAVAILABLE, "not now").into_response();
    }
    next.run(request).await
}

async fn counts(State(house): State<Arc<House>>) -> Json<Value> {
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    Json(json!({
        "requests": read(&house.requests),
        "opened": read(&house.opened),
        "strays": read(&house.strays),
    }))
}

/// A tenant and all its members in one request, so that a replay of four steps costs five.
async fn open_workshop(State(house): State<Arc<House>>) -> Answer {
    house.opened.fetch_add(1, Ordering::Relaxed);
    let numbers: Vec<u64> = (0..MEMBERS).map(|_| house.next()).collect();
    let tenant = Arc::new(Mutex::new(Tenant {
        members: numbers.iter().map(|number| format!("m-{number}")).collect(),
        ..Tenant::default()
    }));
    let mut shown = Vec::new();
    let mut members = house
        .members
        .write()
        .unwrap_or_else(PoisonError::into_inner);
    for (index, number) in numbers.into_iter().enumerate() {
        let token = format!("{:016x}{:016x}", mix(number), mix(!number));
        shown.push(json!({ "id": format!("m-{number}"), "token": token }));
        let tenant = tenant.clone();
        members.insert(token, Member { tenant, index });
    }
    Ok((StatusCode::CREATED, Json(json!({ "members": shown }))))
}

async fn create_proposal(State(house): State<Arc<House>>, member: Member, body: Bytes) -> Answer {
    let body = object(&body)?;
    let (title, budget) = (text(&body, "title", 60)?, int(&body, "budget", 1000)?);
    let mut tenant = member.tenant();
    let id = format!("p-{}", house.next());
    let proposal = Proposal {
        author: member.index,
        title,
        budget,
        status: "draft",
        votes: BTreeMap::new(),
        comments: 0,
    };
    let shown = tenant.show(&id, &proposal);
    tenant.proposals.insert(id, proposal);
    Ok((StatusCode::CREATED, Json(shown)))
}

async fn submit_proposal(member: Member, Path(id): Path<String>) -> Answer {
    let mut tenant = member.tenant();
    let proposal = tenant.proposals.get_mut(&id).ok_or(UNKNOWN)?;
    if proposal.author != member.index {
        return Err(forbidden("only its author submits a proposal"));
    }
    if proposal.status != "draft" {
        return Err(conflict("only a draft can be submitted"));
    }
    proposal.status = "submitted";
    Ok((StatusCode::OK, Json(tenant.show_by_id(&id))))
}

async fn revise_proposal(member: Member, Path(id): Path<String>, body: Bytes) -> Answer {
    let mut tenant = member.tenant();
    let proposal = tenant.proposals.get_mut(&id).ok_or(UNKNOWN)?;
    let title = text(&object(&body)?, "title", 60)?;
    if proposal.author != member.index {
        return Err(forbidden("only its author revises a proposal"));
    }
    if proposal.status != "draft" {
        return Err(conflict("only a draft can be revised"));
    }
    proposal.title = title;
    Ok((StatusCode::OK, Json(tenant.show_by_id(&id))))
}

async fn withdraw_proposal(member: Member, Path(id): Path<String>) -> Result<StatusCode, Refusal> {
    let mut tenant = member.tenant();
    let proposal = tenant.proposals.get(&id).ok_or(UNKNOWN)?;
    if proposal.author != member.index {
        return Err(forbidden("only its author withdraws a proposal"));
    }
    if proposal.status != "draft" {
        return Err(conflict("only a draft can be withdrawn"));
    }
    tenant.proposals.remove(&id);
    Ok(StatusCode::NO_CONTENT)
}

async fn validate_proposal(
    State(house): State<Arc<House>>,
    member: Member,
    Path(id): Path<String>,
    body: Bytes,
) -> Answer {
    let bugs = house.options.bugs;
    let mut tenant = member.tenant();
    let frozen = tenant.frozen;
    let proposal = tenant.proposals.get_mut(&id).ok_or(UNKNOWN)?;
    let approves = match object(&body)?.get("verdict").and_then(Value::as_str) {
        Some("approve") => true,
        Some("reject") => false,
        _ => return Err(INVALID),
    };
    if proposal.author == member.index {
        return Err(forbidden("nobody validates a proposal of his own"));
    }
    if proposal.status != "submitted" {
        return Err(conflict("the proposal is not open to validation"));
    }
    if proposal.votes.contains_key(&member.index) {
        if bugs.a {
            return Err(Refusal(StatusCode::INTERNAL_SERVER_ERROR, "duplicate key"));
        }
        return Err(conflict("one validation each"));
    }
    if frozen && !bugs.c {
        return Err(FROZEN);
    }
    proposal.votes.insert(member.index, approves);
    let approvals = proposal
        .votes
        .values()
        .filter(|approves| **approves)
        .count();
    if approvals == 3 {
        proposal.status = "approved";
    } else if proposal.votes.len() - approvals == 2 {
        proposal.status = "rejected";
    }
    Ok((StatusCode::CREATED, Json(tenant.show_by_id(&id))))
}

async fn comment(member: Member, Path(id): Path<String>, body: Bytes) -> Answer {
    let mut tenant = member.tenant();
    let proposal = tenant.proposals.get_mut(&id).ok_or(UNKNOWN)?;
    text(&object(&body)?, "text", 200)?;
    proposal.comments += 1;
    Ok((StatusCode::CREATED, Json(tenant.show_by_id(&id))))
}

async fn list_proposals(member: Member) -> Answer {
    let tenant = member.tenant();
    let shown: Vec<Value> = tenant
        .proposals
        .iter()
        .map(|(id, proposal)| tenant.show(id, proposal))
        .collect();
    Ok((StatusCode::OK, Json(json!({ "proposals": shown }))))
}

async fn read_proposal(member: Member, Path(id): Path<String>) -> Answer {
    let tenant = member.tenant();
    let proposal = tenant.proposals.get(&id).ok_or(UNKNOWN)?;
    Ok((StatusCode::OK, Json(tenant.show(&id, proposal))))
}

async fn claim(State(house): State<Arc<House>>, member: Member, body: Bytes) -> Answer {
    let hours = int(&object(&body)?, "hours", 8)?;
    let mut tenant = member.tenant();
    if tenant.claims.len() >= CLAIMS && !house.options.bugs.b {
        return Err(conflict("all benches are claimed"));
    }
    let id = format!("c-{}", house.next());
    let holder = member.index;
    let claim = Claim { holder, hours };
    let shown = tenant.show_claim(&id, &claim);
    tenant.claims.insert(id, claim);
    Ok((StatusCode::CREATED, Json(shown)))
}

async fn release(member: Member, Path(id): Path<String>) -> Result<StatusCode, Refusal> {
    let mut tenant = member.tenant();
    tenant.claims.remove(&id).ok_or(UNKNOWN)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn list_claims(member: Member) -> Answer {
    let tenant = member.tenant();
    let shown: Vec<Value> = tenant
        .claims
        .iter()
        .map(|(id, claim)| tenant.show_claim(id, claim))
        .collect();
    Ok((StatusCode::OK, Json(json!({ "claims": shown }))))
}

async fn toggle_freeze(member: Member) -> Answer {
    let mut tenant = member.tenant();
    tenant.frozen = !tenant.frozen;
    Ok((StatusCode::OK, Json(json!({ "frozen": tenant.frozen }))))
}

impl Tenant {
    fn show(&self, id: &str, proposal: &Proposal) -> Value {
        json!({
            "id": id,
            "author": self.members[proposal.author],
            "title": proposal.title,
            "budget": proposal.budget,
            "status": proposal.status,
            "validations": proposal.votes.len(),
            "comments": proposal.comments,
        })
    }

    fn show_claim(&self, id: &str, claim: &Claim) -> Value {
        json!({ "id": id, "holder": self.members[claim.holder], "hours": claim.hours })
    }

    fn show_by_id(&self, id: &str) -> Value {
        self.proposals
            .get(id)
            .map_or(Value::Null, |proposal| self.show(id, proposal))
    }
}

// Bodies are read by hand: axum's `Json` answers 400, 415 or 422 by the kind of mistake, and here all of them are 422.

fn object(body: &Bytes) -> Result<Value, Refusal> {
    serde_json::from_slice(body).map_err(|_| INVALID)
}

fn text(body: &Value, key: &str, max: usize) -> Result<String, Refusal> {
    let text = body.get(key).and_then(Value::as_str).ok_or(INVALID)?;
    if text.is_empty() || text.chars().count() > max {
        return Err(INVALID);
    }
    Ok(text.to_owned())
}

fn int(body: &Value, key: &str, max: i64) -> Result<i64, Refusal> {
    let int = body.get(key).and_then(Value::as_i64).ok_or(INVALID)?;
    if !(1..=max).contains(&int) {
        return Err(INVALID);
    }
    Ok(int)
}
