//! A model file, from text to [`Model`]: entities first, then rules and invariants, whose expressions need them.

mod areas;
mod effects;
mod entities;
mod invariants;
mod outcomes;
mod requests;
mod rules;
mod visibility;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cel::IdedExpr;
use cel::common::ast::{Expr, operators as op};

use super::diagnostics::{Mistake, ModelErrors, guess, nearest};
use super::domain;
use super::expression::{Expression, KindLayout, Layout, NativeFunction, Uses};
use super::openapi::OpenApi;
use super::reader::{Fields, Reader};
use super::template::Template;
use super::tree::{self, Data, Key, Node};
use super::types::Type;
use super::typing::{Environment, KindSchema, Schema, article};
use super::value::{KindId, Value};
use super::*;
pub(super) use areas::tag_of;
use areas::{Section, Under};

/// Why a model could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file could not be read.
    #[error("cannot read the model {path}: {source}")]
    Read {
        /// The path, as it was given.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is no sound model.
    #[error(transparent)]
    Model(#[from] Box<ModelErrors>),
}

/// What is worth knowing about a model, beside errors.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Notes {
    /// Fields that are copied from answers and so check nothing: `world.creator`, and the byte where that is done.
    pub copied: Vec<(String, usize)>,
    /// Outcomes whose status is `any`: rule, outcome.
    pub unchecked: Vec<(String, String)>,
}

pub(super) const BUILT_IN: &[&str] = &[
    "no_server_errors",
    "conformance",
    "isolation",
    "no_secrets_leaked",
    "leaks_internals",
    "indistinguishable",
    "unique",
    RECOVERS,
];

/// The one built-in check that takes a time, too.
const RECOVERS: &str = "recovers";

/// So long a server has to recover where the model does not say.
const RECOVERY: Duration = Duration::from_secs(5);

/// The most bytes that a model file may have.
const MAX_BYTES: usize = 4 << 20;

impl Model {
    /// Loads a model from a file.
    ///
    /// # Errors
    ///
    /// [`LoadError::Read`] if the file cannot be read, [`LoadError::Model`] with every mistake that is in it.
    ///
    /// ```no_run
    /// let model = gainsay::model::Model::load("models/deep-sci-fi.yaml".as_ref())?;
    /// println!("{} rules", model.rules.len());
    /// # Ok::<(), gainsay::model::LoadError>(())
    /// ```
    pub fn load(path: &Path) -> Result<Model, LoadError> {
        Self::load_with(path, BTreeMap::new())
    }

    /// Loads a model whose expressions may call native functions.
    ///
    /// # Errors
    ///
    /// As [`Model::load`].
    pub fn load_with(
        path: &Path,
        natives: BTreeMap<String, NativeFunction>,
    ) -> Result<Model, LoadError> {
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| LoadError::Read {
            path: shown.clone(),
            source,
        })?;
        Ok(Self::parse_with(&shown, &text, natives).map_err(Box::new)?)
    }

    /// Reads a model from text; `path` is what error messages call it.
    ///
    /// # Errors
    ///
    /// Every mistake that is in it.
    pub fn parse(path: &str, text: &str) -> Result<Model, ModelErrors> {
        Self::parse_with(path, text, BTreeMap::new())
    }

    /// Reads a model whose expressions may call native functions.
    ///
    /// # Errors
    ///
    /// Every mistake that is in it.
    pub fn parse_with(
        path: &str,
        text: &str,
        natives: BTreeMap<String, NativeFunction>,
    ) -> Result<Model, ModelErrors> {
        let source: Arc<str> = text.into();
        let fail = |mistakes| ModelErrors::new(path, source.clone(), mistakes);
        if text.len() > MAX_BYTES {
            return Err(fail(vec![Mistake {
                span: 0..0,
                message: format!(
                    "the file has {} bytes, and a model at most {MAX_BYTES}",
                    text.len()
                ),
                help: "split it, or make each rule shorter".to_owned(),
            }]));
        }
        let root = tree::parse(text).map_err(|(span, message)| {
            fail(vec![Mistake {
                span,
                message: match message.contains("plain word") {
                    true => message.clone(),
                    false => format!("this is not YAML: {message}"),
                },
                help: not_yaml(text, &message),
            }])
        })?;
        if matches!(root.data, Data::Null) {
            return Err(fail(vec![Mistake {
                span: 0..0,
                message: "the model is empty".to_owned(),
                help: "begin the file with `model: NAME`, and say what principals may attempt under `rules:`".to_owned(),
            }]));
        }
        let mut file = File {
            reader: Reader {
                text,
                schema: Schema {
                    kinds: Vec::new(),
                    globals: Vec::new(),
                    natives: natives.keys().cloned().collect(),
                },
                mistakes: Vec::new(),
                muted: BTreeSet::new(),
                websocket: false,
            },
            defaults: Defaults::default(),
            notes: Notes::default(),
            created: BTreeSet::new(),
            misnamed: false,
            folder: Path::new(path).parent().unwrap_or(Path::new("")),
            natives,
        };
        for name in file.natives.keys() {
            if super::typing::is_function(name) || domain::is_generator(name) {
                file.reader.mistake(
                    0..0,
                    format!(
                        "the native function `{name}` has the name of one that the language has"
                    ),
                    "register it under another name",
                );
            }
        }
        let mut model = file.model(&root);
        model.path = path.to_owned();
        model.source = source.clone();
        model.notes = file.notes;
        match file.reader.mistakes.is_empty() {
            true => Ok(model),
            false => Err(fail(file.reader.mistakes)),
        }
    }
}

struct Defaults {
    unauthenticated: Statuses,
    other_kind: Statuses,
    csrf: Statuses,
    absent: Statuses,
    gone: Option<Statuses>,
    invalid: Statuses,
}

impl Default for Defaults {
    fn default() -> Self {
        let exactly =
            |list: &[u16]| Statuses(list.iter().map(|s| StatusRange::Exactly(*s)).collect());
        Defaults {
            unauthenticated: exactly(&[401]),
            other_kind: exactly(&[401, 403]),
            csrf: exactly(&[400, 401, 403, 419, 422]),
            absent: exactly(&[404]),
            gone: None,
            invalid: exactly(&[400, 422]),
        }
    }
}

struct File<'a> {
    reader: Reader<'a>,
    defaults: Defaults,
    notes: Notes,
    /// The kinds that some rule creates, be the rule sound or not.
    created: BTreeSet<KindId>,
    /// Whether a rule creates a kind that there is not, so that any kind may have been meant.
    misnamed: bool,
    /// Where the model stands.
    folder: &'a Path,
    /// Native functions that are registered.
    natives: BTreeMap<String, NativeFunction>,
}

const RULE_KEYS: &[&str] = &[
    "about",
    "by",
    "pick",
    "with",
    "auth",
    "request",
    "query",
    "headers",
    "json",
    "form",
    "text",
    "multipart",
    "requires",
    "order",
    "responds",
    "returns",
    "creates",
    "sets",
    "unsets",
    "deletes",
    "each",
    "then",
    "let",
    "either",
    "idempotent",
    "unauthenticated",
    "other_kind",
    "csrf",
    "absent",
    "gone",
    "invalid",
    "weight",
    "tags",
    "strict",
];

const EFFECT_KEYS: &[&str] = &["creates", "sets", "unsets", "deletes", "each", "then"];

const TOP_KEYS: &[&str] = &[
    "model",
    "about",
    "defaults",
    "entities",
    "globals",
    "setup",
    "rules",
    "invariants",
    "areas",
    "builtin",
    "openapi",
];

const METHODS: &[&str] = &[
    "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "WS",
];

impl File<'_> {
    fn model(&mut self, root: &Node) -> Model {
        let sections = self.sections(root, TOP_KEYS);
        let top = Section::top(&sections);
        let name = match top.get("model") {
            Some(node) => self
                .reader
                .string(node, "the model's name")
                .unwrap_or_default(),
            None if !top.lacks("model") => String::new(),
            None => {
                self.reader.mistake(
                    0..0,
                    "the model has no name",
                    "begin the file with `model: NAME`".to_owned(),
                );
                String::new()
            }
        };
        let about = self.text_of(top, "about");
        let mut tolerate = Statuses::default();
        if let Some(node) = top.get("defaults") {
            let fields = self.reader.fields(
                node,
                "`defaults`",
                &[
                    "unauthenticated",
                    "other_kind",
                    "csrf",
                    "absent",
                    "gone",
                    "invalid",
                    "tolerate",
                ],
            );
            for (key, node) in fields.iter() {
                let statuses = self.reader.statuses(node);
                match key.name.as_str() {
                    "unauthenticated" => self.defaults.unauthenticated = statuses,
                    "other_kind" => self.defaults.other_kind = statuses,
                    "csrf" => self.defaults.csrf = statuses,
                    "absent" => self.defaults.absent = statuses,
                    "gone" => self.defaults.gone = Some(statuses),
                    "invalid" => self.defaults.invalid = statuses,
                    _ => tolerate = statuses,
                }
            }
        }
        let mut switched_off = Vec::new();
        let mut recovery = RECOVERY;
        if let Some(node) = top.get("builtin") {
            let fields = self.reader.fields(node, "`builtin`", BUILT_IN);
            for (key, node) in fields.iter() {
                let time = match &node.data {
                    Data::Text(text) if key.name == RECOVERS => {
                        humantime::parse_duration(text).ok()
                    }
                    _ => None,
                };
                if let Some(time) = time {
                    recovery = time;
                } else if self.reader.bool(node, "a switch") == Some(false) {
                    switched_off.push(key.name.clone());
                }
            }
        }
        let openapi = top.get("openapi").and_then(|node| self.openapi(node));
        let entities = self.under(&sections, "entities");
        let declared = self.declared(&entities);
        let globals = self.globals(top);
        let kinds = self.kinds(&declared);
        let rule_entries = self.under(&sections, "rules");
        let (mut rules, rule_ends) = self.rules(&sections, &rule_entries);
        visibility::veil(&kinds, &mut rules);
        let (invariants, invariant_ends) = self.invariants(&sections);
        let setup = self.setup(top, &rule_entries, &rules);
        self.reachable(&kinds, &rules);
        let kind_ends: Vec<usize> = (entities.iter())
            .scan(0, |end, under| {
                *end += under.len();
                Some(*end)
            })
            .collect();
        let areas = self.areas(&sections, [&kind_ends, &rule_ends, &invariant_ends]);
        let layout = Layout {
            kinds: kinds
                .iter()
                .map(|k| KindLayout {
                    name: k.name.as_str().into(),
                    plural: k.plural.clone(),
                    fields: k.fields.iter().map(|f| f.name.clone()).collect(),
                    derived: (k.derived.iter())
                        .map(|d| (d.name.clone(), d.what.clone()))
                        .collect(),
                })
                .collect(),
            globals: globals.iter().map(|g| g.name.clone()).collect(),
            natives: self.natives.clone(),
        };
        Model {
            name,
            about,
            path: String::new(),
            source: "".into(),
            kinds,
            globals,
            setup,
            rules,
            invariants,
            areas,
            tolerate,
            switched_off,
            recovery,
            openapi,
            notes: Notes::default(),
            layout: Arc::new(layout),
        }
    }

    /// Reads the API's own description, whose path is beside the model's.
    fn openapi(&mut self, node: &Node) -> Option<OpenApi> {
        let path = self
            .reader
            .string(node, "the path of an OpenAPI description")?;
        if !is_near(self.folder, &path) {
            self.reader.mistake(
                node.span.clone(),
                format!("`{path}` is not a file near the model"),
                "a model may come from a stranger: what it names lies in its folder, or below the one that gainsay is \
                 run in"
                    .to_owned(),
            );
            return None;
        }
        let found = OpenApi::load(&self.folder.join(&path));
        found
            .map_err(|error| {
                self.reader.mistake(
                    node.span.clone(),
                    format!("`{path}` is no description of an API: {error}"),
                    "give the path of an OpenAPI 3 file, JSON or YAML, from the model's folder"
                        .to_owned(),
                );
            })
            .ok()
    }

    /// The statuses that stand under a key, or those of the model's defaults.
    fn statuses_of(
        &mut self,
        fields: &Fields<'_>,
        key: &str,
        default: fn(&Defaults) -> &Statuses,
    ) -> Statuses {
        match fields.get(key) {
            Some(node) => self.reader.statuses(node),
            None => default(&self.defaults).clone(),
        }
    }

    fn text_of(&mut self, fields: &Fields<'_>, key: &str) -> String {
        match fields.get(key) {
            Some(node) => self.reader.string(node, key).unwrap_or_default(),
            None => String::new(),
        }
    }
}

/// Whether a path leads from a folder to something in it, or below where the program runs, links followed. What is not
/// there is near.
fn is_near(folder: &Path, path: &str) -> bool {
    let folder = match folder.as_os_str().is_empty() {
        true => Path::new("."),
        false => folder,
    };
    let Ok(found) = folder.join(path).canonicalize() else {
        return Path::new(path).is_relative();
    };
    let within = |root: &Path| {
        root.canonicalize()
            .is_ok_and(|root| found.starts_with(root))
    };
    Path::new(path).is_relative() && (within(folder) || within(Path::new(".")))
}

/// What to do about a text that is not YAML, by what the parser says and what people most often get wrong.
fn not_yaml(text: &str, message: &str) -> String {
    let tabbed = text
        .lines()
        .any(|l| l.trim_start_matches(' ').starts_with('\t'));
    let help = match message {
        _ if tabbed => "indent with spaces; YAML takes no tabs",
        m if m.contains("alias") || m.contains("anchor") => {
            "an alias `*name` needs an anchor `&name` before it"
        }
        m if m.contains("plain word") => {
            "write a word before the colon; a key with { or [ in it needs quotes"
        }
        _ => {
            "look for an unclosed bracket or quote, an uneven indent, or a text that needs quotes: one with `: ` or ` #` in it, or that begins with [, {, \", ', *, &, ! or |"
        }
    };
    help.to_owned()
}

/// What a field that is not given starts as.
fn default_of(ty: &Type) -> Option<Value> {
    match ty {
        Type::Optional(_) => Some(Value::Null),
        Type::List(_) => Some(Value::List(Arc::new([]))),
        Type::Map(..) => Some(Value::Map(Arc::default())),
        Type::Int => None,
        _ => None,
    }
}
