//! `/users`: whoever wants to may become a user, all at once or not at all, and `/users/me`.

use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use super::credentials::Caller;
use super::errors::{Answer, Refusal, created, ok};
use super::keys::NewKey;
use super::service::{App, BETWEEN, Service, new_id};
use super::slips::Slip;
use crate::demo::sqlite::Tx;

/// Where users are made.
pub(super) const PATH: &str = "/users";

const LONGEST_NAME: usize = 64;
const LONGEST_EMAIL: usize = 254;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route(PATH, post(create))
        .route("/users/me", get(me))
}

/// Whether it is a name: 1 to 64 letters, digits, `_`, `.` or `-`.
pub(super) fn is_name(text: &str) -> bool {
    let of_a_name = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    (1..=LONGEST_NAME).contains(&text.len()) && text.chars().all(of_a_name)
}

fn is_email(text: &str) -> bool {
    let of_an_email = |c: char| !c.is_whitespace() && !c.is_control();
    let parts = text.split_once('@');
    text.len() <= LONGEST_EMAIL
        && text.chars().all(of_an_email)
        && parts.is_some_and(|(user, host)| {
            let labels: Vec<&str> = host.split('.').collect();
            let sound = |label: &&str| !label.is_empty() && !label.contains('@');
            !user.is_empty() && labels.len() >= 2 && labels.iter().all(sound)
        })
}

#[derive(Deserialize)]
struct NewUser {
    username: String,
    email: String,
}

async fn create(State(app): State<App>, new: Result<Json<NewUser>, JsonRejection>) -> Answer {
    let Json(new) = new?;
    if !is_name(&new.username) {
        let detail = "username must be 1 to 64 letters, digits, `_`, `.` or `-`";
        return Err(Refusal::invalid(detail));
    }
    if !is_email(&new.email) {
        return Err(Refusal::invalid("email must be an e-mail address"));
    }
    let user = new_id();
    let mut tx = app.master.write().await?;
    refuse_taken(&app, &mut tx, &new).await?;
    sqlx::query("INSERT INTO users (id, username) VALUES (?, ?)")
        .bind(&user)
        .bind(&new.username)
        .execute(&mut *tx)
        .await
        .map_err(|error| match app.slips.has(Slip::Username500) {
            true => Refusal::Raw(error),
            false => error.into(),
        })?;
    tx = between(&app, tx).await?;
    sqlx::query("UPDATE users SET email = ? WHERE id = ?")
        .bind(&new.email)
        .bind(&user)
        .execute(&mut *tx)
        .await
        .map_err(email_is_taken)?;
    let key = NewKey::insert(&mut tx, &user).await?;
    tx.commit().await?;
    if app.slips.has(Slip::UserNotAtomic) {
        tokio::time::sleep(BETWEEN).await;
        app.engines.of(&user).await?;
    }
    created(json!({
        "user_id": user, "username": new.username, "email": new.email, "key_id": key.id, "api_key": key.secret,
    }))
}

async fn refuse_taken(app: &Service, tx: &mut Tx, new: &NewUser) -> Result<(), Refusal> {
    let statement = "SELECT EXISTS (SELECT 1 FROM users WHERE email = ?),
        EXISTS (SELECT 1 FROM users WHERE username = ?)";
    let (email, username): (bool, bool) = sqlx::query_as(statement)
        .bind(&new.email)
        .bind(&new.username)
        .fetch_one(&mut **tx)
        .await?;
    if email {
        return Err(Refusal::conflict("this e-mail address is taken"));
    }
    if username && !app.slips.has(Slip::Username500) {
        return Err(Refusal::conflict("this username is taken"));
    }
    Ok(())
}

/// The same transaction; or, with a slip, another one a little later.
async fn between(app: &Service, tx: Tx) -> Result<Tx, Refusal> {
    if !app.slips.has(Slip::UserNotAtomic) {
        return Ok(tx);
    }
    tx.commit().await?;
    tokio::time::sleep(BETWEEN).await;
    Ok(app.master.write().await?)
}

/// In one transaction nobody takes it meanwhile.
fn email_is_taken(error: sqlx::Error) -> Refusal {
    match error.as_database_error() {
        Some(cause) if cause.is_unique_violation() => {
            Refusal::conflict("this e-mail address is taken")
        }
        _ => error.into(),
    }
}

async fn me(State(app): State<App>, caller: Caller) -> Answer {
    let statement = "SELECT username, email FROM users WHERE id = ?";
    let (username, email): (String, String) = sqlx::query_as(statement)
        .bind(&caller.user)
        .fetch_one(&app.master.readers)
        .await?;
    // What a user begins with is made together with the file, whoever needs it first.
    ok(json!({
        "user_id": caller.user, "username": username, "email": email, "seed_status": "ready",
    }))
}
