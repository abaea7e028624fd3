//! The low level of reading a model: maps with known keys, names, statuses, types, expressions and templates out of a
//! spanned tree. Each mistake is noted with its place, and reading goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use cel::IdedExpr;
use cel::common::ast::{Expr, SourceInfo};
use regex::Regex;

use super::diagnostics::{Mistake, nearest};
use super::domain::{self, Domain};
use super::expression::{Expression, environment};
use super::template::{Part, Piece, Template, split};
use super::tree::{Data, Key, Node};
use super::types::Type;
use super::typing::{self, Environment, Schema};
use super::value::Value;
use super::walk::null_behind;
use super::{CLOSE_CODES, StatusRange, Statuses};

/// The file being read, and what was found wrong with it.
pub(super) struct Reader<'a> {
    pub text: &'a str,
    pub schema: Schema,
    pub mistakes: Vec<Mistake>,
    /// Where scalars begin that nothing more is said about.
    pub muted: BTreeSet<usize>,
    /// Whether what is read is of a websocket, whose close codes are statuses, too.
    pub websocket: bool,
}

/// A map of the file whose keys are known.
pub(super) struct Fields<'a> {
    entries: Vec<(&'a Key, &'a Node)>,
    /// Known keys that unknown ones are probably meant to be.
    meant: Vec<String>,
    /// Whether it is no map at all, or some unknown key may have been meant to be any of the few known ones.
    muddled: bool,
}

impl<'a> Fields<'a> {
    pub fn get(&self, name: &str) -> Option<&'a Node> {
        self.entry(name).map(|(_, node)| node)
    }

    pub fn entry(&self, name: &str) -> Option<(&'a Key, &'a Node)> {
        self.entries.iter().find(|(k, _)| k.name == name).copied()
    }

    /// Whether a key is missing, and not just misspelt, which has been reported.
    pub fn lacks(&self, name: &str) -> bool {
        self.entry(name).is_none() && !self.muddled && self.meant.iter().all(|m| m != name)
    }

    /// The entries in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = (&'a Key, &'a Node)> + '_ {
        self.entries.iter().copied()
    }
}

/// Where the characters of a scalar stand in the file.
struct Origin {
    span: Range<usize>,
    exact: bool,
}

impl Origin {
    /// The bytes of the file for bytes of the scalar's text.
    fn bytes(&self, file: &str, text: &str, range: &Range<usize>) -> Range<usize> {
        if self.exact {
            return self.span.start + range.start..self.span.start + range.end;
        }
        // Folding and escapes move the text about, but seldom what the mistake is about: the nth time that it stands
        // in the text is the nth time that it stands in the file.
        let raw = file.get(self.span.clone()).unwrap_or_default();
        let (Some(part), Some(before)) = (text.get(range.clone()), text.get(..range.start)) else {
            return self.span.clone();
        };
        if part.trim().is_empty() || raw.matches(part).count() != text.matches(part).count() {
            return self.span.clone();
        }
        let nth = before.matches(part).count();
        match raw.match_indices(part).nth(nth) {
            Some((at, _)) => self.span.start + at..self.span.start + at + part.len(),
            None => self.span.clone(),
        }
    }

    fn within(&self, bytes: &Range<usize>) -> Origin {
        match self.exact {
            true => Origin {
                span: self.span.start + bytes.start..self.span.start + bytes.end,
                exact: true,
            },
            false => Origin {
                span: self.span.clone(),
                exact: false,
            },
        }
    }
}

impl<'a> Reader<'a> {
    pub fn mistake(
        &mut self,
        mut span: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        // Of what runs over several lines the first is shown.
        if let Some(line) = self.text.get(span.clone()).and_then(|t| t.lines().next()) {
            span.end = span.start + line.trim_end().len();
        }
        self.mistakes.push(Mistake {
            span,
            message: message.into(),
            help: help.into(),
        });
    }

    /// The entries of a map; reports other nodes, and keys that stand twice.
    pub fn entries<'n>(&mut self, node: &'n Node, what: &str) -> Vec<(&'n Key, &'n Node)> {
        let entries = match &node.data {
            Data::Map(entries) => entries,
            Data::Null => return Vec::new(),
            _ => {
                self.mistake(
                    node.span.clone(),
                    format!("{what} is a map, and this is {}", node.what()),
                    shape(what),
                );
                return Vec::new();
            }
        };
        let mut seen: BTreeMap<&str, ()> = BTreeMap::new();
        let mut out = Vec::new();
        for (index, (key, value)) in entries.iter().enumerate() {
            if let Some((_, cut)) = index.checked_sub(1).and_then(|i| entries.get(i))
                && matches!(value.data, Data::Null)
                && let Data::Text(text) = &cut.data
                && self.is_plain(cut)
                && opens_more_than_it_closes(text)
            {
                if self.muted.insert(cut.span.start) {
                    let whole = self
                        .text
                        .get(cut.span.start..key.span.end)
                        .unwrap_or(text)
                        .replace('\n', " ");
                    let quote = if whole.contains('"') { '\'' } else { '"' };
                    self.mistake(
                        cut.span.clone(),
                        "the comma behind this ends it, as within { } commas do",
                        format!("put it in quotes: {quote}{whole}{quote}"),
                    );
                }
                continue;
            }
            if seen.insert(&key.name, ()).is_some() {
                self.mistake(
                    key.span.clone(),
                    format!("`{}` stands here twice", key.name),
                    "rename one, or remove it".to_owned(),
                );
                continue;
            }
            out.push((key, value));
        }
        out
    }

    /// A map with known keys; reports the others.
    pub fn fields<'n>(&mut self, node: &'n Node, what: &str, known: &[&str]) -> Fields<'n> {
        let mut entries = self.entries(node, what);
        let mut meant = Vec::new();
        let mut muddled = !matches!(node.data, Data::Map(_) | Data::Null);
        entries.retain(|(key, _)| {
            let is_known = known.contains(&key.name.as_str());
            if !is_known {
                let help = match nearest(&key.name, known.iter().copied()) {
                    Some(near) => {
                        meant.push(near.to_owned());
                        format!("did you mean `{near}`?")
                    }
                    None => {
                        muddled |= known.len() <= 4;
                        format!("its keys are {}", known.join(", "))
                    }
                };
                self.mistake(
                    key.span.clone(),
                    format!("{what} has no key `{}`", key.name),
                    help,
                );
            }
            is_known
        });
        Fields {
            entries,
            meant,
            muddled,
        }
    }

    /// A string.
    pub fn string(&mut self, node: &Node, what: &str) -> Option<String> {
        let scalar = node.scalar();
        if scalar.is_none() {
            self.mistake(
                node.span.clone(),
                format!("{what} is a string, and this is {}", node.what()),
                match node.data {
                    Data::Null => "write it behind the colon",
                    _ => "write one text here; in quotes if it begins with [ or {",
                },
            );
        }
        scalar
    }

    /// A truth value.
    pub fn bool(&mut self, node: &Node, what: &str) -> Option<bool> {
        match node.data {
            Data::Bool(b) => Some(b),
            _ => {
                self.mistake(
                    node.span.clone(),
                    format!("{what} is true or false, and this is {}", node.what()),
                    "write `true` or `false`",
                );
                None
            }
        }
    }

    /// A whole number that is not negative.
    pub fn count(&mut self, node: &Node, what: &str) -> Option<u32> {
        if let Data::Int(i) = node.data
            && let Ok(count) = u32::try_from(i)
        {
            return Some(count);
        }
        self.mistake(
            node.span.clone(),
            format!("{what} is a whole number that is not negative"),
            "write 0, 1, 2, …",
        );
        None
    }

    /// One string, or a list of strings.
    pub fn strings(&mut self, node: &Node, what: &str) -> Vec<String> {
        match &node.data {
            Data::List(items) => items
                .iter()
                .filter_map(|item| self.string(item, what))
                .collect(),
            _ => self.string(node, what).into_iter().collect(),
        }
    }

    /// A name that expressions can use by itself.
    pub fn name(&mut self, key: &Key, what: &str) -> bool {
        const RESERVED: &[&str] = &[
            "true", "false", "null", "in", "body", "headers", "status", "before", "actor", "self",
            "step",
        ];
        if RESERVED.contains(&key.name.as_str()) {
            self.mistake(
                key.span.clone(),
                format!("`{}` means something else in expressions", key.name),
                "give it another name".to_owned(),
            );
            return false;
        }
        self.word(key, what)
    }

    /// A name that expressions can use behind a dot.
    pub fn word(&mut self, key: &Key, what: &str) -> bool {
        static WORD: LazyLock<Regex> = LazyLock::new(|| {
            // The pattern is a constant that compiles.
            Regex::new("^[A-Za-z_][A-Za-z0-9_]*$").expect("a constant pattern")
        });
        if !WORD.is_match(&key.name) {
            self.mistake(
                key.span.clone(),
                format!("`{}` cannot be the name of {what}", key.name),
                "use letters, digits and underscores".to_owned(),
            );
            return false;
        }
        true
    }

    /// A status, a list of them, a class such as `4XX`, or `any`.
    pub fn statuses(&mut self, node: &Node) -> Statuses {
        let ranges = match &node.data {
            Data::List(items) => items.iter().filter_map(|i| self.status(i)).collect(),
            _ => self.status(node).into_iter().collect(),
        };
        Statuses(ranges)
    }

    fn status(&mut self, node: &Node) -> Option<StatusRange> {
        let range = match &node.data {
            Data::Int(i) => u16::try_from(*i)
                .ok()
                .filter(|s| (100..600).contains(s) || self.websocket && CLOSE_CODES.contains(s))
                .map(StatusRange::Exactly),
            Data::Text(text) => match text.as_str() {
                "any" => Some(StatusRange::Any),
                class => class
                    .strip_suffix("XX")
                    .or(class.strip_suffix("xx"))
                    .and_then(|c| c.parse().ok())
                    .filter(|c| (1..6).contains(c))
                    .map(StatusRange::Class),
            },
            _ => None,
        };
        if range.is_none() {
            self.mistake(
                node.span.clone(),
                "this is not a status".to_owned(),
                "a status is a number such as 404, a class such as 4XX, a list of these, or `any`"
                    .to_owned(),
            );
        }
        range
    }

    /// A type.
    pub fn ty(&mut self, node: &Node) -> Option<Type> {
        if let Data::List(items) = &node.data
            && let [item] = items.as_slice()
        {
            return Some(Type::List(Box::new(self.ty(item)?)));
        }
        let text = self.string(node, "a type")?;
        // Types are written in CEL's syntax but for `X?`, which becomes a call.
        static OPTIONAL: LazyLock<Regex> = LazyLock::new(|| {
            // The pattern is a constant that compiles.
            Regex::new(r"(\w+)\?").expect("a constant pattern")
        });
        let mut source = OPTIONAL.replace_all(&text, "optional_($1)").into_owned();
        while let Some(inner) = source.strip_suffix('?') {
            source = format!("optional_({inner})");
        }
        let parsed = environment().parser().parse(&source).ok();
        let ty = parsed.and_then(|ast| self.type_of(&ast));
        if ty.is_none() {
            let kinds: Vec<&str> = self.schema.kinds.iter().map(|k| k.name.as_str()).collect();
            let scalars = [
                "string", "int", "number", "bool", "time", "json", "secret", "private",
            ];
            let word = text.trim_end_matches('?');
            let alias = match word {
                "float" | "double" | "decimal" => Some("number"),
                "integer" | "long" => Some("int"),
                "boolean" => Some("bool"),
                "str" | "text" | "uuid" => Some("string"),
                "date" | "datetime" | "timestamp" => Some("time"),
                "object" | "any" => Some("json"),
                _ => None,
            };
            let help = match alias.or(nearest(word, scalars.into_iter().chain(kinds))) {
                Some(near) => format!("did you mean `{near}`?"),
                None => {
                    "a type is string, int, number, bool, time, json, secret, private, the name of an entity, X?, [X] or map(K, V)".to_owned()
                }
            };
            self.mistake(node.span.clone(), format!("unknown type `{text}`"), help);
        }
        ty
    }

    fn type_of(&self, ast: &IdedExpr) -> Option<Type> {
        match &ast.expr {
            Expr::Ident(name) => Some(match name.as_str() {
                "string" => Type::Text,
                "int" => Type::Int,
                "number" => Type::Number,
                "bool" => Type::Bool,
                "time" => Type::Time,
                "json" => Type::Any,
                "secret" => Type::Secret,
                "private" => Type::Private,
                kind => Type::Entity(self.schema.kind(kind)?),
            }),
            Expr::List(list) => match list.elements.as_slice() {
                [item] => Some(Type::List(Box::new(self.type_of(item)?))),
                _ => None,
            },
            Expr::Call(call) => match (call.func_name.as_str(), call.args.as_slice()) {
                ("optional_", [inner]) => Some(Type::Optional(Box::new(self.type_of(inner)?))),
                ("map", [k, v]) => Some(Type::Map(
                    Box::new(self.type_of(k)?),
                    Box::new(self.type_of(v)?),
                )),
                _ => None,
            },
            _ => None,
        }
    }

    /// The text of a scalar, and where its characters stand.
    fn origin(&self, node: &Node, text: &str) -> Origin {
        let raw = self.text.get(node.span.clone()).unwrap_or_default();
        for skip in [0, 1] {
            if raw.get(skip..).is_some_and(|r| r.starts_with(text)) {
                let start = node.span.start + skip;
                return Origin {
                    span: start..start + text.len(),
                    exact: true,
                };
            }
        }
        Origin {
            span: node.span.clone(),
            exact: false,
        }
    }

    /// An expression, and its type.
    pub fn expression(
        &mut self,
        node: &Node,
        what: &str,
        env: &Environment,
    ) -> Option<(Expression, Type)> {
        let text = match &node.data {
            Data::List(_) | Data::Map(_) | Data::Null => {
                self.mistake(
                    node.span.clone(),
                    format!("{what} is an expression, and this is {}", node.what()),
                    "quote the expression if it begins with [ or {".to_owned(),
                );
                return None;
            }
            _ => node.scalar()?,
        };
        if text.starts_with("${") && text.ends_with('}') {
            self.mistake(
                node.span.clone(),
                format!("{what} is an expression, which is written bare"),
                format!("write `{}`", &text[2..text.len() - 1]),
            );
            return None;
        }
        let origin = self.origin(node, &text);
        self.compile(&text, &origin, env)
    }

    /// An expression that yields true or false.
    pub fn condition(&mut self, node: &Node, what: &str, env: &Environment) -> Option<Expression> {
        let (expression, ty) = self.expression(node, what, env)?;
        if !matches!(ty.bare(), Type::Bool | Type::Any) {
            let shown = self.schema.a(&ty);
            self.mistake(
                expression.span.clone(),
                format!("{what} is true or false, and this yields {shown}"),
                "compare it with something: `x == …`, `x != null`",
            );
            return None;
        }
        Some(expression)
    }

    /// Whether a scalar stands in the file without quotes.
    fn is_plain(&self, node: &Node) -> bool {
        !self
            .text
            .get(node.span.start..)
            .unwrap_or_default()
            .starts_with(['"', '\''])
    }

    fn parse(&mut self, text: &str, origin: &Origin) -> Option<(IdedExpr, SourceInfo)> {
        if self.muted.contains(&origin.span.start) {
            return None;
        }
        match environment().parser().parse_with_source_info(text) {
            Ok(parsed) => Some(parsed),
            Err(errors) => {
                // The parser recovers and reports follow-up errors; the first is the one to mend.
                let first = errors.errors.first();
                let mut at = text.len();
                if let Some(error) = first {
                    let line = usize::try_from(error.pos.0 - 1).unwrap_or(0);
                    let column = usize::try_from(error.pos.1 - 1).unwrap_or(0);
                    let before: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
                    let rest = text.get(before..).unwrap_or_default();
                    at = before
                        + rest
                            .char_indices()
                            .nth(column)
                            .map_or(rest.len(), |(at, _)| at);
                }
                let said = first.map_or("", |e| e.msg.as_str());
                let (length, message, help) = unparsable(&text[at..], said);
                let range = at..at + length;
                let span = match length {
                    // Where the text ends, its last character is shown.
                    0 if origin.exact => {
                        let last = text.char_indices().next_back().map_or(0, |(at, _)| at);
                        origin.bytes(self.text, text, &(last..text.len()))
                    }
                    _ => origin.bytes(self.text, text, &range),
                };
                self.mistake(span, format!("this is not an expression: {message}"), help);
                None
            }
        }
    }

    fn compile(
        &mut self,
        text: &str,
        origin: &Origin,
        env: &Environment,
    ) -> Option<(Expression, Type)> {
        let (ast, source) = self.parse(text, origin)?;
        self.checked(&ast, &source, text, origin, env)
    }

    fn checked(
        &mut self,
        ast: &IdedExpr,
        source: &SourceInfo,
        text: &str,
        origin: &Origin,
        env: &Environment,
    ) -> Option<(Expression, Type)> {
        let (ty, uses, problems) = typing::check(ast, source, &self.schema, env);
        if problems.is_empty() {
            let mut ast = ast.clone();
            null_behind(&mut ast);
            let expression = Expression::new(text.into(), origin.span.clone(), ast, uses);
            return Some((expression, ty));
        }
        for problem in problems {
            let span = origin.bytes(self.text, text, &problem.range);
            self.mistake(span, problem.message, problem.help);
        }
        None
    }

    /// A template.
    pub fn template(&mut self, node: &Node, env: &Environment) -> Option<Template> {
        Some(match &node.data {
            Data::Null => Template::Constant(Value::Null),
            Data::Bool(b) => Template::Constant(Value::Bool(*b)),
            Data::Int(i) => Template::Constant(Value::Int(*i)),
            Data::Number(n) => Template::Constant(Value::Number((*n).into())),
            Data::Text(text) => self.text_template(node, text, env)?,
            Data::List(items) => {
                let items: Vec<_> = items.iter().map(|i| self.template(i, env)).collect();
                Template::List(items.into_iter().collect::<Option<_>>()?)
            }
            Data::Map(_) => Template::Map(self.template_map(node, "this", env)?),
        })
    }

    /// A map of templates.
    pub fn template_map(
        &mut self,
        node: &Node,
        what: &str,
        env: &Environment,
    ) -> Option<Vec<(String, Template)>> {
        let entries = self.entries(node, what);
        let templates: Vec<_> = entries
            .into_iter()
            .map(|(key, value)| Some((key.name.clone(), self.template(value, env)?)))
            .collect();
        templates.into_iter().collect()
    }

    fn text_template(&mut self, node: &Node, text: &str, env: &Environment) -> Option<Template> {
        let origin = self.origin(node, text);
        self.text_with_origin(text, &origin, env)
    }

    fn text_with_origin(
        &mut self,
        text: &str,
        origin: &Origin,
        env: &Environment,
    ) -> Option<Template> {
        let pieces = match split(text) {
            Ok(pieces) => pieces,
            Err(open) => {
                let span = origin.within(&(open..open + 2)).span;
                self.mistake(
                    span,
                    "this `${` is never closed",
                    "close it with `}`, or write `$${` for a literal `${`".to_owned(),
                );
                return None;
            }
        };
        let mut parts = Vec::new();
        let mut sound = true;
        for piece in pieces {
            match piece {
                Piece::Literal(literal) => parts.push(Part::Literal(literal)),
                Piece::Expression(range) => {
                    let origin = origin.within(&range);
                    match self.compile(&text[range], &origin, env) {
                        Some((expression, _)) => {
                            parts.push(Part::Expression(Arc::new(expression)));
                        }
                        None => sound = false,
                    }
                }
            }
        }
        if !sound {
            return None;
        }
        if let [Part::Expression(expression)] = parts.as_slice() {
            return Some(Template::Expression(expression.clone()));
        }
        if let [Part::Literal(literal)] = parts.as_slice() {
            return Some(Template::Constant(Value::text(literal.as_str())));
        }
        if parts.is_empty() {
            return Some(Template::Constant(Value::text("")));
        }
        Some(Template::Text(parts))
    }

    /// A domain, and the type of what is drawn from it.
    pub fn domain(&mut self, node: &Node, env: &Environment) -> Option<(Domain, Type)> {
        match &node.data {
            // A map or list in YAML is a map or list of domains, the same as one written as a CEL literal.
            Data::Map(_) => {
                let entries = self.entries(node, "an argument");
                let fields: Vec<_> = entries
                    .into_iter()
                    .map(|(key, value)| Some((key.name.clone(), self.domain(value, env)?.0)))
                    .collect();
                let fields = fields.into_iter().collect::<Option<_>>()?;
                Some((Domain::Map(fields), Type::Any))
            }
            Data::List(items) => {
                let items: Vec<_> = items.iter().map(|i| Some(self.domain(i, env)?.0)).collect();
                let items = items.into_iter().collect::<Option<_>>()?;
                Some((Domain::Tuple(items), Type::List(Box::new(Type::Any))))
            }
            Data::Null => Some((Domain::Constant(Value::Null), Type::Null)),
            _ => {
                let text = node.scalar()?;
                let origin = self.origin(node, &text);
                let (ast, source) = self.parse(&text, &origin)?;
                let mut mistakes = Vec::new();
                let env = &Environment {
                    generators: true,
                    ..env.clone()
                };
                let schema = &self.schema;
                let result = domain::read(&ast, &mut |expr| {
                    let (_, uses, problems) = typing::check(expr, &source, schema, env);
                    let sound = problems.is_empty();
                    mistakes.extend(problems.into_iter().map(|p| (p.range, p.message, p.help)));
                    let shown: Arc<str> = match expr.id == ast.id {
                        true => text.as_str().into(),
                        false => argument_text(&text, expr, &source)
                            .unwrap_or("an expression")
                            .into(),
                    };
                    let span = origin.span.clone();
                    sound.then(|| Arc::new(Expression::new(shown, span, expr.clone(), uses)))
                });
                for (range, message, help) in mistakes {
                    let span = origin.bytes(self.text, &text, &range);
                    self.mistake(span, message, help);
                }
                match result {
                    Ok(domain) => {
                        let ty = match &domain {
                            Domain::Computed(_) => {
                                typing::check(&ast, &source, &self.schema, env).0
                            }
                            other => domain_type(other),
                        };
                        Some((domain, ty))
                    }
                    Err(problems) => {
                        for (id, message, help) in problems {
                            let range = typing::place_of(&source, id);
                            let span = origin.bytes(self.text, &text, &range);
                            self.mistake(span, message, help);
                        }
                        None
                    }
                }
            }
        }
    }

    /// An expression within a key of the file, such as a place to set.
    pub fn key_expression(&mut self, key: &Key) -> Option<(IdedExpr, SourceInfo)> {
        let origin = self.key_origin(key);
        self.parse(&key.name, &origin)
    }

    /// Checks a part of an expression that was read from a key.
    pub fn key_part(
        &mut self,
        part: &IdedExpr,
        source: &SourceInfo,
        key: &Key,
        env: &Environment,
    ) -> Option<(Expression, Type)> {
        let origin = self.key_origin(key);
        self.checked(part, source, &key.name, &origin, env)
    }

    fn key_origin(&self, key: &Key) -> Origin {
        let node = Node {
            span: key.span.clone(),
            data: Data::Null,
        };
        self.origin(&node, &key.name)
    }

    /// A template that stands within a path.
    pub fn path_part(&mut self, text: &str, at: usize, env: &Environment) -> Option<Template> {
        let origin = Origin {
            span: at..at + text.len(),
            exact: self.text.get(at..at + text.len()) == Some(text),
        };
        self.text_with_origin(text, &origin, env)
    }

    /// Where the text of a scalar begins in the file.
    pub fn start_of(&self, node: &Node, text: &str) -> usize {
        self.origin(node, text).span.start
    }
}

fn opens_more_than_it_closes(text: &str) -> bool {
    let opened = text.matches(['(', '[', '{']).count();
    opened > text.matches([')', ']', '}']).count()
}

/// How a map is written.
fn shape(what: &str) -> String {
    let example = match what {
        "a model" => {
            "begin the file with `model: NAME`, then `entities:`, `rules:` and `invariants:`"
        }
        "`entities`" => "write `NAME: { fields: { … } }`, one in a line",
        "`fields`" => "write `{ NAME: TYPE, … }`",
        "`pick`" => "write `pick: { NAME: PLURAL }`",
        "`with`" => "write `with: { NAME: GENERATOR }`",
        "`let`" => "write `let: { NAME: EXPRESSION }`",
        "`returns`" => "write `returns: { NAME: EXPRESSION }`",
        "`requires`" => "write `requires: { NAME: { that: EXPRESSION, else: STATUS } }`",
        "`creates`" => "write `creates: { ENTITY: { FIELD: VALUE, … } }`",
        "`sets`" => "write `sets: { PLACE: VALUE }`",
        "`auth`" => {
            "write `auth: { bearer: \"${self.token}\" }`, or `headers`, `query`, `cookies`, `basic`"
        }
        _ if what.starts_with("the requirement") => "write `{ that: EXPRESSION, else: STATUS }`",
        _ => "write `KEY: VALUE` pairs, one in a line below, or in braces",
    };
    example.to_owned()
}

/// What is wrong with an expression that does not parse, from what is left of it where the parser gave up and from what
/// the parser says: how many bytes it is about, what is wrong, and what to do.
fn unparsable(rest: &str, said: &str) -> (usize, String, String) {
    let word = rest.len()
        - rest
            .trim_start_matches(|c: char| c.is_alphanumeric() || c == '_')
            .len();
    let signs = ["==", "!=", "<=", ">=", "=>", "&&", "||"];
    let length = match word {
        0 if signs.iter().any(|sign| rest.starts_with(sign)) => 2,
        0 => rest.chars().next().map_or(0, char::len_utf8),
        _ => word,
    };
    let found = &rest[..length];
    if length == 0 {
        let message = match said.contains("missing ')'") {
            true => "a `)` is missing at its end",
            false => "it ends too early",
        };
        let help = "count the brackets and quotes, and look for an operator that nothing follows";
        return (0, message.to_owned(), help.to_owned());
    }
    let help = match found {
        "=" => "compare with `==`",
        "and" | "AND" => "write `&&`",
        "or" | "OR" => "write `||`",
        "not" | "NOT" => "write `!`",
        "&" => "write `&&`",
        "|" => "write `||`",
        "is" => "compare with `==`",
        "\"" | "'" => "close the quote; within a text in double quotes write \\\"",
        "$" => "an expression is written bare, without `${…}`",
        "=>" => "write `>=`",
        _ => {
            "expressions are CEL: https://cel.dev. Look for a value or an operator that is missing before this, or a bracket too many"
        }
    };
    (
        length,
        format!("`{found}` cannot stand here"),
        help.to_owned(),
    )
}

/// The text of an argument of a generator: from where it begins to the comma or bracket that ends it.
fn argument_text<'t>(text: &'t str, expr: &IdedExpr, source: &SourceInfo) -> Option<&'t str> {
    fn first(expr: &IdedExpr, source: &SourceInfo) -> usize {
        let own = typing::place_of(source, expr.id).start;
        match &expr.expr {
            Expr::Select(select) => own.min(first(&select.operand, source)),
            Expr::Call(call) => {
                let inner = call
                    .target
                    .iter()
                    .map(|t| first(t, source))
                    .chain(call.args.iter().map(|a| first(a, source)));
                inner.fold(own, usize::min)
            }
            Expr::Comprehension(c) => own.min(first(&c.iter_range, source)),
            _ => own,
        }
    }
    let start = first(expr, source);
    // A bracket that only groups belongs to the argument, but not to the tree.
    let before = text.get(..start)?.trim_end();
    if before.strip_suffix('(').is_some_and(|b| {
        !b.trim_end()
            .ends_with(|c: char| c.is_alphanumeric() || c == '_')
    }) {
        return None;
    }
    let mut depth = 0usize;
    let mut quote = None;
    for (at, c) in text[start..].char_indices() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}' | ',') if depth == 0 => {
                return Some(text[start..start + at].trim());
            }
            (None, ')' | ']' | '}') => depth -= 1,
            (None, _) => {}
        }
    }
    Some(text[start..].trim())
}

/// The type of what a domain holds.
fn domain_type(domain: &Domain) -> Type {
    match domain {
        Domain::Text { .. }
        | Domain::Uuid
        | Domain::Email
        | Domain::Pattern { .. }
        | Domain::Unique { .. }
        | Domain::Canary => Type::Text,
        Domain::TimeFromNow { .. } => Type::Time,
        Domain::Int { .. } => Type::Int,
        Domain::Number { .. } => Type::Number,
        Domain::Bool => Type::Bool,
        Domain::List { item, .. } => Type::List(Box::new(domain_type(item))),
        Domain::Tuple(_) => Type::List(Box::new(Type::Any)),
        Domain::Optional(inner) => Type::Optional(Box::new(domain_type(inner))),
        Domain::OneOf(domains) => {
            let mut types = domains.iter().map(domain_type);
            let first = types.next().unwrap_or(Type::Any);
            match types.all(|t| t == first) {
                true => first,
                false => Type::Any,
            }
        }
        Domain::Constant(value) => match value {
            Value::Text(_) => Type::Text,
            Value::Int(_) => Type::Int,
            Value::Number(_) => Type::Number,
            Value::Bool(_) => Type::Bool,
            Value::Null => Type::Null,
            _ => Type::Any,
        },
        Domain::Json | Domain::Map(_) | Domain::Computed(_) => Type::Any,
    }
}
