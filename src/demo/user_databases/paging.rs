//! Lists that are shown a page at a time.

use serde::Deserialize;
use serde_json::{Value, json};

use super::errors::Refusal;

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

impl Paging {
    pub(super) fn check(&self) -> Result<(), Refusal> {
        if self.page == 0 {
            return Err(Refusal::invalid("pages are numbered from 1"));
        }
        if !(1..=LARGEST_PAGE).contains(&self.page_size) {
            return Err(Refusal::invalid("page_size must be 1 to 100"));
        }
        Ok(())
    }

    pub(super) fn limit(&self) -> i64 {
        self.page_size.into()
    }

    pub(super) fn offset(&self) -> i64 {
        i64::from(self.page - 1) * self.limit()
    }

    /// The page with these items, of so many.
    pub(super) fn page(&self, items: &[Value], total: i64) -> Value {
        let pages = (total + self.limit() - 1) / self.limit();
        json!({
            "items": items, "total": total, "page": self.page, "page_size": self.page_size, "pages": pages,
        })
    }
}
