//! The text of an authentication file: read, filled in from its template, and checked for what gainsay cannot do.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;
use reqwest::header::{HeaderName, HeaderValue};
use serde_json::{Map, Value as Json};

use super::{Entry, From, SendIn, TOKEN, WfcError, is_form};

/// How large a file may be, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// A file by its path, for errors.
pub(super) struct FileName<'p>(pub &'p Path);

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
    pub fn entries(&self, text: &str) -> Result<Vec<Entry>, WfcError> {
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
    pub fn check(&self, entry: &Entry, kind: &str, jar: bool) -> Result<(), WfcError> {
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

/// The text of a file, if it is no larger than it may be.
pub(super) fn text_of(path: &Path) -> Result<String, WfcError> {
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

fn can_be_sent(name: &str, value: &str) -> bool {
    name.parse::<HeaderName>().is_ok() && HeaderValue::from_str(value).is_ok()
}

fn is_json(content_type: &str) -> bool {
    content_type.starts_with("application/json")
}
