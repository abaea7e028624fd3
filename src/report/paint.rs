//! How a report looks on its terminal: colours, or none; where lines end; and no control character of anybody else's.

use anstyle::{AnsiColor, Effects};

/// What the terminal can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Whether colours are shown.
    pub color: bool,
    /// How many columns a line has; below 40 counts as 40.
    pub width: usize,
}

impl Style {
    /// Without colours, 100 columns wide: what is kept in files.
    pub const PLAIN: Style = Style {
        color: false,
        width: 100,
    };

    fn paint(self, text: &str, style: anstyle::Style) -> String {
        match self.color {
            true => format!("{style}{text}{style:#}"),
            false => text.to_owned(),
        }
    }

    /// What stands out.
    pub(super) fn bold(self, text: &str) -> String {
        self.paint(text, anstyle::Style::new().effects(Effects::BOLD))
    }

    /// What may be passed over.
    pub(super) fn dim(self, text: &str) -> String {
        self.paint(text, anstyle::Style::new().effects(Effects::DIMMED))
    }

    /// What is as it should be.
    pub(super) fn good(self, text: &str) -> String {
        self.paint(text, AnsiColor::Green.on_default())
    }

    /// What is not.
    pub(super) fn bad(self, text: &str) -> String {
        self.paint(text, AnsiColor::Red.on_default().effects(Effects::BOLD))
    }

    /// Names.
    pub(super) fn name(self, text: &str) -> String {
        self.paint(text, AnsiColor::Cyan.on_default())
    }

    /// A text broken into lines, each with an indent of its own sort.
    pub(super) fn wrap(self, text: &str, first: &str, rest: &str) -> String {
        let options = textwrap::Options::new(self.width.max(40))
            .initial_indent(first)
            .subsequent_indent(rest)
            .break_words(false)
            .word_splitter(textwrap::WordSplitter::NoHyphenation)
            .word_separator(textwrap::WordSeparator::AsciiSpace);
        let mut out = String::new();
        for line in textwrap::wrap(text, options) {
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }
}

/// The text with what a terminal would obey (control characters) or be misled by (changes of direction, RFC 9839's
/// 'legacy controls') written out.
pub(super) fn inert(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if is_unsafe(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out
}

/// Whether a character does something to the terminal or to the text around it.
pub(super) fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}' | '\u{e0000}'..='\u{e007f}')
}

/// A text in quotes, shortened where it is long: `"aaaa…" (50 characters)`.
pub(super) fn quoted(text: &str, longest: usize) -> String {
    let count = text.chars().count();
    if count <= longest {
        return format!("\"{}\"", inert(text));
    }
    let start: String = text
        .chars()
        .take(longest.saturating_sub(8).max(4))
        .collect();
    format!("\"{}…\" ({count} characters)", inert(&start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_written_out() {
        assert_eq!(
            inert("a\u{1b}[2Jb\u{202e}c\n\u{9b}1m"),
            "a\\u{1b}[2Jb\\u{202e}c\\n\\u{9b}1m"
        );
    }

    #[test]
    fn long_texts_are_shortened() {
        assert_eq!(quoted("short", 24), "\"short\"");
        assert_eq!(
            quoted(&"a".repeat(50), 24),
            "\"aaaaaaaaaaaaaaaa…\" (50 characters)"
        );
    }
}
