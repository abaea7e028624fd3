//! Outcomes of a rule in a model file: requirements, checks, and the ways to succeed.

use super::*;

impl File<'_> {
    pub(super) fn requires(&mut self, fields: &Fields<'_>, env: &Environment) -> Vec<Requirement> {
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

    pub(super) fn checks(&mut self, fields: &Fields<'_>, env: &Environment) -> Vec<Check> {
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

    pub(super) fn successes(
        &mut self,
        key: &Key,
        fields: &Fields<'_>,
        env: &Environment,
    ) -> Vec<Success> {
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

    pub(super) fn success(
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
}
