//! Creating an agent: at once, or in the steps of `no_txn`, `two_stores` and `read_back`, between which a crash or a
//! client that hangs up leaves what was done so far.

use std::time::Duration;

use super::actors::Seat;
use super::agents::check_name;
use super::errors::{Answer, Refusal, Reply};
use super::input::Fields;
use super::keys::{Claim, Once, Turn};
use super::service::{App, finish, hop, timestamp};
use super::slips::Slip;
use super::state::{ActorState, Agent, Block, new_id};
use super::store;

const LONGEST_LABEL: usize = 256;
/// How long a block takes to be written, with `no_txn`.
const BLOCK_TAKES: Duration = Duration::from_millis(3);

pub(super) struct NewAgent {
    name: String,
    description: Option<String>,
    tags: Vec<String>,
    blocks: Vec<Block>,
}

impl NewAgent {
    pub(super) fn read(fields: &Fields) -> Result<Self, Refusal> {
        let block = |fields: &Fields| {
            Ok(Block {
                id: new_id(),
                label: fields.required_text("label")?,
                value: fields.required_text("value")?,
                limit: fields.count("limit")?,
            })
        };
        let name = fields.text("name")?;
        Ok(Self {
            name: name.unwrap_or_else(|| String::from("Nameless Agent")),
            description: fields.text("description")?,
            tags: fields.texts("tags")?.unwrap_or_default(),
            blocks: fields
                .objects("memory_blocks")?
                .iter()
                .map(block)
                .collect::<Result<_, Refusal>>()?,
        })
    }

    fn check(&self) -> Result<(), Refusal> {
        check_name(&self.name)?;
        for (index, block) in self.blocks.iter().enumerate() {
            let label = &block.label;
            if !(1..=LONGEST_LABEL).contains(&label.chars().count()) {
                return Err(Refusal::bad("a label must have 1 to 256 characters"));
            }
            if !block.fits() {
                return Err(Refusal::bad(format!(
                    "the value of the block `{label}` is longer than its limit"
                )));
            }
            if self.blocks[..index]
                .iter()
                .any(|other| other.label == *label)
            {
                return Err(Refusal::bad(format!("two blocks have the label `{label}`")));
            }
        }
        Ok(())
    }

    /// The agent, as it is created at this tick. Ticks are taken in the write transaction, so that agents appear in the
    /// list in the order that they have there.
    fn at(self, tick: i64) -> ActorState {
        let time = timestamp(tick);
        ActorState {
            position: tick,
            agent: Agent {
                id: new_id(),
                name: self.name,
                description: self.description,
                tags: self.tags,
                blocks: self.blocks,
                created_at: time.clone(),
                updated_at: time,
            },
            messages: Vec::new(),
            archival: Vec::new(),
        }
    }
}

pub(super) async fn create(app: App, new: NewAgent, claim: Option<Claim>) -> Answer {
    let in_steps = [Slip::NoTxn, Slip::TwoStores, Slip::ReadBack];
    if app.slips.any(&in_steps) && !app.slips.has(Slip::LazyPersist) {
        create_in_steps(&app, new, claim).await
    } else {
        finish(create_at_once(app, new, claim)).await
    }
}

async fn create_at_once(app: App, new: NewAgent, claim: Option<Claim>) -> Answer {
    let turn = match app.begin(claim).await? {
        Once::First(turn) => turn,
        Once::Again(reply) => return Ok(reply),
    };
    new.check()?;
    if app.slips.has(Slip::LazyPersist) {
        let state = new.at(app.tick());
        let reply = Reply::ok(&state.agent)?;
        let mut seat = app.new_seat(&state.agent.id).await;
        seat.update(state);
        app.store_later(&mut seat, turn.record(&reply));
        return Ok(reply);
    }
    let mut tx = app.store.write().await?;
    let state = new.at(app.tick());
    let reply = Reply::ok(&state.agent)?;
    let record = turn.record(&reply);
    let mut seat = app.new_seat(&state.agent.id).await;
    store::put_actor(&mut tx, &state).await?;
    store::register(&mut tx, &state).await?;
    app.remember(&mut tx, record.as_ref()).await?;
    tx.commit().await?;
    seat.update(state);
    app.remembered(record);
    Ok(reply)
}

/// An agent that is not all there yet.
struct Begun {
    turn: Turn,
    seat: Seat,
    state: ActorState,
    reply: Reply,
}

enum FirstStep {
    Done(Box<Begun>),
    Again(Reply),
}

/// Each step is finished once it has begun, but this future may be dropped between two of them.
async fn create_in_steps(app: &App, new: NewAgent, claim: Option<Claim>) -> Answer {
    let begun = match finish(first_step(app.clone(), new, claim)).await? {
        FirstStep::Done(begun) => *begun,
        FirstStep::Again(reply) => return Ok(reply),
    };
    let Begun {
        mut turn,
        mut seat,
        state,
        mut reply,
    } = begun;
    if app.slips.has(Slip::NoTxn) {
        for stored in 1..=state.agent.blocks.len() {
            tokio::time::sleep(BLOCK_TAKES).await;
            let mut part = state.clone();
            part.agent.blocks.truncate(stored);
            (turn, seat) = finish(write_actor(app.clone(), (turn, seat), part)).await?;
        }
        seat.update(state.clone());
    }
    drop(seat);
    if app.slips.has(Slip::TwoStores) {
        hop().await;
        turn = finish(register(app.clone(), turn, state.clone())).await?;
    }
    if app.slips.has(Slip::ReadBack) {
        hop().await;
        reply = Reply::ok(&app.call(&state.agent.id).await?.state()?.agent)?;
        finish(record_key(app.clone(), turn, reply.clone())).await?;
    }
    Ok(reply)
}

/// What is stored together at first: the agent, and what no slip leaves for later.
async fn first_step(app: App, new: NewAgent, claim: Option<Claim>) -> Result<FirstStep, Refusal> {
    let turn = match app.begin(claim).await? {
        Once::First(turn) => turn,
        Once::Again(reply) => return Ok(FirstStep::Again(reply)),
    };
    new.check()?;
    let mut tx = app.store.write().await?;
    let state = new.at(app.tick());
    let reply = Reply::ok(&state.agent)?;
    let mut seat = app.new_seat(&state.agent.id).await;
    let mut stored = state.clone();
    if app.slips.has(Slip::NoTxn) {
        stored.agent.blocks.clear();
    }
    store::put_actor(&mut tx, &stored).await?;
    if !app.slips.has(Slip::TwoStores) {
        store::register(&mut tx, &state).await?;
    }
    let mut record = turn.record(&reply);
    if app.slips.has(Slip::ReadBack) {
        record = None;
    }
    app.remember(&mut tx, record.as_ref()).await?;
    tx.commit().await?;
    app.remembered(record);
    // With `no_txn` the seat is still held, and asleep: whoever comes after a client that hung up finds what is stored.
    if !app.slips.has(Slip::NoTxn) {
        seat.update(stored);
    }
    let begun = Begun {
        turn,
        seat,
        state,
        reply,
    };
    Ok(FirstStep::Done(Box::new(begun)))
}

/// A later step. What it holds comes back, or goes when it is done and nobody waits for it any more.
async fn write_actor(
    app: App,
    held: (Turn, Seat),
    state: ActorState,
) -> Result<(Turn, Seat), Refusal> {
    let mut tx = app.store.write().await?;
    store::put_actor(&mut tx, &state).await?;
    tx.commit().await?;
    Ok(held)
}

async fn register(app: App, held: Turn, state: ActorState) -> Result<Turn, Refusal> {
    let mut tx = app.store.write().await?;
    store::register(&mut tx, &state).await?;
    tx.commit().await?;
    Ok(held)
}

async fn record_key(app: App, turn: Turn, reply: Reply) -> Result<(), Refusal> {
    let record = turn.record(&reply);
    let mut tx = app.store.write().await?;
    app.remember(&mut tx, record.as_ref()).await?;
    tx.commit().await?;
    app.remembered(record);
    Ok(())
}
