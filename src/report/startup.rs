//! What came of a start-up rule, as people read it.

use crate::drive::{Misstart, Startup};

use super::paint::{Style, inert};

/// One line, and where the rule was broken what it was.
pub fn startup(rule: &Startup, found: Option<&Misstart>, style: Style) -> String {
    let mut changes: Vec<String> = rule.serve.unset.iter().map(|n| format!("no {n}")).collect();
    changes.extend(rule.changed.iter().map(|name| format!("another {name}")));
    let must = match rule.starts {
        true => "must start",
        false => "must not start",
    };
    let (sign, came) = match found {
        None => (style.good("✓"), String::new()),
        Some(misstart) => (style.bad("✗"), format!(": {misstart}")),
    };
    let text = format!(
        "{sign} start-up, {}: with {} the server {must}{}",
        inert(&rule.name),
        inert(&changes.join(", ")),
        inert(&came)
    );
    style.wrap(&text, "", "  ")
}
