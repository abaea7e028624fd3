//! Symbols: what a server invented, shown by the handle that it belongs to, so that two runs of one plan read the same
//! and no secret is ever shown.

use std::collections::BTreeMap;

use crate::model::Model;
use crate::model::action::{Actor, Picked};
use crate::model::mirror::Mirror;
use crate::model::types::Type;
use crate::model::value::{Handle, KindId, Value};

/// The names of the entities of one plan: `agent#1`, `world#2`, in the order in which they came into being.
#[derive(Clone, Debug, Default)]
pub struct HandleNames {
    names: BTreeMap<Handle, String>,
    counts: BTreeMap<KindId, usize>,
}

impl HandleNames {
    /// The names of all entities in a mirror.
    pub fn of(model: &Model, mirror: &Mirror) -> HandleNames {
        let mut names = HandleNames::default();
        for index in 0..model.kinds.len() {
            let kind = KindId(u16::try_from(index).unwrap_or(u16::MAX));
            for (handle, _) in mirror.all(kind) {
                names.add(model, handle);
            }
        }
        names
    }

    /// Names an entity, if it has no name yet.
    pub fn add(&mut self, model: &Model, handle: Handle) {
        if self.names.contains_key(&handle) {
            return;
        }
        let count = self.counts.entry(handle.kind).or_insert(0);
        *count += 1;
        let name = format!("{}#{count}", model.kind(handle.kind).name);
        self.names.insert(handle, name);
    }

    /// The name of an entity.
    pub fn get(&self, handle: Handle) -> String {
        match self.names.get(&handle) {
            Some(name) => name.clone(),
            None => format!("entity {handle}"),
        }
    }

    /// Who acts, as a name.
    pub fn actor(&self, actor: Actor) -> String {
        match actor {
            Actor::Entity(handle) => self.get(handle),
            Actor::Anyone => "anyone".into(),
            Actor::Nobody => "nobody (no credentials)".into(),
            Actor::Forged(handle) => format!("a stranger (credentials like those of {}, but nobody's)", self.get(handle)),
        }
    }

    /// What an action is about, as a name.
    pub fn picked(&self, picked: Picked, kind: &str) -> String {
        match picked {
            Picked::Entity(handle) => self.get(handle),
            Picked::Never => format!("a {kind} that never was"),
        }
    }
}

/// Replaces what a server invented by symbols, in texts.
#[derive(Clone, Debug, Default)]
pub struct Symbols {
    /// Raw texts and what is shown in their place; longest first.
    table: Vec<(String, String)>,
}

/// Texts shorter than this could stand for anything.
const SHORTEST: usize = 6;

impl Symbols {
    /// The symbols of a mirror: every text field that an answer or a run's mark made, and every secret.
    ///
    /// `mark` is the run's mark, which is taken out of what was made unique.
    pub fn of(model: &Model, mirror: &Mirror, names: &HandleNames, mark: &str) -> Symbols {
        let mut table: BTreeMap<String, String> = BTreeMap::new();
        for (index, kind) in model.kinds.iter().enumerate() {
            let id = KindId(u16::try_from(index).unwrap_or(u16::MAX));
            for (handle, record) in mirror.all(id) {
                for (field, value) in kind.fields.iter().zip(record.fields.iter()) {
                    let Value::Text(text) = value else { continue };
                    let secret = matches!(field.ty.bare(), Type::Secret);
                    let symbol = format!("‹{}.{}›", names.get(handle), field.name);
                    let opaque = text.len() >= SHORTEST && looks_invented(text);
                    if secret && !text.is_empty() || opaque && !text.contains(mark) {
                        table.entry(text.to_string()).or_insert(symbol);
                    }
                }
            }
        }
        let mut table: Vec<_> = table.into_iter().collect();
        if !mark.is_empty() {
            table.push((format!("-{mark}-"), "-".into()));
        }
        table.sort_by(|a, b| b.0.len().cmp(&a.0.len()).then_with(|| a.cmp(b)));
        Symbols { table }
    }

    /// The text with all that is known replaced. What looks like an id or a time and is not known becomes `‹uuid›` or
    /// `‹time›`.
    pub fn apply(&self, text: &str) -> String {
        let mut out = text.to_owned();
        for (raw, symbol) in &self.table {
            if out.contains(raw.as_str()) {
                out = out.replace(raw.as_str(), symbol);
            }
        }
        let out = UUID.replace_all(&out, "‹uuid›");
        TIME.replace_all(&out, "‹time›").into_owned()
    }

    /// Adds a text that must not be shown, such as an account's password.
    pub fn hide(&mut self, raw: &str, symbol: &str) {
        if !raw.is_empty() {
            self.table.insert(0, (raw.to_owned(), symbol.to_owned()));
        }
    }
}

static UUID: std::sync::LazyLock<regex::Regex> = std::sync::LazyLock::new(|| {
    // The pattern is a constant that compiles.
    regex::Regex::new(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")
        .expect("a constant pattern")
});

static TIME: std::sync::LazyLock<regex::Regex> = std::sync::LazyLock::new(|| {
    // The pattern is a constant that compiles.
    regex::Regex::new(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:?\d{2})?")
        .expect("a constant pattern")
});

/// Whether a text is an id, a token or a time rather than a word: it has a digit, and no spaces.
fn looks_invented(text: &str) -> bool {
    text.chars().any(|c| c.is_ascii_digit()) && !text.contains(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_ids_and_times_are_shown_by_their_sort() {
        let symbols = Symbols::default();
        assert_eq!(
            symbols.apply(r#"{"id":"1b4e28ba-2fa1-41d2-883f-0016d3cca427","at":"2026-11-20T10:11:12.5Z"}"#),
            r#"{"id":"‹uuid›","at":"‹time›"}"#
        );
    }
}
