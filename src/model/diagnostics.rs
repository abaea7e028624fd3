//! What is wrong with a model file, all of it at once: each mistake with its place, the line, a caret and a remedy.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode,
};

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The bytes of the file that it is about.
    pub span: Range<usize>,
    /// What is wrong, as a sentence without a full stop.
    pub message: String,
    /// What to do about it.
    pub help: String,
}

/// A model file that cannot be used, and everything that is wrong with it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{path}: {count} mistake{}", if *count == 1 { "" } else { "s" })]
pub struct ModelErrors {
    /// The path of the file, as it was given.
    pub path: String,
    /// How many there are.
    pub count: usize,
    /// The mistakes in the order of the file.
    pub mistakes: Vec<Mistake>,
    text: Arc<str>,
}

impl ModelErrors {
    /// Mistakes of a file, put in the order of the file.
    pub fn new(path: &str, source: Arc<str>, mut mistakes: Vec<Mistake>) -> ModelErrors {
        mistakes.sort_by(|a, b| {
            (a.span.start, a.span.end, &a.message).cmp(&(b.span.start, b.span.end, &b.message))
        });
        mistakes.dedup();
        ModelErrors {
            path: path.to_owned(),
            count: mistakes.len(),
            mistakes,
            text: source,
        }
    }

    /// The mistakes as a terminal shows them; `color` switches escape sequences on.
    pub fn render(&self, color: bool, width: usize) -> String {
        let theme = match color {
            true => GraphicalTheme::unicode(),
            false => GraphicalTheme::unicode_nocolor(),
        };
        let handler = GraphicalReportHandler::new_themed(theme)
            .with_width(width)
            .with_links(false);
        let source = NamedSource::new(&self.path, self.text.to_string());
        let mut text = String::new();
        for mistake in &self.mistakes {
            let report = Rendered {
                mistake,
                source: &source,
            };
            // Writing to a string cannot fail.
            let _ = handler.render_report(&mut text, &report);
        }
        text
    }
}

struct Rendered<'a> {
    mistake: &'a Mistake,
    source: &'a NamedSource<String>,
}

impl fmt::Debug for Rendered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.mistake.message)
    }
}

impl fmt::Display for Rendered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.mistake.message)
    }
}

impl std::error::Error for Rendered<'_> {}

impl Diagnostic for Rendered<'_> {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(&self.mistake.help))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.mistake.span.clone();
        let length = span.end.saturating_sub(span.start).max(1);
        Some(Box::new(std::iter::once(
            LabeledSpan::new_primary_with_span(Some("here".into()), (span.start, length)),
        )))
    }
}

/// `did you mean …?` where a candidate is near enough, and what to say otherwise.
pub fn guess<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
    otherwise: &str,
) -> String {
    match nearest(name, candidates) {
        Some(near) => format!("did you mean `{near}`?"),
        None => otherwise.to_owned(),
    }
}

/// The candidate that a mistyped name most likely means, if any is near enough.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(score, _)| *score >= 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}
