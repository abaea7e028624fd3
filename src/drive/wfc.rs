//! Authentication files of Web Fuzzing Commons: accounts with fixed headers, or with a login that brings a token or
//! cookies. The schema is WebFuzzing/Commons, `auth.yaml`, since version 0.2.0; what gainsay cannot do of it is refused.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Instant;

use regex::Regex;
use reqwest::header::{HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::history::{Body, Request, Response};
use super::jar::{Given, Jars};
use super::{Client, ClientError};
use crate::model::Model;
use crate::model::mirror::Mirror;
use crate::model::types::Type;
use crate::model::value::{Handle, KindId, Value};

/// How large a file may be, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// Why the accounts of a file cannot be used. No secret is in it.
#[derive(Debug, thiserror::Error)]
pub enum WfcError {
    /// It could not be read.
    #[error("cannot read the authentication file {}: {reason}", path.display())]
    Read {
        /// Its path.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// It says what it cannot, or what gainsay does not do.
    #[error("{}: {place}: {reason}\n  {help}", path.display())]
    Refused {
        /// Its path.
        path: PathBuf,
        /// Where.
        place: String,
        /// What is wrong.
        reason: String,
        /// What to do.
        help: String,
    },
    /// Nobody says whose accounts they are, or nobody can have any.
    #[error("{reason}\n  {help}")]
    Kind {
        /// What is wrong.
        reason: String,
        /// What to do.
        help: String,
    },
    /// A login did not bring what it should.
    #[error("the login of `{name}` ({method} {path}) {reason}")]
    Login {
        /// The name of the entry.
        name: String,
        /// The method.
        method: String,
        /// The path.
        path: String,
        /// What happened.
        reason: String,
    },
    /// There is no answer to a login.
    #[error("the login of `{name}`: {source}")]
    Unanswered {
        /// The name of the entry.
        name: String,
        /// Why.
        source: ClientError,
    },
}

/// The accounts of a file, and of which kind they are.
#[derive(Debug)]
pub struct Wfc {
    /// Their kind.
    pub kind: KindId,
    entries: Vec<Entry>,
}

/// One account.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Entry {
    name: String,
    #[serde(default)]
    fixed_headers: Vec<Header>,
    login_endpoint_auth: Option<Login>,
    #[serde(default)]
    require_mock_handling: bool,
    create_users: Option<Json>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    name: String,
    value: String,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Login {
    endpoint: Option<String>,
    #[serde(rename = "externalEndpointURL")]
    external: Option<String>,
    payload_raw: Option<String>,
    payload_user_pwd: Option<UserPassword>,
    #[serde(default)]
    headers: Vec<Header>,
    verb: Verb,
    content_type: Option<String>,
    token: Option<Token>,
    #[serde(default)]
    expect_cookies: bool,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Verb {
    Post,
    Get,
    Patch,
    Delete,
    Put,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UserPassword {
    username: String,
    password: String,
    username_field: String,
    password_field: String,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Token {
    extract_from: From,
    extract_selector: String,
    send_in: SendIn,
    send_name: String,
    #[serde(default = "bare")]
    send_template: String,
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum From {
    Body,
    Header,
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum SendIn {
    Header,
    Query,
}

const TOKEN: &str = "{token}";

fn bare() -> String {
    TOKEN.to_owned()
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Entry({})", self.name)
    }
}

impl Wfc {
    /// Reads the accounts of a file, which are of the kind that is named, or of the only one that can act.
    ///
    /// # Errors
    ///
    /// [`WfcError::Read`], [`WfcError::Refused`] and [`WfcError::Kind`].
    pub fn load(model: &Model, named: Option<&str>, path: &Path) -> Result<Wfc, WfcError> {
        let kind = kind_of(model, named)?;
        let text = text_of(path)?;
        let file = FileName(path);
        let entries = file.entries(&text)?;
        let jar = model.keeps(kind);
        for entry in &entries {
            file.check(entry, &model.kind(kind).name, jar)?;
        }
        Ok(Wfc { kind, entries })
    }

    /// How many accounts there are.
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    /// Adds the accounts to the mirror that plans start from, with what the file says of their fields: a text field that is
    /// called as the login's payload calls it has the user name, or the password.
    pub fn add_to(&self, model: &Model, mirror: &mut Mirror) {
        let kind = model.kind(self.kind);
        for (handle, entry) in self.accounts() {
            let fields = kind.fields.iter();
            let fields = fields.map(|field| entry.field(&field.name, &field.ty));
            mirror.insert(handle, fields.collect());
        }
    }

    /// The accounts and who they are in a plan.
    fn accounts(&self) -> impl Iterator<Item = (Handle, &Entry)> {
        (0..).zip(&self.entries).map(|(nth, entry)| {
            let handle = Handle {
                kind: self.kind,
                step: 0,
                nth,
            };
            (handle, entry)
        })
    }

    /// Logs all accounts in, one after the other, and gives them what they show from then on.
    ///
    /// # Errors
    ///
    /// [`WfcError::Login`] and [`WfcError::Unanswered`].
    pub async fn log_in(
        &self,
        model: &Model,
        client: &Client,
        jars: &mut Jars,
    ) -> Result<(), WfcError> {
        for (handle, entry) in self.accounts() {
            let mut given = Given::default();
            for header in &entry.fixed_headers {
                let pair = (header.name.clone(), header.value.clone());
                given.headers.push(pair);
            }
            if let Some(login) = &entry.login_endpoint_auth {
                let request = login.request();
                let failed = |reason: String| WfcError::Login {
                    name: entry.name.clone(),
                    method: request.method.clone(),
                    path: request.path.clone(),
                    reason,
                };
                let sent = client.send(&request, Instant::now()).await;
                let (_, response) = sent.map_err(|source| WfcError::Unanswered {
                    name: entry.name.clone(),
                    source,
                })?;
                if response.status >= 400 {
                    return Err(failed(format!("answered {}", response.status)));
                }
                if let Some(token) = &login.token {
                    let found = token.find(&response).map_err(failed)?;
                    let value = token.send_template.replace(TOKEN, &found);
                    jars.tell_given(handle, "token", &found);
                    match token.send_in {
                        SendIn::Header => given.headers.push((token.send_name.clone(), value)),
                        SendIn::Query => given.query.push((token.send_name.clone(), value)),
                    }
                }
                jars.learn(model, handle, None, &request.path, &response);
                if login.expect_cookies {
                    if jars.is_empty(handle) {
                        return Err(failed("set no cookie that can be kept".to_owned()));
                    }
                }
                if let Some(pair) = &login.payload_user_pwd {
                    jars.tell_given(handle, "password", &pair.password);
                }
            }
            jars.give(handle, given);
        }
        Ok(())
    }
}

impl Entry {
    fn field(&self, name: &str, ty: &Type) -> Value {
        let login = self.login_endpoint_auth.as_ref();
        let pair = login.and_then(|login| login.payload_user_pwd.as_ref());
        match pair.filter(|_| ty.is_text()) {
            Some(pair) if pair.username_field == name => Value::text(pair.username.as_str()),
            Some(pair) if pair.password_field == name => Value::text(pair.password.as_str()),
            _ => Value::Unknown,
        }
    }
}

impl Login {
    fn request(&self) -> Request {
        let endpoint = self.endpoint.as_deref().unwrap_or_default();
        let (path, query) = endpoint.split_once('?').unwrap_or((endpoint, ""));
        let query = form_urlencoded::parse(query.as_bytes()).into_owned();
        let content_type = self.content_type.clone().unwrap_or_default();
        let payload = match (&self.payload_raw, &self.payload_user_pwd) {
            (Some(raw), _) => Some(raw.clone()),
            (None, Some(pair)) if is_form(&content_type) => {
                let mut form = form_urlencoded::Serializer::new(String::new());
                form.append_pair(&pair.username_field, &pair.username);
                form.append_pair(&pair.password_field, &pair.password);
                Some(form.finish())
            }
            (None, Some(pair)) => {
                let (user, word) = (&pair.username_field, &pair.password_field);
                Some(json!({ user: pair.username, word: pair.password }).to_string())
            }
            (None, None) => None,
        };
        let headers = self.headers.iter();
        Request {
            method: format!("{:?}", self.verb).to_ascii_uppercase(),
            path: path.to_owned(),
            query: query.collect(),
            headers: headers.map(|h| (h.name.clone(), h.value.clone())).collect(),
            body: payload.map(|payload| Body {
                content_type,
                bytes: payload.into_bytes(),
            }),
        }
    }
}

impl Token {
    /// The token in the answer to a login.
    fn find(&self, response: &Response) -> Result<String, String> {
        let selector = &self.extract_selector;
        if self.extract_from == From::Header {
            let header = response.header(selector).map(str::to_owned);
            return header.ok_or(format!("has no header {selector} in its answer"));
        }
        let body = response.json();
        let body = body.ok_or("answered with no JSON to take a token from")?;
        match body.pointer(selector) {
            Some(Json::String(text)) if !text.is_empty() => Ok(text.clone()),
            Some(Json::Number(number)) => Ok(number.to_string()),
            Some(_) => Err(format!("has no text at {selector} of its answer")),
            None => Err(format!("has nothing at {selector} of its answer")),
        }
    }
}

/// A file by its path, for errors.
struct FileName<'p>(&'p Path);

impl FileName<'_> {
    fn refused(&self, place: &str, reason: impl Into<String>, help: impl Into<String>) -> WfcError {
        WfcError::Refused {
            path: self.0.to_owned(),
            place: place.to_owned(),
            reason: reason.into(),
            help: help.into(),
        }
    }

    /// The accounts, each with what it has from the template.
    fn entries(&self, text: &str) -> Result<Vec<Entry>, WfcError> {
        const FORM: &str = "it is YAML, JSON or TOML in the form of WebFuzzing/Commons";
        let toml = self
            .0
            .extension()
            .is_some_and(|extension| extension == "toml");
        let read: Result<Json, String> = match toml {
            true => toml::from_str(text).map_err(|e: toml::de::Error| e.message().to_owned()),
            false => serde_saphyr::from_str(text).map_err(|e| e.without_snippet().to_string()),
        };
        let read = read.map_err(|reason| self.refused("the file", hidden(&reason), FORM))?;
        let Json::Object(mut top) = read else {
            return Err(self.refused("the file", "it is no map", FORM));
        };
        let known = ["schemaVersion", "auth", "authTemplate", "configs"];
        if let Some(other) = top.keys().find(|key| !known.contains(&key.as_str())) {
            let help = format!("it may have {}", known.join(", "));
            return Err(self.refused("the file", format!("unknown field `{other}`"), help));
        }
        let template = match top.remove("authTemplate") {
            None | Some(Json::Null) => Map::new(),
            Some(Json::Object(map)) => map,
            Some(_) => return Err(self.refused("authTemplate", "it is no map", FORM)),
        };
        let Some(Json::Array(list)) = top.remove("auth") else {
            let help = "give a list of accounts, each with a `name`";
            return Err(self.refused("the file", "there is no list `auth`", help));
        };
        if list.is_empty() {
            return Err(self.refused("auth", "it is empty", "give at least one account"));
        }
        let mut names = BTreeSet::new();
        let mut entries = Vec::new();
        for (index, entry) in list.into_iter().enumerate() {
            let named = entry.get("name").and_then(Json::as_str).map(str::to_owned);
            let place = match &named {
                Some(name) => format!("the account `{name}`"),
                None => format!("account {}", index + 1),
            };
            if let Some(name) = named
                && !names.insert(name)
            {
                let help = "rename one of them";
                return Err(self.refused(&place, "there are two of this name", help));
            }
            let entry = merged(entry, &Json::Object(template.clone()));
            let entry = serde_json::from_value(entry).map_err(|error| {
                let reason = hidden(&error.to_string());
                let help = match reason.contains("extractFromField")
                    || reason.contains("httpHeaderName")
                    || reason.contains("headerPrefix")
                {
                    true => "that is how versions before 0.2.0 said it: say `extractFrom`, `extractSelector`, `sendIn`, `sendName` and `sendTemplate`",
                    false => "docs/running.md says which fields are taken",
                };
                self.refused(&place, reason, help)
            })?;
            entries.push(entry);
        }
        Ok(entries)
    }

    /// What gainsay cannot do, or what makes no sense.
    fn check(&self, entry: &Entry, kind: &str, jar: bool) -> Result<(), WfcError> {
        let place = format!("the account `{}`", entry.name);
        let wrong = |reason: &str, help: &str| Err(self.refused(&place, reason, help));
        if entry.require_mock_handling {
            let help = "gainsay sees a server from outside: leave it out, and start what is mocked yourself";
            return wrong("`requireMockHandling` is not supported", help);
        }
        if entry.create_users.is_some() {
            let help =
                "write a rule that registers users: `setup` makes as many as each plan needs";
            return wrong("`createUsers` is not supported", help);
        }
        let login = entry.login_endpoint_auth.as_ref();
        if entry.fixed_headers.is_empty() && login.is_none() {
            let help = "give `fixedHeaders` or `loginEndpointAuth`";
            return wrong("it does not say how to authenticate", help);
        }
        let headers = login.iter().flat_map(|login| &login.headers);
        for header in headers.chain(&entry.fixed_headers) {
            if !can_be_sent(&header.name, &header.value) {
                let reason = format!("the header `{}` cannot be sent", header.name.escape_debug());
                return wrong(
                    &reason,
                    "a header has a name of letters and dashes, and one line",
                );
            }
        }
        let Some(login) = login else { return Ok(()) };
        if login.external.is_some() {
            let help = "credentials go to the target alone: log in yourself, and give the token under `fixedHeaders`";
            return wrong("`externalEndpointURL` is not supported", help);
        }
        let path = login.endpoint.as_deref().unwrap_or_default();
        if !path.starts_with('/') || path.contains(['#', ' ']) {
            let help = "it is a path below the address of the target: `endpoint: /login`";
            return wrong("`loginEndpointAuth` has no `endpoint` that is a path", help);
        }
        let content_type = login.content_type.as_deref();
        match (&login.payload_raw, &login.payload_user_pwd) {
            (Some(_), Some(_)) => {
                let help = "give one of them; the other may come from `authTemplate`";
                return wrong("it has both `payloadRaw` and `payloadUserPwd`", help);
            }
            (Some(_), None) if content_type.is_none() => {
                let help = "say `contentType: application/json`, or what it is";
                return wrong("its `payloadRaw` has no `contentType`", help);
            }
            (None, Some(_)) if !content_type.is_some_and(|t| is_form(t) || is_json(t)) => {
                let help = "it is application/json or application/x-www-form-urlencoded; for another one give `payloadRaw`";
                return wrong(
                    "`payloadUserPwd` cannot be written in its `contentType`",
                    help,
                );
            }
            _ => {}
        }
        if content_type.is_some_and(|text| HeaderValue::from_str(text).is_err()) {
            return wrong("its `contentType` cannot be sent", "it has one line");
        }
        if login.token.is_none() && !login.expect_cookies {
            let help = "give a `token`, or say `expectCookies: true`";
            return wrong("it does not say what its login brings", help);
        }
        if login.expect_cookies && !jar {
            let reason = format!("it expects cookies, and `{kind}` keeps none in the model");
            return wrong(
                &reason,
                &format!("say `jar: true` under the `auth` of `{kind}`"),
            );
        }
        let Some(token) = &login.token else {
            return Ok(());
        };
        if !token.send_template.contains(TOKEN) {
            let help = "say where it stands: `sendTemplate: \"Bearer {token}\"`";
            return wrong("its `sendTemplate` has no `{token}`", help);
        }
        if token.send_in == SendIn::Header && !can_be_sent(&token.send_name, &token.send_template) {
            return wrong(
                "its `sendName` is no name of a header",
                "say `sendName: Authorization`",
            );
        }
        let selector = &token.extract_selector;
        if token.extract_from == From::Body && !(selector.is_empty() || selector.starts_with('/')) {
            let help = "it is a JSON pointer (RFC 6901): `extractSelector: /token/access`";
            return wrong("its `extractSelector` does not begin with `/`", help);
        }
        Ok(())
    }
}

/// The kind that accounts are of: the one that is named, or the only one there is.
fn kind_of(model: &Model, named: Option<&str>) -> Result<KindId, WfcError> {
    let name = |kind: KindId| model.kind(kind).name.as_str();
    let kinds: Vec<KindId> = model.principals().collect();
    let names: Vec<&str> = kinds.iter().map(|kind| name(*kind)).collect();
    let wrong = |reason: String, help: String| Err(WfcError::Kind { reason, help });
    match (named, kinds.as_slice()) {
        (Some(wanted), _) => match kinds.iter().find(|kind| name(**kind) == wanted) {
            Some(kind) => Ok(*kind),
            None => wrong(
                format!("the model has no `{wanted}` with `auth`, so no account can be one"),
                format!("those that can act are {}", names.join(", ")),
            ),
        },
        (None, [only]) => Ok(*only),
        (None, []) => wrong(
            "nothing in the model has `auth`, so there is nobody to have an account".into(),
            "say in the model how an entity shows who it is".into(),
        ),
        (None, [first, ..]) => wrong(
            format!(
                "several kinds can act ({}): whose accounts are these?",
                names.join(", ")
            ),
            format!("say it before the file: {}=FILE", name(*first)),
        ),
    }
}

fn text_of(path: &Path) -> Result<String, WfcError> {
    let unreadable = |reason: String| WfcError::Read {
        path: path.to_owned(),
        reason,
    };
    let mut text = String::new();
    let file = File::open(path).map_err(|e| unreadable(e.to_string()))?;
    let read = file.take(MAX_BYTES + 1).read_to_string(&mut text);
    read.map_err(|e| unreadable(e.to_string()))?;
    match text.len() as u64 > MAX_BYTES {
        true => Err(unreadable(format!("it is larger than {MAX_BYTES} bytes"))),
        false => Ok(text),
    }
}

/// A map with what it lacks from a template, at any depth.
fn merged(entry: Json, template: &Json) -> Json {
    match (entry, template) {
        (Json::Object(mut map), Json::Object(template)) => {
            for (key, value) in template {
                let own = map.remove(key).unwrap_or(Json::Null);
                map.insert(key.clone(), merged(own, value));
            }
            Json::Object(map)
        }
        (Json::Null, template) => template.clone(),
        (own, _) => own,
    }
}

/// What serde says of a value, without the value: it may be a password.
fn hidden(reason: &str) -> String {
    static VALUE: LazyLock<Regex> = LazyLock::new(|| {
        // The pattern is a constant that compiles.
        Regex::new(
            r#"\b(string|integer|floating point|boolean|character) ("(?:\\.|[^"\\])*"|`[^`]*`)"#,
        )
        .expect("a constant pattern")
    });
    VALUE.replace_all(reason, "$1").into_owned()
}

/// `FILE`, or `KIND=FILE`, as options have it.
pub fn kind_and_file(option: &str) -> (Option<&str>, &Path) {
    let name =
        |text: &str| !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || c == '_');
    match option.split_once('=') {
        Some((kind, path)) if name(kind) => (Some(kind), Path::new(path)),
        _ => (None, Path::new(option)),
    }
}

fn can_be_sent(name: &str, value: &str) -> bool {
    name.parse::<HeaderName>().is_ok() && HeaderValue::from_str(value).is_ok()
}

fn is_form(content_type: &str) -> bool {
    content_type.starts_with("application/x-www-form-urlencoded")
}

fn is_json(content_type: &str) -> bool {
    content_type.starts_with("application/json")
}
