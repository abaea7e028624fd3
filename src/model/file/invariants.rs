//! Invariants of a model file.

use super::*;

impl File<'_> {
    /// The invariants, and how many there are when each section ends.
    pub(super) fn invariants(&mut self, sections: &[Section<'_>]) -> (Vec<Invariant>, Vec<usize>) {
        let (mut invariants, mut ends) = (Vec::new(), Vec::new());
        for entries in self.under(sections, "invariants") {
            for (name, node) in entries {
                invariants.extend(self.invariant(name, node));
            }
            ends.push(invariants.len());
        }
        (invariants, ends)
    }

    pub(super) fn invariant(&mut self, name: &Key, node: &Node) -> Option<Invariant> {
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

    pub(super) fn duration(&mut self, node: &Node) -> Option<u64> {
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
}
