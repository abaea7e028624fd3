//! YAML text → a tree of values that know where they stand. Everything else reads the tree, so that every mistake of a
//! file can be pointed at, and all of them at once.

use std::fmt;
use std::ops::Range;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

/// A YAML value and the bytes of the file that it was read from.
#[derive(Clone, Debug)]
pub struct Node {
    /// The bytes of the value in the file (of a map or a list: of its beginning).
    pub span: Range<usize>,
    /// What stands there.
    pub data: Data,
}

/// What a YAML node holds.
#[derive(Clone, Debug)]
pub enum Data {
    /// `null`, `~`, or nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Another number.
    Number(f64),
    /// A string, plain or quoted.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A map in the order of the file; a key may stand in it twice.
    Map(Vec<(Key, Node)>),
}

/// A key of a map, and where it stands.
#[derive(Clone, Debug)]
pub struct Key {
    /// The bytes of the key in the file.
    pub span: Range<usize>,
    /// The key.
    pub name: String,
}

impl Node {
    /// What the node is, as an error message says it.
    pub fn what(&self) -> &'static str {
        match self.data {
            Data::Null => "nothing",
            Data::Bool(_) => "a truth value",
            Data::Int(_) | Data::Number(_) => "a number",
            Data::Text(_) => "a string",
            Data::List(_) => "a list",
            Data::Map(_) => "a map",
        }
    }

    /// The scalar as text, as it would be written: `true`, `3`, `abc`. Nothing for lists, maps and null.
    pub fn scalar(&self) -> Option<String> {
        match &self.data {
            Data::Bool(b) => Some(b.to_string()),
            Data::Int(i) => Some(i.to_string()),
            Data::Number(n) => Some(n.to_string()),
            Data::Text(t) => Some(t.clone()),
            _ => None,
        }
    }
}

/// Parses a YAML text into a tree.
///
/// # Errors
///
/// The parser's message and the place of a text that is not YAML. Depth, aliases and nodes are bounded by the
/// parser's default budget.
pub fn parse(text: &str) -> Result<Node, (Range<usize>, String)> {
    let options = serde_saphyr::options! {
        // Duplicate keys are reported by the reader of the tree, with both places.
        duplicate_keys: serde_saphyr::options::DuplicateKeyPolicy::LastWins,
        // YAML 1.2: `n`, `on` and `yes` are words, as keys and as values.
        strict_booleans: true,
    };
    serde_saphyr::from_str_with_options::<Node>(text, options).map_err(|error| {
        let error = error.without_snippet();
        let start = error
            .location()
            .map_or(0, |l| offset(text, l.line(), l.column()));
        let mut message = error.to_string();
        if let Some(at) = message.find(" at line ") {
            message.truncate(at);
        }
        (start..start, message)
    })
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Data>::deserialize(deserializer)?;
        Ok(Node {
            span: range(spanned.referenced),
            data: spanned.value,
        })
    }
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DataVisitor)
    }
}

struct DataVisitor;

impl<'de> Visitor<'de> for DataVisitor {
    type Value = Data;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_bool<E>(self, v: bool) -> Result<Data, E> {
        Ok(Data::Bool(v))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Data, E> {
        Ok(Data::Int(v))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Data, E> {
        Ok(i64::try_from(v).map_or(Data::Number(v as f64), Data::Int))
    }

    fn visit_f64<E>(self, v: f64) -> Result<Data, E> {
        Ok(Data::Number(v))
    }

    fn visit_str<E>(self, v: &str) -> Result<Data, E> {
        Ok(Data::Text(v.to_owned()))
    }

    fn visit_string<E>(self, v: String) -> Result<Data, E> {
        Ok(Data::Text(v))
    }

    fn visit_unit<E>(self) -> Result<Data, E> {
        Ok(Data::Null)
    }

    fn visit_none<E>(self) -> Result<Data, E> {
        Ok(Data::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, d: D) -> Result<Data, D::Error> {
        Data::deserialize(d)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, d: D) -> Result<Data, D::Error> {
        Data::deserialize(d)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Data, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element::<Node>()? {
            items.push(item);
        }
        Ok(Data::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Data, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<Node>()? {
            let Some(name) = key.scalar() else {
                return Err(de::Error::custom("a key must be a plain word"));
            };
            let value = map.next_value::<Node>()?;
            entries.push((
                Key {
                    span: key.span,
                    name,
                },
                value,
            ));
        }
        Ok(Data::Map(entries))
    }
}

/// The byte at a line and column, both from 1.
fn offset(text: &str, line: u64, column: u64) -> usize {
    let mut start = 0;
    for (number, content) in (1u64..).zip(text.split_inclusive('\n')) {
        if number == line {
            let column = usize::try_from(column.saturating_sub(1)).unwrap_or(0);
            let within = content
                .char_indices()
                .nth(column)
                .map_or(content.len(), |(at, _)| at);
            return start + within;
        }
        start += content.len();
    }
    text.len()
}

fn range(location: serde_saphyr::Location) -> Range<usize> {
    let span = location.span();
    let start = span.byte_offset().unwrap_or(0);
    let len = span.byte_len().unwrap_or(0);
    let start = usize::try_from(start).unwrap_or(0);
    start..start + usize::try_from(len).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_knows_its_place() {
        let text = "a: 1\nb:\n  - x y\n  - 'q: r'\n  - \"z\"\nc: {d: null, e: 2.5}\na: again\n";
        let tree = parse(text).unwrap();
        let Data::Map(entries) = &tree.data else {
            panic!("a map")
        };
        let names: Vec<_> = entries.iter().map(|(k, _)| k.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "c", "a"]);
        assert_eq!(&text[entries[1].0.span.clone()], "b");
        let Data::List(items) = &entries[1].1.data else {
            panic!("a list")
        };
        assert_eq!(&text[items[0].span.clone()], "x y");
        assert_eq!(&text[items[1].span.clone()], "'q: r'");
        assert_eq!(&text[items[2].span.clone()], "\"z\"");
    }

    #[test]
    fn only_true_and_false_are_truth_values() {
        let tree = parse("{ n: yes, on: false }").unwrap();
        let Data::Map(entries) = &tree.data else {
            panic!("a map")
        };
        assert_eq!(
            [entries[0].0.name.as_str(), entries[1].0.name.as_str()],
            ["n", "on"]
        );
        assert!(matches!(&entries[0].1.data, Data::Text(t) if t == "yes"));
        assert!(matches!(entries[1].1.data, Data::Bool(false)));
    }

    #[test]
    fn a_text_that_is_not_yaml_is_an_error_with_a_place() {
        let (span, message) = parse("a: [1, 2\nb: 3\n").unwrap_err();
        assert!(span.start > 0, "{span:?} {message}");
    }
}
