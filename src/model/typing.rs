//! The type checker of expressions: finds unknown names, fields and functions, wrong numbers of arguments and
//! comparisons that can never hold, and notes what an expression reads. It walks the tree that the `cel` crate parsed.

use std::collections::BTreeMap;
use std::ops::Range;

use cel::IdedExpr;
use cel::common::ast::{
    ComprehensionExpr, EntryExpr, Expr, LiteralValue, SourceInfo, operators as op,
};

use super::diagnostics::{guess, nearest};
use super::expression::{Uses, readable_operator};
use super::types::Type;
use super::value::{KindId, Value};

/// What the checker knows of the model.
pub struct Schema {
    /// Name, plural and fields of each kind.
    pub kinds: Vec<KindSchema>,
    /// The globals and their types.
    pub globals: Vec<(String, Type)>,
    /// The native functions that are registered.
    pub natives: Vec<String>,
}

/// A kind as the checker sees it.
pub struct KindSchema {
    /// `world`
    pub name: String,
    /// `worlds`
    pub plural: String,
    /// The fields in order.
    pub fields: Vec<(String, Type)>,
    /// What each field starts as, where that is said.
    pub initials: Vec<Option<Value>>,
    /// The fields that are computed: name, type, and what they read.
    pub derived: Vec<(String, Type, Uses)>,
}

impl Schema {
    /// The kind of this name.
    pub fn kind(&self, name: &str) -> Option<KindId> {
        let index = self.kinds.iter().position(|k| k.name == name)?;
        Some(KindId(u16::try_from(index).ok()?))
    }

    /// The kind of this plural.
    pub fn plural(&self, name: &str) -> Option<KindId> {
        let index = self.kinds.iter().position(|k| k.plural == name)?;
        Some(KindId(u16::try_from(index).ok()?))
    }

    /// The schema of a kind.
    pub fn of(&self, kind: KindId) -> &KindSchema {
        &self.kinds[usize::from(kind.0)]
    }

    /// A type with its article.
    pub fn a(&self, ty: &Type) -> String {
        article(&self.show(ty))
    }

    /// A type as people write it.
    pub fn show(&self, ty: &Type) -> String {
        ty.show(&|kind| self.of(kind).name.clone())
    }
}

impl KindSchema {
    /// The names of everything that can be read behind a dot.
    pub fn readable(&self) -> impl Iterator<Item = &str> + Clone {
        let derived = self.derived.iter().map(|(n, _, _)| n.as_str());
        self.fields.iter().map(|(n, _)| n.as_str()).chain(derived)
    }
}

/// A noun with its article.
pub fn article(noun: &str) -> String {
    match noun.starts_with(['a', 'e', 'i', 'o']) {
        true => format!("an {noun}"),
        false => format!("a {noun}"),
    }
}

/// The names that an expression may use, and whether it may look at the server's answer.
#[derive(Clone, Default)]
pub struct Environment {
    /// Names and their types.
    pub names: BTreeMap<String, Type>,
    /// Whether `body`, `headers` and `status` stand for an answer here.
    pub answer: bool,
    /// Whether `before` stands for the mirror before the step.
    pub before: bool,
    /// Whether generators may stand here.
    pub generators: bool,
}

/// A mistake in an expression.
#[derive(Debug)]
pub struct Problem {
    /// Its bytes within the expression.
    pub range: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
}

/// Checks an expression: its type, what it uses, and what is wrong with it.
pub fn check(
    ast: &IdedExpr,
    source: &SourceInfo,
    schema: &Schema,
    environment: &Environment,
) -> (Type, Uses, Vec<Problem>) {
    let mut checker = Checker {
        source,
        schema,
        environment,
        locals: Vec::new(),
        uses: Uses::default(),
        problems: Vec::new(),
    };
    let ty = checker.infer(ast);
    (ty, checker.uses, checker.problems)
}

struct Checker<'a> {
    source: &'a SourceInfo,
    schema: &'a Schema,
    environment: &'a Environment,
    locals: Vec<(String, Type)>,
    uses: Uses,
    problems: Vec<Problem>,
}

/// The bytes of a node in the text of its expression: of a call its name, of an operator its sign.
pub fn place_of(source: &SourceInfo, id: u64) -> Range<usize> {
    let text = source.source.as_str();
    let Some((start, stop)) = source.offset_for(id) else {
        return 0..text.len();
    };
    let start = text.floor_char_boundary(start as usize);
    let end = text.ceil_char_boundary(stop as usize + 1).max(start);
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let name = text[..start].trim_end_matches(word).len();
    // The parser says of a call where its bracket opens.
    match text[start..].starts_with('(') && name < start {
        true => name..start,
        false => start..end,
    }
}

/// The functions of the language: name, how many arguments (with the receiver), and what comes out.
const FUNCTIONS: &[(&str, &[usize], Type)] = &[
    ("size", &[1], Type::Int),
    ("gone", &[1], Type::Bool),
    ("absent", &[0], Type::Any),
    ("sum", &[1], Type::Any),
    ("string", &[1], Type::Text),
    ("int", &[1], Type::Int),
    ("uint", &[1], Type::Int),
    ("double", &[1], Type::Number),
    ("bool", &[1], Type::Bool),
    ("bytes", &[1], Type::Any),
    ("type", &[1], Type::Any),
    ("dyn", &[1], Type::Any),
    ("duration", &[1], Type::Any),
    ("timestamp", &[1], Type::Any),
    ("contains", &[2], Type::Bool),
    ("startsWith", &[2], Type::Bool),
    ("endsWith", &[2], Type::Bool),
    ("matches", &[2], Type::Bool),
    ("charAt", &[2], Type::Text),
    ("indexOf", &[2, 3], Type::Int),
    ("lastIndexOf", &[2, 3], Type::Int),
    ("join", &[1, 2], Type::Text),
    ("lowerAscii", &[1], Type::Text),
    ("upperAscii", &[1], Type::Text),
    ("replace", &[3, 4], Type::Text),
    ("split", &[2, 3], Type::Any),
    ("substring", &[2, 3], Type::Text),
    ("trim", &[1], Type::Text),
    ("reverse", &[1], Type::Any),
    ("format", &[2], Type::Text),
    ("distinct", &[1], Type::Any),
    ("flatten", &[1, 2], Type::Any),
    ("slice", &[3], Type::Any),
    ("sort", &[1], Type::Any),
    ("first", &[1], Type::Any),
    ("last", &[1], Type::Any),
    ("getFullYear", &[1, 2], Type::Int),
    ("getMonth", &[1, 2], Type::Int),
    ("getDate", &[1, 2], Type::Int),
    ("getDayOfMonth", &[1, 2], Type::Int),
    ("getDayOfWeek", &[1, 2], Type::Int),
    ("getDayOfYear", &[1, 2], Type::Int),
    ("getHours", &[1, 2], Type::Int),
    ("getMinutes", &[1, 2], Type::Int),
    ("getSeconds", &[1, 2], Type::Int),
    ("getMilliseconds", &[1, 2], Type::Int),
    ("hasValue", &[1], Type::Bool),
    ("orValue", &[2], Type::Any),
    ("value", &[1], Type::Any),
];

/// The names of CEL's types.
const TYPE_NAMES: &[&str] = &[
    "int",
    "uint",
    "double",
    "bool",
    "string",
    "bytes",
    "list",
    "map",
    "null_type",
    "type",
];

/// Whether the language has a function of this name.
pub(super) fn is_function(name: &str) -> bool {
    FUNCTIONS.iter().any(|(n, _, _)| *n == name)
}

/// Namespaces whose functions are called as `math.greatest(…)`.
const NAMESPACES: &[&str] = &["math", "lists", "strings", "optional"];

impl Checker<'_> {
    fn range(&self, id: u64) -> Range<usize> {
        place_of(self.source, id)
    }

    /// The bytes of the field that a node selects.
    fn field_range(&self, id: u64, field: &str) -> Range<usize> {
        let at = self.range(id);
        match self.source.source[at.start..].find(field) {
            Some(found) => at.start + found..at.start + found + field.len(),
            None => at,
        }
    }

    fn problem(&mut self, range: Range<usize>, message: String, help: impl Into<String>) {
        self.problems.push(Problem {
            range,
            message,
            help: help.into(),
        });
    }

    fn infer(&mut self, expr: &IdedExpr) -> Type {
        match &expr.expr {
            Expr::Literal(literal) => match literal {
                LiteralValue::Boolean(_) => Type::Bool,
                LiteralValue::Int(_) | LiteralValue::UInt(_) => Type::Int,
                LiteralValue::Double(_) => Type::Number,
                LiteralValue::String(_) => Type::Text,
                LiteralValue::Null => Type::Null,
                LiteralValue::Bytes(_) => Type::Any,
            },
            Expr::Ident(name) => self.ident(name, expr.id),
            Expr::Select(select) => {
                let operand = self.infer(&select.operand);
                self.field(&operand, &select.field, expr.id)
            }
            Expr::Call(call) => self.call(call, expr.id),
            Expr::List(list) => {
                let mut item = None;
                for element in &list.elements {
                    let ty = self.infer(element);
                    item = Some(match item {
                        None => ty,
                        Some(seen) if seen == ty => seen,
                        Some(_) => Type::Any,
                    });
                }
                Type::List(Box::new(item.unwrap_or(Type::Any)))
            }
            Expr::Map(map) => {
                let mut value = None;
                for entry in &map.entries {
                    if let EntryExpr::MapEntry(entry) = &entry.expr {
                        self.infer(&entry.key);
                        let ty = self.infer(&entry.value);
                        value = Some(match value {
                            None => ty,
                            Some(seen) if seen == ty => seen,
                            Some(_) => Type::Any,
                        });
                    }
                }
                Type::Map(Box::new(Type::Any), Box::new(value.unwrap_or(Type::Any)))
            }
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::Struct(s) => {
                let range = self.range(expr.id);
                self.problem(
                    range,
                    format!(
                        "`{}{{…}}` builds a message, which models do not have",
                        s.type_name
                    ),
                    "write a map: {\"key\": value}",
                );
                Type::Any
            }
            Expr::Unspecified => Type::Any,
        }
    }

    fn ident(&mut self, name: &str, id: u64) -> Type {
        if let Some((_, ty)) = self.locals.iter().rev().find(|(n, _)| n == name) {
            return ty.clone();
        }
        if let Some(ty) = self.environment.names.get(name) {
            self.uses.variables.insert(name.to_owned());
            return ty.clone();
        }
        if self.environment.answer && matches!(name, "body" | "headers" | "status") {
            self.uses.answer = true;
            return match name {
                "status" => Type::Int,
                "headers" => Type::Map(Box::new(Type::Text), Box::new(Type::Text)),
                _ => Type::Any,
            };
        }
        if let Some(kind) = self.schema.plural(name) {
            self.uses.plurals.insert(kind);
            return Type::List(Box::new(Type::Entity(kind)));
        }
        if let Some((_, ty)) = self.schema.globals.iter().find(|(n, _)| n == name) {
            self.uses.variables.insert(name.to_owned());
            return ty.clone();
        }
        // What `type(x)` is compared with.
        if TYPE_NAMES.contains(&name) {
            return Type::Any;
        }
        if name == "before" && self.environment.before {
            return Type::Past;
        }
        let range = self.range(id);
        let (message, help) = if matches!(name, "body" | "headers" | "status") {
            (
                format!("`{name}` is the server's answer, which nobody has yet here"),
                "use what the mirror knows: picks, arguments, fields; `creates` and `sets` keep what an answer says".to_owned(),
            )
        } else if let Some(kind) = self.schema.kind(name) {
            (
                format!("no `{name}` is bound here"),
                format!(
                    "bind one with `pick: {{ {name}: {plural} }}`, or use the list `{plural}`",
                    plural = self.schema.of(kind).plural
                ),
            )
        } else {
            let mut known: Vec<&str> = self.environment.names.keys().map(String::as_str).collect();
            known.extend(self.locals.iter().map(|(n, _)| n.as_str()));
            known.extend(self.schema.kinds.iter().map(|k| k.plural.as_str()));
            known.extend(self.schema.globals.iter().map(|(n, _)| n.as_str()));
            if self.environment.answer {
                known.extend(["body", "headers", "status"]);
            }
            let help = match nearest(name, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known here: {}", known.join(", ")),
            };
            (format!("unknown name `{name}`"), help)
        };
        self.problem(range, message, help);
        Type::Any
    }

    fn field(&mut self, operand: &Type, field: &str, id: u64) -> Type {
        match operand.bare() {
            Type::Entity(kind) => {
                let schema = self.schema.of(*kind);
                match schema.fields.iter().position(|(n, _)| n == field) {
                    Some(index) => {
                        self.uses.fields.insert((*kind, index));
                        schema.fields[index].1.clone()
                    }
                    None => {
                        let derived = schema.derived.iter().find(|(n, _, _)| n == field);
                        if let Some((_, ty, uses)) = derived {
                            self.uses.add(uses);
                            return ty.clone();
                        }
                        let names = schema.readable();
                        let help = match nearest(field, names.clone()) {
                            Some(near) => format!("did you mean `{near}`?"),
                            None => {
                                format!("its fields are {}", names.collect::<Vec<_>>().join(", "))
                            }
                        };
                        let message = format!("{} has no field `{field}`", schema.name);
                        let range = self.field_range(id, field);
                        self.problem(range, message, help);
                        Type::Any
                    }
                }
            }
            Type::Past => {
                if let Some(kind) = self.schema.plural(field) {
                    self.uses.plurals.insert(kind);
                    return Type::List(Box::new(Type::Entity(kind)));
                }
                if let Some((_, ty)) = self.schema.globals.iter().find(|(n, _)| n == field) {
                    return ty.clone();
                }
                let range = self.field_range(id, field);
                let plurals = self.schema.kinds.iter().map(|k| k.plural.as_str());
                let help = guess(
                    field,
                    plurals,
                    "`before` holds the plurals and the globals, as they were before the step",
                );
                self.problem(range, format!("`before` has no `{field}`"), help);
                Type::Any
            }
            Type::Map(_, value) => value.as_ref().clone(),
            Type::Any => Type::Any,
            other => {
                let shown = self.schema.a(other);
                let range = self.field_range(id, field);
                self.problem(
                    range,
                    format!("{shown} has no field `{field}`"),
                    "only entities and maps have fields",
                );
                Type::Any
            }
        }
    }

    fn call(&mut self, call: &cel::common::ast::CallExpr, id: u64) -> Type {
        let name = call.func_name.as_str();
        if let Some(target) = &call.target
            && let Expr::Ident(namespace) = &target.expr
            && NAMESPACES.contains(&namespace.as_str())
        {
            for arg in &call.args {
                self.infer(arg);
            }
            return Type::Any;
        }
        let mut types: Vec<Type> = call.target.iter().map(|t| self.infer(t)).collect();
        for arg in &call.args {
            types.push(self.infer(arg));
        }
        match (name, types.as_slice()) {
            (op::CONDITIONAL, [_, a, b]) => {
                if a == b {
                    a.clone()
                } else if *a == Type::Null {
                    Type::Optional(Box::new(b.clone()))
                } else if *b == Type::Null {
                    Type::Optional(Box::new(a.clone()))
                } else {
                    Type::Any
                }
            }
            (op::LOGICAL_AND | op::LOGICAL_OR, [a, b]) => {
                for ty in [a, b] {
                    self.expect_bool(ty, name, id);
                }
                Type::Bool
            }
            (op::LOGICAL_NOT, [a]) => {
                self.expect_bool(a, name, id);
                Type::Bool
            }
            (op::NOT_STRICTLY_FALSE, _) => Type::Bool,
            (op::EQUALS | op::NOT_EQUALS, [a, b]) => {
                if !a.comparable(b) {
                    let range = self.range(id);
                    let (a, b) = (self.schema.a(a), self.schema.a(b));
                    self.problem(
                        range,
                        format!("{a} is never equal to {b}"),
                        "compare values of one type",
                    );
                }
                Type::Bool
            }
            (op::LESS | op::LESS_EQUALS | op::GREATER | op::GREATER_EQUALS, [a, b]) => {
                let orderable = |t: &Type| {
                    t.is_text() || matches!(t.bare(), Type::Any | Type::Int | Type::Number)
                };
                if !orderable(a) || !orderable(b) || !a.comparable(b) {
                    let range = self.range(id);
                    let (a, b) = (self.schema.a(a), self.schema.a(b));
                    self.problem(
                        range,
                        format!("`{}` cannot order {a} and {b}", readable_operator(name)),
                        "order two numbers or two strings",
                    );
                }
                Type::Bool
            }
            (op::IN, [item, container]) => {
                match container.bare() {
                    Type::List(of) | Type::Map(of, _) if !item.comparable(of) => {
                        let range = self.range(id);
                        let (a, b) = (self.schema.a(item), self.schema.show(of));
                        self.problem(
                            range,
                            format!("{a} is never in a collection of {b}"),
                            format!("look for {}", article(&b)),
                        );
                    }
                    Type::List(_) | Type::Map(..) | Type::Any => {}
                    other => {
                        let range = self.range(id);
                        let shown = self.schema.a(other);
                        self.problem(
                            range,
                            format!("`in` looks into a list or a map, and this is {shown}"),
                            match other.is_text() {
                                true => "write `text.contains(part)` to look into a text",
                                false => "write a list or a map behind `in`",
                            },
                        );
                    }
                }
                Type::Bool
            }
            (op::INDEX, [container, _]) => match container.bare() {
                Type::List(item) => item.as_ref().clone(),
                Type::Map(_, value) => value.as_ref().clone(),
                _ => Type::Any,
            },
            (op::ADD, [a, b]) => {
                let clash = matches!(
                    (a.bare(), b.bare()),
                    (Type::Int, Type::Text) | (Type::Text, Type::Int)
                );
                if clash {
                    let range = self.range(id);
                    self.problem(
                        range,
                        "a string and a number cannot be added".into(),
                        "turn the number into text with string(…)",
                    );
                }
                if a == b { a.clone() } else { Type::Any }
            }
            (op::SUBSTRACT | op::MULTIPLY | op::DIVIDE | op::MODULO, [a, b]) => {
                if a == b {
                    a.clone()
                } else {
                    Type::Any
                }
            }
            (op::NEGATE, [a]) => a.clone(),
            (op::OPT_SELECT | op::OPT_INDEX, _) => Type::Any,
            _ => self.function(name, &types, call.target.is_some(), id),
        }
    }

    fn expect_bool(&mut self, ty: &Type, name: &str, id: u64) {
        if !matches!(ty.bare(), Type::Bool | Type::Any) {
            let range = self.range(id);
            let shown = self.schema.a(ty);
            self.problem(
                range,
                format!(
                    "`{}` needs true or false, and got {shown}",
                    readable_operator(name)
                ),
                "compare it with something: `x == …`, `x != null`",
            );
        }
    }

    fn function(&mut self, name: &str, types: &[Type], method: bool, id: u64) -> Type {
        if self.schema.natives.iter().any(|n| n == name) {
            return Type::Any;
        }
        // What the macros of the `math` library expand to.
        if name.starts_with("math.@") {
            return Type::Any;
        }
        let found = FUNCTIONS.iter().find(|(n, _, _)| *n == name);
        match found {
            Some((_, arity, result)) => {
                if !arity.contains(&types.len()) {
                    let range = self.range(id);
                    // What stands before the dot is none that people count.
                    let receiver = usize::from(method && arity[0] > 0);
                    let wanted: Vec<_> = arity.iter().map(|n| (n - receiver).to_string()).collect();
                    self.problem(
                        range,
                        format!(
                            "`{name}` takes {} argument{}, and got {}",
                            wanted.join(" or "),
                            if wanted == ["1"] { "" } else { "s" },
                            types.len() - receiver
                        ),
                        format!("write `{}`", usage(name, arity[0])),
                    );
                }
                match (name, types.first().map(Type::bare)) {
                    ("reverse" | "distinct" | "slice" | "sort", Some(list @ Type::List(_))) => {
                        list.clone()
                    }
                    ("sum", Some(Type::List(item))) => item.as_ref().clone(),
                    ("gone", Some(ty)) if !matches!(ty, Type::Entity(_) | Type::Any) => {
                        let range = self.range(id);
                        let shown = self.schema.a(ty);
                        self.problem(
                            range,
                            format!("`gone` takes an entity, not {shown}"),
                            "name something bound by `pick`, `by` or `for`, or a field that holds an entity",
                        );
                        Type::Bool
                    }
                    ("size", Some(ty))
                        if !ty.is_text()
                            && !matches!(ty, Type::List(_) | Type::Map(..) | Type::Any) =>
                    {
                        let range = self.range(id);
                        let shown = self.schema.a(ty);
                        self.problem(
                            range,
                            format!("`size` takes a list, a map or a string, not {shown}"),
                            match ty {
                                Type::Int | Type::Number => "it is a number already: compare it as it is",
                                _ => "count a plural, or a field that holds a list, a map or a string",
                            },
                        );
                        Type::Int
                    }
                    _ => result.clone(),
                }
            }
            None => {
                let mut names: Vec<&str> = FUNCTIONS
                    .iter()
                    .map(|(n, _, _)| *n)
                    .chain(["all", "exists", "exists_one", "filter", "map", "has"])
                    .chain(self.schema.natives.iter().map(String::as_str))
                    .collect();
                if self.environment.generators {
                    super::domain::generators().for_each(|generator| names.push(generator));
                }
                let help = match (nearest(name, names), super::domain::is_generator(name)) {
                    (_, true) => "generators stand under `with`, and not within other expressions".to_owned(),
                    (Some(near), _) => format!("did you mean `{near}`?"),
                    (None, _) => {
                        "the functions are listed in docs/reference.md; a Rust test can register its own"
                            .to_owned()
                    }
                };
                let range = self.range(id);
                self.problem(range, format!("unknown function `{name}`"), help);
                Type::Any
            }
        }
    }

    fn comprehension(&mut self, c: &ComprehensionExpr) -> Type {
        let range = self.infer(&c.iter_range);
        let item = match range.bare() {
            Type::List(item) => item.as_ref().clone(),
            Type::Map(key, _) => key.as_ref().clone(),
            Type::Any => Type::Any,
            other => {
                let shown = self.schema.a(other);
                let at = self.range(c.iter_range.id);
                self.problem(
                    at,
                    format!("this is {shown}, and only lists and maps can be gone through"),
                    "go through a plural, or a field that holds a list or a map",
                );
                Type::Any
            }
        };
        let depth = self.locals.len();
        self.locals.push((c.iter_var.clone(), item));
        if let Some(second) = &c.iter_var2 {
            self.locals.push((second.clone(), Type::Any));
        }
        let accumulator = match &c.accu_init.expr {
            Expr::Literal(LiteralValue::Boolean(_)) => Type::Bool,
            Expr::Literal(LiteralValue::Int(_)) => Type::Int,
            _ => Type::Any,
        };
        self.locals.push((c.accu_var.clone(), accumulator.clone()));
        self.infer(&c.loop_cond);
        self.infer(&c.loop_step);
        let result = match accumulator {
            Type::Any => match appended(&c.loop_step) {
                Some(element) => Type::List(Box::new(self.quietly(element))),
                None => Type::Any,
            },
            _ => Type::Bool,
        };
        self.locals.truncate(depth);
        result
    }

    /// The type of an expression whose mistakes have been reported already.
    fn quietly(&mut self, expr: &IdedExpr) -> Type {
        let problems = self.problems.len();
        let ty = self.infer(expr);
        self.problems.truncate(problems);
        ty
    }
}

/// How a function with so many arguments is called.
fn usage(name: &str, arguments: usize) -> String {
    match arguments {
        0 => format!("{name}()"),
        1 => format!("{name}(x)"),
        2 => format!("x.{name}(y)"),
        _ => format!("x.{name}(y, z)"),
    }
}

/// What `filter` and `map` append in each turn: the `x` of `accumulator + [x]`.
fn appended(step: &IdedExpr) -> Option<&IdedExpr> {
    let Expr::Call(call) = &step.expr else {
        return None;
    };
    match (call.func_name.as_str(), call.args.as_slice()) {
        (op::CONDITIONAL, [_, then, _]) => appended(then),
        (op::ADD, [_, added]) => match &added.expr {
            Expr::List(list) => list.elements.first(),
            _ => None,
        },
        _ => None,
    }
}
