//! Stages as a state diagram in Mermaid, which Markdown viewers draw and which can be read as it stands.

use std::fmt;

use super::{Stages, State};

/// What a line of a diagram may begin with to mean something else. Mermaid ignores case.
const KEYWORDS: &[&str] = &[
    "acc",
    "class",
    "click",
    "default",
    "direction",
    "hide",
    "href",
    "is_",
    "note",
    "root",
    "scale",
    "state",
    "style",
];

impl fmt::Display for Stages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "stateDiagram-v2")?;
        for state in &self.states {
            let (id, name) = (self.id(state), self.name(state));
            if id != name {
                writeln!(f, "    state \"{}\" as {id}", escaped(&name))?;
            }
        }
        for arrow in &self.arrows {
            let (from, to) = (self.id(&arrow.from), self.id(&arrow.to));
            let labels: Vec<String> = arrow.labels.iter().map(|label| readable(label)).collect();
            writeln!(f, "    {from} --> {to}: {}", labels.join(", "))?;
        }
        Ok(())
    }
}

impl Stages {
    /// What a state is called within the diagram: by its value, where that is a plain word.
    fn id(&self, state: &State) -> String {
        match state {
            State::Start | State::Gone => "[*]".to_owned(),
            State::Null => "is_null".to_owned(),
            State::Set => "is_set".to_owned(),
            State::Text(text) if is_plain(text) => text.to_string(),
            State::Text(_) => {
                let before = self.states.iter().take_while(|other| *other != state);
                format!("state_{}", before.count() + 1)
            }
        }
    }

    fn name(&self, state: &State) -> String {
        match state {
            State::Start | State::Gone => "[*]".to_owned(),
            State::Null => format!("{} is null", self.field),
            State::Set => format!("{} is set", self.field),
            State::Text(text) if text.is_empty() => "(empty)".to_owned(),
            State::Text(text) => text.to_string(),
        }
    }
}

fn is_plain(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !KEYWORDS.iter().any(|keyword| lower.starts_with(keyword))
}

/// A label in which strings have the other quotes, if that can be, so that it needs no escapes.
fn readable(label: &str) -> String {
    match label.contains('\'') {
        true => escaped(label),
        false => escaped(&label.replace('"', "'")),
    }
}

/// A text without what ends a text in Mermaid, begins a comment or could be HTML.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' => escaped.push_str("#quot;"),
            '#' | ':' | ';' | '`' => escaped.push_str(&format!("#{};", u32::from(c))),
            '<' if !matches!(chars.peek(), Some(' ' | '=')) => escaped.push_str("#lt;"),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}
