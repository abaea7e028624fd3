//! `/runs`: work that a user has done, from when it waits until it is over, and what happened to it.

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::credentials::Caller;
use super::errors::{Answer, Refusal, created, ok};
use super::paging::Paging;
use super::service::{App, Service, new_id};
use crate::demo::sqlite::Tx;

const LONGEST_NAME: usize = 255;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/runs", get(list).post(create))
        .route("/runs/{id}", get(read))
        .route("/runs/{id}/events", get(list_events))
        .route("/runs/{id}/start", post(start))
        .route("/runs/{id}/cancel", post(cancel))
        .route("/runs/{id}/finish", post(finish))
}

/// Its id, name and status.
type Run = (String, String, String);

/// The place of an event in its run, from 1, and what it is.
pub(super) type Event = (i64, String);

fn shown((id, name, status): &Run) -> Value {
    json!({ "run_id": id, "name": name, "status": status })
}

/// The user whose run has this id.
pub(super) fn owner(id: &str) -> Option<&str> {
    id.split_once('-').map(|(user, _)| user)
}

fn is_over(status: &str) -> bool {
    ["COMPLETED", "CANCELLED"].contains(&status)
}

#[derive(Deserialize)]
struct NewRun {
    name: String,
}

async fn create(
    State(app): State<App>,
    caller: Caller,
    new: Result<Json<NewRun>, JsonRejection>,
) -> Answer {
    let Json(NewRun { name }) = new?;
    if !(1..=LONGEST_NAME).contains(&name.chars().count()) {
        return Err(Refusal::invalid("name must be 1 to 255 characters"));
    }
    let id = format!("{}-{}", caller.user, new_id());
    let run = (id, name, "PENDING".to_owned());
    let database = app.engines.of(&caller.user).await?;
    let mut tx = database.write().await?;
    sqlx::query("INSERT INTO runs (id, name, status) VALUES (?, ?, ?)")
        .bind(&run.0)
        .bind(&run.1)
        .bind(&run.2)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    created(shown(&run))
}

async fn list(State(app): State<App>, caller: Caller, paging: Paging) -> Answer {
    let counted = "SELECT COUNT(*) FROM runs";
    let listed = "SELECT id, name, status FROM runs ORDER BY rowid LIMIT ? OFFSET ?";
    let database = app.engines.of(&caller.user).await?;
    paging.answer(&database, counted, listed, shown).await
}

async fn find(tx: &mut Tx, id: &str) -> Result<Run, Refusal> {
    let found = sqlx::query_as("SELECT id, name, status FROM runs WHERE id = ?")
        .bind(id)
        .fetch_optional(&mut **tx)
        .await?;
    found.ok_or_else(|| Refusal::absent("run"))
}

async fn read(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> Answer {
    let database = app.engines.of(&caller.user).await?;
    let mut tx = database.read().await?;
    ok(shown(&find(&mut tx, &id).await?))
}

/// The events of a user's run that come after one, and whether the run is over.
pub(super) async fn events(
    app: &Service,
    user: &str,
    id: &str,
    after: i64,
) -> Result<(Vec<Event>, bool), Refusal> {
    let database = app.engines.of(user).await?;
    let mut tx = database.read().await?;
    let (_, _, status) = find(&mut tx, id).await?;
    let statement = "SELECT seq, type FROM events WHERE run_id = ? AND seq > ? ORDER BY seq";
    let events = sqlx::query_as(statement)
        .bind(id)
        .bind(after)
        .fetch_all(&mut *tx)
        .await?;
    Ok((events, is_over(&status)))
}

async fn list_events(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> Answer {
    let (events, _) = events(&app, &caller.user, &id, 0).await?;
    let event = |(seq, kind): Event| json!({ "seq": seq, "type": kind });
    let events: Vec<Value> = events.into_iter().map(event).collect();
    ok(json!({ "events": events }))
}

async fn start(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> Answer {
    go_on(&app, &caller, &id, &["PENDING"], ("RUNNING", "started")).await
}

async fn cancel(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> Answer {
    let cancelled = ("CANCELLED", "cancelled");
    go_on(&app, &caller, &id, &["PENDING", "RUNNING"], cancelled).await
}

async fn finish(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> Answer {
    let completed = ("COMPLETED", "completed");
    go_on(&app, &caller, &id, &["RUNNING"], completed).await
}

/// Takes a run from one status to the next, and notes the event.
async fn go_on(
    app: &Service,
    caller: &Caller,
    id: &str,
    from: &[&str],
    (status, event): (&str, &str),
) -> Answer {
    let database = app.engines.of(&caller.user).await?;
    let mut tx = database.write().await?;
    let mut run = find(&mut tx, id).await?;
    if !from.contains(&run.2.as_str()) {
        let detail = format!("this run is {}, so it cannot be {event}", run.2);
        return Err(Refusal::bad(detail));
    }
    sqlx::query("UPDATE runs SET status = ? WHERE id = ?")
        .bind(status)
        .bind(id)
        .execute(&mut *tx)
        .await?;
    let statement = "INSERT INTO events (run_id, seq, type)
        VALUES (?1, (SELECT COUNT(*) + 1 FROM events WHERE run_id = ?1), ?2)";
    sqlx::query(statement)
        .bind(id)
        .bind(event)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    app.news.send_replace(());
    run.2 = status.to_owned();
    ok(shown(&run))
}
