//! What can be revised by suggestion: the fields of proposals and aspects that take a suggested value.

use serde_json::{Value, json};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::bugs::Bug;
use super::errors::Refusal;
use super::server::App;
use super::store::{Columns, Tx, now};

/// A kind of work, and where it is kept.
pub(super) struct Target {
    pub name: &'static str,
    entity: &'static str,
    select: &'static str,
    pub fields: &'static [Field],
}

pub(super) struct Field {
    pub name: &'static str,
    kind: Kind,
    update: &'static str,
}

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Year,
    Document,
}

macro_rules! field {
    ($table:literal, $name:literal, $kind:ident) => {
        Field {
            name: $name,
            kind: Kind::$kind,
            update: concat!(
                "UPDATE ",
                $table,
                " SET ",
                $name,
                " = $1, updated_at = $2 WHERE id = $3"
            ),
        }
    };
}

pub(super) const PROPOSAL: Target = Target {
    name: "proposal",
    entity: "Proposal",
    select: "SELECT * FROM proposals WHERE id = $1",
    fields: &[
        field!("proposals", "premise", Text),
        field!("proposals", "causal_chain", Document),
        field!("proposals", "scientific_basis", Text),
        field!("proposals", "name", Text),
        field!("proposals", "year_setting", Year),
    ],
};

pub(super) const ASPECT: Target = Target {
    name: "aspect",
    entity: "Aspect",
    select: "SELECT * FROM aspects WHERE id = $1",
    fields: &[
        field!("aspects", "premise", Text),
        field!("aspects", "content", Document),
        field!("aspects", "canon_justification", Text),
        field!("aspects", "title", Text),
        field!("aspects", "aspect_type", Text),
    ],
};

impl Target {
    pub(super) fn named(name: &str) -> &'static Self {
        if name == PROPOSAL.name {
            &PROPOSAL
        } else {
            &ASPECT
        }
    }

    pub(super) fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The proposal or aspect, or 404.
    pub(super) async fn row(&self, tx: &mut Tx, id: &str) -> Result<AnyRow, Refusal> {
        sqlx::query(self.select)
            .bind(id)
            .fetch_optional(&mut **tx)
            .await?
            .ok_or_else(|| Refusal::absent(self.entity, id))
    }
}

impl Field {
    pub(super) fn value(&self, row: &AnyRow) -> Result<Value, Refusal> {
        Ok(match self.kind {
            Kind::Text => json!(row.try_get::<String, _>(self.name)?),
            Kind::Year => json!(row.try_get::<i64, _>(self.name)?),
            Kind::Document => row.document(self.name)?,
        })
    }

    /// Writes the value as it is. No length or range is checked, as in the original, but a column takes only what
    /// reads can make sense of.
    pub(super) async fn write(
        &self,
        app: &App,
        tx: &mut Tx,
        id: &str,
        value: &Value,
    ) -> Result<(), Refusal> {
        let misfit = || {
            Refusal::bad(
                &format!("The suggested value does not fit {}", self.name),
                "Reject the suggestion.",
            )
        };
        let update = sqlx::query(self.update);
        let update = match self.kind {
            _ if app.bugs.has(Bug::SuggestionWrittenAsText) => {
                update.bind(value.as_str().unwrap_or_default().to_owned())
            }
            Kind::Text => {
                let text = value.as_str().filter(|text| !text.contains('\0'));
                update.bind(text.ok_or_else(misfit)?.to_owned())
            }
            Kind::Year => {
                let year = value.as_i64().and_then(|year| i32::try_from(year).ok());
                update.bind(i64::from(year.ok_or_else(misfit)?))
            }
            Kind::Document => update.bind(value.to_string()),
        };
        update.bind(now()).bind(id).execute(&mut **tx).await?;
        Ok(())
    }
}
