//! The access matrix as people read it: a line for each rule, a column for each identity.

use crate::check::{Access, Cell, Identity};
use crate::model::Model;

use super::paint::{Style, inert};

/// The widest column of names.
const WIDEST: usize = 40;

/// Who tried what, and what came of it.
pub fn access(model: &Model, access: &Access, style: Style) -> String {
    let rows: Vec<Vec<(Identity, Cell)>> = (0..model.rules.len())
        .map(|rule| access.of(rule).collect())
        .collect();
    let shown = |identity: &Identity| rows.iter().flatten().any(|(of, _)| of == identity);
    let columns: Vec<Identity> = Identity::ALL.into_iter().filter(shown).collect();
    let names = model.rules.iter().map(|rule| rule.name.chars().count());
    let first = names.max().unwrap_or(0).min(WIDEST);
    let text = |row: &[(Identity, Cell)], identity: Identity| {
        let cell = row.iter().find(|(of, _)| *of == identity);
        cell.map_or(String::new(), |(_, cell)| written(*cell))
    };
    let width = |identity: &Identity| {
        let cells = rows.iter().map(|row| text(row, *identity).chars().count());
        cells
            .max()
            .unwrap_or(0)
            .max(identity.name().chars().count())
    };
    let widths: Vec<usize> = columns.iter().map(width).collect();
    let mut out = String::from(
        "\nAs whom each rule was tried: +N allowed, -N refused, !N neither of these as the model says, ? not tried.\n",
    );
    let mut line = format!("  {:first$}", "");
    for (identity, width) in columns.iter().zip(&widths) {
        line.push_str(&format!("  {:>width$}", identity.name()));
    }
    out.push_str(&style.bold(&line));
    out.push('\n');
    for (rule, row) in model
        .rules
        .iter()
        .zip(&rows)
        .filter(|(_, row)| !row.is_empty())
    {
        out.push_str(&format!("  {:first$}", inert(&rule.name)));
        for (identity, width) in columns.iter().zip(&widths) {
            let cell = format!("  {:>width$}", text(row, *identity));
            out.push_str(&match cell.contains('!') {
                true => style.bad(&cell),
                false => cell,
            });
        }
        out.truncate(out.trim_end_matches(' ').len());
        out.push('\n');
    }
    out
}

fn written(cell: Cell) -> String {
    if !cell.tried() {
        return "?".to_owned();
    }
    let counts = [
        ('+', cell.allowed),
        ('-', cell.refused),
        ('!', cell.violated),
    ];
    let counts = counts.into_iter().filter(|(_, count)| *count > 0);
    counts
        .map(|(sign, count)| format!("{sign}{count}"))
        .collect()
}
