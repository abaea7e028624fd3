//! Unique things stay unique: what a server makes up to tell things apart, an id or a secret, it must not give to two of a
//! kind. What a client chose is its own affair, and so are numbers and names, which may be unique within something only.

use crate::drive::symbols::looks_invented;
use crate::model::Model;
use crate::model::mirror::Mirror;
use crate::model::oracle::Answer;
use crate::model::value::{Handle, Value};

/// An id that is shorter may be made to be read, and be unique within something else only.
const SHORTEST_KEY: usize = 16;
/// And a secret may be chosen from few.
const SHORTEST_SECRET: usize = 8;

/// Of what came into being by a step those that have what another live one has, which the answer gave them, with the other
/// one and the field.
pub(super) fn twins(
    model: &Model,
    mirror: &Mirror,
    created: &[Handle],
    answer: &Answer,
) -> Vec<(Handle, Handle, usize)> {
    let mut found = Vec::new();
    for made in created {
        let (kind, Some(record)) = (model.kind(made.kind), mirror.get(*made)) else {
            continue;
        };
        for (index, (field, value)) in kind.fields.iter().zip(record.fields.iter()).enumerate() {
            let Value::Text(text) = value else { continue };
            let told = match field.ty.is_secret() {
                true => text.len() >= SHORTEST_SECRET,
                false => {
                    kind.key == Some(index) && text.len() >= SHORTEST_KEY && looks_invented(text)
                }
            };
            if !told || !says(&answer.body, text) {
                continue;
            }
            let mut others = mirror.all(made.kind);
            let twin = others.find(|(other, record)| {
                other != made && !record.gone && record.fields.get(index) == Some(value)
            });
            found.extend(twin.map(|(other, _)| (*made, other, index)));
        }
    }
    found
}

/// Whether a text is one of those in a value.
fn says(value: &Value, text: &str) -> bool {
    match value {
        Value::Text(known) => **known == *text,
        Value::List(items) => items.iter().any(|item| says(item, text)),
        Value::Map(map) => map.values().any(|item| says(item, text)),
        _ => false,
    }
}
