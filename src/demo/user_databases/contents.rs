//! `/contents`: texts that a user keeps. One that is deleted stays in the file, but is gone for everybody.

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::credentials::Caller;
use super::errors::{Answer, Refusal, created, no_content, ok};
use super::paging::Paging;
use super::service::{App, Service, new_id};
use super::slips::Slip;
use crate::demo::sqlite::Tx;

const LONGEST_NAME: usize = 255;
const TYPES: [&str; 7] = [
    "generation_instructions",
    "input_document",
    "single_eval_instructions",
    "pairwise_eval_instructions",
    "eval_criteria",
    "combine_instructions",
    "template_fragment",
];

pub(super) fn routes() -> Router<App> {
    let one = get(read).put(change).delete(remove);
    Router::new()
        .route("/contents", get(list).post(create))
        .route("/contents/{id}", one)
}

/// A live content, or one to be: its id, name, type and body.
type Content = (String, String, String, String);

fn shown((id, name, content_type, body): &Content) -> Value {
    json!({ "id": id, "name": name, "content_type": content_type, "body": body })
}

fn check(name: &str, body: &str) -> Result<(), Refusal> {
    if !(1..=LONGEST_NAME).contains(&name.chars().count()) {
        return Err(Refusal::invalid("name must be 1 to 255 characters"));
    }
    match body.is_empty() {
        true => Err(Refusal::invalid("body must not be empty")),
        false => Ok(()),
    }
}

/// 400 if another one of this type has the name.
async fn refuse_taken(app: &Service, tx: &mut Tx, content: &Content) -> Result<(), Refusal> {
    let (id, name, content_type, _) = content;
    let statement = match app.slips.has(Slip::SoftdeleteName) {
        false => {
            "SELECT EXISTS (SELECT 1 FROM contents
                WHERE name = ? AND content_type = ? AND id != ? AND NOT is_deleted)"
        }
        true => {
            "SELECT EXISTS (SELECT 1 FROM contents WHERE name = ? AND content_type = ? AND id != ?)"
        }
    };
    let taken: bool = sqlx::query_scalar(statement)
        .bind(name)
        .bind(content_type)
        .bind(id)
        .fetch_one(&mut **tx)
        .await?;
    match taken {
        true => Err(Refusal::bad("a content of this type has this name")),
        false => Ok(()),
    }
}

async fn find(tx: &mut Tx, id: &str) -> Result<Content, Refusal> {
    let statement =
        "SELECT id, name, content_type, body FROM contents WHERE id = ? AND NOT is_deleted";
    let found = sqlx::query_as(statement)
        .bind(id)
        .fetch_optional(&mut **tx)
        .await?;
    found.ok_or_else(|| Refusal::absent("content"))
}

#[derive(Deserialize)]
struct NewContent {
    name: String,
    content_type: String,
    body: String,
}

async fn create(
    State(app): State<App>,
    caller: Caller,
    new: Result<Json<NewContent>, JsonRejection>,
) -> Answer {
    let Json(new) = new?;
    check(&new.name, &new.body)?;
    if !TYPES.contains(&new.content_type.as_str()) {
        let detail = format!("content_type must be one of {}", TYPES.join(", "));
        return Err(Refusal::invalid(&detail));
    }
    let content = (new_id(), new.name, new.content_type, new.body);
    let database = app.engines.of(&caller.user).await?;
    let mut tx = database.write().await?;
    refuse_taken(&app, &mut tx, &content).await?;
    sqlx::query("INSERT INTO contents (id, name, content_type, body) VALUES (?, ?, ?, ?)")
        .bind(&content.0)
        .bind(&content.1)
        .bind(&content.2)
        .bind(&content.3)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    created(shown(&content))
}

async fn list(State(app): State<App>, caller: Caller, paging: Paging) -> Answer {
    let counted = "SELECT COUNT(*) FROM contents WHERE NOT is_deleted";
    let listed = "SELECT id, name, content_type, body FROM contents WHERE NOT is_deleted
        ORDER BY rowid LIMIT ? OFFSET ?";
    let database = app.engines.of(&caller.user).await?;
    paging.answer(&database, counted, listed, shown).await
}

async fn read(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> Answer {
    let database = app.engines.of(&caller.user).await?;
    let mut tx = database.read().await?;
    ok(shown(&find(&mut tx, &id).await?))
}

#[derive(Deserialize)]
struct Change {
    name: Option<String>,
    body: Option<String>,
}

async fn change(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    change: Result<Json<Change>, JsonRejection>,
) -> Answer {
    let Json(Change { name, body }) = change?;
    check(
        name.as_deref().unwrap_or("as it is"),
        body.as_deref().unwrap_or("as it is"),
    )?;
    let database = app.engines.of(&caller.user).await?;
    let mut tx = database.write().await?;
    let mut content = find(&mut tx, &id).await?;
    content.1 = name.unwrap_or(content.1);
    content.3 = body.unwrap_or(content.3);
    refuse_taken(&app, &mut tx, &content).await?;
    sqlx::query("UPDATE contents SET name = ?, body = ? WHERE id = ?")
        .bind(&content.1)
        .bind(&content.3)
        .bind(&id)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    ok(shown(&content))
}

async fn remove(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> Answer {
    let database = app.engines.of(&caller.user).await?;
    let mut tx = database.write().await?;
    find(&mut tx, &id).await?;
    sqlx::query("UPDATE contents SET is_deleted = TRUE WHERE id = ?")
        .bind(&id)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    no_content()
}
