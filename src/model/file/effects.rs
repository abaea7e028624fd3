//! Effects in a model file: how the mirror changes.

use super::*;

impl File<'_> {
    /// The effects among the keys of a map, in the order of the file.
    pub(super) fn effects(&mut self, fields: &Fields<'_>, env: &mut Environment) -> Vec<Effect> {
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

    pub(super) fn creates(
        &mut self,
        node: &Node,
        env: &mut Environment,
        effects: &mut Vec<Effect>,
    ) {
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
            let initials = self.reader.schema.of(kind).initials.clone();
            for ((field, ty), initial) in declared.iter().zip(initials) {
                let initial = initial.or_else(|| default_of(ty));
                match given.entry(field) {
                    Some((key, node)) => {
                        let template = self.reader.template(node, env);
                        if let Some(template) = &template {
                            self.fits(key, node, template, ty, true);
                        }
                        fields.push(template);
                    }
                    None => {
                        if initial.is_none() && given.lacks(field) {
                            missing.push(field.as_str());
                        }
                        fields.push(initial.map(Template::Constant));
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
                    "give every field a value, or say what it starts as: `int = 0`, `string?`"
                        .to_owned(),
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
    pub(super) fn fits(
        &mut self,
        key: &Key,
        node: &Node,
        template: &Template,
        ty: &Type,
        computed: bool,
    ) {
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

    pub(super) fn each(&mut self, node: &Node, env: &Environment, effects: &mut Vec<Effect>) {
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

    pub(super) fn then(&mut self, node: &Node, env: &mut Environment, effects: &mut Vec<Effect>) {
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

    pub(super) fn place(&mut self, key: &Key, env: &Environment) -> Option<Place> {
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
                let Some(field) = schema.fields.iter().position(|(n, _)| *n == select.field) else {
                    if schema.derived.iter().any(|(n, _, _)| *n == select.field) {
                        self.reader.mistake(
                            key.span.clone(),
                            format!("`{}` is computed, and cannot be set", key.name),
                            "set what it is computed from",
                        );
                    }
                    return None;
                };
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
}

/// The value of a template without expressions.
pub(super) fn constant_of(template: &Template) -> Option<Value> {
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
