//! Expressions: CEL programs over a mirror. Entities are custom values that read through references on access, so
//! nothing is converted before an evaluation. What is unknown is an error to CEL, whose logic operators are then
//! three-valued: `false && unknown` is false, anything else that needs it is unknown.

use std::any::Any;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use cel::common::traits::{Container, Indexer, Iterable, Iterator as CelIterator, Sizer};
use cel::common::types::{
    CelBool, CelDouble, CelInt, CelList, CelMap, CelNull, CelOptional, CelString, CelTimestamp,
    CelUInt, MAP_TYPE, Type,
};
use cel::common::value::{CowVal, StaticVal, Val};
use cel::context::VariableResolver;
use cel::{Context, Env, ExecutionError, IdedExpr};
use ordered_float::OrderedFloat;

use super::code::{Code, Frame, Stop};
use super::mirror::Mirror;
use super::parts::{compared, unparse};
use super::value::{Handle, KindId, Value};

/// A native function that a Rust test registers for its models: values in, a value out.
pub type NativeFunction = Arc<dyn Fn(&[Value]) -> Result<Value, NativeError> + Send + Sync>;

/// Why a native function has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NativeError(pub String);

/// A compiled expression.
#[derive(Debug)]
pub struct Expression {
    /// The text, as written.
    pub source: Arc<str>,
    /// The bytes of the model file that it stands in.
    pub span: Range<usize>,
    /// What the expression uses, found when it was checked.
    pub uses: Uses,
    ast: IdedExpr,
    /// What is evaluated, once the layout is known.
    code: OnceLock<Code>,
}

/// What an expression reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uses {
    /// Variables by name.
    pub variables: std::collections::BTreeSet<String>,
    /// Fields of entities.
    pub fields: std::collections::BTreeSet<(KindId, usize)>,
    /// Kinds that are listed by their plural.
    pub plurals: std::collections::BTreeSet<KindId>,
    /// Whether it needs the server's answer (`body`, `headers`, `status`).
    pub answer: bool,
}

impl Uses {
    /// Adds what another expression reads.
    pub fn add(&mut self, other: &Uses) {
        self.variables.extend(other.variables.iter().cloned());
        self.fields.extend(other.fields.iter().copied());
        self.plurals.extend(other.plurals.iter().copied());
        self.answer |= other.answer;
    }
}

/// Why an expression has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// Something that it needs is unknown.
    #[error("it needs a value that is not known yet")]
    Unknown,
    /// It makes no sense of the values it met, such as a field that an answer does not have.
    #[error("{0}")]
    Failed(String),
}

/// How entities are laid out, and what expressions may call: the schema that evaluation needs.
#[derive(derive_more::Debug, Default)]
pub struct Layout {
    /// The kinds in order.
    pub kinds: Vec<KindLayout>,
    /// The globals in order.
    pub globals: Vec<String>,
    /// Native functions that were registered.
    #[debug(skip)]
    pub natives: BTreeMap<String, NativeFunction>,
}

/// The names of a kind and of its fields.
#[derive(Debug, Default)]
pub struct KindLayout {
    /// `world`
    pub name: Arc<str>,
    /// `worlds`
    pub plural: String,
    /// The fields in order.
    pub fields: Vec<String>,
    /// The fields that are computed, by their names.
    pub derived: Vec<(String, Arc<Expression>)>,
}

impl Layout {
    /// The kind whose plural this is.
    pub(crate) fn plural(&self, name: &str) -> Option<KindId> {
        let index = self.kinds.iter().position(|k| k.plural == name)?;
        Some(KindId(u16::try_from(index).ok()?))
    }
}

/// What an expression can see: a mirror, names, and the mirror as it was before.
pub struct Scope<'a> {
    /// The layout of the mirror's entities.
    pub layout: &'a Arc<Layout>,
    /// The state that references read through.
    pub mirror: &'a Mirror,
    /// The state before the step, as `before`.
    pub before: Option<&'a Mirror>,
    /// The names in force; later ones hide earlier ones.
    pub names: &'a Names,
}

/// Names and their values.
#[derive(Clone, Debug, Default)]
pub struct Names {
    entries: Vec<(Arc<str>, Value)>,
}

/// Who acts is bound by two names, an answer by three, and what a rule makes by some.
const USUAL: usize = 6;

impl Names {
    /// No names yet, with room for so many beside the usual ones.
    pub fn with_room_for(more: usize) -> Names {
        Names {
            entries: Vec::with_capacity(more + USUAL),
        }
    }

    /// Binds a name, hiding what it was bound to.
    pub fn bind(&mut self, name: impl Into<Arc<str>>, value: Value) {
        self.entries.push((name.into(), value));
    }

    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.entries
            .iter()
            .rev()
            .find(|(n, _)| n.as_ref() == name)
            .map(|(_, v)| v)
    }

    /// How many bindings there are, for [`Names::truncate`].
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is bound.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Forgets the bindings made after there were `len`.
    pub fn truncate(&mut self, len: usize) {
        self.entries.truncate(len);
    }

    /// All bindings in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.entries.iter().map(|(n, v)| (n.as_ref(), v))
    }
}

impl VariableResolver for Scope<'_> {
    fn resolve<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        // CEL asks for `a.b.c` as one qualified name first; no name of a model has a dot.
        if name.contains('.') {
            return None;
        }
        if let Some(value) = self.names.get(name) {
            return wrap(value, self.layout, self.mirror);
        }
        if let Some(kind) = self.layout.plural(name) {
            return Some(CowVal::owned(plural(kind, self.layout, self.mirror)));
        }
        if let Some(index) = self.layout.globals.iter().position(|g| g == name) {
            return wrap(self.mirror.global(index)?, self.layout, self.mirror);
        }
        if name == "before" {
            let mirror = self.before?;
            return Some(CowVal::owned(PastVal {
                layout: self.layout.clone(),
                mirror: mirror.clone(),
            }));
        }
        None
    }
}

impl Expression {
    /// An expression from its parts; `uses` comes from the type checker.
    pub fn new(source: Arc<str>, span: Range<usize>, ast: IdedExpr, uses: Uses) -> Expression {
        Expression {
            source,
            span,
            uses,
            ast,
            code: OnceLock::new(),
        }
    }

    /// The parsed expression.
    pub fn ast(&self) -> &IdedExpr {
        &self.ast
    }

    /// The value of the expression in a scope.
    ///
    /// # Errors
    ///
    /// [`EvalError::Unknown`] where it needs something unknown, [`EvalError::Failed`] where it makes no sense.
    pub fn eval(&self, scope: &Scope<'_>) -> Result<Value, EvalError> {
        let value = self.code(scope.layout).value(&Frame::of(scope));
        value.or_else(|stop| match stop {
            Stop::Unknown => Err(EvalError::Unknown),
            Stop::Failed => self.eval_by_cel(scope),
        })
    }

    /// The truth of the expression in a scope.
    ///
    /// # Errors
    ///
    /// As [`Expression::eval`]; a value that is not a truth value is a failure.
    pub fn eval_bool(&self, scope: &Scope<'_>) -> Result<bool, EvalError> {
        let truth = self.code(scope.layout).test(&Frame::of(scope));
        truth.or_else(|stop| match stop {
            Stop::Unknown => Err(EvalError::Unknown),
            Stop::Failed => match self.eval_by_cel(scope)? {
                Value::Bool(truth) => Ok(truth),
                other => Err(EvalError::Failed(format!(
                    "it yields {} and should yield true or false",
                    other.type_name()
                ))),
            },
        })
    }

    /// How far the expression is from a truth value in a scope: 0 where it has it, up to 1 for each part that has to
    /// change. What is unknown counts as half way.
    pub fn distance(&self, scope: &Scope<'_>, want: bool) -> f64 {
        self.code(scope.layout).distance(&Frame::of(scope), want)
    }

    /// As [`Expression::eval`], by CEL's own interpreter, which says what failed.
    fn eval_by_cel(&self, scope: &Scope<'_>) -> Result<Value, EvalError> {
        let value = by_cel(&self.ast, scope)?;
        match value.has_unknown() {
            true => Err(EvalError::Unknown),
            false => Ok(value),
        }
    }

    /// The compiled expression. An expression belongs to one model, which has one layout.
    pub(super) fn code(&self, layout: &Layout) -> &Code {
        self.code.get_or_init(|| Code::compile(&self.ast, layout))
    }

    /// The parts of a claim that matter to a reader, and their values: both sides of each comparison that is not a
    /// constant, `body.status` → `"draft"`. What has no value here is left out.
    pub fn parts(&self, scope: &Scope<'_>) -> Vec<(String, Result<Value, EvalError>)> {
        let mut sides = Vec::new();
        compared(&self.ast, &mut sides);
        sides
            .into_iter()
            .filter_map(|side| {
                let text = unparse(side)?;
                let value = by_cel(side, scope);
                Some((text, value))
            })
            .collect()
    }
}

/// The value of an expression by CEL's interpreter.
pub(super) fn by_cel(expr: &IdedExpr, scope: &Scope<'_>) -> Result<Value, EvalError> {
    let mut context = Context::with_env(environment());
    context.set_variable_resolver(scope);
    for (name, function) in &scope.layout.natives {
        add_native(&mut context, name, function.clone());
    }
    match cel::Value::resolve_val(expr, &context) {
        Ok(val) => unwrap(val.as_ref()),
        Err(error) => Err(explain(&error)),
    }
}

/// The CEL environment that all models share: the standard library, the strings, lists and math extensions, and the
/// model language's own functions.
pub fn environment() -> Arc<Env> {
    static ENVIRONMENT: OnceLock<Arc<Env>> = OnceLock::new();
    ENVIRONMENT
        .get_or_init(|| {
            let mut env = Env::stdlib();
            // The names and signatures below are fixed and distinct, so none of these can conflict.
            let added = env
                .add_extension(cel::extensions::strings)
                .and_then(|()| env.add_extension(cel::extensions::lists))
                .and_then(|()| env.add_extension(cel::extensions::math))
                .and_then(|()| {
                    env.add_overload("gone", "gone_entity", vec![ENTITY.to_owned()], |args| {
                        let gone = args[0]
                            .downcast_ref::<EntityVal>()
                            .is_some_and(|e| e.record().is_none_or(|r| r.gone));
                        Ok(CowVal::owned(CelBool::from(gone)))
                    })
                })
                .and_then(|()| {
                    env.add_overload("absent", "absent", vec![], |_| Ok(CowVal::owned(AbsentVal)))
                })
                .and_then(|()| {
                    env.add_overload("sum", "sum_list", vec![cel::common::types::LIST_TYPE], sum)
                });
            debug_assert!(added.is_ok(), "{added:?}");
            Arc::new(env)
        })
        .clone()
}

/// `sum(list)`: the sum of a list of numbers; 0 of an empty one.
fn sum<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let mut whole = 0i64;
    let mut real = None;
    let items = args[0].as_iterable().ok_or_else(|| {
        ExecutionError::function_error("sum", "its argument should be a list of numbers")
    })?;
    let mut items = items.iter();
    while let Some(item) = items.next() {
        if let Some(int) = item.downcast_ref::<CelInt>() {
            whole = whole
                .checked_add(*int.inner())
                .ok_or_else(|| ExecutionError::function_error("sum", "the sum overflows"))?;
        } else if let Some(double) = item.downcast_ref::<CelDouble>() {
            *real.get_or_insert(0.0) += *double.inner();
        } else {
            return Err(ExecutionError::function_error(
                "sum",
                "its argument should be a list of numbers",
            ));
        }
    }
    Ok(match real {
        Some(real) => CowVal::owned(CelDouble::from(real + whole as f64)),
        None => CowVal::owned(CelInt::from(whole)),
    })
}

fn add_native(context: &mut Context<'_, '_>, name: &str, function: NativeFunction) {
    let called = name.to_owned();
    let added = context.add_function(
        name,
        move |cel::extractors::Arguments(args): cel::extractors::Arguments| {
            let values: Vec<Value> = args.iter().map(from_cel).collect();
            function(&values)
                .map(|value| to_cel(&value))
                .map_err(|error| ExecutionError::function_error(&called, error))
        },
    );
    // A name that clashes with a built-in function is refused when it is registered.
    debug_assert!(added.is_ok(), "{added:?}");
}

fn from_cel(value: &cel::Value) -> Value {
    match value {
        cel::Value::Int(i) => Value::Int(*i),
        cel::Value::UInt(u) => i64::try_from(*u).map_or(Value::Unknown, Value::Int),
        cel::Value::Float(f) => Value::Number(OrderedFloat(*f)),
        cel::Value::String(s) => Value::text(s.as_str()),
        cel::Value::Bool(b) => Value::Bool(*b),
        cel::Value::Null => Value::Null,
        cel::Value::List(items) => Value::List(items.iter().map(from_cel).collect()),
        _ => Value::Unknown,
    }
}

fn to_cel(value: &Value) -> cel::Value {
    match value {
        Value::Bool(b) => (*b).into(),
        Value::Int(i) => (*i).into(),
        Value::Number(n) => n.0.into(),
        Value::Text(t) => t.as_ref().into(),
        Value::List(items) => items.iter().map(to_cel).collect::<Vec<_>>().into(),
        _ => cel::Value::Null,
    }
}

const UNKNOWN: &str = "unknown";

fn unknown() -> ExecutionError {
    ExecutionError::function_error(UNKNOWN, UNKNOWN)
}

fn explain(error: &ExecutionError) -> EvalError {
    match error {
        ExecutionError::FunctionError { function, .. } if function == UNKNOWN => EvalError::Unknown,
        // Every name was checked when the model was loaded, so one that does not resolve has no value yet.
        ExecutionError::UndeclaredReference(_) => EvalError::Unknown,
        ExecutionError::NoSuchKey(key) => EvalError::Failed(format!("there is no `{key}`")),
        ExecutionError::FunctionError { function, message } => {
            EvalError::Failed(format!("{function}: {message}"))
        }
        ExecutionError::NoSuchOverload(overload) => EvalError::Failed(format!(
            "`{}` cannot be applied to {}",
            readable_operator(overload.function()),
            overload.argument_types().join(" and ")
        )),
        other => EvalError::Failed(other.to_string()),
    }
}

/// `_==_` → `==`
pub(super) fn readable_operator(name: &str) -> &str {
    match name {
        "_[_]" => "[]",
        "_?_:_" => "? :",
        "@in" => "in",
        other => other.trim_matches('_'),
    }
}

/// A mirror value as CEL sees it; nothing for what is unknown.
fn wrap<'b>(value: &'b Value, layout: &Arc<Layout>, mirror: &Mirror) -> Option<CowVal<'b, 'b>> {
    Some(match value {
        Value::Text(text) => CowVal::owned(CelString::from(text.as_ref())),
        other => CowVal::Owned(boxed(other, layout, mirror)?),
    })
}

fn boxed(value: &Value, layout: &Arc<Layout>, mirror: &Mirror) -> Option<Box<dyn Val>> {
    Some(match value {
        Value::Unknown => return None,
        Value::Absent => Box::new(AbsentVal),
        Value::Null => Box::new(CelNull),
        Value::Bool(b) => Box::new(CelBool::from(*b)),
        Value::Int(i) => Box::new(CelInt::from(*i)),
        Value::Number(n) => Box::new(CelDouble::from(n.0)),
        Value::Text(t) => Box::new(CelString::from(t.to_string())),
        Value::Fresh(prefix, n) => Box::new(CelString::from(format!("{prefix}-{n}"))),
        Value::List(items) => {
            let items: Option<Vec<_>> = items.iter().map(|v| boxed(v, layout, mirror)).collect();
            Box::new(CelList::from(items?))
        }
        Value::Map(map) => Box::new(MapVal {
            layout: layout.clone(),
            mirror: mirror.clone(),
            map: map.clone(),
            keys: OnceLock::new(),
        }),
        Value::Entity(handle) => Box::new(EntityVal {
            layout: layout.clone(),
            mirror: mirror.clone(),
            handle: *handle,
        }),
    })
}

fn plural(kind: KindId, layout: &Arc<Layout>, mirror: &Mirror) -> CelList<'static> {
    let items: Vec<Box<dyn Val>> = mirror
        .live(kind)
        .map(|handle| -> Box<dyn Val> {
            Box::new(EntityVal {
                layout: layout.clone(),
                mirror: mirror.clone(),
                handle,
            })
        })
        .collect();
    CelList::from(items)
}

/// What CEL made, as a value of ours.
fn unwrap(val: &dyn Val) -> Result<Value, EvalError> {
    if let Some(v) = val.downcast_ref::<CelString>() {
        return Ok(Value::text(v.inner()));
    }
    if let Some(v) = val.downcast_ref::<CelInt>() {
        return Ok(Value::Int(*v.inner()));
    }
    if let Some(v) = val.downcast_ref::<CelBool>() {
        return Ok(Value::Bool(*v.inner()));
    }
    if let Some(v) = val.downcast_ref::<EntityVal>() {
        return Ok(Value::Entity(v.handle));
    }
    if val.downcast_ref::<CelNull>().is_some() {
        return Ok(Value::Null);
    }
    if val.downcast_ref::<AbsentVal>().is_some() {
        return Ok(Value::Absent);
    }
    if let Some(v) = val.downcast_ref::<CelDouble>() {
        return Ok(Value::Number(OrderedFloat(*v.inner())));
    }
    if let Some(v) = val.downcast_ref::<CelUInt>() {
        return i64::try_from(*v.inner())
            .map(Value::Int)
            .map_err(|_| EvalError::Failed("a number is too large".into()));
    }
    if let Some(v) = val.downcast_ref::<MapVal>() {
        return Ok(Value::Map(v.map.clone()));
    }
    if let Some(v) = val.downcast_ref::<CelList>() {
        let items: Result<Vec<_>, _> = v.inner().iter().map(|i| unwrap(i.as_ref())).collect();
        return Ok(Value::List(items?.into()));
    }
    if let Some(v) = val.downcast_ref::<CelMap>() {
        let mut map = BTreeMap::new();
        for (key, value) in v.inner() {
            map.insert(unwrap(key.inner())?, unwrap(value.as_ref())?);
        }
        return Ok(Value::Map(Arc::new(map)));
    }
    if let Some(v) = val.downcast_ref::<CelTimestamp>() {
        return Ok(Value::text(v.inner().to_rfc3339()));
    }
    if let Some(v) = val.downcast_ref::<CelOptional>() {
        return v.option().map_or(Ok(Value::Absent), unwrap);
    }
    Err(EvalError::Failed(format!(
        "it yields a {}, which a model cannot hold",
        val.get_type().name()
    )))
}

static ENTITY: Type = Type::new_unspecified_type("entity");
static PAST: Type = Type::new_unspecified_type("before");
static ABSENT: Type = Type::new_unspecified_type("absent");

/// A reference: fields are read in its mirror when they are asked for.
#[derive(Clone)]
struct EntityVal {
    layout: Arc<Layout>,
    mirror: Mirror,
    handle: Handle,
}

impl EntityVal {
    fn record(&self) -> Option<&super::mirror::Record> {
        self.mirror.get(self.handle)
    }
}

impl EntityVal {
    /// A field that is computed, in the mirror that this reference reads.
    fn derived<'b, 'v>(&self, name: &str) -> Result<CowVal<'b, 'v>, ExecutionError> {
        let kind = &self.layout.kinds[usize::from(self.handle.kind.0)];
        let (_, what) = (kind.derived.iter())
            .find(|(derived, _)| derived == name)
            .ok_or_else(|| ExecutionError::no_such_key(name))?;
        let mut names = Names::default();
        names.bind("self", Value::Entity(self.handle));
        let value = what.eval(&Scope {
            layout: &self.layout,
            mirror: &self.mirror,
            before: None,
            names: &names,
        });
        match value {
            Ok(value) => boxed(&value, &self.layout, &self.mirror)
                .map(CowVal::Owned)
                .ok_or_else(unknown),
            Err(EvalError::Unknown) => Err(unknown()),
            Err(EvalError::Failed(why)) => Err(ExecutionError::function_error(name, why)),
        }
    }
}

impl std::fmt::Debug for EntityVal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "entity {}", self.handle)
    }
}

impl Val for EntityVal {
    fn get_type(&self) -> &Type {
        &ENTITY
    }
    fn cel_type() -> &'static Type {
        &ENTITY
    }
    fn equals(&self, other: &dyn Val) -> bool {
        other
            .downcast_ref::<EntityVal>()
            .is_some_and(|o| o.handle == self.handle)
    }
    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }
    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(self.clone())
    }
    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}
impl StaticVal for EntityVal {}

impl Indexer for EntityVal {
    fn get<'b, 'v>(&'b self, field: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        let Some(name) = field.downcast_ref::<CelString>() else {
            return Err(ExecutionError::function_error("[]", "a field is a name"));
        };
        let kind = &self.layout.kinds[usize::from(self.handle.kind.0)];
        let Some(index) = kind.fields.iter().position(|f| f == name.inner()) else {
            return self.derived(name.inner());
        };
        let value = self
            .record()
            .and_then(|record| record.fields.get(index))
            .ok_or_else(unknown)?;
        boxed(value, &self.layout, &self.mirror)
            .map(CowVal::Owned)
            .ok_or_else(unknown)
    }

    fn steal<'v>(self: Box<Self>, field: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.get(field).map(CowVal::into_owned)
    }
}

/// `before`: the plurals and globals of an earlier mirror.
#[derive(Clone)]
struct PastVal {
    layout: Arc<Layout>,
    mirror: Mirror,
}

impl std::fmt::Debug for PastVal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("before")
    }
}

impl Val for PastVal {
    fn get_type(&self) -> &Type {
        &PAST
    }
    fn cel_type() -> &'static Type {
        &PAST
    }
    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }
    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(self.clone())
    }
    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}
impl StaticVal for PastVal {}

impl Indexer for PastVal {
    fn get<'b, 'v>(&'b self, name: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        let Some(name) = name.downcast_ref::<CelString>() else {
            return Err(ExecutionError::function_error("[]", "a plural is a name"));
        };
        if let Some(kind) = self.layout.plural(name.inner()) {
            return Ok(CowVal::owned(plural(kind, &self.layout, &self.mirror)));
        }
        let index = self.layout.globals.iter().position(|g| g == name.inner());
        index
            .and_then(|index| self.mirror.global(index))
            .ok_or_else(|| ExecutionError::no_such_key(name.inner()))
            .and_then(|value| boxed(value, &self.layout, &self.mirror).ok_or_else(unknown))
            .map(CowVal::Owned)
    }

    fn steal<'v>(self: Box<Self>, name: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.get(name).map(CowVal::into_owned)
    }
}

/// What `absent()` yields.
#[derive(Clone, Debug)]
struct AbsentVal;

impl Val for AbsentVal {
    fn get_type(&self) -> &Type {
        &ABSENT
    }
    fn cel_type() -> &'static Type {
        &ABSENT
    }
    /// What is left out is null to whoever asks.
    fn equals(&self, other: &dyn Val) -> bool {
        other.downcast_ref::<AbsentVal>().is_some() || other.downcast_ref::<CelNull>().is_some()
    }
    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(AbsentVal)
    }
    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}
impl StaticVal for AbsentVal {}

/// A map of the mirror or of an answer. Its keys may be entities, which CEL's own maps do not take.
struct MapVal {
    layout: Arc<Layout>,
    mirror: Mirror,
    map: Arc<BTreeMap<Value, Value>>,
    keys: OnceLock<Vec<Box<dyn Val>>>,
}

impl MapVal {
    fn keys(&self) -> &[Box<dyn Val>] {
        self.keys.get_or_init(|| {
            self.map
                .keys()
                .filter_map(|key| boxed(key, &self.layout, &self.mirror))
                .collect()
        })
    }
}

impl std::fmt::Debug for MapVal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "map of {}", self.map.len())
    }
}

impl Val for MapVal {
    fn get_type(&self) -> &Type {
        &MAP_TYPE
    }
    fn cel_type() -> &'static Type {
        &MAP_TYPE
    }
    fn as_container(&self) -> Option<&dyn Container> {
        Some(self)
    }
    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }
    fn as_iterable<'b, 'v>(&'b self) -> Option<&'b (dyn Iterable + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }
    fn as_sizer(&self) -> Option<&dyn Sizer> {
        Some(self)
    }
    fn equals(&self, other: &dyn Val) -> bool {
        unwrap(other).is_ok_and(|other| match other {
            Value::Map(map) => map == self.map,
            _ => false,
        })
    }
    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(MapVal {
            layout: self.layout.clone(),
            mirror: self.mirror.clone(),
            map: self.map.clone(),
            keys: OnceLock::new(),
        })
    }
    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}
impl StaticVal for MapVal {}

impl Container for MapVal {
    fn contains(&self, value: &dyn Val) -> Result<bool, ExecutionError> {
        let key = unwrap(value).map_err(|_| unknown())?;
        Ok(self.map.contains_key(&key))
    }
}

impl Indexer for MapVal {
    fn get<'b, 'v>(&'b self, index: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        let key = unwrap(index).map_err(|_| unknown())?;
        let value = self
            .map
            .get(&key)
            .ok_or_else(|| ExecutionError::no_such_key(&key.to_text(&|h| h.to_string().into())))?;
        boxed(value, &self.layout, &self.mirror)
            .map(CowVal::Owned)
            .ok_or_else(unknown)
    }

    fn steal<'v>(self: Box<Self>, index: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.get(index).map(CowVal::into_owned)
    }
}

impl Iterable for MapVal {
    fn iter<'b, 'v>(&'b self) -> Box<dyn CelIterator<'b, 'v> + 'b>
    where
        Self: 'v,
    {
        Box::new(KeyIterator(self.keys().iter()))
    }
}

impl Sizer for MapVal {
    fn size(&self) -> CelInt {
        CelInt::from(i64::try_from(self.map.len()).unwrap_or(i64::MAX))
    }
}

struct KeyIterator<'b>(std::slice::Iter<'b, Box<dyn Val>>);

impl<'b, 'v> CelIterator<'b, 'v> for KeyIterator<'b> {
    fn next(&mut self) -> Option<&'b (dyn Val + 'v)> {
        self.0.next().map(|key| key.as_ref() as &(dyn Val + 'v))
    }
}
