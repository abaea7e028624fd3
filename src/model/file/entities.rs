//! Entities and globals of a model file: names first, because a field's type may be an entity that comes later.

use super::effects::constant_of;
use super::*;

impl File<'_> {
    pub(super) fn kinds(&mut self, top: &Fields<'_>) -> Vec<Kind> {
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

    pub(super) fn auth(&mut self, node: &Node, env: &Environment) -> Auth {
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

    pub(super) fn globals(&mut self, top: &Fields<'_>) -> Vec<Global> {
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
