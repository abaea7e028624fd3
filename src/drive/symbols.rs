//! Symbols: what a server invented, shown by the handle that it belongs to, so that two runs of one plan read the same
//! and no secret is ever shown.

use std::collections::BTreeMap;

use super::disguises::{self, SHORTEST};
use super::jar::Jars;
pub(crate) use super::render::truncated;
use crate::generate::{Plan, Step};

use crate::model::action::{Actor, Forgery, Picked};
use crate::model::mirror::Mirror;
use crate::model::template::Template;
use crate::model::value::{Handle, KindId, Value};
use crate::model::{Effect, Model};

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

    /// Calls what a plan names, and a race did not make, by the name of what came about in its stead.
    pub fn stand_ins(&mut self, plan: &Plan, mirror: &Mirror) {
        for handle in plan.all().flat_map(Step::names) {
            if let Some(there) = plan.stand_in(mirror, handle)
                && let Some(name) = self.names.get(&there).cloned()
            {
                self.names.entry(handle).or_insert(name);
            }
        }
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
            Actor::Entity(handle) | Actor::Other(handle) => self.get(handle),
            Actor::Anyone => "anyone".into(),
            Actor::Nobody => "nobody (no credentials)".into(),
            Actor::Forged(handle, forgery) => {
                let whose = self.get(handle);
                match forgery {
                    Forgery::Unknown => {
                        format!("a stranger (credentials like those of {whose}, but nobody's)")
                    }
                    Forgery::Truncated => {
                        format!("a stranger (the first half of the credentials of {whose})")
                    }
                    Forgery::Old => {
                        format!("somebody with the credentials that {whose} had before")
                    }
                    Forgery::Tokenless => format!("{whose}, without the token against forgery"),
                    Forgery::WrongToken => {
                        format!("{whose}, with a token against forgery that nobody was shown")
                    }
                    Forgery::Malformed => {
                        "a stranger (credentials of no form that there is)".to_owned()
                    }
                }
            }
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
    /// Whole numbers that stand for entities: the number, the kind and the field, and what is shown in its place.
    numbers: Vec<(i64, String, String, String)>,
}

impl Symbols {
    /// The symbols of a mirror: every text field that an answer or a run's mark made, and every secret.
    ///
    /// `mark` is the run's mark, which is taken out of what was made unique.
    pub fn of(model: &Model, mirror: &Mirror, names: &HandleNames, mark: &str) -> Symbols {
        let mut table: BTreeMap<String, String> = BTreeMap::new();
        let mut numbers = Vec::new();
        for (index, kind) in model.kinds.iter().enumerate() {
            let id = KindId(u16::try_from(index).unwrap_or(u16::MAX));
            for (handle, record) in mirror.all(id) {
                for (position, (field, value)) in
                    kind.fields.iter().zip(record.fields.iter()).enumerate()
                {
                    let secret = field.ty.is_secret();
                    let symbol = format!("‹{}.{}›", names.get(handle), field.name);
                    let key = kind.key == Some(position);
                    let invented = || learned(model, id, position);
                    if let Value::Int(int) = value
                        && (key || int.unsigned_abs() >= LARGE && invented())
                    {
                        numbers.push((*int, kind.name.clone(), field.name.clone(), symbol.clone()));
                    }
                    for text in texts(value, secret) {
                        let word = !looks_invented(text);
                        let opaque = text.len() >= SHORTEST
                            && (!word || key && !text.contains(' ') && invented());
                        let marked = !mark.is_empty() && text.contains(mark);
                        if secret {
                            for form in disguises::all(text) {
                                table.entry(form).or_insert_with(|| symbol.clone());
                            }
                        }
                        if secret {
                            // Half of a secret is none, and still nothing to show.
                            let half = truncated(text);
                            if half.len() >= SHORTEST {
                                let symbol = symbol.replace('›', ", half of it›");
                                table.entry(half).or_insert(symbol);
                            }
                        }
                        if secret && !text.is_empty() || opaque && !marked {
                            // What is secret anywhere is called so everywhere.
                            if secret || !table.contains_key(text) {
                                table.insert(text.to_owned(), symbol.clone());
                            }
                        }
                    }
                }
            }
        }
        let mut table: Vec<_> = table.into_iter().collect();
        if !mark.is_empty() {
            table.push((format!("-{mark}-"), "-".into()));
        }
        table.sort_by(|a, b| b.0.len().cmp(&a.0.len()).then_with(|| a.cmp(b)));
        Symbols { table, numbers }
    }

    /// The text with all that is known replaced. What looks like an id or a time and is not known becomes `‹uuid›` or
    /// `‹time›`.
    pub fn apply(&self, text: &str) -> String {
        let mut out = text.to_owned();
        for (raw, symbol) in &self.table {
            if raw.len() >= SHORTEST && out.contains(raw.as_str()) {
                out = out.replace(raw.as_str(), symbol);
            } else if raw.len() < SHORTEST && out.contains(raw.as_str()) {
                out = replace_alone(&out, raw, symbol);
            }
        }
        let out = UUID.replace_all(&out, "‹uuid›");
        TIME.replace_all(&out, "‹time›").into_owned()
    }

    /// A text that a server sent: beside what [`Symbols::apply`] replaces, tokens that nobody learned and seconds or
    /// milliseconds since 1970.
    pub fn apply_to_answer(&self, text: &str) -> String {
        let out = self.apply(text);
        let out = EPOCH.replace_all(&out, "‹time›");
        let out = TOKEN.replace_all(&out, |found: &regex::Captures<'_>| {
            let text = &found[0];
            let token = text.bytes().any(|b| b.is_ascii_digit())
                && text.bytes().any(|b| b.is_ascii_alphabetic());
            match token {
                true => "‹token›".to_owned(),
                false => text.to_owned(),
            }
        });
        out.into_owned()
    }

    /// JSON that a server sent, with all that is known replaced. What stands under a name such as `password` is not
    /// shown, learned or not.
    pub fn apply_to_json(&self, json: &serde_json::Value) -> serde_json::Value {
        self.json("", json)
    }

    fn json(&self, name: &str, json: &serde_json::Value) -> serde_json::Value {
        use serde_json::Value as Json;
        match json {
            Json::String(text) => {
                let shown = self.apply_to_answer(text);
                match shown == *text && text.len() >= SHORTEST && is_secret_name(name) {
                    true => "‹hidden›".into(),
                    false => shown.into(),
                }
            }
            Json::Number(number) => self.number(name, number),
            Json::Array(items) => items.iter().map(|item| self.json(name, item)).collect(),
            Json::Object(map) => map
                .iter()
                .map(|(name, value)| (self.apply_to_answer(name), self.json(name, value)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
            other => other.clone(),
        }
    }

    fn number(&self, name: &str, number: &serde_json::Number) -> serde_json::Value {
        let shown = self.apply_to_answer(&number.to_string());
        if shown.contains('‹') {
            return shown.into();
        }
        let Some(int) = number.as_i64() else {
            return number.clone().into();
        };
        let mut same = self.numbers.iter().filter(|(n, ..)| *n == int);
        let by_kind = same
            .clone()
            .find(|(_, kind, ..)| name.strip_suffix("_id") == Some(kind));
        let by_field = same.find(|(_, _, field, _)| field == name);
        match by_kind.or(by_field) {
            Some((.., symbol)) => symbol.as_str().into(),
            None => number.clone().into(),
        }
    }

    /// Whether a number is shown by this symbol.
    pub fn has_number(&self, symbol: &str) -> bool {
        self.numbers.iter().any(|(.., known)| known == symbol)
    }

    /// Hides what the server told principals alone, such as their cookies, and what forgers make of it. What is too short
    /// to be a secret stays.
    pub fn hide_told(&mut self, jars: &Jars, names: &HandleNames) {
        for told in jars.told() {
            let whose = names.get(told.whose);
            let half = truncated(&told.value);
            for (raw, note) in [(&told.value, ""), (&half, ", half of it")] {
                if raw.len() >= SHORTEST {
                    self.hide(raw, &format!("‹{whose}.{}{note}›", told.what));
                }
            }
        }
    }

    /// Adds a text that must not be shown, such as an account's password.
    pub fn hide(&mut self, raw: &str, symbol: &str) {
        for form in disguises::with_itself(raw) {
            if !form.is_empty() && !self.table.iter().any(|(known, _)| *known == form) {
                let at = self
                    .table
                    .partition_point(|(known, _)| known.len() > form.len());
                self.table.insert(at, (form, symbol.to_owned()));
            }
        }
    }
}

/// Numbers below this are counts, more likely than ids or times.
const LARGE: u64 = 10_000;

/// Whether a field gets its value from answers.
fn learned(model: &Model, kind: KindId, field: usize) -> bool {
    model.effects().any(|effect| match effect {
        Effect::Create {
            kind: made, fields, ..
        } => {
            let template = fields.get(field).and_then(Option::as_ref);
            *made == kind && template.is_some_and(Template::needs_answer)
        }
        Effect::Set { place, value } => {
            place.kind == Some(kind) && place.field == field && value.needs_answer()
        }
        _ => false,
    })
}

/// The texts in a value: its own, and, of a secret, those within lists and maps too.
pub(crate) fn texts(value: &Value, deep: bool) -> Vec<&str> {
    match value {
        Value::Text(text) => vec![text],
        Value::List(items) if deep => items.iter().flat_map(|v| texts(v, deep)).collect(),
        Value::Map(map) if deep => map
            .iter()
            .flat_map(|(k, v)| [texts(k, deep), texts(v, deep)].concat())
            .collect(),
        _ => Vec::new(),
    }
}

/// Replaces a short text where no letter or digit touches it: within words it would turn up by chance.
fn replace_alone(text: &str, raw: &str, symbol: &str) -> String {
    let mut out = String::new();
    let mut from = 0;
    for (at, _) in text.match_indices(raw) {
        let before = text[..at].chars().next_back();
        let after = text[at + raw.len()..].chars().next();
        if !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric) {
            out.push_str(&text[from..at]);
            out.push_str(symbol);
            from = at + raw.len();
        }
    }
    out.push_str(&text[from..]);
    out
}

/// Whether a name says that what it names is for nobody else.
pub(crate) fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace(['-', '_'], "");
    [
        "password",
        "passwd",
        "secret",
        "token",
        "apikey",
        "credential",
        "authorization",
        "cookie",
        "privatekey",
    ]
    .iter()
    .any(|word| name.contains(word))
}

static UUID: std::sync::LazyLock<regex::Regex> = std::sync::LazyLock::new(|| {
    // The pattern is a constant that compiles.
    regex::Regex::new(
        r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}",
    )
    .expect("a constant pattern")
});

static TIME: std::sync::LazyLock<regex::Regex> = std::sync::LazyLock::new(|| {
    // The pattern is a constant that compiles.
    regex::Regex::new(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:?\d{2})?")
        .expect("a constant pattern")
});

static EPOCH: std::sync::LazyLock<regex::Regex> = std::sync::LazyLock::new(|| {
    // The pattern is a constant that compiles. From 2017 to 2033, in seconds, milliseconds or microseconds.
    regex::Regex::new(r"\b1[5-9]\d{8}(\.\d+|\d{3}|\d{6})?\b").expect("a constant pattern")
});

static TOKEN: std::sync::LazyLock<regex::Regex> = std::sync::LazyLock::new(|| {
    // The pattern is a constant that compiles.
    regex::Regex::new(r"[A-Za-z0-9_+/=.-]{24,}").expect("a constant pattern")
});

/// The text with a sign in the place of every time in it.
pub(crate) fn without_times(text: &str) -> String {
    let text = TIME.replace_all(text, "‹time›");
    EPOCH.replace_all(&text, "‹time›").into_owned()
}

/// Whether a text is an id, a token or a time rather than a word: it has a digit, and no spaces.
pub(crate) fn looks_invented(text: &str) -> bool {
    text.chars().any(|c| c.is_ascii_digit()) && !text.contains(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_ids_and_times_are_shown_by_their_sort() {
        let symbols = Symbols::default();
        assert_eq!(
            symbols.apply(
                r#"{"id":"1b4e28ba-2fa1-41d2-883f-0016d3cca427","at":"2026-11-20T10:11:12.5Z"}"#
            ),
            r#"{"id":"‹uuid›","at":"‹time›"}"#
        );
    }

    #[test]
    fn a_short_secret_is_hidden_where_it_stands_alone() {
        let mut symbols = Symbols::default();
        symbols.hide("no", "‹user#1.pin›");
        assert_eq!(
            symbols.apply("nobody knows: no, \"no\""),
            "nobody knows: ‹user#1.pin›, \"‹user#1.pin›\""
        );
    }

    #[test]
    fn what_nobody_learned_is_not_shown_either() {
        let symbols = Symbols::default();
        let json = serde_json::json!({
            "api_key": "dsf_x1Y2z", "at": 1_732_000_000_123_i64, "trace": "a1b2c3d4e5f6a7b8c9d0e1f2a3b4", "count": 3,
            "dashes": "------------------------------"
        });
        assert_eq!(
            symbols.apply_to_json(&json),
            serde_json::json!({
                "api_key": "‹hidden›", "at": "‹time›", "trace": "‹token›", "count": 3,
                "dashes": "------------------------------"
            })
        );
    }
}
