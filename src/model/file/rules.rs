//! Rules of a model file: who attempts what, with which arguments, and what is said of them as a whole.

use super::*;

impl File<'_> {
    pub(super) fn setup(
        &mut self,
        top: &Fields<'_>,
        entries: &Under<'_>,
        rules: &[Rule],
    ) -> Vec<Setup> {
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
        let names: Vec<&str> = (entries.iter().flatten())
            .map(|(key, _)| key.name.as_str())
            .collect();
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

    /// The rules, and how many there are when each section ends. A rule has its area's name as a tag.
    pub(super) fn rules(
        &mut self,
        sections: &[Section<'_>],
        entries: &Under<'_>,
    ) -> (Vec<Rule>, Vec<usize>) {
        if Section::top(sections).lacks("rules") && entries.iter().all(Vec::is_empty) {
            self.reader.mistake(
                0..0,
                "the model has no rules",
                "say what principals may attempt under `rules:`".to_owned(),
            );
        }
        let (mut rules, mut ends) = (Vec::new(), Vec::new());
        for (section, entries) in sections.iter().zip(entries) {
            let tag = section.heading().map(|heading| tag_of(&heading.name));
            for (key, node) in entries {
                if let Some(mut rule) = self.rule(key, node) {
                    rule.tags.extend(tag.clone());
                    rules.push(rule);
                }
                self.reader.websocket = false;
            }
            ends.push(rules.len());
        }
        (rules, ends)
    }

    pub(super) fn rule(&mut self, key: &Key, node: &Node) -> Option<Rule> {
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
        self.lets(&fields, &mut env, true, &mut lets);
        let auth = fields
            .get("auth")
            .map(|node| self.auth(node, &env, &["strangers"]));
        let request = self.request(key, &fields, &lets, &env, &picks, &args);
        self.reader.websocket = request.as_ref().is_some_and(Request::is_websocket);
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
        let idempotent = fields.get("idempotent").and_then(|node| match &node.data {
            Data::Bool(true) => Some(Idempotence::Natural),
            Data::Bool(false) => None,
            Data::Map(_) => self.idempotency_key(node),
            _ => {
                let text = self.reader.string(node, "`idempotent`")?;
                Some(match text.as_str() {
                    "maybe" => Idempotence::Maybe,
                    _ => Idempotence::Key(IdempotencyKey {
                        header: text,
                        other_body: None,
                        other_rule: None,
                        other_actor: None,
                    }),
                })
            }
        });
        let pick_names = names_under(&fields, "pick");
        let arg_names = names_under(&fields, "with");
        let unauthenticated = self.statuses_of(&fields, "unauthenticated", |d| &d.unauthenticated);
        let other_kind = self.statuses_of(&fields, "other_kind", |d| &d.other_kind);
        let csrf = self.statuses_of(&fields, "csrf", |d| &d.csrf);
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
            other_kind,
            csrf,
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

    /// `{ key: HEADER, other_body: 422, … }`
    fn idempotency_key(&mut self, node: &Node) -> Option<Idempotence> {
        let keys = ["key", "other_body", "other_rule", "other_actor"];
        let fields = self.reader.fields(node, "`idempotent`", &keys);
        let mut reuse = |name: &str| {
            let node = fields.get(name)?;
            Some(match &node.data {
                Data::Text(text) if text == "ok" => Reuse::Own,
                _ => Reuse::Refused(self.reader.statuses(node)),
            })
        };
        let (other_body, other_rule, other_actor) = (
            reuse("other_body"),
            reuse("other_rule"),
            reuse("other_actor"),
        );
        let Some(header) = fields.get("key") else {
            if fields.lacks("key") {
                self.reader.mistake(
                    node.span.clone(),
                    "`idempotent` names no header",
                    "write `key: Idempotency-Key`".to_owned(),
                );
            }
            return None;
        };
        Some(Idempotence::Key(IdempotencyKey {
            header: self.reader.string(header, "`key`")?,
            other_body,
            other_rule,
            other_actor,
        }))
    }

    pub(super) fn by(&mut self, key: &Key, fields: &Fields<'_>) -> Option<By> {
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

    pub(super) fn picks(&mut self, fields: &Fields<'_>, env: &mut Environment) -> Vec<Pick> {
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
                // Until the rule is known, and all kinds are.
                veiled: false,
                span: name.span.clone(),
            });
        }
        picks
    }

    pub(super) fn arguments(
        &mut self,
        fields: &Fields<'_>,
        env: &mut Environment,
    ) -> Vec<Argument> {
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

    pub(super) fn lets(
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

    /// One status for all names, or a map of statuses by name.
    pub(super) fn by_name(
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

    /// Reports rules that can never be tried.
    pub(super) fn reachable(&mut self, kinds: &[Kind], rules: &[Rule]) {
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

    pub(super) fn note(&mut self, rule: &Rule) {
        for (outcome, statuses) in rule
            .requires
            .iter()
            .map(|r| (r.name.as_ref(), &r.statuses))
            .chain(rule.successes.iter().map(|s| ("ok", &s.statuses)))
            .chain([
                ("unauthenticated", &rule.unauthenticated),
                ("other kind", &rule.other_kind),
                ("csrf", &rule.csrf),
            ])
        {
            if statuses.is_any() {
                self.notes
                    .unchecked
                    .push((rule.name.clone(), outcome.to_owned()));
            }
        }
        self.note_copies(rule);
    }

    fn note_copies(&mut self, rule: &Rule) {
        for effect in rule.effects() {
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
                _ => {}
            }
        }
    }
}

/// How an argument reaches the server, by where the rule's templates name it.
pub(super) fn how_sent(name: &str, fields: &Fields<'_>) -> Sent {
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

/// The names in a map of the file, whether what they stand for is sound or not.
pub(super) fn names_under(fields: &Fields<'_>, key: &str) -> Vec<String> {
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
