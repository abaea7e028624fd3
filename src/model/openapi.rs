//! OpenAPI descriptions: which answers an API says that it gives. What the built-in check `conformance` compares with.

use std::path::Path;
use std::sync::OnceLock;

use serde_json::{Map, Value, json};

/// The most bytes that a description may have.
const MAX_BYTES: u64 = 16 << 20;

/// The methods that a path of a description may have.
const METHODS: &[&str] = &["get", "put", "post", "delete", "options", "head", "patch"];

/// Why a description cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenApiError {
    /// The file cannot be read.
    #[error("it cannot be read: {0}")]
    Read(#[from] std::io::Error),
    /// It is a folder, a pipe or a device.
    #[error("it is no file")]
    NoFile,
    /// The file is too long.
    #[error("it has more than {MAX_BYTES} bytes")]
    TooLong,
    /// It is neither JSON nor YAML.
    #[error("it is neither JSON nor YAML: {0}")]
    Syntax(String),
    /// It describes nothing.
    #[error("it has no `paths`, or is of another version than OpenAPI 3")]
    NotOpenApi,
}

/// What an API says of itself.
#[derive(Debug)]
pub struct OpenApi {
    document: Value,
    operations: Vec<Operation>,
}

#[derive(Debug)]
struct Operation {
    method: String,
    /// The parts of the path between its slashes; nothing where a parameter stands.
    path: Vec<Option<String>>,
    responses: Vec<Answer>,
}

#[derive(Debug)]
struct Answer {
    /// `200`, `2XX` or `default`.
    status: String,
    /// Where the schema of its JSON stands, as a JSON pointer.
    schema: Option<String>,
    /// Made when it is first needed; nothing where the schema makes no sense.
    validator: OnceLock<Option<jsonschema::Validator>>,
}

/// How an answer differs from what the API says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// What it says.
    pub expected: String,
    /// What came instead, and where in the body.
    pub observed: String,
}

impl OpenApi {
    /// Reads a description, JSON or YAML.
    ///
    /// # Errors
    ///
    /// Where the file is not there, too long, or no description of OpenAPI 3.
    pub fn load(path: &Path) -> Result<OpenApi, OpenApiError> {
        let about = std::fs::metadata(path)?;
        if !about.is_file() {
            return Err(OpenApiError::NoFile);
        }
        if about.len() > MAX_BYTES {
            return Err(OpenApiError::TooLong);
        }
        let text = std::fs::read_to_string(path)?;
        OpenApi::parse(&text)
    }

    /// Reads a description from its text.
    ///
    /// # Errors
    ///
    /// As [`OpenApi::load`].
    pub fn parse(text: &str) -> Result<OpenApi, OpenApiError> {
        let mut document: Value = match serde_json::from_str(text) {
            Ok(document) => document,
            Err(_) => serde_saphyr::from_str(text).map_err(|e| {
                OpenApiError::Syntax(e.to_string().lines().next().unwrap_or_default().to_owned())
            })?,
        };
        let version = document["openapi"].as_str().unwrap_or_default().to_owned();
        if !version.starts_with("3.") || !document["paths"].is_object() {
            return Err(OpenApiError::NotOpenApi);
        }
        if version.starts_with("3.0") {
            modern(&mut document);
        }
        let prefix = prefix(&document);
        let mut operations = Vec::new();
        if let Some(paths) = document["paths"].as_object() {
            for (path, item) in paths {
                for method in METHODS {
                    let Some(operation) = item.get(*method) else {
                        continue;
                    };
                    let at = format!("/paths/{}/{method}", escaped(path));
                    operations.push(Operation {
                        method: method.to_uppercase(),
                        path: parts(&format!("{prefix}{path}")),
                        responses: answers(&document, operation, &at),
                    });
                }
            }
        }
        Ok(OpenApi {
            document,
            operations,
        })
    }

    /// How an answer to a request differs from what the API says; nothing for requests that it does not describe. The
    /// path is a model's: what is in braces stands for anything. The body is only read where it is described.
    pub fn mismatch(
        &self,
        (method, path): (&str, &str),
        status: u16,
        body: &[u8],
    ) -> Option<Mismatch> {
        let operation = self.operation(method, path)?;
        let exact = status.to_string();
        let class = format!("{}XX", status / 100);
        let answer = [exact.as_str(), class.as_str(), "default"]
            .into_iter()
            .find_map(|s| {
                operation
                    .responses
                    .iter()
                    .find(|r| r.status.eq_ignore_ascii_case(s))
            });
        let Some(answer) = answer else {
            let known: Vec<&str> = operation
                .responses
                .iter()
                .map(|r| r.status.as_str())
                .collect();
            return Some(Mismatch {
                expected: format!("one of the statuses {}", known.join(", ")),
                observed: format!("the status {status}"),
            });
        };
        let schema = answer.schema.as_ref()?;
        let Ok(body) = serde_json::from_slice::<Value>(body) else {
            return Some(Mismatch {
                expected: "JSON".to_owned(),
                observed: "something else".to_owned(),
            });
        };
        let validator = answer.validator.get_or_init(|| self.validator(schema));
        let error = validator.as_ref()?.iter_errors(&body).next()?;
        let place = match error.instance_path().to_string() {
            root if root.is_empty() => "the body".to_owned(),
            place => format!("`{place}`"),
        };
        Some(Mismatch {
            expected: format!("what the schema at `{schema}` allows"),
            observed: format!("{place}: {}", error.masked()),
        })
    }

    /// The operation that describes a request: the one with the fewest parameters.
    fn operation(&self, method: &str, path: &str) -> Option<&Operation> {
        let path = parts(path);
        self.operations
            .iter()
            .filter(|operation| {
                operation.method == method
                    && operation.path.len() == path.len()
                    && operation
                        .path
                        .iter()
                        .zip(&path)
                        .all(|(theirs, mine)| theirs.is_none() || theirs == mine)
            })
            .min_by_key(|operation| operation.path.iter().filter(|p| p.is_none()).count())
    }

    fn validator(&self, pointer: &str) -> Option<jsonschema::Validator> {
        let mut schema = self.document.clone();
        schema["$ref"] = json!(format!("#{}", percent(pointer)));
        jsonschema::options()
            .with_draft(jsonschema::Draft::Draft202012)
            .build(&schema)
            .ok()
    }
}

/// The path of the first server, if it is one without variables.
fn prefix(document: &Value) -> String {
    let url = document["servers"][0]["url"].as_str().unwrap_or_default();
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("", |at| &rest[at..]),
        None => url,
    };
    match path.contains('{') {
        true => String::new(),
        false => path.trim_end_matches('/').to_owned(),
    }
}

fn parts(path: &str) -> Vec<Option<String>> {
    path.trim_matches('/')
        .split('/')
        .map(|part| (!part.contains('{')).then(|| part.to_owned()))
        .collect()
}

fn answers(document: &Value, operation: &Value, at: &str) -> Vec<Answer> {
    let responses = operation["responses"].as_object();
    responses
        .into_iter()
        .flatten()
        .map(|(status, response)| {
            let mut at = format!("{at}/responses/{}", escaped(status));
            let mut response = response;
            if let Some(pointer) = response["$ref"].as_str().and_then(|r| r.strip_prefix('#')) {
                response = document.pointer(pointer).unwrap_or(&Value::Null);
                pointer.clone_into(&mut at);
            }
            let json = response["content"].as_object().and_then(|content| {
                content.iter().find(|(kind, _)| {
                    let kind = kind.split(';').next().unwrap_or_default().trim();
                    kind == "application/json" || kind.ends_with("+json")
                })
            });
            Answer {
                status: status.clone(),
                schema: json
                    .filter(|(_, media)| media.get("schema").is_some())
                    .map(|(kind, _)| format!("{at}/content/{}/schema", escaped(kind))),
                validator: OnceLock::new(),
            }
        })
        .collect()
}

/// A key as a part of a JSON pointer.
fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// A JSON pointer as the fragment of a URI.
fn percent(pointer: &str) -> String {
    percent_encoding::utf8_percent_encode(pointer, FRAGMENT).to_string()
}

const FRAGMENT: &percent_encoding::AsciiSet = &percent_encoding::CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'`')
    .add(b'%')
    .add(b'#')
    .add(b'{')
    .add(b'}')
    .add(b'^')
    .add(b'|')
    .add(b'\\');

/// What OpenAPI 3.0 writes in its own way, as JSON Schema has it.
fn modern(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(modern),
        Value::Object(map) => {
            map.values_mut().for_each(modern);
            for (limit, exclusive) in [
                ("minimum", "exclusiveMinimum"),
                ("maximum", "exclusiveMaximum"),
            ] {
                match map.get(exclusive) {
                    Some(Value::Bool(true)) => {
                        if let Some(bound) = map.remove(limit) {
                            map.insert(exclusive.to_owned(), bound);
                        }
                    }
                    Some(Value::Bool(false)) => {
                        map.remove(exclusive);
                    }
                    _ => {}
                }
            }
            if map.get("nullable") == Some(&Value::Bool(true)) {
                map.remove("nullable");
                let schema = Value::Object(std::mem::take(map));
                *map = Map::from_iter([("anyOf".to_owned(), json!([schema, { "type": "null" }]))]);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOP: &str = r##"
openapi: 3.0.3
servers: [{ url: "https://shop.example/v1" }]
paths:
  /items/{id}:
    get:
      responses:
        "200":
          content:
            application/json:
              schema: { $ref: "#/components/schemas/Item" }
        4XX: { description: Refused }
  /items/newest:
    get: { responses: { "204": { description: None } } }
components:
  schemas:
    Item:
      type: object
      required: [name]
      properties:
        name: { type: string, nullable: true }
        price: { type: number, minimum: 0, exclusiveMinimum: true }
"##;

    fn observed(path: &str, status: u16, body: Value) -> Option<String> {
        let shop = OpenApi::parse(SHOP).expect("a description");
        let mismatch = shop.mismatch(("GET", path), status, body.to_string().as_bytes());
        mismatch.map(|m| m.observed)
    }

    #[test]
    fn answers_are_compared_with_the_schema() {
        assert_eq!(
            observed(
                "/v1/items/{item}",
                200,
                json!({ "name": "Pen", "price": 2 })
            ),
            None
        );
        assert_eq!(
            observed("/v1/items/{item}", 200, json!({ "name": null })),
            None
        );
        let free = observed(
            "/v1/items/{item}",
            200,
            json!({ "name": "Pen", "price": 0 }),
        );
        assert!(free.is_some_and(|m| m.starts_with("`/price`")));
        let nameless = observed("/v1/items/{item}", 200, json!({}));
        assert_eq!(
            nameless.as_deref(),
            Some("the body: \"name\" is a required property")
        );
    }

    #[test]
    fn statuses_are_those_that_are_described() {
        assert_eq!(observed("/v1/items/{item}", 404, json!({})), None);
        let error = observed("/v1/items/{item}", 500, json!({}));
        assert_eq!(error.as_deref(), Some("the status 500"));
        // The path without a parameter is meant.
        assert!(observed("/v1/items/newest", 200, json!({})).is_some());
        // Nothing is said of it.
        assert_eq!(observed("/v1/orders", 500, json!({})), None);
    }

    #[test]
    fn what_is_no_description_is_refused() {
        for text in ["{", "[]", "swagger: '2.0'", "openapi: 3.1.0"] {
            assert!(OpenApi::parse(text).is_err(), "{text}");
        }
    }
}
