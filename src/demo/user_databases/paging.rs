//! Lists that are shown a page at a time.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::FromRow;
use sqlx::sqlite::SqliteRow;

use super::errors::{Answer, Refusal, ok};
use super::service::App;
use crate::demo::sqlite::Database;

const LARGEST_PAGE: u32 = 100;

/// Which page is asked for.
#[derive(Deserialize)]
pub(super) struct Paging {
    #[serde(default = "first")]
    page: u32,
    #[serde(default = "usual")]
    page_size: u32,
}

fn first() -> u32 {
    1
}

fn usual() -> u32 {
    20
}

impl FromRequestParts<App> for Paging {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refusal> {
        let Query(paging) = Query::<Self>::from_request_parts(parts, app).await?;
        if paging.page == 0 {
            return Err(Refusal::invalid("pages are numbered from 1"));
        }
        if !(1..=LARGEST_PAGE).contains(&paging.page_size) {
            return Err(Refusal::invalid("page_size must be 1 to 100"));
        }
        Ok(paging)
    }
}

impl Paging {
    /// The page of the rows that `listed` selects, with a limit and an offset, and how many `counted` says there are.
    pub(super) async fn answer<R>(
        &self,
        database: &Database,
        counted: &'static str,
        listed: &'static str,
        shown: impl Fn(&R) -> Value,
    ) -> Answer
    where
        R: for<'r> FromRow<'r, SqliteRow> + Send + Unpin,
    {
        let size = i64::from(self.page_size);
        let mut tx = database.read().await?;
        let total: i64 = sqlx::query_scalar(counted).fetch_one(&mut *tx).await?;
        let rows: Vec<R> = sqlx::query_as(listed)
            .bind(size)
            .bind(i64::from(self.page - 1) * size)
            .fetch_all(&mut *tx)
            .await?;
        let items: Vec<Value> = rows.iter().map(shown).collect();
        ok(json!({
            "items": items, "total": total, "page": self.page, "page_size": self.page_size,
            "pages": (total + size - 1) / size,
        }))
    }
}
