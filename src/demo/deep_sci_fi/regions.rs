//! The regions of a world. Anybody may add one; region aspects add theirs on approval, just as they are.

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use serde_json::{Value, json};
use sqlx::Row;

use super::bugs::Bug;
use super::call::{Agent, Call, JsonCall, ok};
use super::errors::{Answer, Refusal};
use super::input::Input;
use super::notifications::notify;
use super::server::App;
use super::store::{Columns, Tx};
use super::worlds::world_row;

/// How many agents hear of a world that can be peopled.
const AUDIENCE: i64 = 50;

pub(super) fn routes() -> Router<App> {
    Router::new().route(
        "/api/dwellers/worlds/{world_id}/regions",
        post(add).get(list),
    )
}

async fn add(State(app): State<App>, JsonCall(call): JsonCall) -> Answer {
    let agent = call.agent(&app).await?;
    let mut input = Input::with_body(&call);
    let world = input.id("world_id");
    let name = input.text("name", 1..=100);
    let region = json!({
        "name": name,
        "location": input.text("location", 1..=usize::MAX),
        "population_origins": input.texts_or_empty("population_origins"),
        "cultural_blend": input.text("cultural_blend", 20..=usize::MAX),
        "naming_conventions": input.text("naming_conventions", 30..=usize::MAX),
        "language": input.text("language", 10..=usize::MAX),
    });
    input.finish()?;

    let mut tx = app.store.write().await?;
    let row = world_row(&mut tx, &world).await?;
    let regions = regions_of(&mut tx, &world).await?;
    let is_known = if app.bugs.has(Bug::RegionCaseSensitive) {
        regions
            .iter()
            .any(|known| region_name(known) == Some(&name))
    } else {
        named(&regions, &name).is_some()
    };
    if is_known {
        return Err(Refusal::bad(
            &format!("Region '{name}' already exists"),
            "Choose another name.",
        ));
    }
    if app.bugs.has(Bug::RegionsLost) {
        tx = app.store.let_go(tx).await?;
        write_back(&mut tx, &world, &regions).await?;
    }
    append(&mut tx, &world, regions.len(), &region).await?;
    if regions.is_empty() {
        let news = json!({ "world_name": row.try_get::<String, _>("name")?, "region": name });
        announce(&mut tx, &world, &agent, &news).await?;
    }
    tx.commit().await?;
    ok(json!({ "region": region, "world_id": world, "total_regions": regions.len() + 1 }))
}

async fn list(State(app): State<App>, call: Call) -> Answer {
    let mut input = Input::without_body(&call);
    let id = input.id("world_id");
    input.finish()?;

    let mut tx = app.store.snapshot().await?;
    let world = world_row(&mut tx, &id).await?;
    ok(json!({
        "world_id": id,
        "world_name": world.try_get::<String, _>("name")?,
        "year_setting": world.try_get::<i64, _>("year_setting")?,
        "regions": regions_of(&mut tx, &id).await?,
    }))
}

/// With its first region a world can be peopled, and other agents who want such news hear of it.
async fn announce(
    tx: &mut Tx,
    world: &str,
    agent: &Agent,
    news: &Value,
) -> Result<(), sqlx::Error> {
    let others = sqlx::query(
        "SELECT id FROM users WHERE id <> $1 AND platform_notifications <> 0 ORDER BY created_at DESC LIMIT $2",
    )
    .bind(&agent.id)
    .bind(AUDIENCE)
    .fetch_all(&mut **tx)
    .await?;
    for other in &others {
        let other: String = other.try_get("id")?;
        notify(tx, &other, "world_inhabitable", ("world", world), news).await?;
    }
    Ok(())
}

/// The regions of a world, in the order they were added.
pub(super) async fn regions_of(tx: &mut Tx, world: &str) -> Result<Vec<Value>, Refusal> {
    let rows = sqlx::query("SELECT details FROM regions WHERE world_id = $1 ORDER BY position")
        .bind(world)
        .fetch_all(&mut **tx)
        .await?;
    rows.iter().map(|row| row.document("details")).collect()
}

/// Appends to a world that has `count` regions so far.
pub(super) async fn append(
    tx: &mut Tx,
    world: &str,
    count: usize,
    region: &Value,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO regions (world_id, position, details) VALUES ($1, $2, $3)")
        .bind(world)
        .bind(i64::try_from(count).unwrap_or(i64::MAX))
        .bind(region.to_string())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Replaces all the regions of a world.
async fn write_back(tx: &mut Tx, world: &str, regions: &[Value]) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM regions WHERE world_id = $1")
        .bind(world)
        .execute(&mut **tx)
        .await?;
    for (count, region) in regions.iter().enumerate() {
        append(tx, world, count, region).await?;
    }
    Ok(())
}

/// The region of that name, in any case. What an aspect brought need not have a name that is text.
pub(super) fn named<'r>(regions: &'r [Value], name: &str) -> Option<&'r Value> {
    let name = name.to_lowercase();
    regions
        .iter()
        .find(|region| region_name(region).is_some_and(|known| known.to_lowercase() == name))
}

pub(super) fn region_name(region: &Value) -> Option<&str> {
    region["name"].as_str()
}

/// 400 for a name that [`named`] does not know.
pub(super) fn unknown_region(name: &str, regions: &[Value]) -> Refusal {
    let known: Vec<&str> = regions.iter().filter_map(region_name).collect();
    Refusal::bad(
        &format!("Region '{name}' not found in this world"),
        &format!("Available: {}", known.join(", ")),
    )
}
