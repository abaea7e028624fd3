//! Answers that are streams: server-sent events, and JSON line by line.

use std::collections::BTreeMap;
use std::convert::Infallible;

use eventsource_stream::Eventsource;
use futures_util::{FutureExt, StreamExt, stream};
use serde_json::{Value, json};

/// What a stream is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// `text/event-stream`.
    Events,
    /// A JSON value on each line.
    Lines,
}

impl Format {
    /// That of a `Content-Type`, if it is one of a stream.
    pub fn of(content_type: &str) -> Option<Format> {
        let essence = content_type.split(';').next().unwrap_or_default();
        match essence.trim().to_ascii_lowercase().as_str() {
            "text/event-stream" => Some(Format::Events),
            "application/x-ndjson"
            | "application/ndjson"
            | "application/jsonl"
            | "application/x-jsonlines"
            | "application/stream+json" => Some(Format::Lines),
            _ => None,
        }
    }

    /// The events of a body, or nothing where it is not what it says that it is. Of one that was not read to its end, those
    /// that came whole.
    pub fn read(self, body: &[u8], truncated: bool) -> Option<Vec<Value>> {
        match self {
            Format::Events => server_sent(body),
            Format::Lines => lines(body, truncated),
        }
    }
}

fn server_sent(body: &[u8]) -> Option<Vec<Value>> {
    let whole = stream::iter([Ok::<_, Infallible>(body)]);
    // All of it is there, so that nothing is waited for.
    let events = whole.eventsource().collect::<Vec<_>>().now_or_never()?;
    let events = events.into_iter().map(|event| {
        let event = event.ok()?;
        let json: Option<Value> = serde_json::from_str(&event.data).ok();
        Some(json!({ "event": event.event, "data": event.data, "id": event.id, "json": json }))
    });
    events.collect()
}

fn lines(body: &[u8], truncated: bool) -> Option<Vec<Value>> {
    let text = std::str::from_utf8(body).ok()?;
    let whole = match (truncated, text.rfind('\n')) {
        (true, Some(end)) => &text[..end],
        (true, None) => "",
        (false, _) => text,
    };
    let lines = whole.lines().filter(|line| !line.trim().is_empty());
    lines.map(|line| serde_json::from_str(line).ok()).collect()
}

/// What the texts at each place of the events come to when they are put together: a word may come in pieces.
pub(super) fn joined(events: &[Value]) -> Vec<String> {
    let mut texts = BTreeMap::new();
    for event in events {
        join(event, String::new(), &mut texts);
    }
    texts.into_values().collect()
}

fn join(value: &Value, place: String, texts: &mut BTreeMap<String, String>) {
    match value {
        Value::String(text) => texts.entry(place).or_default().push_str(text),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                join(item, format!("{place}/{index}"), texts);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                join(field, format!("{place}/{name}"), texts);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_told_apart() {
        let body =
            b": a comment\n\nevent: tick\nid: 7\ndata: {\"n\": 1}\n\ndata: one\ndata: two\n\n";
        let events = server_sent(body).expect("it is such a stream");
        assert_eq!(
            events,
            [
                json!({ "event": "tick", "data": "{\"n\": 1}", "id": "7", "json": { "n": 1 } }),
                json!({ "event": "message", "data": "one\ntwo", "id": "7", "json": null }),
            ]
        );
        assert_eq!(server_sent(b"data: \xff\n\n"), None);
    }

    #[test]
    fn lines_are_json_or_none_at_all() {
        assert_eq!(
            lines(b"{\"n\":1}\r\n\n[2]\n", false),
            Some(vec![json!({ "n": 1 }), json!([2])])
        );
        assert_eq!(lines(b"1\nx", false), None);
        assert_eq!(lines(b"1\n{\"n\":", true), Some(vec![json!(1)]));
        assert_eq!(lines(b"{\"n\":", true), Some(Vec::new()));
    }

    #[test]
    fn pieces_are_put_together_by_their_place() {
        let piece = |text: &str| json!({ "choices": [{ "delta": text }], "model": "m" });
        let events = ["can", "ar", "y"].map(piece);
        assert_eq!(joined(&events), ["canary", "mmm"]);
    }

    #[test]
    fn the_type_is_read_without_its_parameters() {
        assert_eq!(
            Format::of("Text/Event-Stream; charset=utf-8"),
            Some(Format::Events)
        );
        assert_eq!(Format::of("application/x-ndjson"), Some(Format::Lines));
        assert_eq!(Format::of("application/json"), None);
    }
}
