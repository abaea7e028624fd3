//! Entities and globals of a model file: names first, because a field's type may be an entity that comes later.

use super::effects::constant_of;
use super::*;

/// For so long revoked credentials may be taken.
const LONGEST_GRACE: Duration = Duration::from_secs(60);

impl File<'_> {
    /// The names of the kinds, and their fields' types, which may be kinds that come later.
    pub(super) fn declared<'n>(&mut self, entities: &Under<'n>) -> Vec<(&'n Key, Fields<'n>)> {
        let mut read = Vec::new();
        for (key, node) in entities.iter().flatten().copied() {
            // Kept whatever it is called, so that one mistake is reported once; so are the other names below.
            self.reader.name(key, "an entity");
            let fields = self.reader.fields(
                node,
                &format!("the entity `{}`", key.name),
                &[
                    "about",
                    "fields",
                    "derived",
                    "key",
                    "owner",
                    "auth",
                    "visible_to",
                    "plural",
                ],
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
                initials: Vec::new(),
                derived: Vec::new(),
            });
            read.push((key, fields));
        }
        for (index, (_, fields)) in read.iter().enumerate() {
            let Some(node) = fields.get("fields") else {
                continue;
            };
            for (field, node) in self.reader.entries(node, "`fields`") {
                self.reader.word(field, "a field");
                let (ty, initial) = self.declaration(field, node, "a field");
                // Of an unknown type anything may be, and nothing need be said.
                let ty = ty.unwrap_or(Type::Optional(Box::new(Type::Any)));
                let schema = &mut self.reader.schema.kinds[index];
                schema.fields.push((field.name.clone(), ty));
                schema.initials.push(initial);
            }
        }
        read
    }

    /// A type, and what a value of it starts as: `int`, `int = 0`, or `{ type: int, initial: 0 }`.
    fn declaration(&mut self, key: &Key, node: &Node, what: &str) -> (Option<Type>, Option<Value>) {
        if let Data::Map(_) = &node.data {
            let fields = self.reader.fields(node, what, &["type", "initial"]);
            let ty = fields.get("type").and_then(|n| self.reader.ty(n));
            let initial = fields.get("initial");
            let initial = initial.and_then(|n| self.initial(key, n, ty.as_ref()));
            return (ty, initial);
        }
        let (Data::Text(text), true) = (&node.data, node.scalar().is_some()) else {
            return (self.reader.ty(node), None);
        };
        let Some((ty, initial)) = text.split_once('=') else {
            return (self.reader.ty(node), None);
        };
        let part = |data| Node {
            span: node.span.clone(),
            data,
        };
        let ty = self.reader.ty(&part(Data::Text(ty.trim().to_owned())));
        match tree::parse(initial.trim()) {
            Ok(parsed) => {
                let initial = self.initial(key, &part(parsed.data), ty.as_ref());
                (ty, initial)
            }
            Err((_, message)) => {
                self.reader.mistake(
                    node.span.clone(),
                    format!("this is no value to start with: {message}"),
                    "write `TYPE = VALUE`: `int = 0`, `string = draft`",
                );
                (ty, None)
            }
        }
    }

    /// A value that is known before anything happens.
    fn initial(&mut self, key: &Key, node: &Node, ty: Option<&Type>) -> Option<Value> {
        let template = self.reader.template(node, &Environment::default())?;
        if let Some(ty) = ty {
            self.fits(key, node, &template, ty, false);
        }
        constant_of(&template).or_else(|| {
            self.reader.mistake(
                node.span.clone(),
                "what something starts as is a value that is known",
                "write a value without `${…}`; rules can set it later",
            );
            None
        })
    }

    /// The fields that are computed. Each may use those that stand above it.
    fn derived(&mut self, declared: &[(&Key, Fields<'_>)]) -> Vec<Vec<Derived>> {
        let mut kinds = Vec::new();
        for (index, (key, fields)) in declared.iter().enumerate() {
            let id = KindId(u16::try_from(index).unwrap_or(u16::MAX));
            let mut env = Environment::default();
            env.names.insert("self".into(), Type::Entity(id));
            let entries = match fields.get("derived") {
                Some(node) => self.reader.entries(node, "`derived`"),
                None => Vec::new(),
            };
            let mut derived = Vec::new();
            for (name, node) in entries {
                self.reader.word(name, "a field");
                let taken = self.reader.schema.kinds[index]
                    .readable()
                    .any(|n| n == name.name);
                if taken {
                    self.reader.mistake(
                        name.span.clone(),
                        format!("{} has a field `{}` already", key.name, name.name),
                        "rename one of them",
                    );
                    continue;
                }
                let read = self.reader.expression(node, "a derived field", &env);
                let schema = &mut self.reader.schema.kinds[index].derived;
                let Some((what, ty)) = read else {
                    schema.push((name.name.clone(), Type::Any, Uses::default()));
                    continue;
                };
                // Whoever reads the field has another `self`.
                let mut uses = what.uses.clone();
                uses.variables.remove("self");
                schema.push((name.name.clone(), ty.clone(), uses));
                derived.push(Derived {
                    name: name.name.clone(),
                    ty,
                    what: Arc::new(what),
                });
            }
            kinds.push(derived);
        }
        kinds
    }

    pub(super) fn kinds(&mut self, declared: &[(&Key, Fields<'_>)]) -> Vec<Kind> {
        let mut out = Vec::new();
        let derived = self.derived(declared);
        for ((index, (key, fields)), derived) in declared.iter().enumerate().zip(derived) {
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
            let known = &self.reader.schema.kinds[index].fields;
            let default_key = known.iter().position(|(n, _)| n == "id");
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
            let auth = fields.get("auth").map(|node| {
                let own = ["jar", "csrf", "revoked_within", "strangers"];
                let mut auth = self.auth(node, &env, &own);
                auth.fields = shown(&auth, id);
                auth
            });
            let visible_to = self.visible_to(declared, index, owner);
            let about = self.text_of(fields, "about");
            let schema = &self.reader.schema.kinds[index];
            out.push(Kind {
                name: key.name.clone(),
                plural: schema.plural.clone(),
                about,
                fields: schema
                    .fields
                    .iter()
                    .zip(&schema.initials)
                    .map(|((name, ty), initial)| Field {
                        name: name.clone(),
                        ty: ty.clone(),
                        initial: initial.clone(),
                    })
                    .collect(),
                derived,
                key: key_field,
                owner,
                auth,
                visible_to,
                span: key.span.clone(),
            });
        }
        out
    }

    /// Credentials. `own` are the keys that only those of an entity have.
    pub(super) fn auth(&mut self, node: &Node, env: &Environment, own: &[&str]) -> Auth {
        let shown = ["headers", "query", "cookies", "basic", "bearer"];
        let known = [&shown, own].concat();
        let fields = self.reader.fields(node, "`auth`", &known);
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
                "jar" => auth.jar = self.reader.bool(node, "`jar`").unwrap_or_default(),
                "csrf" => auth.csrf = self.csrf(key, node),
                "revoked_within" => {
                    let millis = self.duration(node).unwrap_or_default();
                    auth.revoked_within = Duration::from_millis(millis);
                    if auth.revoked_within > LONGEST_GRACE {
                        auth.revoked_within = Duration::ZERO;
                        self.reader.mistake(
                            node.span.clone(),
                            "revoked credentials may be taken for a minute at most",
                            "say less: a plan waits as long before it tries them again",
                        );
                    }
                }
                "strangers" => {
                    auth.strangers = self.reader.bool(node, "`strangers`").unwrap_or_default();
                }
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
        if let Some(Csrf {
            source: TokenSource::Cookie(name),
            ..
        }) = &auth.csrf
            && !auth.jar
            && let Some((key, _)) = fields.iter().find(|(key, _)| key.name == "csrf")
        {
            self.reader.mistake(
                key.span.clone(),
                format!("there is no jar that the cookie `{name}` could be in"),
                "say `jar: true` beside it",
            );
        }
        auth
    }

    /// A token: from a cookie or from answers, in a header or in a field.
    fn csrf(&mut self, key: &Key, node: &Node) -> Option<Csrf> {
        let known = ["cookie", "from", "header", "field"];
        let fields = self.reader.fields(node, "`csrf`", &known);
        let answer = Environment {
            answer: true,
            ..Environment::default()
        };
        let mut text = |name: &str| {
            let node = fields.get(name)?;
            self.reader.string(node, &format!("`{name}`"))
        };
        let (cookie, header, field) = (text("cookie"), text("header"), text("field"));
        let from = fields
            .get("from")
            .map(|node| self.reader.template(node, &answer));
        let source = match (cookie, from) {
            (Some(name), None) => Some(TokenSource::Cookie(name)),
            (None, Some(template)) => Some(TokenSource::Answer(template?)),
            _ => None,
        };
        let place = match (header, field) {
            (Some(name), None) => Some(TokenPlace::Header(name)),
            (None, Some(name)) => Some(TokenPlace::Field(name)),
            _ => None,
        };
        let (Some(source), Some(place)) = (source, place) else {
            self.reader.mistake(
                key.span.clone(),
                "`csrf` needs one place that the token is from and one that it goes to",
                "write `csrf: { cookie: NAME, header: NAME }`, or `from: \"${body.…}\"` for `cookie` and `field` for `header`",
            );
            return None;
        };
        Some(Csrf { source, place })
    }

    pub(super) fn globals(&mut self, top: &Fields<'_>) -> Vec<Global> {
        let Some(node) = top.get("globals") else {
            return Vec::new();
        };
        let mut globals = Vec::new();
        for (key, node) in self.reader.entries(node, "`globals`") {
            self.reader.name(key, "a global");
            let (ty, initial) = self.declaration(key, node, "a global");
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
}

/// The fields of a kind that its credentials are made of.
fn shown(auth: &Auth, kind: KindId) -> BTreeSet<usize> {
    let expressions = auth.templates().flat_map(Template::expressions);
    let fields = expressions.flat_map(|expression| expression.uses.fields.iter());
    let own = fields.filter(|(of, _)| *of == kind);
    own.map(|(_, field)| *field).collect()
}

/// The plural of an English noun, in the regular cases; `plural:` says the others.
pub(super) fn plural_of(name: &str) -> String {
    let ends = |suffix: &str| name.ends_with(suffix);
    if ends("y") && !["ay", "ey", "oy", "uy"].iter().any(|s| ends(s)) {
        return format!("{}ies", &name[..name.len() - 1]);
    }
    if ["s", "x", "z", "ch", "sh"].iter().any(|s| ends(s)) {
        return format!("{name}es");
    }
    format!("{name}s")
}
