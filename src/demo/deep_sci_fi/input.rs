//! Path, query and body checked together, in the manner of the original's lax schemas: every wrong field is listed in
//! one 422. A check that fails notes its error and yields a placeholder; [`Input::finish`] decides.

mod types;

use std::ops::RangeInclusive;

use chrono::{DateTime, NaiveDateTime};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::call::{Body, Call};
use super::errors::{FieldError, Refusal};
use super::store::timestamp;
use types::one_of;

/// Lengths of text, in code points.
pub(super) type Lengths = RangeInclusive<usize>;

pub(super) const ANY_LENGTH: Lengths = 0..=usize::MAX;

/// The checks on one request so far, or on one object within its body.
pub(super) struct Input<'c> {
    call: &'c Call,
    object: Option<&'c Map<String, Value>>,
    prefix: String,
    errors: Vec<FieldError>,
}

impl<'c> Input<'c> {
    /// A request whose body does not matter.
    pub(super) fn without_body(call: &'c Call) -> Self {
        Self {
            call,
            object: None,
            prefix: String::new(),
            errors: Vec::new(),
        }
    }

    /// A request that must carry a JSON object.
    pub(super) fn with_body(call: &'c Call) -> Self {
        let mut input = Self::without_body(call);
        match &call.body {
            Body::Json(Value::Object(object)) => input.object = Some(object),
            Body::Nothing | Body::Json(Value::Null) => {
                input.fail("body", "Field required", "missing", &Value::Null);
            }
            Body::Json(other) => {
                input.fail("body", "Input should be an object", "model_type", other)
            }
            Body::Other(text) => {
                input.fail(
                    "body",
                    "Input should be a JSON object",
                    "model_type",
                    &json!(text),
                );
            }
        }
        input
    }

    /// A request that may carry a JSON object.
    pub(super) fn with_optional_body(call: &'c Call) -> Self {
        match &call.body {
            Body::Nothing | Body::Json(Value::Null) => Self::without_body(call),
            Body::Json(_) | Body::Other(_) => Self::with_body(call),
        }
    }

    /// 422 with all that is wrong, if anything is.
    pub(super) fn finish(self) -> Result<(), Refusal> {
        if self.errors.is_empty() {
            Ok(())
        } else {
            Err(Refusal::Invalid(self.errors))
        }
    }

    fn fail(&mut self, name: &str, message: &str, kind: &'static str, input: &Value) {
        self.errors.push(FieldError {
            field: format!("{}{name}", self.prefix),
            message: message.to_owned(),
            kind,
            input: input.clone(),
        });
    }

    /// Notes an error unless the text is an http or https address with a host.
    pub(super) fn web_address(&mut self, name: &str, text: &str) {
        let rest = text
            .strip_prefix("http://")
            .or_else(|| text.strip_prefix("https://"));
        let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next());
        if host.is_none_or(|host| host.is_empty() || host.contains(char::is_whitespace)) {
            self.fail(
                name,
                "Input should be a valid URL",
                "url_parsing",
                &json!(text),
            );
        }
    }

    // Path and query

    /// An id in the path, in the usual spelling.
    pub(super) fn id(&mut self, name: &'static str) -> String {
        let call = self.call;
        let raw = call.path.iter().find(|(key, _)| key == name);
        let raw = raw.map_or("", |(_, value)| value.as_str());
        self.parse_id(name, raw)
    }

    /// One of a few words in the path.
    pub(super) fn path_choice(&mut self, name: &str, choices: &[&'static str]) -> &'static str {
        let call = self.call;
        let raw = call.path.iter().find(|(key, _)| key == name);
        let raw = json!(raw.map_or("", |(_, value)| value.as_str()));
        self.as_choice(name, &raw, choices)
    }

    fn parse_id(&mut self, name: &str, raw: &str) -> String {
        match Uuid::parse_str(raw) {
            Ok(id) => id.to_string(),
            Err(error) => {
                let message = format!("Input should be a valid UUID, {error}");
                self.fail(name, &message, "uuid_parsing", &json!(raw));
                String::new()
            }
        }
    }

    /// The last one counts when a parameter is repeated.
    fn query(&self, name: &str) -> Option<&'c str> {
        let call = self.call;
        let mut given = call.query.iter().rev();
        given
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// Any text in the query.
    pub(super) fn query_text(&self, name: &str) -> Option<&'c str> {
        self.query(name)
    }

    /// Text in the query that must be there.
    pub(super) fn required_query_text(&mut self, name: &str, lengths: Lengths) -> &'c str {
        let Some(found) = self.query(name) else {
            self.fail(name, "Field required", "missing", &Value::Null);
            return "";
        };
        self.check_length(name, found, lengths);
        found
    }

    /// A time in the query, in the form in which times are stored. Without an offset it is UTC.
    pub(super) fn query_time(&mut self, name: &str) -> Option<String> {
        let raw = self.query(name)?;
        let time = DateTime::parse_from_rfc3339(raw)
            .map(|time| time.to_utc())
            .or_else(|_| raw.parse::<NaiveDateTime>().map(|time| time.and_utc()));
        match time {
            Ok(time) => Some(timestamp(time)),
            Err(error) => {
                let message = format!("Input should be a valid datetime, {error}");
                self.fail(name, &message, "datetime_from_date_parsing", &json!(raw));
                None
            }
        }
    }

    pub(super) fn query_id(&mut self, name: &str) -> Option<String> {
        let raw = self.query(name)?;
        Some(self.parse_id(name, raw))
    }

    pub(super) fn query_flag(&mut self, name: &str, default: bool) -> bool {
        let Some(raw) = self.query(name) else {
            return default;
        };
        let raw = json!(raw);
        self.as_flag(name, &raw)
    }

    pub(super) fn query_int(
        &mut self,
        name: &str,
        default: i64,
        range: RangeInclusive<i64>,
    ) -> i64 {
        let Some(raw) = self.query(name) else {
            return default;
        };
        let raw = json!(raw);
        self.as_int(name, &raw, range)
    }

    /// A share between 0 and 1 in the query.
    pub(super) fn query_share(&mut self, name: &str, default: f64) -> f64 {
        let Some(raw) = self.query(name) else {
            return default;
        };
        self.as_share(name, &json!(raw))
    }

    pub(super) fn query_choice(
        &mut self,
        name: &str,
        choices: &[&'static str],
    ) -> Option<&'static str> {
        let raw = self.query(name)?;
        let found = choices.iter().find(|choice| **choice == raw);
        if found.is_none() {
            self.fail(name, &one_of(choices), "literal_error", &json!(raw));
        }
        found.copied()
    }

    // Body: required fields

    /// A field that must be there. Absence is not noted twice when the whole body is missing.
    fn required(&mut self, name: &str) -> Option<&'c Value> {
        let object = self.object?;
        let found = object.get(name);
        if found.is_none() {
            self.fail(name, "Field required", "missing", &Value::Null);
        }
        found
    }

    pub(super) fn text(&mut self, name: &str, lengths: Lengths) -> String {
        match self.required(name) {
            Some(value) => self.as_text(name, value, lengths),
            None => String::new(),
        }
    }

    pub(super) fn int(&mut self, name: &str, range: RangeInclusive<i64>) -> i64 {
        match self.required(name) {
            Some(value) => self.as_int(name, value, range),
            None => 0,
        }
    }

    pub(super) fn flag(&mut self, name: &str) -> bool {
        match self.required(name) {
            Some(value) => self.as_flag(name, value),
            None => false,
        }
    }

    /// Anything at all, null included.
    pub(super) fn value(&mut self, name: &str) -> Value {
        self.required(name).cloned().unwrap_or_default()
    }

    /// At least `least` texts.
    pub(super) fn texts(&mut self, name: &str, least: usize) -> Vec<String> {
        let Some(value) = self.required(name) else {
            return Vec::new();
        };
        let texts = self.as_texts(name, value);
        if texts.len() < least && value.is_array() {
            let message = format!("List should have at least {least} items");
            self.fail(name, &message, "too_short", value);
        }
        texts
    }

    pub(super) fn choice(&mut self, name: &str, choices: &[&'static str]) -> &'static str {
        match self.required(name) {
            Some(value) => self.as_choice(name, value, choices),
            None => "",
        }
    }

    pub(super) fn uuid(&mut self, name: &str) -> String {
        match self.required(name) {
            Some(value) => self.as_uuid(name, value),
            None => String::new(),
        }
    }

    pub(super) fn object(&mut self, name: &str) -> Map<String, Value> {
        match self.required(name) {
            Some(value) => self.as_object(name, value),
            None => Map::new(),
        }
    }

    /// The steps from the present to the world: at least `least` of them.
    pub(super) fn chain(&mut self, name: &str, least: usize) -> Value {
        match self.required(name) {
            Some(value) => self.as_chain(name, value, least),
            None => Value::Null,
        }
    }

    // Body: optional fields

    /// A field that may be absent or null.
    fn nullable(&self, name: &str) -> Option<&'c Value> {
        let value = self.object?.get(name)?;
        (!value.is_null()).then_some(value)
    }

    /// A field that may be absent, but is not null when it is there.
    fn defaulted(&self, name: &str) -> Option<&'c Value> {
        self.object?.get(name)
    }

    pub(super) fn text_or_null(&mut self, name: &str, lengths: Lengths) -> Option<String> {
        let value = self.nullable(name)?;
        Some(self.as_text(name, value, lengths))
    }

    pub(super) fn text_or(&mut self, name: &str, default: &str) -> String {
        match self.defaulted(name) {
            Some(value) => self.as_text(name, value, ANY_LENGTH),
            None => default.to_owned(),
        }
    }

    /// One of a few words; the first of them is the default.
    pub(super) fn choice_or_first(&mut self, name: &str, choices: &[&'static str]) -> &'static str {
        match self.defaulted(name) {
            Some(value) => self.as_choice(name, value, choices),
            None => choices.first().copied().unwrap_or_default(),
        }
    }

    pub(super) fn choice_or_null(
        &mut self,
        name: &str,
        choices: &[&'static str],
    ) -> Option<&'static str> {
        let value = self.nullable(name)?;
        Some(self.as_choice(name, value, choices))
    }

    pub(super) fn int_or_null(&mut self, name: &str, range: RangeInclusive<i64>) -> Option<i64> {
        let value = self.nullable(name)?;
        Some(self.as_int(name, value, range))
    }

    pub(super) fn flag_or(&mut self, name: &str, default: bool) -> bool {
        match self.defaulted(name) {
            Some(value) => self.as_flag(name, value),
            None => default,
        }
    }

    /// A share between 0 and 1.
    pub(super) fn share_or(&mut self, name: &str, default: f64) -> f64 {
        match self.defaulted(name) {
            Some(value) => self.as_share(name, value),
            None => default,
        }
    }

    pub(super) fn uuid_or_null(&mut self, name: &str) -> Option<String> {
        let value = self.nullable(name)?;
        Some(self.as_uuid(name, value))
    }

    pub(super) fn object_or_null(&mut self, name: &str) -> Option<Map<String, Value>> {
        let value = self.nullable(name)?;
        Some(self.as_object(name, value))
    }

    pub(super) fn object_or_empty(&mut self, name: &str) -> Map<String, Value> {
        match self.defaulted(name) {
            Some(value) => self.as_object(name, value),
            None => Map::new(),
        }
    }

    pub(super) fn chain_or_null(&mut self, name: &str) -> Option<Value> {
        let value = self.nullable(name)?;
        Some(self.as_chain(name, value, 0))
    }

    pub(super) fn texts_or_empty(&mut self, name: &str) -> Vec<String> {
        self.texts_or(name, &[])
    }

    pub(super) fn texts_or(&mut self, name: &str, default: &[&str]) -> Vec<String> {
        match self.defaulted(name) {
            Some(value) => self.as_texts(name, value),
            None => default.iter().map(|text| (*text).to_owned()).collect(),
        }
    }

    pub(super) fn texts_or_null(&mut self, name: &str) -> Option<Vec<String>> {
        let value = self.nullable(name)?;
        Some(self.as_texts(name, value))
    }

    pub(super) fn uuids_or_empty(&mut self, name: &str) -> Vec<String> {
        let Some(value) = self.defaulted(name) else {
            return Vec::new();
        };
        let mut ids = Vec::new();
        for (index, item) in self.as_list(name, value).iter().enumerate() {
            ids.push(self.as_uuid(&format!("{name}.{index}"), item));
        }
        ids
    }

    /// Up to `most` objects of text, such as citations.
    pub(super) fn text_maps_or_null(&mut self, name: &str, most: usize) -> Option<Value> {
        let value = self.nullable(name)?;
        let items = self.as_list(name, value);
        if items.len() > most {
            let message = format!("List should have at most {most} items");
            self.fail(name, &message, "too_long", value);
        }
        for (index, item) in items.iter().enumerate() {
            let place = format!("{name}.{index}");
            for (key, text) in self.as_object(&place, item) {
                self.as_text(&format!("{place}.{key}"), &text, ANY_LENGTH);
            }
        }
        Some(value.clone())
    }
}
