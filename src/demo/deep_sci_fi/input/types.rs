//! What a value must be, whether it stands in the query or in the body: lax, as the original's schemas are.

use std::ops::RangeInclusive;

use serde_json::{Map, Value, json};

use super::{ANY_LENGTH, Input, Lengths};

impl<'c> Input<'c> {
    pub(super) fn as_text(&mut self, name: &str, value: &Value, lengths: Lengths) -> String {
        let Value::String(text) = value else {
            self.fail(name, "Input should be a valid string", "string_type", value);
            return String::new();
        };
        if self.check_length(name, text, lengths) && text.contains('\0') {
            // No SQL text column of the original's database can hold one.
            self.fail(name, "String should not contain NUL", "string_nul", value);
        }
        text.clone()
    }

    /// Whether the text is neither too short nor too long.
    pub(super) fn check_length(&mut self, name: &str, text: &str, lengths: Lengths) -> bool {
        let length = text.chars().count();
        let (message, kind) = if length < *lengths.start() {
            let message = format!("String should have at least {} characters", lengths.start());
            (message, "string_too_short")
        } else if length > *lengths.end() {
            let message = format!("String should have at most {} characters", lengths.end());
            (message, "string_too_long")
        } else {
            return true;
        };
        self.fail(name, &message, kind, &json!(text));
        false
    }

    pub(super) fn as_int(&mut self, name: &str, value: &Value, range: RangeInclusive<i64>) -> i64 {
        let Some(int) = lax_int(value) else {
            self.fail(name, "Input should be a valid integer", "int_type", value);
            return 0;
        };
        if !range.contains(&int) {
            let message = format!(
                "Input should be between {} and {}",
                range.start(),
                range.end()
            );
            self.fail(name, &message, "out_of_range", value);
        }
        int
    }

    pub(super) fn as_share(&mut self, name: &str, value: &Value) -> f64 {
        let number = match value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok(),
            Value::Bool(flag) => Some(f64::from(u8::from(*flag))),
            _ => None,
        };
        match number {
            Some(share) if (0.0..=1.0).contains(&share) => share,
            Some(_) => {
                self.fail(
                    name,
                    "Input should be between 0 and 1",
                    "out_of_range",
                    value,
                );
                0.0
            }
            None => {
                self.fail(name, "Input should be a valid number", "float_type", value);
                0.0
            }
        }
    }

    pub(super) fn as_flag(&mut self, name: &str, value: &Value) -> bool {
        let text = match value {
            Value::Bool(flag) => return *flag,
            Value::Number(number) => number.to_string(),
            Value::String(text) => text.to_ascii_lowercase(),
            _ => String::new(),
        };
        match text.as_str() {
            "1" | "true" | "yes" | "on" | "t" | "y" => true,
            "0" | "false" | "no" | "off" | "f" | "n" => false,
            _ => {
                self.fail(
                    name,
                    "Input should be a valid boolean",
                    "bool_parsing",
                    value,
                );
                false
            }
        }
    }

    pub(super) fn as_choice(
        &mut self,
        name: &str,
        value: &Value,
        choices: &[&'static str],
    ) -> &'static str {
        let found = choices
            .iter()
            .find(|choice| value.as_str() == Some(**choice));
        match found {
            Some(choice) => choice,
            None => {
                self.fail(name, &one_of(choices), "enum", value);
                ""
            }
        }
    }

    pub(super) fn as_uuid(&mut self, name: &str, value: &Value) -> String {
        match value.as_str() {
            Some(raw) => self.parse_id(name, raw),
            None => {
                self.fail(name, "UUID input should be a string", "uuid_type", value);
                String::new()
            }
        }
    }

    pub(super) fn as_object(&mut self, name: &str, value: &Value) -> Map<String, Value> {
        match value {
            Value::Object(object) => object.clone(),
            _ => {
                self.fail(name, "Input should be an object", "dict_type", value);
                Map::new()
            }
        }
    }

    pub(super) fn as_list(&mut self, name: &str, value: &'c Value) -> &'c [Value] {
        match value {
            Value::Array(items) => items,
            _ => {
                self.fail(name, "Input should be a list", "list_type", value);
                &[]
            }
        }
    }

    pub(super) fn as_texts(&mut self, name: &str, value: &'c Value) -> Vec<String> {
        let mut texts = Vec::new();
        for (index, item) in self.as_list(name, value).iter().enumerate() {
            texts.push(self.as_text(&format!("{name}.{index}"), item, ANY_LENGTH));
        }
        texts
    }

    pub(super) fn as_chain(&mut self, name: &str, value: &'c Value, least: usize) -> Value {
        let items = self.as_list(name, value);
        if items.len() < least && value.is_array() {
            let message = format!("List should have at least {least} items");
            self.fail(name, &message, "too_short", value);
        }
        let mut steps = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let Value::Object(object) = item else {
                let place = format!("{name}.{index}");
                self.fail(&place, "Input should be an object", "model_type", item);
                continue;
            };
            let mut step = Input {
                call: self.call,
                object: Some(object),
                prefix: format!("{}{name}.{index}.", self.prefix),
                errors: Vec::new(),
            };
            let year = step.int("year", 2026..=i64::from(i32::MAX));
            let event = step.text("event", 10..=usize::MAX);
            let reasoning = step.text("reasoning", 10..=usize::MAX);
            self.errors.append(&mut step.errors);
            steps.push(json!({ "year": year, "event": event, "reasoning": reasoning }));
        }
        Value::Array(steps)
    }
}

/// Lax as the original: `2089`, `2089.0`, `"2089"` and `true` are integers.
fn lax_int(value: &Value) -> Option<i64> {
    /// Above this a float no longer tells neighbouring integers apart.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Number(number) => number.as_i64().or_else(|| {
            let float = number.as_f64()?;
            (float.fract() == 0.0 && float.abs() <= EXACT).then_some(float as i64)
        }),
        Value::String(text) => text.trim().parse().ok(),
        Value::Bool(flag) => Some(i64::from(*flag)),
        _ => None,
    }
}

pub(super) fn one_of(choices: &[&str]) -> String {
    format!("Input should be one of: {}", choices.join(", "))
}
