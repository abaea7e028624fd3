//! Words of bash: quoted, so that whatever is in them stays text, and with variables where they belong.

use super::paint::is_unsafe;

/// A text in which variables stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Literal(String),
    Variable(String),
}

/// Puts a variable wherever its text stands; with `alone` only where no letter or digit touches it.
pub(super) fn split_at(text: &str, raw: &str, name: &str, alone: bool, out: &mut Vec<Piece>) {
    let mut from = 0;
    for (at, _) in text.match_indices(raw) {
        let before = text[..at].chars().next_back();
        let after = text[at + raw.len()..].chars().next();
        let touched =
            before.is_some_and(char::is_alphanumeric) || after.is_some_and(char::is_alphanumeric);
        if alone && touched {
            continue;
        }
        if from < at {
            out.push(Piece::Literal(text[from..at].to_owned()));
        }
        out.push(Piece::Variable(name.to_owned()));
        from = at + raw.len();
    }
    if from < text.len() {
        out.push(Piece::Literal(text[from..].to_owned()));
    }
}

/// The name of a shell variable: `agent#1_api_key` → `AGENT_1_API_KEY`.
pub(super) fn variable(text: &str) -> String {
    let mut name = String::new();
    for c in text.chars() {
        match c {
            c if c.is_ascii_alphanumeric() => name.push(c.to_ascii_uppercase()),
            _ if name.ends_with('_') => {}
            _ => name.push('_'),
        }
    }
    match name.starts_with(|c: char| c.is_ascii_digit()) {
        true => format!("_{name}"),
        false => name,
    }
}

/// A word of the shell, whatever is in it.
pub(super) fn quote(pieces: &[Piece]) -> String {
    let plain = |text: &str| {
        let harmless = |c: char| !is_unsafe(c) && !matches!(c, '"' | '$' | '`' | '\\' | '!');
        text.chars().all(harmless)
    };
    let variables = pieces.iter().any(|p| matches!(p, Piece::Variable(_)));
    let all_plain = pieces.iter().all(|p| match p {
        Piece::Literal(text) => plain(text),
        Piece::Variable(_) => true,
    });
    let mut out = String::new();
    if variables && all_plain {
        out.push('"');
        for piece in pieces {
            match piece {
                Piece::Literal(text) => out.push_str(text),
                Piece::Variable(name) => out.push_str(&format!("${{{name}}}")),
            }
        }
        out.push('"');
        return out;
    }
    for piece in pieces {
        match piece {
            Piece::Literal(text) => out.push_str(&single(text)),
            Piece::Variable(part) if part.contains(':') => {
                out.push_str(&format!("\"${{{part}}}\""));
            }
            Piece::Variable(name) => out.push_str(&format!("\"${name}\"")),
        }
    }
    match out.is_empty() {
        true => "''".into(),
        false => out,
    }
}

/// A literal text as a word of bash, without control characters in it.
pub(super) fn single(text: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,+".contains(c);
    if !text.is_empty() && text.chars().all(bare) {
        return text.to_owned();
    }
    if !text.chars().any(is_unsafe) {
        return format!("'{}'", text.replace('\'', r"'\''"));
    }
    let mut out = String::from("$'");
    for c in text.chars() {
        match c {
            '\'' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_unsafe(c) => out.push_str(&format!("\\U{:08x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('\'');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_the_shell() {
        let text = "it's $HOME `id` \\ \u{1b}[2J\r\n\"!\" ünï";
        let printed = std::process::Command::new("bash")
            .args(["-c", &format!("printf %s {}", single(text))])
            .env("LC_ALL", "C.UTF-8")
            .output();
        if let Ok(printed) = printed {
            assert_eq!(String::from_utf8_lossy(&printed.stdout), text);
        }
    }
}
