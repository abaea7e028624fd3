//! Pages of proposals, of worlds and of dwellers alike: by status, from a cursor on, with the votes counted.

use serde_json::{Value, json};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::call::{Call, ok};
use super::errors::{Answer, Refusal};
use super::input::Input;
use super::server::App;

pub(super) const STATUSES: &[&str] = &["draft", "validating", "approved", "rejected"];

/// The queries for a page of one table, with what was voted in another.
pub(super) struct Listing {
    pub oldest_first: &'static str,
    pub newest_first: &'static str,
}

/// `listing!("proposals", "validations")`. The bounds are open to what no time is.
macro_rules! listing {
    ($table:literal, $votes:literal) => {
        Listing {
            oldest_first: listing!($table, $votes, ">", "''", "ASC"),
            newest_first: listing!($table, $votes, "<", "'~'", "DESC"),
        }
    };
    ($table:literal, $votes:literal, $beyond:literal, $bound:literal, $order:literal) => {
        concat!(
            "SELECT listed.*,
                    (SELECT COUNT(*) FROM ",
            $votes,
            " WHERE proposal_id = listed.id) AS votes,
                    (SELECT COUNT(*) FROM ",
            $votes,
            "
                     WHERE proposal_id = listed.id AND verdict = 'approve') AS approvals,
                    (SELECT COUNT(*) FROM ",
            $votes,
            "
                     WHERE proposal_id = listed.id AND verdict = 'reject') AS rejections
             FROM ",
            $table,
            " AS listed
             WHERE (CAST($1 AS TEXT) IS NULL OR status = $1)
               AND created_at ",
            $beyond,
            " COALESCE((SELECT created_at FROM ",
            $table,
            " WHERE id = $2), ",
            $bound,
            ")
             ORDER BY created_at ",
            $order,
            " LIMIT $3"
        )
    };
}
pub(super) use listing;

/// The page that the query asks for.
pub(super) async fn page(
    app: &App,
    call: &Call,
    listing: &Listing,
    item: fn(&AnyRow) -> Result<Value, Refusal>,
) -> Answer {
    let mut input = Input::without_body(call);
    let status = input.query_choice("status", STATUSES);
    let oldest_first = input.query_choice("sort", &["recent", "oldest"]) == Some("oldest");
    let limit = input.query_int("limit", 20, 1..=50);
    let cursor = input.query_id("cursor");
    input.finish()?;

    // An unknown cursor is no cursor, as in the original.
    let query = if oldest_first {
        listing.oldest_first
    } else {
        listing.newest_first
    };
    let mut rows = sqlx::query(query)
        .bind(status)
        .bind(cursor)
        .bind(limit + 1)
        .fetch_all(app.store.readers())
        .await?;
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = rows.len() > wanted;
    rows.truncate(wanted);
    let mut items = Vec::with_capacity(rows.len());
    for row in &rows {
        let mut item = item(row)?;
        item["validation_count"] = json!(row.try_get::<i64, _>("votes")?);
        item["approve_count"] = json!(row.try_get::<i64, _>("approvals")?);
        item["reject_count"] = json!(row.try_get::<i64, _>("rejections")?);
        items.push(item);
    }
    let next_cursor = match rows.last() {
        Some(last) if has_more => Some(last.try_get::<String, _>("id")?),
        _ => None,
    };
    ok(json!({ "items": items, "next_cursor": next_cursor }))
}
