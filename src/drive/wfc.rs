//! Authentication files of Web Fuzzing Commons: accounts with fixed headers, or with a login that brings a token or
//! cookies. The schema is WebFuzzing/Commons, `auth.yaml`, since version 0.2.0; what gainsay cannot do of it is refused.

mod file;

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::history::{Body, Request, Response};
use super::jar::{Given, Jars};
use super::{Client, ClientError};
use crate::model::Model;
use crate::model::mirror::Mirror;
use crate::model::types::Type;
use crate::model::value::{Handle, KindId, Value};
use file::{FileName, text_of};

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
                if login.expect_cookies && jars.is_empty(handle) {
                    return Err(failed("set no cookie that can be kept".to_owned()));
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

/// `FILE`, or `KIND=FILE`, as options have it.
pub fn kind_and_file(option: &str) -> (Option<&str>, &Path) {
    let name =
        |text: &str| !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || c == '_');
    match option.split_once('=') {
        Some((kind, path)) if name(kind) => (Some(kind), Path::new(path)),
        _ => (None, Path::new(option)),
    }
}

fn is_form(content_type: &str) -> bool {
    content_type.starts_with("application/x-www-form-urlencoded")
}
