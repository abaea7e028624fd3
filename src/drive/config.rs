//! `gainsay.toml`: the targets by name, with addresses, headers, accounts that exist there, and how to start the server.
//! Secrets are values or names of environment variables; they are resolved on demand, through a function that the
//! caller gives, and never shown.

mod reader;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ordered_float::OrderedFloat;
use reqwest::Url;

use super::hooks::Hooks;
use super::link::LinkConfig;
use super::plugin::PluginConfig;
use super::process::Serve;
use super::startup::Startup;
use super::symbols::is_secret_name;
use crate::generate::{LinkName, start};
use crate::model::diagnostics::guess;
use crate::model::mirror::Mirror;
use crate::model::types::Type;
use crate::model::value::{Handle, KindId, Value};
use crate::model::{Kind, Mistake, Model, ModelErrors};

/// How large the file may be, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// Requests a second for a target on another machine that names no rate.
pub const REMOTE_RATE: f64 = 10.0;

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("cannot read the configuration {}: {source}", path.display())]
    Read {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is too large.
    #[error("the configuration {} is larger than {MAX_BYTES} bytes; is it the right file?", path.display())]
    TooLarge {
        /// Its path.
        path: PathBuf,
    },
    /// The file has mistakes, or does not fit the model. Values that may be secret are blotted out in what it shows.
    #[error(transparent)]
    Mistakes(#[from] Box<ModelErrors>),
    /// There is no such target.
    #[error("{} has no target `{name}`; {help}", path.display())]
    UnknownTarget {
        /// The path of the file.
        path: PathBuf,
        /// The name.
        name: String,
        /// What to do.
        help: String,
    },
    /// An environment variable has no value.
    #[error("{what} comes from the environment, but {variable} is {state}; set it, or change {}", path.display())]
    Variable {
        /// What needs it, with its target.
        what: String,
        /// The name of the variable.
        variable: String,
        /// Not set, or empty.
        state: &'static str,
        /// The path of the file.
        path: PathBuf,
    },
    /// The value of an environment variable does not have the type that the model says.
    #[error(
        "{what} is `{expected}` in the model, but the value of {variable} is not; correct one of them"
    )]
    Type {
        /// What needs it, with its target.
        what: String,
        /// The name of the variable.
        variable: String,
        /// The type in the model.
        expected: String,
    },
}

/// What a `gainsay.toml` says.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its path, as it was given.
    pub path: PathBuf,
    /// The targets by name.
    pub targets: BTreeMap<String, Target>,
}

/// One target.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// Its address, `http://` or `https://`, with the prefix of its paths.
    pub url: String,
    /// What is sent with every request, in the order of the file.
    pub headers: Vec<(String, Secret)>,
    /// The accounts that exist there, by kind of entity.
    pub accounts: BTreeMap<String, Vec<Account>>,
    /// Authentication files of Web Fuzzing Commons with more of them, and of which kind those are.
    pub auth_wfc: Vec<(Option<String>, PathBuf)>,
    /// Whether it may be on another machine.
    pub allow_remote: bool,
    /// Requests a second. [`REMOTE_RATE`] where the file names none and the target is not a loopback address.
    pub rate: Option<f64>,
    /// How long one request may take.
    pub timeout: Duration,
    /// A websocket is listened to until nothing has come for so long.
    pub quiet: Duration,
    /// The links that gainsay runs, or has a Toxiproxy run, between the server and what it needs, by name.
    pub links: BTreeMap<LinkName, LinkConfig>,
    /// The Toxiproxy that runs the links, where gainsay does not.
    pub toxiproxy: Option<Url>,
    /// The program that makes faults of its own.
    pub injector: Option<PluginConfig>,
    /// Whether what plans create is deleted when they are over.
    pub cleanup: bool,
    /// Whether `X-Gainsay-Run` marks every request.
    pub run_header: bool,
    /// The commands that do things to a server which gainsay does not start.
    pub hooks: Option<Hooks>,
    serve: Option<Serve>,
    environment: Vec<(String, Secret)>,
    startup: Vec<StartupRule>,
    file: Arc<Source>,
}

/// How the server must take a change of its environment.
#[derive(Clone, Debug)]
struct StartupRule {
    name: String,
    env: Vec<(String, Secret)>,
    unset: Vec<String>,
    starts: bool,
}

/// An account that exists at a target: a principal that no rule has to create.
#[derive(Clone, Debug)]
pub struct Account {
    /// What is known of it, by field.
    pub fields: BTreeMap<String, Secret>,
    /// Where its kind is named.
    kind: Range<usize>,
    /// Where its fields are named.
    names: BTreeMap<String, Range<usize>>,
}

/// A value that may be secret: it stands in the file, or in the environment. Its [`fmt::Debug`] form never shows it.
#[derive(Clone)]
pub struct Secret {
    origin: Origin,
    /// What it is, with its target, for errors.
    what: Arc<str>,
    span: Range<usize>,
    file: Arc<Source>,
}

#[derive(Clone)]
enum Origin {
    /// A string, number or truth value of the file.
    Literal(Value),
    /// The name of an environment variable.
    Variable(String),
}

/// The file as errors may show it: with values that may be secret blotted out.
#[derive(Debug)]
struct Source {
    path: PathBuf,
    shown: Arc<str>,
}

impl Source {
    fn mistakes(&self, mistakes: Vec<Mistake>) -> ConfigError {
        let path = self.path.display().to_string();
        ConfigError::Mistakes(Box::new(ModelErrors::new(
            &path,
            self.shown.clone(),
            mistakes,
        )))
    }
}

impl Config {
    /// The configuration in `directory`, if there is a `gainsay.toml` in it.
    ///
    /// # Errors
    ///
    /// As [`Config::load`].
    pub fn find(directory: &Path) -> Result<Option<Config>, ConfigError> {
        let path = directory.join("gainsay.toml");
        match Config::load(&path) {
            Err(ConfigError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(None)
            }
            loaded => loaded.map(Some),
        }
    }

    /// Reads a configuration.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Read`] and [`ConfigError::TooLarge`] where there is no text to read, otherwise as
    /// [`Config::parse`].
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        let unreadable = |source| ConfigError::Read {
            path: path.to_owned(),
            source,
        };
        let mut text = String::new();
        let file = File::open(path).map_err(unreadable)?;
        file.take(MAX_BYTES + 1)
            .read_to_string(&mut text)
            .map_err(unreadable)?;
        if text.len() as u64 > MAX_BYTES {
            return Err(ConfigError::TooLarge {
                path: path.to_owned(),
            });
        }
        Config::parse(path, &text)
    }

    /// Reads a configuration from text; `path` is what errors call it, and what its directories are relative to.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Mistakes`] with every mistake that is in it.
    ///
    /// ```
    /// use gainsay::drive::Config;
    ///
    /// let text = r#"
    ///     [target.staging]
    ///     url = "https://staging.example.com/base"
    ///     allow_remote = true
    ///     headers = { Authorization = { env = "STAGING_TOKEN" } }
    /// "#;
    /// let config = Config::parse("gainsay.toml".as_ref(), text)?;
    /// let staging = config.target("staging")?;
    /// assert_eq!(staging.rate, Some(10.0));
    /// let environment = |name: &str| (name == "STAGING_TOKEN").then(|| "Bearer 1".to_owned());
    /// assert_eq!(staging.headers(&environment)?, [("Authorization".into(), "Bearer 1".into())]);
    /// # Ok::<(), gainsay::drive::ConfigError>(())
    /// ```
    pub fn parse(path: &Path, text: &str) -> Result<Config, ConfigError> {
        reader::read(path, text)
    }

    /// The target of this name.
    ///
    /// # Errors
    ///
    /// [`ConfigError::UnknownTarget`].
    pub fn target(&self, name: &str) -> Result<&Target, ConfigError> {
        self.targets.get(name).ok_or_else(|| {
            let names = self.targets.keys().map(String::as_str);
            let help = match self.targets.is_empty() {
                true => format!("it has none at all: add `[target.{name}]` with a `url`"),
                false => guess(name, names.clone(), &format!("it has {}", list(names))),
            };
            ConfigError::UnknownTarget {
                path: self.path.clone(),
                name: name.to_owned(),
                help,
            }
        })
    }
}

impl Target {
    /// The headers with their values.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Variable`].
    pub fn headers(
        &self,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Vec<(String, String)>, ConfigError> {
        resolved(&self.headers, environment)
    }

    /// Of what is sent with every request that which is nobody else's business: what comes from the environment, and what its
    /// name calls a secret.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Variable`].
    pub fn secret_headers(
        &self,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Vec<(String, String)>, ConfigError> {
        let secret = |(name, value): &&(String, Secret)| {
            matches!(value.origin, Origin::Variable(_)) || is_secret_name(name)
        };
        let headers: Vec<_> = self.headers.iter().filter(secret).cloned().collect();
        resolved(&headers, environment)
    }

    /// How the server is started, if gainsay starts it, with the environment that it gets beside gainsay's own.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Variable`].
    pub fn serve(
        &self,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<Serve>, ConfigError> {
        let Some(serve) = &self.serve else {
            return Ok(None);
        };
        Ok(Some(Serve {
            env: resolved(&self.environment, environment)?,
            ..serve.clone()
        }))
    }

    /// How the server must take changes of its environment, in the order of the file.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Variable`].
    pub fn startup(
        &self,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Vec<Startup>, ConfigError> {
        let Some(serve) = self.serve(environment)? else {
            return Ok(Vec::new());
        };
        let rules = self.startup.iter().map(|rule| {
            let mut serve = serve.clone();
            serve.env.retain(|(name, _)| !rule.unset.contains(name));
            serve.env.extend(resolved(&rule.env, environment)?);
            serve.unset.clone_from(&rule.unset);
            Ok(Startup {
                name: rule.name.clone(),
                serve,
                changed: rule.env.iter().map(|(name, _)| name.clone()).collect(),
                starts: rule.starts,
            })
        });
        rules.collect()
    }

    /// How many accounts of which kinds a plan can count on, in the order of the model's kinds.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Mistakes`] with everything in the accounts that does not fit the model.
    pub fn accounts(&self, model: &Model) -> Result<Vec<(KindId, usize)>, ConfigError> {
        let mut mistakes = Vec::new();
        let mut counts = Vec::new();
        for (name, accounts) in &self.accounts {
            let place = accounts.first().map_or(0..0, |a| a.kind.clone());
            let Some((id, kind)) = kind_named(model, name) else {
                let kinds = model.kinds.iter().map(|k| k.name.as_str());
                mistakes.push(Mistake {
                    span: place,
                    message: format!("the model {} has no entity `{name}`", model.name),
                    help: guess(name, kinds.clone(), &format!("it has {}", list(kinds))),
                });
                continue;
            };
            if kind.auth.is_none() {
                let acting = model.kinds.iter().filter(|k| k.auth.is_some());
                let acting: Vec<&str> = acting.map(|k| k.name.as_str()).collect();
                mistakes.push(Mistake {
                    span: place,
                    message: format!("`{name}` has no `auth` in the model, so it cannot act"),
                    help: match acting.is_empty() {
                        true => "say in the model how it shows who it is, or leave it out".into(),
                        false => format!("give accounts of {}", list(acting)),
                    },
                });
            }
            counts.push((id, accounts.len()));
            for account in accounts {
                mistakes.extend(account.mistakes(model, kind));
            }
        }
        if !mistakes.is_empty() {
            return Err(self.file.mistakes(mistakes));
        }
        counts.sort_unstable();
        Ok(counts)
    }

    /// The mirror that every run at this target starts from: that of the rehearsal for the same
    /// [`Target::accounts`], with the fields that are given. Others stay [`Value::Unknown`].
    ///
    /// # Errors
    ///
    /// As [`Target::accounts`], and [`ConfigError::Variable`] and [`ConfigError::Type`] for what comes from the
    /// environment.
    pub fn account_mirror(
        &self,
        model: &Model,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Mirror, ConfigError> {
        let mut mirror = start(model, &self.accounts(model)?);
        for (name, accounts) in &self.accounts {
            let Some((id, kind)) = kind_named(model, name) else {
                continue; // `accounts` refused it
            };
            let handles: Vec<Handle> = mirror.all(id).map(|(handle, _)| handle).collect();
            for (handle, account) in handles.into_iter().zip(accounts) {
                let fields = kind.fields.iter().map(|field| {
                    let given = account.fields.get(&field.name);
                    given.map_or(Ok(Value::Unknown), |secret| {
                        secret.value(&field.ty, model, environment)
                    })
                });
                let fields = fields.collect::<Result<Vec<Value>, ConfigError>>()?;
                mirror.insert(handle, fields);
            }
        }
        Ok(mirror)
    }
}

impl Account {
    /// What does not fit the kind.
    fn mistakes<'a>(
        &'a self,
        model: &'a Model,
        kind: &'a Kind,
    ) -> impl Iterator<Item = Mistake> + 'a {
        self.fields.iter().filter_map(move |(name, secret)| {
            let span = self.names.get(name).cloned().unwrap_or(0..0);
            let Some(field) = kind.fields.iter().find(|f| f.name == *name) else {
                let fields = kind.fields.iter().map(|f| f.name.as_str());
                return Some(Mistake {
                    span,
                    message: format!("`{}` has no field `{name}` in the model", kind.name),
                    help: guess(name, fields.clone(), &format!("it has {}", list(fields))),
                });
            };
            let ty = shown(&field.ty, model);
            if !can_be_given(&field.ty) {
                return Some(Mistake {
                    span,
                    message: format!(
                        "`{name}` is `{ty}` in the model, which an account cannot give"
                    ),
                    help: "leave it out; it stays unknown until an answer tells it".into(),
                });
            }
            let Origin::Literal(value) = &secret.origin else {
                return None;
            };
            match fit(value, &field.ty) {
                true => None,
                false => Some(Mistake {
                    span: secret.span.clone(),
                    message: format!("`{name}` is `{ty}` in the model, and this is not"),
                    help: match field.ty.is_text() {
                        true => "write it in quotes".into(),
                        false => format!("write it as `{ty}`, without quotes"),
                    },
                }),
            }
        })
    }
}

impl Secret {
    /// The value, from the file or from the environment.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Variable`] where the variable is not set or is empty, as it is in continuous integration where
    /// a secret is withheld.
    pub fn resolve(
        &self,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<String, ConfigError> {
        let variable = match &self.origin {
            Origin::Literal(value) => return Ok(value.to_text(&|_| serde_json::Value::Null)),
            Origin::Variable(name) => name,
        };
        let missing = |state| ConfigError::Variable {
            what: self.what.to_string(),
            variable: variable.clone(),
            state,
            path: self.file.path.clone(),
        };
        match environment(variable) {
            None => Err(missing("not set")),
            Some(value) if value.is_empty() => Err(missing("empty")),
            Some(value) => Ok(value),
        }
    }

    /// The value as one of this type.
    fn value(
        &self,
        ty: &Type,
        model: &Model,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Value, ConfigError> {
        let variable = match &self.origin {
            Origin::Literal(value) => return Ok(value.clone()),
            Origin::Variable(name) => name,
        };
        let text = self.resolve(environment)?;
        let value = match ty.bare() {
            Type::Bool => text.parse().ok().map(Value::Bool),
            Type::Int => text.parse().ok().map(Value::Int),
            Type::Number => text.parse().ok().map(|n| Value::Number(OrderedFloat(n))),
            _ => Some(Value::text(text)),
        };
        value.ok_or_else(|| ConfigError::Type {
            what: self.what.to_string(),
            variable: variable.clone(),
            expected: shown(ty, model),
        })
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::Literal(_) => f.write_str("Secret(in the file)"),
            Origin::Variable(name) => write!(f, "Secret(env {name})"),
        }
    }
}

fn resolved(
    named: &[(String, Secret)],
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<(String, String)>, ConfigError> {
    named
        .iter()
        .map(|(name, secret)| Ok((name.clone(), secret.resolve(environment)?)))
        .collect()
}

fn kind_named<'m>(model: &'m Model, name: &str) -> Option<(KindId, &'m Kind)> {
    let index = model.kinds.iter().position(|k| k.name == name)?;
    let id = KindId(u16::try_from(index).ok()?);
    Some((id, &model.kinds[index]))
}

fn can_be_given(ty: &Type) -> bool {
    ty.is_text() || matches!(ty.bare(), Type::Any | Type::Bool | Type::Int | Type::Number)
}

/// Whether a value of the file is one of this type.
fn fit(value: &Value, ty: &Type) -> bool {
    match (value, ty.bare()) {
        (_, Type::Any) => true,
        (Value::Text(_), _) => ty.is_text(),
        (Value::Int(_), Type::Int | Type::Number) => true,
        (Value::Number(_), Type::Number) | (Value::Bool(_), Type::Bool) => true,
        _ => false,
    }
}

fn shown(ty: &Type, model: &Model) -> String {
    ty.show(&|kind| model.kind(kind).name.clone())
}

/// Names as a sentence lists them.
fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.into_iter().map(|n| format!("`{n}`")).collect();
    names.join(", ")
}
