//! The rule book: a model as prose and tables, as `gainsay show` prints it. It is Markdown that reads well as plain
//! text, the same for the same model, so that it can be kept as a reviewed snapshot. No credentials are in it.

mod words;

use std::fmt::Write;
use std::ops::Range;

use super::file::{BUILT_IN, tag_of};
use super::types::Type;
use super::typing::article;
use super::value::Value;
use super::{
    Area, Argument, Body, By, Check, Effect, Idempotence, Invariant, Kind, Mode, Model, Place,
    Request, Reuse, Rule,
};
pub(super) use words::one_line;
use words::{credentials, literal, map, source, statuses_of, template, why};

impl Model {
    /// The rule book: everything that the model says, for people to read.
    ///
    /// ```
    /// use gainsay::model::Model;
    ///
    /// let text = "model: ping\nrules:\n  ping: { by: anyone, request: GET /ping, responds: 200 }\n";
    /// let book = Model::parse("ping.yaml", text)?.rule_book();
    /// assert!(book.contains("GET /ping"));
    /// # Ok::<(), gainsay::model::ModelErrors>(())
    /// ```
    pub fn rule_book(&self) -> String {
        let mut book = Book {
            model: self,
            text: String::new(),
            depth: 2,
        };
        book.write();
        book.text
    }
}

struct Book<'a> {
    model: &'a Model,
    text: String,
    /// How deep the headings of entities, rules and invariants are.
    depth: usize,
}

impl Book<'_> {
    fn write(&mut self) {
        let model = self.model;
        self.line(format_args!("# {}", model.name));
        self.about(&model.about);
        self.contents();
        let first = model.areas.first();
        let top = Area {
            name: String::new(),
            about: String::new(),
            kinds: 0..first.map_or(model.kinds.len(), |area| area.kinds.start),
            rules: 0..first.map_or(model.rules.len(), |area| area.rules.start),
            invariants: 0..first.map_or(model.invariants.len(), |area| area.invariants.start),
        };
        self.kinds(&top);
        if !model.globals.is_empty() {
            self.line(format_args!("\n## Globals\n"));
            for global in &model.globals {
                let ty = self.ty(&global.ty);
                match &global.initial {
                    Value::Unknown => {
                        self.line(format_args!("- `{}`: {ty}, unknown at first", global.name))
                    }
                    value => self.line(format_args!(
                        "- `{}`: {ty}, at first {}",
                        global.name,
                        literal(value)
                    )),
                }
            }
        }
        if !model.setup.is_empty() {
            self.line(format_args!("\n## Set-up\n\nEvery plan begins with\n"));
            for setup in &model.setup {
                let name = &model.rules[setup.rule].name;
                match setup.times {
                    1 => self.line(format_args!("- `{name}`")),
                    times => self.line(format_args!("- `{name}`, {times} times")),
                }
            }
        }
        self.rules_and_invariants(&top);
        for area in &model.areas {
            self.line(format_args!("\n## {}", area.name));
            self.about(&area.about);
            self.depth += 1;
            self.kinds(area);
            self.rules_and_invariants(area);
            self.depth -= 1;
        }
        if !model.tolerate.0.is_empty() {
            self.line(format_args!("\n## Not now\n"));
            self.line(format_args!(
                "After {} the same request is sent again; it counts as no outcome.",
                model.tolerate
            ));
        }
        self.line(format_args!("\n## Built-in checks\n"));
        for name in BUILT_IN {
            let idle = match *name {
                "conformance" => model.openapi.is_none(),
                "indistinguishable" => model.kinds.iter().all(|kind| kind.visible_to.is_none()),
                _ => false,
            };
            if idle {
                continue;
            }
            let switch = match model.has_builtin(name) {
                true => "on",
                false => "off",
            };
            match (*name, switch) {
                ("recovers", "on") => self.line(format_args!(
                    "- `{name}`: within {}",
                    humantime::format_duration(model.recovery)
                )),
                _ => self.line(format_args!("- `{name}`: {switch}")),
            }
        }
    }

    /// What each area holds, in a table.
    fn contents(&mut self) {
        if self.model.areas.is_empty() {
            return;
        }
        let outcomes = |rule: usize| self.model.rules[rule].outcomes(self.model).len();
        let row = |name: &str, kinds: String, rules: Range<usize>, invariants: usize| {
            let outcomes: usize = rules.clone().map(outcomes).sum();
            let counts = [rules.len(), outcomes, invariants].map(|count| count.to_string());
            [name.to_owned(), kinds].into_iter().chain(counts).collect()
        };
        let mut rows: Vec<Vec<String>> = (self.model.areas.iter())
            .map(|area| {
                let kinds = self.model.kinds[area.kinds.clone()].iter();
                let kinds: Vec<&str> = kinds.map(|kind| kind.name.as_str()).collect();
                let invariants = area.invariants.len();
                row(&area.name, kinds.join(", "), area.rules.clone(), invariants)
            })
            .collect();
        let all = (self.model.rules.len(), self.model.invariants.len());
        rows.push(row(
            "all",
            self.model.kinds.len().to_string(),
            0..all.0,
            all.1,
        ));
        self.line(format_args!("\n## Areas"));
        self.table(
            &["area", "entities", "rules", "outcomes", "invariants"],
            &rows,
        );
    }

    /// A heading of what is being shown.
    fn heading(&mut self, below: usize, text: &str) {
        let signs = "#".repeat(self.depth + below);
        self.line(format_args!("\n{signs} {text}"));
    }

    fn kinds(&mut self, area: &Area) {
        if !area.kinds.is_empty() {
            self.heading(0, "Entities");
        }
        for kind in &self.model.kinds[area.kinds.clone()] {
            self.kind(kind);
        }
    }

    fn rules_and_invariants(&mut self, area: &Area) {
        if !area.rules.is_empty() {
            self.heading(0, "Rules");
        }
        for index in area.rules.clone() {
            self.rule(index, &self.model.rules[index]);
        }
        if !area.invariants.is_empty() {
            self.heading(0, "Invariants");
        }
        for invariant in &self.model.invariants[area.invariants.clone()] {
            self.invariant(invariant);
        }
    }

    fn kind(&mut self, kind: &Kind) {
        self.heading(1, &format!("{} (plural: {})", kind.name, kind.plural));
        self.about(&kind.about);
        let mut rows = Vec::new();
        for (index, field) in kind.fields.iter().enumerate() {
            let mut remarks = Vec::new();
            if kind.key == Some(index) {
                remarks.push("stands for it in a path");
            }
            if kind.owner == Some(index) {
                remarks.push("its owner");
            }
            let at_first = field.initial.as_ref();
            let at_first = at_first.map(|value| format!("at first {}", literal(value)));
            let remarks = remarks.into_iter().map(str::to_owned).chain(at_first);
            rows.push(vec![
                field.name.clone(),
                self.ty(&field.ty),
                remarks.collect::<Vec<_>>().join(", "),
            ]);
        }
        for derived in &kind.derived {
            rows.push(vec![
                derived.name.clone(),
                self.ty(&derived.ty),
                format!("always `{}`", source(&derived.what)),
            ]);
        }
        self.table(&["field", "type", ""], &rows);
        if let Some(visibility) = &kind.visible_to {
            self.line(format_args!(
                "\nTo others it is as if it never was. It is seen by\n"
            ));
            for (kind, which) in &visibility.to {
                let name = &self.model.kind(*kind).name;
                match visibility.is_open_to(*kind) {
                    true => self.line(format_args!("- every `{name}`")),
                    false => self.line(format_args!(
                        "- a `{name}` (`actor`) where `{}`",
                        source(which)
                    )),
                }
            }
        }
        if let Some(auth) = &kind.auth {
            self.line(format_args!(
                "\nIt can act, and shows who it is by {}.",
                credentials(auth)
            ));
        }
        self.stages(kind);
    }

    fn stages(&mut self, kind: &Kind) {
        for stages in self.model.stages(kind) {
            self.line(format_args!(
                "\nIts `{}`\n\n```mermaid\n{stages}```",
                stages.field
            ));
        }
    }

    fn rule(&mut self, index: usize, rule: &Rule) {
        self.heading(1, &rule.name);
        self.about(&rule.about);
        self.line(format_args!(""));
        match rule.by {
            By::Anyone => self.line(format_args!("- by anyone, without credentials")),
            By::Kind(kind) => {
                let name = &self.model.kind(kind).name;
                let article = article(name);
                let article = article.trim_end_matches(name.as_str());
                self.line(format_args!("- by {article}`{name}` (`actor`)"));
            }
        }
        for pick in &rule.picks {
            let kind = self.model.kind(pick.kind);
            match &pick.from {
                None => self.line(format_args!(
                    "- picks `{}` from `{}`",
                    pick.name, kind.plural
                )),
                Some(from) => self.line(format_args!(
                    "- picks `{}` from `{}`",
                    pick.name,
                    source(from)
                )),
            }
        }
        for Argument { name, domain, .. } in &rule.args {
            self.line(format_args!(
                "- with `{name}`: `{}`",
                one_line(&domain.show())
            ));
        }
        for (name, expression) in &rule.lets {
            self.line(format_args!("- where `{name}` is `{}`", source(expression)));
        }
        if let Some(auth) = &rule.auth {
            self.line(format_args!("- shows credentials by {}", credentials(auth)));
        }
        self.request(&rule.request);
        match &rule.idempotent {
            None => {}
            Some(Idempotence::Natural) => {
                self.line(format_args!("- delivered twice, it answers the same and changes nothing more"));
            }
            Some(Idempotence::Maybe) => self.line(format_args!(
                "- delivered twice, it may be recognised, and answer with what it made; or it counts as another request"
            )),
            Some(Idempotence::Key(key)) => {
                self.line(format_args!(
                    "- delivered twice with the same `{}`, it answers the same and changes nothing more",
                    key.header
                ));
                let others = [
                    (&key.other_body, "another request"),
                    (&key.other_rule, "another rule"),
                    (&key.other_actor, "another principal"),
                ];
                for (reuse, of) in others {
                    match reuse {
                        Some(Reuse::Refused(statuses)) => {
                            self.line(format_args!("- with the key of {of} → {statuses}"));
                        }
                        Some(Reuse::Own) => self.line(format_args!(
                            "- the key of {of} is another key"
                        )),
                        None => {}
                    }
                }
            }
        }
        if rule.strict_order && rule.requires.len() > 1 {
            self.line(format_args!(
                "- of several requirements that fail, the first decides"
            ));
        }
        if rule.strict {
            self.line(format_args!(
                "- strict: what only a lenient server takes for valid is refused, too"
            ));
        }
        if rule.weight != 1 {
            self.line(format_args!("- weight {}", rule.weight));
        }
        // The area's own is in the chapter's heading.
        let heading = self.model.area_of(index).map(|area| tag_of(&area.name));
        let tags = rule
            .tags
            .iter()
            .filter(|tag| Some(*tag) != heading.as_ref());
        let tags: Vec<&str> = tags.map(String::as_str).collect();
        if !tags.is_empty() {
            self.line(format_args!("- tags: {}", tags.join(", ")));
        }

        let rows: Vec<_> = rule
            .outcomes(self.model)
            .into_iter()
            .map(|outcome| {
                let statuses = self.model.statuses(index, outcome);
                vec![
                    outcome.name(rule),
                    statuses_of(statuses),
                    why(rule, outcome),
                ]
            })
            .collect();
        self.table(&["outcome", "status", "when"], &rows);

        for success in &rule.successes {
            let whose = match &success.name {
                Some(name) => format!("ok {name}"),
                None => "ok".to_owned(),
            };
            self.consequences(&whose, &success.effects, &success.returns);
        }
        for requirement in &rule.requires {
            self.consequences(
                &requirement.name,
                &requirement.effects,
                &requirement.returns,
            );
        }
    }

    fn request(&mut self, request: &Request) {
        self.line(format_args!(
            "- sends `{} {}`",
            request.method, request.path
        ));
        let parts = [("query", &request.query), ("headers", &request.headers)];
        for (what, fields) in parts {
            if !fields.is_empty() {
                self.line(format_args!("  - {what} `{}`", map(fields)));
            }
        }
        match &request.body {
            Body::Empty => {}
            Body::Json(body) => self.line(format_args!("  - JSON `{}`", template(body))),
            Body::Text(body) => self.line(format_args!("  - text `{}`", template(body))),
            Body::Form(fields) => self.line(format_args!("  - form `{}`", map(fields))),
            Body::Multipart(fields) => self.line(format_args!("  - multipart `{}`", map(fields))),
        }
    }

    fn consequences(&mut self, whose: &str, effects: &[Effect], returns: &[Check]) {
        if !effects.is_empty() {
            self.line(format_args!("\nAfter `{whose}`\n"));
            self.effects(effects, 0);
        }
        if !returns.is_empty() {
            self.line(format_args!("\nThe answer of `{whose}`\n"));
            for check in returns {
                self.line(format_args!("- {}: `{}`", check.name, source(&check.that)));
            }
        }
    }

    fn effects(&mut self, effects: &[Effect], depth: usize) {
        let indent = "  ".repeat(depth);
        for effect in effects {
            match effect {
                Effect::Create { kind, fields, .. } => {
                    let kind = self.model.kind(*kind);
                    self.line(format_args!("{indent}- there is a new `{}`", kind.name));
                    for (field, value) in kind.fields.iter().zip(fields) {
                        let value = value
                            .as_ref()
                            .map_or("unknown".to_owned(), |v| format!("`{}`", template(v)));
                        self.line(format_args!("{indent}  - {}: {value}", field.name));
                    }
                }
                Effect::Set { place, value } => {
                    let place = one_line(&place.source);
                    self.line(format_args!(
                        "{indent}- `{place}` becomes `{}`",
                        template(value)
                    ));
                }
                Effect::Unset(Place { source, keys, .. }) => {
                    let source = one_line(source);
                    match keys.is_empty() {
                        true => self.line(format_args!("{indent}- `{source}` becomes `null`")),
                        false => self.line(format_args!("{indent}- `{source}` goes")),
                    }
                }
                Effect::Delete { what, .. } => {
                    self.line(format_args!("{indent}- `{}` goes", source(what)));
                }
                Effect::Each {
                    name,
                    list,
                    effects,
                } => {
                    self.line(format_args!(
                        "{indent}- for each `{name}` of `{}`",
                        source(list)
                    ));
                    self.effects(effects, depth + 1);
                }
                Effect::When { when, effects } => match when {
                    Some(when) => {
                        self.line(format_args!("{indent}- then, if `{}`", source(when)));
                        self.effects(effects, depth + 1);
                    }
                    None => {
                        self.line(format_args!("{indent}- then"));
                        self.effects(effects, depth + 1);
                    }
                },
            }
        }
    }

    fn invariant(&mut self, invariant: &Invariant) {
        self.heading(1, &invariant.name);
        self.about(&invariant.about);
        self.line(format_args!(""));
        if let Some((name, _)) = &invariant.each {
            self.line(format_args!("- for every `{name}`"));
        }
        if let Some(when) = &invariant.when {
            self.line(format_args!("- when `{}`", source(when)));
        }
        if let Some(read) = &invariant.read {
            match &read.by {
                Some(by) => self.line(format_args!("- asked by `{}`", source(by))),
                None => self.line(format_args!("- asked by anyone, without credentials")),
            }
            self.request(&read.request);
        }
        for (name, expression) in &invariant.lets {
            self.line(format_args!("- where `{name}` is `{}`", source(expression)));
        }
        let claim = source(&invariant.claim);
        match invariant.mode {
            Mode::Always => self.line(format_args!("- always `{claim}`")),
            Mode::Eventually(millis) => {
                let within = humantime::format_duration(std::time::Duration::from_millis(millis));
                self.line(format_args!("- within {within} `{claim}`"));
            }
        }
    }

    fn about(&mut self, about: &str) {
        if !about.is_empty() {
            self.line(format_args!("\n{}", one_line(about)));
        }
    }

    /// Columns of equal width, indented so that Markdown leaves them alone. A Markdown table would need every `||`
    /// of an expression escaped.
    fn table(&mut self, head: &[&str], rows: &[Vec<String>]) {
        if rows.is_empty() {
            return;
        }
        let head = head.iter().map(|h| (*h).to_owned()).collect::<Vec<_>>();
        let rows: Vec<&Vec<String>> = std::iter::once(&head).chain(rows).collect();
        let width = |column: usize| {
            rows.iter()
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..head.len()).map(width).collect();
        self.line(format_args!(""));
        for row in rows {
            let cells: Vec<String> = row
                .iter()
                .zip(&widths)
                .map(|(cell, w)| format!("{cell:w$}"))
                .collect();
            self.line(format_args!("    {}", cells.join("  ").trim_end()));
        }
    }

    fn ty(&self, ty: &Type) -> String {
        ty.show(&|kind| self.model.kind(kind).name.clone())
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{line}");
    }
}

#[cfg(test)]
mod tests;
