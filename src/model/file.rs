//! A model file, from text to [`Model`]: entities first, then rules and invariants, whose expressions need them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use cel::IdedExpr;
use cel::common::ast::{Expr, operators as op};

use super::diagnostics::{Mistake, ModelErrors, guess, nearest};
use super::domain;
use super::expression::{Expression, KindLayout, Layout, NativeFunction};
use super::reader::{Fields, Reader};
use super::template::Template;
use super::tree::{self, Data, Key, Node};
use super::types::Type;
use super::typing::{Environment, KindSchema, Schema, article};
use super::value::{KindId, Value};
use super::*;

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
    "recovers",
];

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
            },
            defaults: Defaults::default(),
            notes: Notes::default(),
            created: BTreeSet::new(),
            misnamed: false,
        };
        for name in natives.keys() {
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
        model.natives = natives;
        model.notes = file.notes;
        match file.reader.mistakes.is_empty() {
            true => Ok(model),
            false => Err(fail(file.reader.mistakes)),
        }
    }
}

struct Defaults {
    unauthenticated: Statuses,
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
    "absent",
    "gone",
    "invalid",
    "weight",
    "tags",
    "strict",
];

const EFFECT_KEYS: &[&str] = &["creates", "sets", "unsets", "deletes", "each", "then"];

const METHODS: &[&str] = &["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];

impl File<'_> {
    fn model(&mut self, root: &Node) -> Model {
        let top = self.reader.fields(
            root,
            "a model",
            &[
                "model",
                "about",
                "defaults",
                "entities",
                "globals",
                "setup",
                "rules",
                "invariants",
                "builtin",
            ],
        );
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
        let about = self.text_of(&top, "about");
        let mut tolerate = Statuses::default();
        if let Some(node) = top.get("defaults") {
            let fields = self.reader.fields(
                node,
                "`defaults`",
                &["unauthenticated", "absent", "gone", "invalid", "tolerate"],
            );
            for (key, node) in fields.iter() {
                let statuses = self.reader.statuses(node);
                match key.name.as_str() {
                    "unauthenticated" => self.defaults.unauthenticated = statuses,
                    "absent" => self.defaults.absent = statuses,
                    "gone" => self.defaults.gone = Some(statuses),
                    "invalid" => self.defaults.invalid = statuses,
                    _ => tolerate = statuses,
                }
            }
        }
        let mut switched_off = Vec::new();
        if let Some(node) = top.get("builtin") {
            let fields = self.reader.fields(node, "`builtin`", BUILT_IN);
            for (key, node) in fields.iter() {
                if self.reader.bool(node, "a switch") == Some(false) {
                    switched_off.push(key.name.clone());
                }
            }
        }
        let kinds = self.kinds(&top);
        let globals = self.globals(&top);
        let rules = self.rules(&top);
        let invariants = self.invariants(&top);
        let setup = self.setup(&top, &rules);
        self.reachable(&kinds, &rules);
        let layout = Layout {
            kinds: kinds
                .iter()
                .map(|k| KindLayout {
                    name: k.name.clone(),
                    plural: k.plural.clone(),
                    fields: k.fields.iter().map(|f| f.name.clone()).collect(),
                })
                .collect(),
            globals: globals.iter().map(|g| g.name.clone()).collect(),
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
            tolerate,
            switched_off,
            notes: Notes::default(),
            layout: Arc::new(layout),
            natives: BTreeMap::new(),
        }
    }

    fn text_of(&mut self, fields: &Fields<'_>, key: &str) -> String {
        match fields.get(key) {
            Some(node) => self.reader.string(node, key).unwrap_or_default(),
            None => String::new(),
        }
    }

    fn kinds(&mut self, top: &Fields<'_>) -> Vec<Kind> {
        let Some(node) = top.get("entities") else {
            return Vec::new();
        };
        let entries = self.reader.entries(node, "`entities`");
        // Names first, because a field's type may be an entity that comes later.
        let mut read = Vec::new();
        for (key, node) in entries {
            // Kept whatever it is called, so that one mistake is reported once; so are the other names below.
            self.reader.name(key, "an entity");
            let fields = self.reader.fields(
                node,
                &format!("the entity `{}`", key.name),
                &["about", "fields", "key", "owner", "auth", "plural"],
            );
            let plural = match fields.get("plural") {
                Some(node) => self.reader.string(node, "a plural").unwrap_or_default(),
                None => plural_of(&key.name),
            };
            let clash = self
                .reader
                .schema
                .kinds
                .iter()
                .any(|k| k.name == plural || k.plural == plural || k.plural == key.name)
                || plural == key.name;
            if clash {
                self.reader.mistake(
                    key.span.clone(),
                    format!("the plural `{plural}` of `{}` is taken", key.name),
                    "give it another one with `plural:`".to_owned(),
                );
            }
            self.reader.schema.kinds.push(KindSchema {
                name: key.name.clone(),
                plural,
                fields: Vec::new(),
            });
            read.push((key, fields));
        }
        let mut kinds = Vec::new();
        for (index, (key, fields)) in read.iter().enumerate() {
            let mut list = Vec::new();
            if let Some(node) = fields.get("fields") {
                for (field, node) in self.reader.entries(node, "`fields`") {
                    self.reader.word(field, "a field");
                    // Of an unknown type anything may be, and nothing need be said.
                    let ty = self
                        .reader
                        .ty(node)
                        .unwrap_or(Type::Optional(Box::new(Type::Any)));
                    list.push((field.name.clone(), ty));
                }
            }
            self.reader.schema.kinds[index].fields = list;
            kinds.push((key, fields));
        }
        let mut out = Vec::new();
        for (index, (key, fields)) in kinds.into_iter().enumerate() {
            let id = KindId(u16::try_from(index).unwrap_or(u16::MAX));
            let field_named = |file: &mut Self, node: &Node| {
                let name = file.reader.string(node, "a field's name")?;
                let known = &file.reader.schema.kinds[index].fields;
                let found = known.iter().position(|(n, _)| *n == name);
                if found.is_none() {
                    let names: Vec<&str> = known.iter().map(|(n, _)| n.as_str()).collect();
                    let help = guess(
                        &name,
                        names.iter().copied(),
                        &format!("its fields are {}", names.join(", ")),
                    );
                    let message = format!("{} has no field `{name}`", key.name);
                    file.reader.mistake(node.span.clone(), message, help);
                }
                found
            };
            let declared = &self.reader.schema.kinds[index].fields;
            let default_key = declared.iter().position(|(n, _)| n == "id");
            let key_field = match fields.get("key") {
                Some(node) => field_named(self, node),
                None => default_key,
            };
            let owner = match fields.get("owner") {
                Some(node) => field_named(self, node),
                None => None,
            };
            let mut env = Environment::default();
            env.names.insert("self".into(), Type::Entity(id));
            let auth = fields.get("auth").map(|node| self.auth(node, &env));
            let about = self.text_of(fields, "about");
            out.push(Kind {
                name: key.name.clone(),
                plural: self.reader.schema.kinds[index].plural.clone(),
                about,
                fields: self.reader.schema.kinds[index]
                    .fields
                    .iter()
                    .map(|(name, ty)| Field {
                        name: name.clone(),
                        ty: ty.clone(),
                    })
                    .collect(),
                key: key_field,
                owner,
                auth,
                span: key.span.clone(),
            });
        }
        out
    }

    fn auth(&mut self, node: &Node, env: &Environment) -> Auth {
        let fields = self.reader.fields(
            node,
            "`auth`",
            &["headers", "query", "cookies", "basic", "bearer"],
        );
        let mut auth = Auth::default();
        for (key, node) in fields.iter() {
            let what = format!("`{}`", key.name);
            match key.name.as_str() {
                "headers" => {
                    auth.headers = self
                        .reader
                        .template_map(node, &what, env)
                        .unwrap_or_default();
                }
                "query" => {
                    auth.query = self
                        .reader
                        .template_map(node, &what, env)
                        .unwrap_or_default();
                }
                "cookies" => {
                    auth.cookies = self
                        .reader
                        .template_map(node, &what, env)
                        .unwrap_or_default();
                }
                "bearer" => auth.bearer = self.reader.template(node, env),
                _ => {
                    let parts = self.reader.fields(node, &what, &["username", "password"]);
                    match (parts.get("username"), parts.get("password")) {
                        (Some(user), Some(password)) => {
                            let user = self.reader.template(user, env);
                            let password = self.reader.template(password, env);
                            auth.basic = user.zip(password);
                        }
                        _ => self.reader.mistake(
                            key.span.clone(),
                            "`basic` needs a `username` and a `password`",
                            "write `basic: { username: …, password: … }`",
                        ),
                    }
                }
            }
        }
        auth
    }

    fn globals(&mut self, top: &Fields<'_>) -> Vec<Global> {
        let Some(node) = top.get("globals") else {
            return Vec::new();
        };
        let mut globals = Vec::new();
        for (key, node) in self.reader.entries(node, "`globals`") {
            self.reader.name(key, "a global");
            let (ty, initial) = match &node.data {
                Data::Map(_) => {
                    let fields = self.reader.fields(node, "a global", &["type", "initial"]);
                    let ty = fields.get("type").and_then(|n| self.reader.ty(n));
                    let initial = fields.get("initial").and_then(|n| {
                        let template = self.reader.template(n, &Environment::default())?;
                        if let Some(ty) = &ty {
                            self.fits(key, n, &template, ty, false);
                        }
                        constant_of(&template).or_else(|| {
                            self.reader.mistake(
                                n.span.clone(),
                                "a global begins with a value that is known",
                                "write a value without `${…}`; rules can set it later",
                            );
                            None
                        })
                    });
                    (ty, initial)
                }
                _ => (self.reader.ty(node), None),
            };
            let ty = ty.unwrap_or(Type::Any);
            let initial = initial.unwrap_or_else(|| default_of(&ty).unwrap_or(Value::Unknown));
            self.reader
                .schema
                .globals
                .push((key.name.clone(), ty.clone()));
            globals.push(Global {
                name: key.name.clone(),
                ty,
                initial,
            });
        }
        globals
    }

    fn setup(&mut self, top: &Fields<'_>, rules: &[Rule]) -> Vec<Setup> {
        let Some(node) = top.get("setup") else {
            return Vec::new();
        };
        let Data::List(items) = &node.data else {
            self.reader.mistake(
                node.span.clone(),
                format!("`setup` is a list, and this is {}", node.what()),
                "write `- RULE: HOW_OFTEN`".to_owned(),
            );
            return Vec::new();
        };
        let names: Vec<&str> = match top.get("rules").map(|node| &node.data) {
            Some(Data::Map(entries)) => entries.iter().map(|(key, _)| key.name.as_str()).collect(),
            _ => Vec::new(),
        };
        let mut setup = Vec::new();
        for item in items {
            let (name, span, times) = match &item.data {
                Data::Text(name) => (name.clone(), item.span.clone(), 1),
                Data::Map(entries) if entries.len() == 1 => {
                    let (key, node) = &entries[0];
                    let times = self.reader.count(node, "how often").unwrap_or(1);
                    (key.name.clone(), key.span.clone(), times)
                }
                _ => {
                    self.reader.mistake(
                        item.span.clone(),
                        "this is not a rule and how often",
                        "write `- RULE: HOW_OFTEN`".to_owned(),
                    );
                    continue;
                }
            };
            match rules.iter().position(|r| r.name == name) {
                Some(rule) => setup.push(Setup {
                    rule,
                    times: usize::try_from(times).unwrap_or(1),
                }),
                // What is wrong with the rule itself has been said.
                None if names.contains(&name.as_str()) => {}
                None => {
                    let help = guess(
                        &name,
                        names.iter().copied(),
                        "name one of the rules under `rules:`",
                    );
                    self.reader
                        .mistake(span, format!("there is no rule `{name}`"), help);
                }
            }
        }
        setup
    }

    fn rules(&mut self, top: &Fields<'_>) -> Vec<Rule> {
        let Some(node) = top.get("rules") else {
            if top.lacks("rules") {
                self.reader.mistake(
                    0..0,
                    "the model has no rules",
                    "say what principals may attempt under `rules:`".to_owned(),
                );
            }
            return Vec::new();
        };
        let mut rules = Vec::new();
        for (key, node) in self.reader.entries(node, "`rules`") {
            if let Some(rule) = self.rule(key, node) {
                rules.push(rule);
            }
        }
        rules
    }

    fn rule(&mut self, key: &Key, node: &Node) -> Option<Rule> {
        let what = format!("the rule `{}`", key.name);
        let fields = self.reader.fields(node, &what, RULE_KEYS);
        let mut env = Environment::default();
        let by = self.by(key, &fields);
        if let Some(By::Kind(kind)) = by {
            env.names.insert("actor".into(), Type::Entity(kind));
            let name = self.reader.schema.of(kind).name.clone();
            env.names.insert(name, Type::Entity(kind));
        } else if by.is_none() {
            // Whoever was meant: nothing more is said of the names that he would bind.
            let kinds = self.reader.schema.kinds.iter().map(|k| k.name.clone());
            env.names.extend(
                kinds
                    .chain(["actor".to_owned()])
                    .map(|name| (name, Type::Any)),
            );
        }
        let picks = self.picks(&fields, &mut env);
        let args = self.arguments(&fields, &mut env);
        let mut lets = Vec::new();
        let before_lets = env.clone();
        self.lets(&fields, &mut env, true, &mut lets);
        let auth = fields.get("auth").map(|node| self.auth(node, &env));
        let request = self.request(key, &fields, &lets, &env, &picks, &args);
        let mut answer = env.clone();
        answer.answer = true;
        answer.before = true;
        let requires = self.requires(&fields, &answer);
        let strict_order = match fields.get("order") {
            Some(node) => match self.reader.string(node, "`order`").as_deref() {
                Some("strict") => true,
                Some("any") => false,
                _ => {
                    self.reader.mistake(
                        node.span.clone(),
                        "`order` is `strict` or `any`",
                        "`strict`: of several requirements that fail, only the first counts",
                    );
                    false
                }
            },
            None => false,
        };
        let successes = self.successes(key, &fields, &answer);
        drop(before_lets);
        let idempotent = fields.get("idempotent").and_then(|node| match &node.data {
            Data::Bool(true) => Some(Idempotence::Natural),
            Data::Bool(false) => None,
            _ => self
                .reader
                .string(node, "`idempotent`")
                .map(Idempotence::Key),
        });
        let pick_names = names_under(&fields, "pick");
        let arg_names = names_under(&fields, "with");
        let unauthenticated = match fields.get("unauthenticated") {
            Some(node) => self.reader.statuses(node),
            None => self.defaults.unauthenticated.clone(),
        };
        let default_absent = self.defaults.absent.clone();
        let absent = self.by_name(&fields, "absent", &pick_names, &default_absent);
        // What is gone answers like what never was, unless the model tells them apart.
        let gone_default = match &self.defaults.gone {
            Some(gone) if fields.get("absent").is_none() => vec![gone.clone(); absent.len()],
            _ => absent.clone(),
        };
        let gone = match fields.get("gone") {
            None => gone_default,
            Some(_) => {
                // A class that no status has: what the map leaves out.
                let marker = Statuses(vec![StatusRange::Class(0)]);
                let given = self.by_name(&fields, "gone", &pick_names, &marker);
                given
                    .into_iter()
                    .zip(gone_default)
                    .map(|(given, default)| if given == marker { default } else { given })
                    .collect()
            }
        };
        let default_invalid = self.defaults.invalid.clone();
        let invalid = self.by_name(&fields, "invalid", &arg_names, &default_invalid);
        let weight = match fields.get("weight") {
            Some(node) => self.reader.count(node, "a weight").unwrap_or(1),
            None => 1,
        };
        let tags = match fields.get("tags") {
            Some(node) => self.reader.strings(node, "a tag"),
            None => Vec::new(),
        };
        let strict = fields
            .get("strict")
            .and_then(|n| self.reader.bool(n, "`strict`"))
            .unwrap_or(false);
        let about = self.text_of(&fields, "about");
        let rule = Rule {
            name: key.name.clone(),
            about,
            span: key.span.clone(),
            by: by?,
            picks,
            args,
            lets,
            auth,
            request: request?,
            requires,
            strict_order,
            successes,
            idempotent,
            unauthenticated,
            absent,
            gone,
            invalid,
            weight,
            tags,
            strict,
        };
        self.note(&rule);
        Some(rule)
    }

    fn by(&mut self, key: &Key, fields: &Fields<'_>) -> Option<By> {
        let Some(node) = fields.get("by") else {
            if fields.lacks("by") {
                self.reader.mistake(
                    key.span.clone(),
                    format!("the rule `{}` does not say who acts", key.name),
                    "say `by: ENTITY` or `by: anyone`".to_owned(),
                );
            }
            return None;
        };
        let name = self.reader.string(node, "`by`")?;
        if name == "anyone" {
            return Some(By::Anyone);
        }
        match self.reader.schema.kind(&name) {
            Some(kind) => Some(By::Kind(kind)),
            None => {
                let names = self.reader.schema.kinds.iter().map(|k| k.name.as_str());
                let help = match nearest(&name, names.chain(["anyone"])) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "say the name of an entity that has `auth`, or `anyone`".to_owned(),
                };
                self.reader.mistake(
                    node.span.clone(),
                    format!("there is no entity `{name}`"),
                    help,
                );
                None
            }
        }
    }

    fn picks(&mut self, fields: &Fields<'_>, env: &mut Environment) -> Vec<Pick> {
        let Some(node) = fields.get("pick") else {
            return Vec::new();
        };
        let mut picks = Vec::new();
        for (name, node) in self.reader.entries(node, "`pick`") {
            self.reader.name(name, "a pick");
            let Some((expression, ty)) = self.reader.expression(node, "a pick", env) else {
                // Known to the rest of the rule, so that one mistake is reported once.
                env.names.insert(name.name.clone(), Type::Any);
                continue;
            };
            let kind = match ty.bare() {
                Type::List(item) => match item.bare() {
                    Type::Entity(kind) => Some(*kind),
                    _ => None,
                },
                _ => None,
            };
            let Some(kind) = kind else {
                let shown = self.reader.schema.a(&ty);
                self.reader.mistake(
                    node.span.clone(),
                    format!("a pick is from a list of entities, and this is {shown}"),
                    "pick from a plural, such as `worlds`, or from a list that a filter yields"
                        .to_owned(),
                );
                env.names.insert(name.name.clone(), Type::Any);
                continue;
            };
            let whole = self.reader.schema.of(kind).plural == expression.source.trim();
            env.names.insert(name.name.clone(), Type::Entity(kind));
            picks.push(Pick {
                name: name.name.as_str().into(),
                kind,
                from: (!whole).then_some(expression),
                span: name.span.clone(),
            });
        }
        picks
    }

    fn arguments(&mut self, fields: &Fields<'_>, env: &mut Environment) -> Vec<Argument> {
        let Some(node) = fields.get("with") else {
            return Vec::new();
        };
        let mut args = Vec::new();
        for (name, node) in self.reader.entries(node, "`with`") {
            self.reader.name(name, "an argument");
            if env.names.contains_key(&name.name) && args.iter().all(|a: &Argument| *a.name != name.name)
                && env.names.get(&name.name).is_some_and(|t| matches!(t, Type::Entity(_)))
                && fields.get("pick").is_some_and(|p| matches!(&p.data, Data::Map(e) if e.iter().any(|(k, _)| k.name == name.name)))
            {
                self.reader.mistake(
                    name.span.clone(),
                    format!("`{}` is picked already", name.name),
                    "give the argument another name".to_owned(),
                );
                continue;
            }
            let Some((domain, ty)) = self.reader.domain(node, env) else {
                env.names.insert(name.name.clone(), Type::Any);
                continue;
            };
            env.names.insert(name.name.clone(), ty);
            args.push(Argument {
                name: name.name.as_str().into(),
                domain,
                sent: Sent::Within,
                span: name.span.clone(),
            });
        }
        for arg in &mut args {
            arg.sent = how_sent(&arg.name, fields);
        }
        args
    }

    fn lets(
        &mut self,
        fields: &Fields<'_>,
        env: &mut Environment,
        answer: bool,
        lets: &mut Vec<(Arc<str>, Expression)>,
    ) {
        let Some(node) = fields.get("let") else {
            return;
        };
        for (name, node) in self.reader.entries(node, "`let`") {
            self.reader.name(name, "a name");
            let mut inner = env.clone();
            inner.answer = answer;
            let ty = match self.reader.expression(node, "this", &inner) {
                Some((expression, ty)) => {
                    lets.push((name.name.as_str().into(), expression));
                    ty
                }
                None => Type::Any,
            };
            env.names.insert(name.name.clone(), ty);
        }
    }

    fn request(
        &mut self,
        key: &Key,
        fields: &Fields<'_>,
        lets: &[(Arc<str>, Expression)],
        env: &Environment,
        picks: &[Pick],
        args: &[Argument],
    ) -> Option<Request> {
        let Some(node) = fields.get("request") else {
            if fields.lacks("request") {
                self.reader.mistake(
                    key.span.clone(),
                    format!("the rule `{}` sends nothing", key.name),
                    "say `request: METHOD /path`".to_owned(),
                );
            }
            return None;
        };
        // A name that stands for part of the answer cannot be sent.
        let mut env = env.clone();
        for (name, expression) in lets {
            if expression.uses.answer {
                env.names.remove(name.as_ref());
            }
        }
        let names: Vec<&str> = picks
            .iter()
            .map(|p| p.name.as_ref())
            .chain(args.iter().map(|a| a.name.as_ref()))
            .collect();
        let (method, path, parts) = self.target(node, &env, &names, picks.len())?;
        self.rest_of_request(fields, &env, method, path, parts)
    }

    fn rest_of_request(
        &mut self,
        fields: &Fields<'_>,
        env: &Environment,
        method: String,
        path: String,
        parts: Vec<PathPart>,
    ) -> Option<Request> {
        let mut map = |key: &str| {
            fields
                .get(key)
                .map(|n| self.reader.template_map(n, &format!("`{key}`"), env))
        };
        let query = map("query").unwrap_or(Some(Vec::new()));
        let headers = map("headers").unwrap_or(Some(Vec::new()));
        let form = map("form");
        let multipart = map("multipart");
        let json = fields.get("json").map(|n| self.reader.template(n, env));
        let text = fields.get("text").map(|n| self.reader.template(n, env));
        let given = ["json", "text", "form", "multipart"]
            .iter()
            .filter_map(|k| fields.entry(k))
            .collect::<Vec<_>>();
        if given.len() > 1 {
            self.reader.mistake(
                given[1].0.span.clone(),
                format!("the body is given already, as `{}`", given[0].0.name),
                "a request has one body".to_owned(),
            );
        }
        let body = if let Some(json) = json {
            Body::Json(json?)
        } else if let Some(text) = text {
            Body::Text(text?)
        } else if let Some(form) = form {
            Body::Form(form?)
        } else if let Some(multipart) = multipart {
            Body::Multipart(multipart?)
        } else {
            Body::Empty
        };
        Some(Request {
            method,
            path,
            parts,
            query: query?,
            headers: headers?,
            body,
        })
    }

    /// `METHOD /path/{x}`
    fn target(
        &mut self,
        node: &Node,
        env: &Environment,
        names: &[&str],
        picks: usize,
    ) -> Option<(String, String, Vec<PathPart>)> {
        let text = self.reader.string(node, "a request")?;
        let start = self.reader.start_of(node, &text);
        let (method, path) = match text.split_once(' ') {
            Some((method, path)) => (method.to_owned(), path.trim().to_owned()),
            None => {
                self.reader.mistake(
                    node.span.clone(),
                    "a request is a method and a path",
                    "write `METHOD /path`".to_owned(),
                );
                return None;
            }
        };
        if !METHODS.contains(&method.as_str()) {
            let help = match nearest(&method.to_uppercase(), METHODS.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the methods are {}", METHODS.join(", ")),
            };
            self.reader.mistake(
                start..start + method.len(),
                format!("unknown method `{method}`"),
                help,
            );
        }
        if !path.starts_with('/') {
            self.reader.mistake(
                node.span.clone(),
                "a path begins with `/`",
                "the address of the server is given with --url or in gainsay.toml".to_owned(),
            );
            return None;
        }
        let offset = start + text.len() - path.len();
        let mut parts = Vec::new();
        let mut rest = 0;
        let mut sound = true;
        while let Some(open) = path[rest..].find('{').map(|i| rest + i) {
            let template = path[..open].ends_with('$');
            let literal_end = open - usize::from(template);
            if literal_end > rest {
                parts.push(PathPart::Literal(path[rest..literal_end].to_owned()));
            }
            let Some(close) = path[open..].find('}').map(|i| open + i) else {
                self.reader.mistake(
                    offset + open..offset + open + 1,
                    "this `{` is never closed",
                    "close it with `}`".to_owned(),
                );
                return None;
            };
            let inner = path[open + 1..close].trim();
            let span = offset + open + 1..offset + close;
            match names.iter().position(|n| *n == inner) {
                Some(index) if !template && index < picks => parts.push(PathPart::Pick(index)),
                Some(index) if !template => parts.push(PathPart::Argument(index - picks)),
                _ if template || inner.contains('.') || env.names.contains_key(inner) => {
                    let text = format!("${{{inner}}}");
                    match self.reader.path_part(&text, offset + literal_end, env) {
                        Some(template) => parts.push(PathPart::Template(template)),
                        None => sound = false,
                    }
                }
                _ => {
                    let help = match nearest(inner, names.iter().copied()) {
                        Some(near) => format!("did you mean `{{{near}}}`?"),
                        None => "name a pick or an argument of the rule".to_owned(),
                    };
                    self.reader.mistake(
                        span,
                        format!("`{{{inner}}}` is neither picked nor an argument"),
                        help,
                    );
                    sound = false;
                }
            }
            rest = close + 1;
        }
        if rest < path.len() {
            parts.push(PathPart::Literal(path[rest..].to_owned()));
        }
        sound.then_some((method, path, parts))
    }

    fn requires(&mut self, fields: &Fields<'_>, env: &Environment) -> Vec<Requirement> {
        let Some(node) = fields.get("requires") else {
            return Vec::new();
        };
        let mut requires = Vec::new();
        for (name, node) in self.reader.entries(node, "`requires`") {
            if matches!(name.name.as_str(), "ok" | "unauthenticated") || name.name.contains(' ') {
                self.reader.mistake(
                    name.span.clone(),
                    format!("`{}` cannot be the name of a requirement", name.name),
                    "`ok` and `unauthenticated` are outcomes of every rule, and names have no spaces"
                        .to_owned(),
                );
                continue;
            }
            let what = format!("the requirement `{}`", name.name);
            let parts = self.reader.fields(node, &what, &["that", "else"]);
            let Some(that) = parts.get("that") else {
                if parts.lacks("that") {
                    self.reader.mistake(
                        name.span.clone(),
                        format!("{what} does not say what must be true"),
                        "say it under `that:`".to_owned(),
                    );
                }
                continue;
            };
            let that = self.reader.condition(that, "`that`", env);
            let mut statuses = Statuses::default();
            let mut returns = Vec::new();
            let mut effects = Vec::new();
            match parts.get("else") {
                None if !parts.lacks("else") => {}
                None => self.reader.mistake(
                    name.span.clone(),
                    format!("{what} does not say what comes back where it fails"),
                    "say it under `else:`, such as `else: 403`".to_owned(),
                ),
                Some(node) if matches!(node.data, Data::Map(_)) => {
                    let parts = self
                        .reader
                        .fields(node, "`else`", &["status", "returns", "then"]);
                    match parts.get("status") {
                        Some(node) => statuses = self.reader.statuses(node),
                        None if !parts.lacks("status") => {}
                        None => self.reader.mistake(
                            node.span.clone(),
                            "`else` does not say the status",
                            "add `status:`".to_owned(),
                        ),
                    }
                    returns = self.checks(&parts, env);
                    let mut inner = env.clone();
                    effects = self.effects(&parts, &mut inner);
                }
                Some(node) => statuses = self.reader.statuses(node),
            }
            if let Some(that) = that {
                if domain::constant(that.ast()) == Some(Value::Bool(false)) {
                    self.reader.mistake(
                        that.span.clone(),
                        format!("{what} always fails, so the rule can never succeed"),
                        "say when it holds".to_owned(),
                    );
                }
                requires.push(Requirement {
                    name: name.name.as_str().into(),
                    span: name.span.clone(),
                    that,
                    statuses,
                    returns,
                    effects,
                });
            }
        }
        requires
    }

    fn checks(&mut self, fields: &Fields<'_>, env: &Environment) -> Vec<Check> {
        let Some(node) = fields.get("returns") else {
            return Vec::new();
        };
        let mut checks = Vec::new();
        for (name, node) in self.reader.entries(node, "`returns`") {
            let what = format!("the check `{}`", name.name);
            if let Some(that) = self.reader.condition(node, &what, env) {
                checks.push(Check {
                    name: name.name.as_str().into(),
                    that,
                });
            }
        }
        checks
    }

    fn successes(&mut self, key: &Key, fields: &Fields<'_>, env: &Environment) -> Vec<Success> {
        let Some((either_key, either)) = fields.entry("either") else {
            return vec![self.success(key, fields, None, env)];
        };
        for name in [
            "responds", "returns", "creates", "sets", "unsets", "deletes", "each", "then",
        ] {
            if let Some((key, _)) = fields.entry(name) {
                self.reader.mistake(
                    key.span.clone(),
                    format!("`{name}` stands beside `either`"),
                    "put it into each alternative".to_owned(),
                );
            }
        }
        let known = [
            "when", "responds", "returns", "creates", "sets", "unsets", "deletes", "each", "then",
        ];
        let mut successes = Vec::new();
        match &either.data {
            Data::Map(_) => {
                for (name, node) in self.reader.entries(either, "`either`") {
                    let parts = self.reader.fields(node, "an alternative", &known);
                    successes.push(self.success(
                        name,
                        &parts,
                        Some(name.name.as_str().into()),
                        env,
                    ));
                }
            }
            Data::List(items) => {
                for (index, node) in items.iter().enumerate() {
                    let parts = self.reader.fields(node, "an alternative", &known);
                    let name: Arc<str> = format!("{}", index + 1).into();
                    successes.push(self.success(either_key, &parts, Some(name), env));
                }
            }
            _ => self.reader.mistake(
                either.span.clone(),
                "`either` is a map or a list of alternatives",
                "write `either: { NAME: { responds: STATUS, … }, NAME: … }`",
            ),
        }
        if successes.len() == 1 {
            self.reader.mistake(
                either_key.span.clone(),
                "`either` needs two alternatives or more",
                "write a single one without `either`".to_owned(),
            );
        }
        successes
    }

    fn success(
        &mut self,
        key: &Key,
        fields: &Fields<'_>,
        name: Option<Arc<str>>,
        env: &Environment,
    ) -> Success {
        let when = fields
            .get("when")
            .and_then(|n| self.reader.condition(n, "`when`", env));
        let statuses = match fields.get("responds") {
            Some(node) => self.reader.statuses(node),
            None if !fields.lacks("responds") => Statuses::default(),
            None => {
                self.reader.mistake(
                    key.span.clone(),
                    format!("`{}` does not say its success status", key.name),
                    "say `responds: STATUS`".to_owned(),
                );
                Statuses::default()
            }
        };
        let mut after = env.clone();
        let effects = self.effects(fields, &mut after);
        let returns = self.checks(fields, &after);
        Success {
            name,
            span: key.span.clone(),
            when,
            statuses,
            returns,
            effects,
        }
    }

    /// The effects among the keys of a map, in the order of the file.
    fn effects(&mut self, fields: &Fields<'_>, env: &mut Environment) -> Vec<Effect> {
        let mut effects = Vec::new();
        for (key, node) in fields.iter() {
            match key.name.as_str() {
                "creates" => self.creates(node, env, &mut effects),
                "sets" => {
                    for (place, node) in self.reader.entries(node, "`sets`") {
                        let key = place;
                        let place = self.place(key, env);
                        let value = self.reader.template(node, env);
                        if let (Some(place), Some(value)) = (place, value) {
                            if let (Some(kind), []) = (place.kind, place.keys.as_slice()) {
                                let ty = self.reader.schema.of(kind).fields[place.field].1.clone();
                                self.fits(key, node, &value, &ty, true);
                            }
                            effects.push(Effect::Set { place, value });
                        }
                    }
                }
                "unsets" => {
                    let items: Vec<&Node> = match &node.data {
                        Data::List(items) => items.iter().collect(),
                        _ => vec![node],
                    };
                    for item in items {
                        let Some(name) = self.reader.string(item, "a place") else {
                            continue;
                        };
                        let key = Key {
                            span: item.span.clone(),
                            name,
                        };
                        effects.extend(self.place(&key, env).map(Effect::Unset));
                    }
                }
                "deletes" => {
                    let items: Vec<&Node> = match &node.data {
                        Data::List(items) => items.iter().collect(),
                        _ => vec![node],
                    };
                    for item in items {
                        let Some((expression, ty)) =
                            self.reader.expression(item, "what is deleted", env)
                        else {
                            continue;
                        };
                        let entity = |t: &Type| matches!(t.bare(), Type::Entity(_) | Type::Any);
                        let sound = match ty.bare() {
                            Type::List(item) => entity(item),
                            other => entity(other),
                        };
                        if !sound {
                            let shown = self.reader.schema.a(&ty);
                            self.reader.mistake(
                                expression.span.clone(),
                                format!("entities are deleted, and this is {shown}"),
                                "name an entity or a list of them; a field is emptied with `unsets`",
                            );
                        }
                        let bare = match ty.bare() {
                            Type::List(item) => item.bare(),
                            other => other,
                        };
                        let kind = match bare {
                            Type::Entity(kind) => Some(*kind),
                            _ => None,
                        };
                        effects.push(Effect::Delete {
                            what: expression,
                            kind,
                        });
                    }
                }
                "each" => self.each(node, env, &mut effects),
                "then" => self.then(node, env, &mut effects),
                _ => {}
            }
        }
        effects
    }

    fn creates(&mut self, node: &Node, env: &mut Environment, effects: &mut Vec<Effect>) {
        if let Data::List(items) = &node.data {
            for item in items {
                self.creates(item, env, effects);
            }
            return;
        }
        for (name, node) in self.reader.entries(node, "`creates`") {
            let Some(kind) = self.reader.schema.kind(&name.name) else {
                let names = self.reader.schema.kinds.iter().map(|k| k.name.as_str());
                let help = match nearest(&name.name, names.clone()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("the entities are {}", names.collect::<Vec<_>>().join(", ")),
                };
                let message = format!("there is no entity `{}`", name.name);
                self.reader.mistake(name.span.clone(), message, help);
                env.names.insert(name.name.clone(), Type::Any);
                self.misnamed = true;
                continue;
            };
            self.created.insert(kind);
            let declared: Vec<(String, Type)> = self.reader.schema.of(kind).fields.clone();
            let names: Vec<&str> = declared.iter().map(|(n, _)| n.as_str()).collect();
            let what = format!("the entity `{}`", name.name);
            let given = self.reader.fields(node, &what, &names);
            let mut fields = Vec::new();
            let mut missing = Vec::new();
            for (field, ty) in &declared {
                match given.entry(field) {
                    Some((key, node)) => {
                        let template = self.reader.template(node, env);
                        if let Some(template) = &template {
                            self.fits(key, node, template, ty, true);
                        }
                        fields.push(template);
                    }
                    None => {
                        if default_of(ty).is_none() && given.lacks(field) {
                            missing.push(field.as_str());
                        }
                        fields.push(default_of(ty).map(Template::Constant));
                    }
                }
            }
            if !missing.is_empty() {
                self.reader.mistake(
                    name.span.clone(),
                    format!(
                        "this does not say the {} of the {}",
                        missing.join(", "),
                        name.name
                    ),
                    "give every field a value, or make it optional: `string?`".to_owned(),
                );
            }
            env.names.insert(name.name.clone(), Type::Entity(kind));
            effects.push(Effect::Create {
                kind,
                name: name.name.as_str().into(),
                fields,
                span: name.span.clone(),
            });
        }
    }

    /// Reports a constant that cannot be the value of a field; `computed` says whether an expression could stand there.
    fn fits(&mut self, key: &Key, node: &Node, template: &Template, ty: &Type, computed: bool) {
        let Template::Constant(value) = template else {
            return;
        };
        let fits = match (ty, value) {
            (Type::Any, _) | (Type::Optional(_), Value::Null) => true,
            _ => match (ty.bare(), value) {
                (Type::Any, _) => true,
                (t, Value::Text(_)) => t.is_text(),
                (Type::Int, Value::Int(_)) | (Type::Bool, Value::Bool(_)) => true,
                (Type::Number, Value::Int(_) | Value::Number(_)) => true,
                _ => false,
            },
        };
        if !fits {
            let shown = self.reader.schema.a(ty);
            let message = format!("`{}` is {shown}, and this is {}", key.name, node.what());
            let help = match ty.bare() {
                Type::Entity(_) => "write an expression: `${…}`".to_owned(),
                _ if !computed => format!("write {shown}"),
                _ => format!("write {shown}, or an expression that yields one: `${{…}}`"),
            };
            self.reader.mistake(node.span.clone(), message, help);
        }
    }

    fn each(&mut self, node: &Node, env: &Environment, effects: &mut Vec<Effect>) {
        let items: Vec<&Node> = match &node.data {
            Data::List(items) => items.iter().collect(),
            _ => vec![node],
        };
        for item in items {
            let entries = self.reader.entries(item, "`each`");
            let named = entries
                .iter()
                .find(|(k, _)| !EFFECT_KEYS.contains(&k.name.as_str()));
            let Some((name, list)) = named.copied() else {
                self.reader.mistake(
                    item.span.clone(),
                    "`each` does not say for what",
                    "write `each: { NAME: LIST, sets: … }`".to_owned(),
                );
                continue;
            };
            let mut inner = env.clone();
            let list = self
                .reader
                .expression(list, "what `each` goes through", env);
            let ty = match list.as_ref().map(|(_, ty)| ty.bare()) {
                Some(Type::List(item)) => item.as_ref().clone(),
                Some(Type::Map(key, _)) => key.as_ref().clone(),
                _ => Type::Any,
            };
            inner.names.insert(name.name.clone(), ty);
            let mut known = EFFECT_KEYS.to_vec();
            known.push(&name.name);
            let fields = self.reader.fields(item, "`each`", &known);
            let nested = self.effects(&fields, &mut inner);
            if let Some((list, _)) = list {
                effects.push(Effect::Each {
                    name: name.name.as_str().into(),
                    list,
                    effects: nested,
                });
            }
        }
    }

    fn then(&mut self, node: &Node, env: &mut Environment, effects: &mut Vec<Effect>) {
        let items: Vec<&Node> = match &node.data {
            Data::List(items) => items.iter().collect(),
            _ => vec![node],
        };
        let mut known = EFFECT_KEYS.to_vec();
        known.push("when");
        for item in items {
            let fields = self.reader.fields(item, "`then`", &known);
            let when = match fields.get("when") {
                Some(node) => match self.reader.condition(node, "`when`", env) {
                    Some(when) => Some(when),
                    None => continue,
                },
                None => None,
            };
            let nested = self.effects(&fields, env);
            effects.push(Effect::When {
                when,
                effects: nested,
            });
        }
    }

    fn place(&mut self, key: &Key, env: &Environment) -> Option<Place> {
        let (ast, source) = self.reader.key_expression(key)?;
        let mut keys = Vec::new();
        let mut node = &ast;
        while let Expr::Call(call) = &node.expr {
            match (call.func_name.as_str(), call.args.as_slice()) {
                (op::INDEX, [container, index]) => {
                    keys.push(index);
                    node = container;
                }
                _ => break,
            }
        }
        keys.reverse();
        let not_a_place = |file: &mut Self| {
            file.reader.mistake(
                key.span.clone(),
                format!("`{}` is not a place that can be set", key.name),
                "name a field, such as `world.creator`, a key within it, such as `world.votes[actor]`, or a global"
                    .to_owned(),
            );
        };
        let (entity, kind, field) = match &node.expr {
            Expr::Select(select) if !select.test => {
                let (entity, ty) = self.reader.key_part(&select.operand, &source, key, env)?;
                let Type::Entity(kind) = ty.bare() else {
                    // Of what could not be read, the mistake has been reported.
                    if *ty.bare() != Type::Any || self.reader.mistakes.is_empty() {
                        not_a_place(self);
                    }
                    return None;
                };
                let kind = *kind;
                // Checks the whole place, which reports an unknown field.
                self.reader.key_part(node, &source, key, env)?;
                let schema = self.reader.schema.of(kind);
                let field = schema.fields.iter().position(|(n, _)| *n == select.field)?;
                (Some(entity), Some(kind), field)
            }
            Expr::Ident(name) => {
                match self
                    .reader
                    .schema
                    .globals
                    .iter()
                    .position(|(n, _)| n == name)
                {
                    Some(global) => (None, None, global),
                    None => {
                        not_a_place(self);
                        return None;
                    }
                }
            }
            _ => {
                not_a_place(self);
                return None;
            }
        };
        let keys: Vec<Option<Expression>> = keys
            .into_iter()
            .map(|k: &IdedExpr| self.reader.key_part(k, &source, key, env).map(|(e, _)| e))
            .collect();
        Some(Place {
            source: key.name.clone(),
            entity,
            kind,
            field,
            keys: keys.into_iter().collect::<Option<_>>()?,
        })
    }

    /// One status for all names, or a map of statuses by name.
    fn by_name(
        &mut self,
        fields: &Fields<'_>,
        key: &str,
        names: &[String],
        default: &Statuses,
    ) -> Vec<Statuses> {
        let mut out = vec![default.clone(); names.len()];
        match fields.get(key) {
            None => {}
            Some(node) if matches!(node.data, Data::Map(_)) => {
                for (name, node) in self.reader.entries(node, &format!("`{key}`")) {
                    let statuses = self.reader.statuses(node);
                    match names.iter().position(|n| *n == name.name) {
                        Some(index) => out[index] = statuses,
                        None => {
                            let help = match nearest(&name.name, names.iter().map(String::as_str)) {
                                Some(near) => format!("did you mean `{near}`?"),
                                None if names.is_empty() => "the rule has none".to_owned(),
                                None => format!("the rule has {}", names.join(", ")),
                            };
                            let what = match key {
                                "invalid" => "an argument",
                                _ => "a pick",
                            };
                            self.reader.mistake(
                                name.span.clone(),
                                format!("`{}` is not {what} of this rule", name.name),
                                help,
                            );
                        }
                    }
                }
            }
            Some(node) => {
                let statuses = self.reader.statuses(node);
                out.fill(statuses);
            }
        }
        out
    }

    fn invariants(&mut self, top: &Fields<'_>) -> Vec<Invariant> {
        let Some(node) = top.get("invariants") else {
            return Vec::new();
        };
        let mut invariants = Vec::new();
        for (name, node) in self.reader.entries(node, "`invariants`") {
            invariants.extend(self.invariant(name, node));
        }
        invariants
    }

    fn invariant(&mut self, name: &Key, node: &Node) -> Option<Invariant> {
        let what = format!("the invariant `{}`", name.name);
        let fields = self.reader.fields(
            node,
            &what,
            &[
                "about",
                "for",
                "when",
                "read",
                "by",
                "query",
                "headers",
                "json",
                "let",
                "always",
                "eventually",
                "within",
            ],
        );
        let mut env = Environment::default();
        let mut each = None;
        if let Some(node) = fields.get("for") {
            let kind = self.reader.string(node, "`for`")?;
            match self.reader.schema.kind(&kind) {
                Some(id) => {
                    env.names.insert(kind.clone(), Type::Entity(id));
                    each = Some((Arc::from(kind), id));
                }
                None => {
                    let names = self.reader.schema.kinds.iter().map(|k| k.name.as_str());
                    let help = guess(&kind, names, "name one of the entities, in the singular");
                    self.reader.mistake(
                        node.span.clone(),
                        format!("there is no entity `{kind}`"),
                        help,
                    );
                    env.names.insert(kind, Type::Any);
                }
            }
        }
        let mut lets = Vec::new();
        let when = match fields.get("when") {
            Some(node) => self.reader.condition(node, "`when`", &env),
            None => None,
        };
        let read = match fields.get("read") {
            Some(node) => {
                let by = match fields.get("by") {
                    Some(by) if by.scalar().as_deref() == Some("anyone") => None,
                    Some(by) => {
                        let asker = self.reader.expression(by, "`by`", &env);
                        let ty = asker.as_ref().map_or(Type::Any, |(_, ty)| ty.clone());
                        let list = match ty.bare() {
                            Type::List(item) => item.bare().clone(),
                            other => other.clone(),
                        };
                        if !matches!(list, Type::Entity(_) | Type::Any) {
                            let shown = self.reader.schema.a(&ty);
                            self.reader.mistake(
                                by.span.clone(),
                                format!("a principal asks, and this is {shown}"),
                                "name an entity that has `auth`, or `anyone`".to_owned(),
                            );
                        }
                        asker.map(|(expression, _)| expression)
                    }
                    None => None,
                };
                let names: Vec<&str> = each
                    .iter()
                    .map(|(n, _): &(Arc<str>, _)| n.as_ref())
                    .collect();
                let target = self.target(node, &env, &names, names.len());
                let request = target.and_then(|(method, path, parts)| {
                    self.rest_of_request(&fields, &env, method, path, parts)
                });
                request.map(|request| Read { request, by })
            }
            None => {
                for key in ["by", "query", "headers", "json"] {
                    if let Some((key, _)) = fields.entry(key) {
                        self.reader.mistake(
                            key.span.clone(),
                            format!("`{}` belongs to a `read`, and there is none", key.name),
                            "add `read: GET /path`, or remove it",
                        );
                    }
                }
                None
            }
        };
        let mut claim_env = env.clone();
        claim_env.before = true;
        let has_read = fields.get("read").is_some();
        claim_env.answer = has_read;
        self.lets(&fields, &mut claim_env, has_read, &mut lets);
        claim_env.answer = has_read;
        if !has_read {
            claim_env.names.insert("step".into(), Type::Any);
        }
        let (claim, mode) = match (fields.get("always"), fields.entry("eventually")) {
            (Some(claim), None) => {
                if let Some((key, _)) = fields.entry("within") {
                    self.reader.mistake(
                        key.span.clone(),
                        "`within` belongs to `eventually`",
                        "what must hold always has no time: remove it, or say `eventually`",
                    );
                }
                (
                    self.reader.condition(claim, "`always`", &claim_env)?,
                    Mode::Always,
                )
            }
            (None, Some((key, claim))) => {
                let within = match fields.get("within") {
                    Some(node) => self.duration(node)?,
                    None if !fields.lacks("within") => return None,
                    None => {
                        self.reader.mistake(
                            key.span.clone(),
                            "`eventually` does not say within what time",
                            "add `within: 5s`".to_owned(),
                        );
                        return None;
                    }
                };
                let claim = self.reader.condition(claim, "`eventually`", &claim_env)?;
                (claim, Mode::Eventually(within))
            }
            (None, None) if !(fields.lacks("always") && fields.lacks("eventually")) => return None,
            _ => {
                let says = match fields.get("always") {
                    Some(_) => "says both `always` and `eventually`",
                    None => "says neither `always` nor `eventually`",
                };
                self.reader.mistake(
                    name.span.clone(),
                    format!("{what} {says}"),
                    "say what must hold under one of them".to_owned(),
                );
                return None;
            }
        };
        let about = self.text_of(&fields, "about");
        Some(Invariant {
            name: name.name.as_str().into(),
            about,
            span: name.span.clone(),
            each,
            when,
            read,
            lets,
            claim,
            mode,
        })
    }

    fn duration(&mut self, node: &Node) -> Option<u64> {
        let text = self.reader.string(node, "a time")?;
        match humantime::parse_duration(&text) {
            Ok(duration) => u64::try_from(duration.as_millis()).ok(),
            Err(_) => {
                self.reader.mistake(
                    node.span.clone(),
                    format!("`{text}` is not a time"),
                    "write a number and a unit: 500ms, 5s, 2m".to_owned(),
                );
                None
            }
        }
    }

    /// Reports rules that can never be tried.
    fn reachable(&mut self, kinds: &[Kind], rules: &[Rule]) {
        let created = std::mem::take(&mut self.created);
        for rule in rules {
            if let By::Kind(kind) = rule.by {
                let kind = &kinds[usize::from(kind.0)];
                if kind.auth.is_none() {
                    self.reader.mistake(
                        rule.span.clone(),
                        format!(
                            "the rule `{}` can never be tried: {} cannot act",
                            rule.name,
                            article(&kind.name)
                        ),
                        format!(
                            "say under `entities: {}:` where its credentials go, with `auth:`",
                            kind.name
                        ),
                    );
                }
            }
            for pick in &rule.picks {
                let kind = &kinds[usize::from(pick.kind.0)];
                if !created.contains(&pick.kind) && kind.auth.is_none() && !self.misnamed {
                    self.reader.mistake(
                        pick.span.clone(),
                        format!(
                            "the rule `{}` can never be tried: no rule creates {}",
                            rule.name,
                            article(&kind.name)
                        ),
                        format!(
                            "add `creates: {{ {}: … }}` to the rule that makes one",
                            kind.name
                        ),
                    );
                }
            }
        }
    }

    fn note(&mut self, rule: &Rule) {
        for (outcome, statuses) in rule
            .requires
            .iter()
            .map(|r| (r.name.as_ref(), &r.statuses))
            .chain(rule.successes.iter().map(|s| ("ok", &s.statuses)))
            .chain(std::iter::once(("unauthenticated", &rule.unauthenticated)))
        {
            if statuses.is_any() {
                self.notes
                    .unchecked
                    .push((rule.name.clone(), outcome.to_owned()));
            }
        }
        for success in &rule.successes {
            self.note_copies(&success.effects);
        }
    }

    fn note_copies(&mut self, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::Create {
                    kind, fields, span, ..
                } => {
                    let schema = self.reader.schema.of(*kind);
                    for ((name, ty), template) in schema.fields.iter().zip(fields) {
                        let copied = template.as_ref().is_some_and(Template::needs_answer);
                        let needed = name == "id" || matches!(ty.bare(), Type::Secret);
                        if copied && !needed {
                            let place = format!("{}.{name}", schema.name);
                            self.notes.copied.push((place, span.start));
                        }
                    }
                }
                Effect::Set { place, value } if value.needs_answer() => {
                    let at = value.expressions().first().map_or(0, |e| e.span.start);
                    self.notes.copied.push((place.source.clone(), at));
                }
                Effect::Each { effects, .. } | Effect::When { effects, .. } => {
                    self.note_copies(effects);
                }
                _ => {}
            }
        }
    }
}

/// The names in a map of the file, whether what they stand for is sound or not.
fn names_under(fields: &Fields<'_>, key: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    if let Some(Data::Map(entries)) = fields.get(key).map(|node| &node.data) {
        for (key, _) in entries {
            if !names.contains(&key.name) {
                names.push(key.name.clone());
            }
        }
    }
    names
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

/// The value of a template without expressions.
fn constant_of(template: &Template) -> Option<Value> {
    match template {
        Template::Constant(value) => Some(value.clone()),
        Template::List(items) => {
            let items: Vec<Value> = items.iter().map(constant_of).collect::<Option<_>>()?;
            Some(Value::List(items.into()))
        }
        Template::Map(fields) => {
            let fields = fields
                .iter()
                .map(|(k, t)| Some((Value::text(k.as_str()), constant_of(t)?)));
            Some(Value::Map(Arc::new(fields.collect::<Option<_>>()?)))
        }
        Template::Expression(_) | Template::Text(_) => None,
    }
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

/// How an argument reaches the server, by where the rule's templates name it.
fn how_sent(name: &str, fields: &Fields<'_>) -> Sent {
    let whole = format!("${{{name}}}");
    let spaced = format!("${{ {name} }}");
    fn holds(node: &Node, texts: &[&str]) -> bool {
        match &node.data {
            Data::Text(text) => texts.contains(&text.as_str()),
            Data::List(items) => items.iter().any(|i| holds(i, texts)),
            Data::Map(entries) => entries.iter().any(|(_, v)| holds(v, texts)),
            _ => false,
        }
    }
    let texts = [whole.as_str(), spaced.as_str()];
    let within = |key: &str| fields.get(key).is_some_and(|n| holds(n, &texts));
    let in_path = fields
        .get("request")
        .and_then(Node::scalar)
        .is_some_and(|path| path.contains(&format!("{{{name}}}")));
    if in_path || within("headers") {
        Sent::Within
    } else if within("json") {
        Sent::Json
    } else if within("query") || within("form") || within("multipart") {
        Sent::Text
    } else {
        Sent::Within
    }
}

/// The plural of an English noun, in the regular cases; `plural:` says the others.
fn plural_of(name: &str) -> String {
    let ends = |suffix: &str| name.ends_with(suffix);
    if ends("y") && !["ay", "ey", "oy", "uy"].iter().any(|s| ends(s)) {
        return format!("{}ies", &name[..name.len() - 1]);
    }
    if ["s", "x", "z", "ch", "sh"].iter().any(|s| ends(s)) {
        return format!("{name}es");
    }
    format!("{name}s")
}
