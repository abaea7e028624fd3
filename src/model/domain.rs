//! Domains: what an argument may be, as `text(1, 50)` or `list({"year": int(2026)}, 3, 5)` say it. A domain is both a
//! generator and the border between valid and invalid; the drawing itself is in `generate/`.

use std::collections::BTreeMap;
use std::sync::Arc;

use cel::IdedExpr;
use cel::common::ast::{EntryExpr, Expr, LiteralValue, operators as op};
use ordered_float::OrderedFloat;
use regex::Regex;

use super::expression::Expression;
use super::value::Value;

/// What an argument may be.
#[derive(Debug)]
pub enum Domain {
    /// `text(min, max)`: so many characters.
    Text {
        /// At least so many.
        min: usize,
        /// At most so many, if there is a limit.
        max: Option<usize>,
    },
    /// `int(min, max)`
    Int {
        /// The least.
        min: i64,
        /// The greatest, if there is a limit.
        max: Option<i64>,
    },
    /// `number(min, max)`
    Number {
        /// The least.
        min: f64,
        /// The greatest, if there is a limit.
        max: Option<f64>,
    },
    /// `bool()`
    Bool,
    /// `one_of(…)`: any of these.
    OneOf(Vec<Domain>),
    /// `uuid()`
    Uuid,
    /// `email()`
    Email,
    /// `pattern("…")`: a text that the regular expression matches as a whole.
    Pattern {
        /// The expression, as written.
        source: String,
        /// The expression, anchored at both ends.
        regex: Box<Regex>,
    },
    /// `list(gen, min, max)`
    List {
        /// What the items are.
        item: Box<Domain>,
        /// At least so many.
        min: usize,
        /// At most so many, if there is a limit.
        max: Option<usize>,
    },
    /// `optional(gen)`: may be left out.
    Optional(Box<Domain>),
    /// `unique("prefix")`: a text that nobody has used yet.
    Unique {
        /// What it begins with.
        prefix: Arc<str>,
    },
    /// `canary()`: a text that can be recognised wherever it turns up.
    Canary,
    /// `time_from_now(min, max)`, in seconds.
    TimeFromNow {
        /// At least so many seconds from now.
        min: i64,
        /// At most so many.
        max: i64,
    },
    /// `json()`: anything.
    Json,
    /// A map literal that holds generators.
    Map(Vec<(String, Domain)>),
    /// A list literal that holds generators.
    Tuple(Vec<Domain>),
    /// A constant.
    Constant(Value),
    /// Any other expression over the mirror.
    Computed(Arc<Expression>),
}

/// The generators and the least and greatest number of their arguments.
const GENERATORS: &[(&str, usize, usize)] = &[
    ("text", 1, 2),
    ("int", 1, 2),
    ("number", 1, 2),
    ("bool", 0, 0),
    ("one_of", 1, usize::MAX),
    ("uuid", 0, 0),
    ("email", 0, 0),
    ("pattern", 1, 1),
    ("list", 1, 3),
    ("optional", 1, 1),
    ("unique", 0, 1),
    ("canary", 0, 0),
    ("time_from_now", 2, 2),
    ("json", 0, 0),
];

/// Whether this is the name of a generator.
pub fn is_generator(name: &str) -> bool {
    GENERATORS.iter().any(|(n, _, _)| *n == name)
}

/// The names of the generators.
pub fn generators() -> impl Iterator<Item = &'static str> {
    GENERATORS.iter().map(|(name, _, _)| *name)
}

/// A mistake in a domain: the node it is about, what is wrong, what to do.
pub type DomainMistake = (u64, String, String);

/// Reads a domain from an expression's tree. `compute` makes an expression of a node that is none of the generators.
///
/// # Errors
///
/// All mistakes in it.
pub fn read(
    expr: &IdedExpr,
    compute: &mut dyn FnMut(&IdedExpr) -> Option<Arc<Expression>>,
) -> Result<Domain, Vec<DomainMistake>> {
    let mut reader = Reader {
        compute,
        mistakes: Vec::new(),
    };
    let domain = reader.read(expr);
    match domain {
        Some(domain) if reader.mistakes.is_empty() => Ok(domain),
        _ => Err(reader.mistakes),
    }
}

struct Reader<'a> {
    compute: &'a mut dyn FnMut(&IdedExpr) -> Option<Arc<Expression>>,
    mistakes: Vec<DomainMistake>,
}

impl Reader<'_> {
    fn read(&mut self, expr: &IdedExpr) -> Option<Domain> {
        if let Some(value) = constant(expr) {
            return Some(Domain::Constant(value));
        }
        match &expr.expr {
            Expr::Call(call) if call.target.is_none() && self.is_ours(call) => {
                self.generator(&call.func_name, &call.args, expr.id)
            }
            Expr::Map(map) if holds_generator(expr) => {
                let mut fields = Vec::new();
                for entry in &map.entries {
                    let EntryExpr::MapEntry(entry) = &entry.expr else {
                        continue;
                    };
                    match constant(&entry.key) {
                        Some(Value::Text(key)) => {
                            let domain = self.read(&entry.value)?;
                            fields.push((key.to_string(), domain));
                        }
                        _ => self.mistake(
                            entry.key.id,
                            "a key of a generated map is a string",
                            "write it in quotes: {\"key\": text(1, 10)}",
                        ),
                    }
                }
                Some(Domain::Map(fields))
            }
            Expr::List(list) if holds_generator(expr) => list
                .elements
                .iter()
                .map(|e| self.read(e))
                .collect::<Option<Vec<_>>>()
                .map(Domain::Tuple),
            _ => (self.compute)(expr).map(Domain::Computed),
        }
    }

    /// `int(x)` and `bool(x)` are CEL's conversions where `x` is not a number.
    fn is_ours(&self, call: &cel::common::ast::CallExpr) -> bool {
        match call.func_name.as_str() {
            "int" => call.args.len() != 1 || constant(&call.args[0]).is_some(),
            "bool" => call.args.is_empty(),
            name => is_generator(name),
        }
    }

    fn generator(&mut self, name: &str, args: &[IdedExpr], id: u64) -> Option<Domain> {
        if let Some((_, least, most)) = GENERATORS.iter().find(|(n, _, _)| *n == name)
            && !(*least..=*most).contains(&args.len())
        {
            let wanted = match (least, most) {
                (a, b) if a == b => format!("{a}"),
                (a, &usize::MAX) => format!("at least {a}"),
                (a, b) => format!("{a} to {b}"),
            };
            let message = format!("`{name}` takes {wanted} arguments, and got {}", args.len());
            self.mistakes
                .push((id, message, format!("write `{}`", usage(name))));
            return None;
        }
        match name {
            "text" => {
                let (min, max) = self.sizes(args, id)?;
                Some(Domain::Text { min, max })
            }
            "int" => {
                let min = self.int(&args[0])?;
                let max = match args.get(1) {
                    Some(arg) => Some(self.int(arg)?),
                    None => None,
                };
                self.ordered(max.is_none_or(|max| min <= max), id)?;
                Some(Domain::Int { min, max })
            }
            "number" => {
                let min = self.number(&args[0])?;
                let max = match args.get(1) {
                    Some(arg) => Some(self.number(arg)?),
                    None => None,
                };
                self.ordered(max.is_none_or(|max| min <= max), id)?;
                Some(Domain::Number { min, max })
            }
            "bool" => Some(Domain::Bool),
            "uuid" => Some(Domain::Uuid),
            "email" => Some(Domain::Email),
            "canary" => Some(Domain::Canary),
            "json" => Some(Domain::Json),
            "one_of" => args
                .iter()
                .map(|a| self.read(a))
                .collect::<Option<Vec<_>>>()
                .map(Domain::OneOf),
            "optional" => Some(Domain::Optional(Box::new(self.read(&args[0])?))),
            "list" => {
                let item = Box::new(self.read(&args[0])?);
                let (min, max) = match args.len() {
                    1 => (0, None),
                    _ => self.sizes(&args[1..], id)?,
                };
                Some(Domain::List { item, min, max })
            }
            "unique" => {
                let prefix = match args.first().map(constant) {
                    None => "x".into(),
                    Some(Some(Value::Text(prefix))) => prefix,
                    Some(_) => {
                        self.mistake(
                            args[0].id,
                            "the prefix of `unique` is a string",
                            "write `unique(\"user\")`",
                        );
                        return None;
                    }
                };
                Some(Domain::Unique { prefix })
            }
            "pattern" => {
                let Some(Value::Text(source)) = constant(&args[0]) else {
                    self.mistake(
                        args[0].id,
                        "a pattern is a string",
                        "write `pattern(\"[a-z]{3}\")`",
                    );
                    return None;
                };
                // The drawing side reads patterns with regex-syntax; what it cannot draw must not pass here.
                match Regex::new(&format!("^(?:{source})$")) {
                    Ok(regex) => Some(Domain::Pattern {
                        source: source.to_string(),
                        regex: Box::new(regex),
                    }),
                    Err(error) => {
                        let text = error.to_string();
                        let last = text.lines().last().unwrap_or_default();
                        let why = last.trim_start_matches("error: ");
                        self.mistake(
                            args[0].id,
                            &format!("not a regular expression: {why}"),
                            "its syntax is that of https://docs.rs/regex/#syntax; a backslash is doubled: \"\\\\d+\"",
                        );
                        None
                    }
                }
            }
            "time_from_now" => {
                let (min, max) = (self.int(&args[0])?, self.int(&args[1])?);
                self.ordered(min <= max, id)?;
                Some(Domain::TimeFromNow { min, max })
            }
            _ => None,
        }
    }

    fn mistake(&mut self, id: u64, message: &str, help: &str) {
        self.mistakes
            .push((id, message.to_owned(), help.to_owned()));
    }

    fn ordered(&mut self, ordered: bool, id: u64) -> Option<()> {
        if !ordered {
            self.mistakes.push((
                id,
                "the least is greater than the greatest, so nothing can be drawn".into(),
                "swap the two".into(),
            ));
        }
        ordered.then_some(())
    }

    fn int(&mut self, expr: &IdedExpr) -> Option<i64> {
        match constant(expr) {
            Some(Value::Int(int)) => Some(int),
            _ => {
                self.mistake(
                    expr.id,
                    "a bound is a whole number",
                    "write it out, such as 20; a bound cannot be computed",
                );
                None
            }
        }
    }

    fn number(&mut self, expr: &IdedExpr) -> Option<f64> {
        match constant(expr) {
            Some(Value::Int(int)) => Some(int as f64),
            Some(Value::Number(number)) => Some(number.0),
            _ => {
                self.mistake(
                    expr.id,
                    "a bound is a number",
                    "write it out, such as 0.5; a bound cannot be computed",
                );
                None
            }
        }
    }

    fn sizes(&mut self, args: &[IdedExpr], id: u64) -> Option<(usize, Option<usize>)> {
        let size = |reader: &mut Self, expr: &IdedExpr| {
            let size = usize::try_from(reader.int(expr)?).ok();
            if size.is_none() {
                reader.mistake(expr.id, "a size is not negative", "begin at 0");
            }
            size
        };
        let min = size(self, &args[0])?;
        let max = match args.get(1) {
            Some(arg) => Some(size(self, arg)?),
            None => None,
        };
        self.ordered(max.is_none_or(|max| min <= max), id)?;
        Some((min, max))
    }
}

/// How a generator is written.
fn usage(name: &str) -> &'static str {
    match name {
        "text" => "text(min, max)",
        "int" => "int(min, max)",
        "number" => "number(min, max)",
        "bool" => "bool()",
        "one_of" => "one_of(a, b, …)",
        "uuid" => "uuid()",
        "email" => "email()",
        "pattern" => "pattern(\"regex\")",
        "list" => "list(generator, min, max)",
        "optional" => "optional(generator)",
        "unique" => "unique(\"prefix\")",
        "canary" => "canary()",
        "time_from_now" => "time_from_now(min, max)`, in seconds: `time_from_now(60, 3600)",
        _ => "json()",
    }
}

/// The value of a node that is a literal all through.
pub fn constant(expr: &IdedExpr) -> Option<Value> {
    match &expr.expr {
        Expr::Literal(literal) => Some(match literal {
            LiteralValue::Boolean(b) => Value::Bool(*b.inner()),
            LiteralValue::Int(i) => Value::Int(*i.inner()),
            LiteralValue::UInt(u) => Value::Int(i64::try_from(*u.inner()).ok()?),
            LiteralValue::Double(d) => Value::Number(OrderedFloat(*d.inner())),
            LiteralValue::String(s) => Value::text(s.inner()),
            LiteralValue::Null => Value::Null,
            LiteralValue::Bytes(_) => return None,
        }),
        Expr::List(list) => list
            .elements
            .iter()
            .map(constant)
            .collect::<Option<Vec<_>>>()
            .map(|v| Value::List(v.into())),
        Expr::Map(map) => {
            let mut out = BTreeMap::new();
            for entry in &map.entries {
                let EntryExpr::MapEntry(entry) = &entry.expr else {
                    return None;
                };
                out.insert(constant(&entry.key)?, constant(&entry.value)?);
            }
            Some(Value::Map(Arc::new(out)))
        }
        Expr::Call(call) if call.func_name == op::NEGATE => match constant(call.args.first()?)? {
            Value::Int(i) => Some(Value::Int(-i)),
            Value::Number(n) => Some(Value::Number(-n)),
            _ => None,
        },
        _ => None,
    }
}

fn holds_generator(expr: &IdedExpr) -> bool {
    match &expr.expr {
        Expr::Call(call) if call.target.is_none() => is_generator(&call.func_name),
        Expr::List(list) => list.elements.iter().any(holds_generator),
        Expr::Map(map) => map.entries.iter().any(|entry| match &entry.expr {
            EntryExpr::MapEntry(entry) => holds_generator(&entry.value),
            EntryExpr::StructField(_) => false,
        }),
        _ => false,
    }
}

impl Domain {
    /// Whether a value lies in the domain. What was computed from the mirror is always in.
    pub fn contains(&self, value: &Value) -> bool {
        match (self, value) {
            (_, Value::Unknown) => true,
            (Domain::Optional(_), Value::Absent) => true,
            (_, Value::Absent) => false,
            (Domain::Optional(inner), value) => inner.contains(value),
            (Domain::Text { min, max }, Value::Text(text)) => {
                let length = text.chars().count();
                length >= *min && max.is_none_or(|max| length <= max)
            }
            (Domain::Int { min, max }, Value::Int(int)) => {
                int >= min && max.is_none_or(|max| *int <= max)
            }
            (Domain::Number { min, max }, Value::Number(n)) => {
                n.0 >= *min && max.is_none_or(|max| n.0 <= max)
            }
            (Domain::Number { min, max }, Value::Int(n)) => {
                let n = *n as f64;
                n >= *min && max.is_none_or(|max| n <= max)
            }
            (Domain::Bool, Value::Bool(_)) => true,
            (Domain::OneOf(domains), value) => domains.iter().any(|d| d.contains(value)),
            (Domain::Uuid | Domain::Email | Domain::TimeFromNow { .. }, Value::Text(text)) => {
                !text.is_empty()
            }
            (Domain::Unique { .. } | Domain::Canary, Value::Fresh(..)) => true,
            (Domain::Unique { .. } | Domain::Canary, Value::Text(text)) => !text.is_empty(),
            (Domain::Pattern { regex, .. }, Value::Text(text)) => regex.is_match(text),
            (Domain::List { item, min, max }, Value::List(items)) => {
                items.len() >= *min
                    && max.is_none_or(|max| items.len() <= max)
                    && items.iter().all(|i| item.contains(i))
            }
            (Domain::Map(fields), Value::Map(map)) => fields.iter().all(|(name, domain)| {
                domain.contains(
                    map.get(&Value::text(name.as_str()))
                        .unwrap_or(&Value::Absent),
                )
            }),
            (Domain::Tuple(domains), Value::List(items)) => {
                domains.len() == items.len()
                    && domains.iter().zip(items.iter()).all(|(d, v)| d.contains(v))
            }
            (Domain::Constant(constant), value) => constant == value,
            (Domain::Json | Domain::Computed(_), _) => true,
            _ => false,
        }
    }

    /// The domain as a model would write it.
    pub fn show(&self) -> String {
        fn bounds<T: ToString>(name: &str, min: &T, max: Option<&T>) -> String {
            match max {
                Some(max) => format!("{name}({}, {})", min.to_string(), max.to_string()),
                None => format!("{name}({})", min.to_string()),
            }
        }
        let all = |domains: &[Domain]| {
            let shown: Vec<_> = domains.iter().map(Domain::show).collect();
            shown.join(", ")
        };
        match self {
            Domain::Text { min, max } => bounds("text", min, max.as_ref()),
            Domain::Int { min, max } => bounds("int", min, max.as_ref()),
            Domain::Number { min, max } => bounds("number", min, max.as_ref()),
            Domain::Bool => "bool()".into(),
            Domain::OneOf(domains) => format!("one_of({})", all(domains)),
            Domain::Uuid => "uuid()".into(),
            Domain::Email => "email()".into(),
            Domain::Pattern { source, .. } => format!("pattern({source:?})"),
            Domain::List { item, min, max } => match max {
                Some(max) => format!("list({}, {min}, {max})", item.show()),
                None => format!("list({}, {min})", item.show()),
            },
            Domain::Optional(inner) => format!("optional({})", inner.show()),
            Domain::Unique { prefix } => format!("unique({:?})", prefix.as_ref()),
            Domain::Canary => "canary()".into(),
            Domain::TimeFromNow { min, max } => format!("time_from_now({min}, {max})"),
            Domain::Json => "json()".into(),
            Domain::Map(fields) => {
                let shown: Vec<_> = fields
                    .iter()
                    .map(|(name, domain)| format!("{name:?}: {}", domain.show()))
                    .collect();
                format!("{{{}}}", shown.join(", "))
            }
            Domain::Tuple(domains) => format!("[{}]", all(domains)),
            Domain::Constant(value) => value.to_json(&|h| h.to_string().into()).to_string(),
            Domain::Computed(expression) => expression.source.to_string(),
        }
    }
}
