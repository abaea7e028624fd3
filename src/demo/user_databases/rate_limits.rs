//! `/rate-limits`: how fast a provider may be asked. There is one limit for all users, and every user may change it.

use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::credentials::Caller;
use super::errors::{Answer, Refusal, ok};
use super::service::App;
use super::slips::Slip;
use super::users::is_name;
use crate::demo::sqlite::Tx;

const MOST_CONCURRENT: i64 = 50;
const LONGEST_DELAY: f64 = 300.0;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/rate-limits", get(list))
        .route("/rate-limits/{name}", get(read).put(change))
}

/// Whoever may ask here: any user, or, with a slip, anybody.
struct Allowed {
    /// Kept for its `Drop`.
    _caller: Option<Caller>,
}

impl FromRequestParts<App> for Allowed {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refusal> {
        let _caller = match app.slips.has(Slip::NoAuthRateLimits) {
            true => None,
            false => Some(Caller::from_request_parts(parts, app).await?),
        };
        Ok(Self { _caller })
    }
}

/// Its name, how many requests may run at once, and how many seconds are between two.
type Limit = (String, i64, f64);

fn shown((name, max_concurrent, min_delay_seconds): &Limit) -> Value {
    json!({
        "name": name, "max_concurrent": max_concurrent, "min_delay_seconds": min_delay_seconds,
        "in_flight": 0, "last_request_time": null,
    })
}

async fn find(tx: &mut Tx, name: &str) -> Result<Option<Limit>, sqlx::Error> {
    let statement =
        "SELECT name, max_concurrent, min_delay_seconds FROM rate_limits WHERE name = ?";
    sqlx::query_as(statement)
        .bind(name)
        .fetch_optional(&mut **tx)
        .await
}

async fn list(State(app): State<App>, _allowed: Allowed) -> Answer {
    let statement = "SELECT name, max_concurrent, min_delay_seconds FROM rate_limits ORDER BY name";
    let rows: Vec<Limit> = sqlx::query_as(statement)
        .fetch_all(&app.master.readers)
        .await?;
    let providers: Vec<Value> = rows.iter().map(shown).collect();
    ok(json!({ "providers": providers }))
}

async fn read(State(app): State<App>, _allowed: Allowed, Path(name): Path<String>) -> Answer {
    let mut tx = app.master.read().await?;
    let limit = find(&mut tx, &name).await?;
    ok(shown(&limit.ok_or_else(|| Refusal::absent("provider"))?))
}

#[derive(Deserialize)]
struct Change {
    max_concurrent: Option<i64>,
    min_delay_seconds: Option<f64>,
}

impl Change {
    fn check(&self) -> Result<(), Refusal> {
        let concurrent = self.max_concurrent.unwrap_or(1);
        if !(1..=MOST_CONCURRENT).contains(&concurrent) {
            return Err(Refusal::invalid("max_concurrent must be 1 to 50"));
        }
        let delay = self.min_delay_seconds.unwrap_or(0.0);
        if !(0.0..=LONGEST_DELAY).contains(&delay) {
            return Err(Refusal::invalid("min_delay_seconds must be 0 to 300"));
        }
        Ok(())
    }
}

/// Changes what is given; where there is no limit yet, the rest is 10 at once and no delay.
async fn change(
    State(app): State<App>,
    _allowed: Allowed,
    Path(name): Path<String>,
    change: Result<Json<Change>, JsonRejection>,
) -> Answer {
    let Json(change) = change?;
    change.check()?;
    if !is_name(&name) {
        let detail = "a provider must be 1 to 64 letters, digits, `_`, `.` or `-`";
        return Err(Refusal::invalid(detail));
    }
    let mut tx = app.master.write().await?;
    let before = find(&mut tx, &name).await?;
    let (name, max_concurrent, min_delay_seconds) = before.unwrap_or((name, 10, 0.0));
    let limit = (
        name,
        change.max_concurrent.unwrap_or(max_concurrent),
        change.min_delay_seconds.unwrap_or(min_delay_seconds),
    );
    let statement = "INSERT OR REPLACE INTO rate_limits (name, max_concurrent, min_delay_seconds) VALUES (?, ?, ?)";
    sqlx::query(statement)
        .bind(&limit.0)
        .bind(limit.1)
        .bind(limit.2)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    ok(shown(&limit))
}
