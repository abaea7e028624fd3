//! `visible_to` of a model file: who can see the entities of a kind, and where that matters to a rule.

use super::*;

impl File<'_> {
    /// Who can see the entities of a kind, if not everybody can.
    pub(super) fn visible_to(
        &mut self,
        declared: &[(&Key, Fields<'_>)],
        index: usize,
        owner: Option<usize>,
    ) -> Option<Visibility> {
        let (key, fields) = &declared[index];
        let (at, node) = fields.entry("visible_to")?;
        let to = match &node.data {
            Data::Text(text) if text.trim() == "owner" => {
                let kind = self.owner_who_acts(declared, index, owner, node)?;
                let field = &self.reader.schema.kinds[index].fields[owner?].0;
                let his = Node {
                    span: node.span.clone(),
                    data: Data::Text(format!("self.{field} == actor")),
                };
                vec![(kind, self.seen(index, kind, &his)?)]
            }
            Data::Map(_) => self.seen_by(declared, index, node),
            _ => {
                self.reader.mistake(
                    node.span.clone(),
                    format!("who sees a {} is `owner`, or said by kind of principal, and this is {}", key.name, node.what()),
                    "write `visible_to: owner`, or `visible_to: { KIND: EXPRESSION }` with an expression of `self` and `actor`",
                );
                return None;
            }
        };
        Some(Visibility {
            to,
            span: at.span.clone(),
        })
    }

    /// The kind of the owners of a kind, who must be principals.
    fn owner_who_acts(
        &mut self,
        declared: &[(&Key, Fields<'_>)],
        index: usize,
        owner: Option<usize>,
        node: &Node,
    ) -> Option<KindId> {
        let (key, fields) = &declared[index];
        let Some(owner) = owner else {
            // What `owner` says instead has been reported.
            if fields.lacks("owner") {
                self.reader.mistake(
                    node.span.clone(),
                    format!("{} has no owner, who alone would see it", key.name),
                    "say which field names him, `owner: FIELD`, or who sees it, `visible_to: { KIND: EXPRESSION }`",
                );
            }
            return None;
        };
        let (field, ty) = self.reader.schema.kinds[index].fields[owner].clone();
        match ty.bare() {
            Type::Entity(kind) if acts(declared, *kind) => Some(*kind),
            // Of an unknown type nothing need be said again.
            Type::Any => None,
            ty => {
                let shown = self.reader.schema.a(ty);
                self.reader.mistake(
                    node.span.clone(),
                    format!("the owner of a {}, `{field}`, is {shown}, which cannot act", key.name),
                    "say which principals see it: `visible_to: { KIND: EXPRESSION }`, with an expression of `self` and `actor`",
                );
                None
            }
        }
    }

    /// Which entities each kind of principal sees.
    fn seen_by(
        &mut self,
        declared: &[(&Key, Fields<'_>)],
        index: usize,
        node: &Node,
    ) -> Vec<(KindId, Expression)> {
        let mut to = Vec::new();
        let entries = self.reader.entries(node, "`visible_to`");
        if entries.is_empty() {
            self.reader.mistake(
                node.span.clone(),
                format!("nobody could see a {}", declared[index].0.name),
                "say which principals see it: `visible_to: { KIND: EXPRESSION }`",
            );
        }
        let principals = || declared.iter().filter(|(_, fields)| !fields.lacks("auth"));
        for (name, which) in entries {
            let found = declared.iter().position(|(key, _)| key.name == name.name);
            let kind = found.map(|at| KindId(u16::try_from(at).unwrap_or(u16::MAX)));
            match kind {
                Some(kind) if acts(declared, kind) => {
                    to.extend(self.seen(index, kind, which).map(|which| (kind, which)));
                }
                _ => {
                    let names: Vec<&str> = principals().map(|(key, _)| key.name.as_str()).collect();
                    let (message, help) = match kind {
                        Some(_) => (
                            format!("a {} cannot act, so it sees nothing", name.name),
                            format!("it needs `auth`; the principals are {}", names.join(", ")),
                        ),
                        None => (
                            format!("there is no entity `{}`", name.name),
                            guess(
                                &name.name,
                                names.iter().copied(),
                                &format!("the principals are {}", names.join(", ")),
                            ),
                        ),
                    };
                    self.reader.mistake(name.span.clone(), message, help);
                }
            }
        }
        to
    }

    /// Which entities of a kind a principal of another one sees.
    fn seen(&mut self, index: usize, kind: KindId, node: &Node) -> Option<Expression> {
        let id = KindId(u16::try_from(index).unwrap_or(u16::MAX));
        let mut env = Environment::default();
        env.names.insert("self".into(), Type::Entity(id));
        env.names.insert("actor".into(), Type::Entity(kind));
        self.reader.condition(node, "what one sees", &env)
    }
}

/// Whether entities of a kind can act, or are meant to.
fn acts(declared: &[(&Key, Fields<'_>)], kind: KindId) -> bool {
    let declared = declared.get(usize::from(kind.0));
    declared.is_some_and(|(_, fields)| !fields.lacks("auth"))
}

/// Notes which picks of which rules may be of what who acts cannot see: where the request names the pick, and where the
/// model says what comes of one that never was.
pub(super) fn veil(kinds: &[Kind], rules: &mut [Rule]) {
    for rule in rules {
        let veiled = |index: usize, pick: &Pick| {
            let visibility = kinds[usize::from(pick.kind.0)].visible_to.as_ref();
            let open = |visibility: &Visibility| match rule.by {
                By::Anyone => false,
                By::Kind(kind) => visibility.is_open_to(kind),
            };
            visibility.is_some_and(|visibility| !open(visibility))
                && rule.shows(index)
                && rule.absent.get(index).is_some_and(|s| !s.0.is_empty())
        };
        let veiled: Vec<bool> = (rule.picks.iter().enumerate())
            .map(|(index, pick)| veiled(index, pick))
            .collect();
        for (pick, veiled) in rule.picks.iter_mut().zip(veiled) {
            pick.veiled = veiled;
        }
    }
}
