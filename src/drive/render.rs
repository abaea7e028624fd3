//! From a symbolic action to a request: fresh values get the run's mark, entities that never were get ids of the right
//! shape, and credentials go where the model says.

mod probe;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

use super::csrf;
use super::history::{Body, Request};
use super::jar::{Given, Jars};
use crate::model::action::{Action, Actor, Forgery, Picked};
use crate::model::domain::Domain;
use crate::model::expression::{EvalError, Expression, Names, Scope};
use crate::model::mirror::Mirror;
use crate::model::oracle::handles;
use crate::model::template::Template;
use crate::model::types::Type;
use crate::model::value::{Handle, KindId, Value};
use crate::model::{self, Auth, Csrf, Model, PathPart, TokenSource};

pub use probe::Probe;

/// What may stand in a segment of a path (RFC 3986, section 3.3); everything else is encoded.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'@')
    .remove(b':')
    .remove(b'$')
    .remove(b'+')
    .remove(b',')
    .remove(b'=');

/// A template's text may hold slashes of its own.
const PATH: &AsciiSet = &CONTROLS.add(b' ').add(b'#').add(b'?').add(b'%').add(b'"');

/// Why an action cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// Something that it needs was never learned.
    #[error("{what} needs a value that the server has not given")]
    Unknown {
        /// The part of the request.
        what: String,
    },
    /// A template makes no sense of what it met.
    #[error("{what}: {reason}")]
    Failed {
        /// The part of the request.
        what: String,
        /// Why.
        reason: String,
    },
}

/// Renders the actions of one run of a plan.
#[derive(Clone, Debug)]
pub struct Renderer {
    model: Arc<Model>,
    /// Makes what must be unique unique among all runs.
    mark: String,
    /// The time that `time_from_now` counts from, in seconds since 1970.
    now: i64,
    /// How many entities that never were have been made up: what was never there may be there after it was put.
    made_up: Arc<AtomicU64>,
}

impl Renderer {
    /// A renderer for one run, with a mark that no other run has.
    pub fn new(model: Arc<Model>, mark: String, now: i64) -> Renderer {
        Renderer {
            model,
            mark,
            now,
            made_up: Arc::default(),
        }
    }

    /// The run's mark.
    pub fn mark(&self) -> &str {
        &self.mark
    }

    /// The action with its fresh values made real.
    pub fn materialise(&self, action: &Action) -> Action {
        let mut action = action.clone();
        for arg in &mut action.args {
            *arg = arg.rewrite(&mut |value| match value {
                Value::Fresh(prefix, n) => Some(Value::text(format!("{prefix}-{}-{n}", self.mark))),
                Value::Text(text) => {
                    let seconds = text.strip_prefix("now+")?.strip_suffix('s')?;
                    let seconds: i64 = seconds.parse().ok()?;
                    Some(Value::text(rfc3339(self.now + seconds)))
                }
                _ => None,
            });
        }
        action
    }

    /// The request of an action that was made real.
    ///
    /// # Errors
    ///
    /// [`RenderError`] where it needs what was never learned.
    pub fn request(
        &self,
        mirror: &Mirror,
        jars: &Jars,
        action: &Action,
    ) -> Result<Request, RenderError> {
        let rule = &self.model.rules[action.rule];
        let mut mirror = mirror.clone();
        let mut about = Vec::with_capacity(action.picks.len());
        for (index, (pick, picked)) in rule.picks.iter().zip(&action.picks).enumerate() {
            about.push(match picked {
                Picked::Entity(handle) => *handle,
                Picked::Never => self.phantom(&mut mirror, pick.kind, index),
            });
        }
        self.request_about(&mirror, jars, action, &about)
    }

    /// The request of an action, about these entities instead of what it picks.
    fn request_about(
        &self,
        mirror: &Mirror,
        jars: &Jars,
        action: &Action,
        about: &[Handle],
    ) -> Result<Request, RenderError> {
        let model = &self.model;
        let rule = &model.rules[action.rule];
        let mut names = model.names(action, true);
        for ((pick, picked), handle) in rule.picks.iter().zip(&action.picks).zip(about) {
            if picked.handle() != Some(*handle) {
                names.bind(pick.name.clone(), Value::Entity(*handle));
            }
        }
        // An argument that is computed from an entity that never was: from the one made up for it.
        for (arg, value) in rule.args.iter().zip(&action.args) {
            if let (Domain::Computed(expression), Value::Unknown) = (&arg.domain, value) {
                let value = expression.eval(&model.scope(mirror, &names));
                names.bind(arg.name.clone(), value.unwrap_or(Value::Unknown));
            }
        }
        for (name, expression) in &rule.lets {
            let value = model.scope(mirror, &names);
            let value = expression.eval(&value).unwrap_or(Value::Unknown);
            names.bind(name.clone(), value);
        }
        let mut request = self.render(&rule.request, mirror, &names, about, &action.args)?;
        if let Some(auth) = &rule.auth {
            self.authorize(&mut request, auth, mirror, &names, None, Vec::new())?;
        }
        match action.actor {
            Actor::Entity(handle) | Actor::Other(handle) => {
                self.credentials(&mut request, mirror, jars, handle, None)?;
            }
            Actor::Forged(handle, forgery) => {
                self.credentials(&mut request, mirror, jars, handle, Some(forgery))?;
            }
            Actor::Anyone | Actor::Nobody => {}
        }
        Ok(request)
    }

    /// The request of a read, for an entity or for none, and who asks; nothing where nobody can ask now.
    ///
    /// # Errors
    ///
    /// [`RenderError`] where it needs what was never learned.
    pub fn read(
        &self,
        mirror: &Mirror,
        jars: &Jars,
        read: &model::Read,
        entity: Option<(&Arc<str>, Handle)>,
    ) -> Result<Option<(Request, Option<Handle>)>, RenderError> {
        let mut names = Names::default();
        let mut keys = Vec::new();
        if let Some((name, handle)) = entity {
            names.bind(name.clone(), Value::Entity(handle));
            keys.push(handle);
        }
        let mut request = self.render(&read.request, mirror, &names, &keys, &[])?;
        let mut asks = None;
        if let Some(by) = &read.by {
            let value = self.eval(by, mirror, &names, "by")?;
            asks = handles(&value).into_iter().find(|h| mirror.is_live(*h));
            match asks {
                Some(handle) => self.credentials(&mut request, mirror, jars, handle, None)?,
                None => return Ok(None),
            }
        }
        Ok(Some((request, asks)))
    }

    fn eval(
        &self,
        expression: &Expression,
        mirror: &Mirror,
        names: &Names,
        what: &str,
    ) -> Result<Value, RenderError> {
        expression
            .eval(&self.model.scope(mirror, names))
            .map_err(|e| failed(what, e))
    }

    fn template(
        &self,
        template: &Template,
        mirror: &Mirror,
        names: &Names,
        what: &str,
    ) -> Result<Value, RenderError> {
        let scope: Scope<'_> = self.model.scope(mirror, names);
        let value = template
            .eval(&scope, &|handle| self.model.key_of(mirror, handle))
            .map_err(|e| failed(what, e))?;
        // An entity is sent as its key.
        let mut unknown = value.has_unknown();
        value.each_entity(&mut |handle| {
            let has_key = self.model.kind(handle.kind).key.is_some();
            unknown |= has_key && self.model.key_of(mirror, handle).has_unknown();
        });
        match unknown {
            true => Err(RenderError::Unknown {
                what: what.to_owned(),
            }),
            false => Ok(value),
        }
    }

    fn text(&self, value: &Value, mirror: &Mirror) -> String {
        value.to_text(&|handle| self.key(mirror, handle))
    }

    fn key(&self, mirror: &Mirror, handle: Handle) -> serde_json::Value {
        self.model
            .key_of(mirror, handle)
            .to_json(&|_| serde_json::Value::Null)
    }

    fn render(
        &self,
        request: &model::Request,
        mirror: &Mirror,
        names: &Names,
        keys: &[Handle],
        args: &[Value],
    ) -> Result<Request, RenderError> {
        let mut path = String::new();
        for part in &request.parts {
            match part {
                PathPart::Literal(literal) => path.push_str(literal),
                PathPart::Pick(index) => {
                    let key = keys
                        .get(*index)
                        .map_or(Value::Unknown, |h| self.model.key_of(mirror, *h));
                    if key.has_unknown() {
                        return Err(RenderError::Unknown {
                            what: request.path.clone(),
                        });
                    }
                    let text = self.text(&key, mirror);
                    path.extend(utf8_percent_encode(&text, SEGMENT));
                }
                PathPart::Argument(index) => {
                    let text = args
                        .get(*index)
                        .map_or(String::new(), |v| self.text(v, mirror));
                    path.extend(utf8_percent_encode(&text, SEGMENT));
                }
                PathPart::Template(template) => {
                    let value = self.template(template, mirror, names, &request.path)?;
                    let text = self.text(&value, mirror);
                    path.extend(utf8_percent_encode(&text, PATH));
                }
            }
        }
        let query = self.pairs(&request.query, mirror, names, "query")?;
        let headers = self.pairs(&request.headers, mirror, names, "headers")?;
        let body = match &request.body {
            model::Body::Empty => None,
            model::Body::Json(template) => match self.template(template, mirror, names, "json")? {
                Value::Absent => None,
                value => Some(Body {
                    content_type: "application/json".into(),
                    bytes: value
                        .to_json(&|handle| self.key(mirror, handle))
                        .to_string()
                        .into_bytes(),
                }),
            },
            model::Body::Text(template) => {
                let value = self.template(template, mirror, names, "text")?;
                Some(Body {
                    content_type: "text/plain; charset=utf-8".into(),
                    bytes: self.text(&value, mirror).into_bytes(),
                })
            }
            model::Body::Form(fields) => {
                let pairs = self.pairs(fields, mirror, names, "form")?;
                let mut encoded = form_urlencoded::Serializer::new(String::new());
                encoded.extend_pairs(&pairs);
                Some(Body {
                    content_type: "application/x-www-form-urlencoded".into(),
                    bytes: encoded.finish().into_bytes(),
                })
            }
            model::Body::Multipart(fields) => {
                let pairs = self.pairs(fields, mirror, names, "multipart")?;
                Some(multipart(&pairs))
            }
        };
        Ok(Request {
            method: request.method.clone(),
            path,
            query,
            headers,
            body,
        })
    }

    /// Names and texts; what is absent is left out, and a list gives its name several times.
    fn pairs(
        &self,
        templates: &[(String, Template)],
        mirror: &Mirror,
        names: &Names,
        what: &str,
    ) -> Result<Vec<(String, String)>, RenderError> {
        let mut pairs = Vec::new();
        for (name, template) in templates {
            match self.template(template, mirror, names, what)? {
                Value::Absent => {}
                Value::List(items) => {
                    for item in items.iter() {
                        pairs.push((name.clone(), self.text(item, mirror)));
                    }
                }
                value => pairs.push((name.clone(), self.text(&value, mirror))),
            }
        }
        Ok(pairs)
    }

    /// What a principal shows by what the model says alone, if that is known.
    pub fn shown(&self, mirror: &Mirror, handle: Handle) -> Option<Given> {
        let mut request = Request {
            method: "GET".into(),
            path: "/".into(),
            query: Vec::new(),
            headers: Vec::new(),
            body: None,
        };
        self.credentials(&mut request, mirror, &Jars::default(), handle, None)
            .ok()?;
        Some(Given {
            headers: request.headers,
            query: request.query,
        })
    }

    fn credentials(
        &self,
        request: &mut Request,
        mirror: &Mirror,
        jars: &Jars,
        handle: Handle,
        forged: Option<Forgery>,
    ) -> Result<(), RenderError> {
        let Some(auth) = &self.model.kind(handle.kind).auth else {
            return Ok(());
        };
        let mut names = Names::default();
        names.bind("self", Value::Entity(handle));
        let mut kept = match auth.jar {
            true => jars.cookies(handle, &request.path),
            false => Vec::new(),
        };
        let (token, forged) = match forged.is_some_and(Forgery::is_of_token) {
            true => (forged, None),
            false => (None, forged),
        };
        if let Some(forgery) = forged {
            // It is not the token that is to be refused.
            let spared = match &auth.csrf {
                Some(Csrf {
                    source: TokenSource::Cookie(name),
                    ..
                }) => name.as_str(),
                _ => "",
            };
            for (_, value) in kept.iter_mut().filter(|(name, _)| name != spared) {
                *value = forge(value, forgery);
            }
        }
        if let Some(csrf) = &auth.csrf {
            csrf::add(request, csrf, jars, handle, token);
        }
        if forged == Some(Forgery::Old) {
            let old = jars.old(handle).ok_or_else(|| RenderError::Unknown {
                what: "an old credential".into(),
            })?;
            request.headers.extend(old.headers.iter().cloned());
            request.query.extend(old.query.iter().cloned());
            return Ok(());
        }
        if let Some(given) = jars.given(handle) {
            let forge = |(name, value): &(String, String)| {
                let value = forged.map_or(value.clone(), |forgery| forge(value, forgery));
                (name.clone(), value)
            };
            request.headers.extend(given.headers.iter().map(forge));
            request.query.extend(given.query.iter().map(forge));
            let none = Auth::default();
            return self.authorize(request, &none, mirror, &names, forged, kept);
        }
        self.authorize(request, auth, mirror, &names, forged, kept)
    }

    fn authorize(
        &self,
        request: &mut Request,
        auth: &Auth,
        mirror: &Mirror,
        names: &Names,
        forged: Option<Forgery>,
        kept: Vec<(String, String)>,
    ) -> Result<(), RenderError> {
        let forge = |text: String| match forged {
            Some(forgery) => forge(&text, forgery),
            None => text,
        };
        for (name, value) in self.pairs(&auth.headers, mirror, names, "auth")? {
            request.headers.push((name, forge(value)));
        }
        for (name, value) in self.pairs(&auth.query, mirror, names, "auth")? {
            request.query.push((name, forge(value)));
        }
        let mut cookies = kept;
        for (name, value) in self.pairs(&auth.cookies, mirror, names, "auth")? {
            // What the server set last is what it wants to see.
            if !cookies.iter().any(|(known, _)| *known == name) {
                cookies.push((name, forge(value)));
            }
        }
        if !cookies.is_empty() {
            let cookies: Vec<_> = cookies
                .into_iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            request.headers.push(("Cookie".into(), cookies.join("; ")));
        }
        if let Some((user, password)) = &auth.basic {
            let user = self.template(user, mirror, names, "auth")?;
            let password = self.template(password, mirror, names, "auth")?;
            let value = match forged {
                Some(Forgery::Malformed) => "Basic not-base64!".to_owned(),
                _ => {
                    let password = forge(self.text(&password, mirror));
                    let pair = format!("{}:{password}", self.text(&user, mirror));
                    format!("Basic {}", STANDARD.encode(pair))
                }
            };
            request.headers.push(("Authorization".into(), value));
        }
        if let Some(token) = &auth.bearer {
            let token = self.template(token, mirror, names, "auth")?;
            let value = match forged {
                Some(Forgery::Malformed) => MALFORMED.to_owned(),
                _ => format!("Bearer {}", forge(self.text(&token, mirror))),
            };
            request.headers.push(("Authorization".into(), value));
        }
        Ok(())
    }

    /// An entity that never was: like one that is there, but with a key and texts of its own.
    fn phantom(&self, mirror: &mut Mirror, kind: KindId, nth: usize) -> Handle {
        let definition = self.model.kind(kind);
        let salt = self.salt();
        let sample = mirror.all(kind).next().map(|(_, r)| r.fields.clone());
        let fields = definition
            .fields
            .iter()
            .enumerate()
            .map(|(index, field)| {
                let like = sample.as_ref().and_then(|s| s.get(index));
                match (like, field.ty.bare()) {
                    (Some(Value::Int(_)), _) if definition.key == Some(index) => {
                        Value::Int(never_counted(salt))
                    }
                    (Some(Value::Text(text)), _) => Value::text(never(text, salt)),
                    (Some(Value::Unknown) | None, ty) if ty.is_text() => {
                        Value::text(never("00000000-0000-4000-8000-000000000000", salt))
                    }
                    (_, Type::Text) if definition.key == Some(index) => {
                        Value::text(never("00000000-0000-4000-8000-000000000000", salt))
                    }
                    (Some(value), _) => value.clone(),
                    // Not 0, which may stand for nothing.
                    (None, Type::Int) => Value::Int(1),
                    (None, _) => Value::Null,
                }
            })
            .collect();
        made_up(mirror, kind, nth, fields)
    }

    /// A number that no entity was made up with before.
    fn salt(&self) -> u64 {
        let count = self.made_up.fetch_add(1, Ordering::Relaxed);
        self.mark
            .bytes()
            .fold(count.wrapping_mul(0x9e37_79b9_7f4a_7c15), |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
            })
    }
}

/// Puts an entity that never was into a mirror, for the nth pick of an action.
fn made_up(mirror: &mut Mirror, kind: KindId, nth: usize, fields: Vec<Value>) -> Handle {
    let handle = Handle {
        kind,
        step: u32::MAX,
        nth: u16::try_from(nth).unwrap_or(u16::MAX),
    };
    mirror.insert(handle, fields);
    handle
}

/// A number that no server has counted up to.
fn never_counted(salt: u64) -> i64 {
    2_000_000_000 + i64::try_from(salt % 100_000_000).unwrap_or(0)
}

fn failed(what: &str, error: EvalError) -> RenderError {
    match error {
        EvalError::Unknown => RenderError::Unknown {
            what: what.to_owned(),
        },
        EvalError::Failed(reason) => RenderError::Failed {
            what: what.to_owned(),
            reason,
        },
    }
}

/// Numbers at the end of a text that are shorter than this are counted up by servers, and met by chance.
const SHORT_NUMBER: usize = 9;

/// A text of the same shape that nothing has: letters and digits replaced, each by one of its own sort. A short number at
/// its end becomes one that no server has counted up to.
pub(super) fn never(like: &str, salt: u64) -> String {
    let stem = like.trim_end_matches(|c: char| c.is_ascii_digit());
    if stem.len() < like.len()
        && like.len() - stem.len() < SHORT_NUMBER
        && like.len() < 2 * SHORT_NUMBER
    {
        return format!("{stem}{}", 900_000_000 + salt % 100_000_000);
    }
    let hex = like.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    let mut state = 0x6e65_7665_7200_0000 ^ salt;
    like.chars()
        .enumerate()
        .map(|(index, c)| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let draw = u8::try_from((state >> 33) % 256).unwrap_or(0);
            match c {
                // The version and the variant of a UUID stay, or it would be none.
                _ if hex && like.len() == 36 && (index == 14 || index == 19) => c,
                _ if hex && c.is_ascii_hexdigit() => {
                    char::from(b"0123456789abcdef"[usize::from(draw % 16)])
                }
                '0'..='9' => char::from(b'0' + draw % 10),
                'a'..='z' => char::from(b'a' + draw % 26),
                'A'..='Z' => char::from(b'A' + draw % 26),
                other => other,
            }
        })
        .collect()
}

/// What no server takes for credentials.
const MALFORMED: &str = "~ not a credential ~";

/// A credential that is made from another one, and nobody's.
fn forge(credential: &str, forgery: Forgery) -> String {
    // The scheme in front of a token (`Bearer x`, `ApiKey x`) is kept.
    let (scheme, token) = match credential.split_once(' ') {
        Some((scheme, token)) => (format!("{scheme} "), token),
        None => (String::new(), credential),
    };
    match forgery {
        Forgery::Unknown => format!("{scheme}{}", never(token, 77)),
        Forgery::Truncated => format!("{scheme}{}", truncated(token)),
        Forgery::Malformed => MALFORMED.to_owned(),
        Forgery::Old | Forgery::Tokenless | Forgery::WrongToken => credential.to_owned(),
    }
}

/// The first half of a secret.
pub(crate) fn truncated(secret: &str) -> String {
    secret.chars().take(secret.chars().count() / 2).collect()
}

/// What stands between the parts of a body. Nothing drawn holds it.
pub(super) const BOUNDARY: &str = "gainsay-5d1c8f0b7a3e4926";

fn multipart(pairs: &[(String, String)]) -> Body {
    let boundary = BOUNDARY;
    let mut text = String::new();
    for (name, value) in pairs {
        let name = name.replace('"', "%22");
        text.push_str(&format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        ));
    }
    text.push_str(&format!("--{boundary}--\r\n"));
    Body {
        content_type: format!("multipart/form-data; boundary={boundary}"),
        bytes: text.into_bytes(),
    }
}

fn rfc3339(seconds: i64) -> String {
    chrono::DateTime::from_timestamp(seconds, 0)
        .map(|t| t.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_was_has_the_shape_of_what_is() {
        let uuid = "1b4e28ba-2fa1-41d2-883f-0016d3cca427";
        let other = never(uuid, 0);
        assert_ne!(other, uuid);
        assert_eq!(other.len(), 36);
        assert_eq!(&other[14..15], "4");
        assert_ne!(never(uuid, 1), other);
        assert_eq!(never(uuid, 0), other);
        assert!(never("agent-7", 0).contains('-'));
    }

    /// What was created by a request that nobody saw an answer to has no id that is known: it cannot be spoken of.
    #[test]
    fn an_entity_whose_key_is_unknown_is_not_sent_as_null() {
        let source = r#"
model: racks
entities:
  rack: { fields: { id: string } }
rules:
  put:
    by: anyone
    pick: { rack: racks }
    request: POST /books
    json: { on: "${rack}", among: ["${rack}"] }
    responds: 201
  build:
    by: anyone
    request: POST /racks
    responds: 201
    creates: { rack: { id: "${body.id}" } }
"#;
        let model = Arc::new(Model::parse("racks.yaml", source).expect("a model"));
        let mut mirror = model.initial();
        let rack = Handle {
            kind: KindId(0),
            step: 1,
            nth: 0,
        };
        let action = Action {
            rule: 0,
            actor: Actor::Anyone,
            picks: vec![Picked::Entity(rack)],
            args: Vec::new(),
        };
        let renderer = Renderer::new(model, "0".into(), 0);
        mirror.insert(rack, vec![Value::Unknown]);
        let unknown = renderer.request(&mirror, &Jars::default(), &action);
        assert!(
            matches!(unknown, Err(RenderError::Unknown { .. })),
            "{unknown:?}"
        );
        mirror.insert(rack, vec![Value::text("s-1".to_owned())]);
        let known = renderer
            .request(&mirror, &Jars::default(), &action)
            .expect("it can be sent");
        let body = known.body.expect("it has a body").bytes;
        assert_eq!(body, br#"{"among":["s-1"],"on":"s-1"}"#);
    }

    #[test]
    fn a_forgery_keeps_its_scheme() {
        let forged = forge("Bearer dsf_Abc123", Forgery::Unknown);
        assert!(forged.starts_with("Bearer "));
        assert_ne!(forged, "Bearer dsf_Abc123");
        assert_eq!(
            forge("Bearer dsf_Abc123", Forgery::Truncated),
            "Bearer dsf_A"
        );
        assert_eq!(forge("Bearer dsf_Abc123", Forgery::Malformed), MALFORMED);
    }
}
