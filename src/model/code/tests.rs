//! Compiled expressions against CEL's own interpreter: of thousands of expressions that are drawn, over all kinds of
//! values, both must say the same.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use cel::IdedExpr;
use ordered_float::OrderedFloat;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::evaluate::written_out;
use super::{Code, Frame, Stop};
use crate::model::expression::{
    EvalError, Expression, KindLayout, Layout, Names, Scope, Uses, by_cel, environment,
};
use crate::model::mirror::Mirror;
use crate::model::value::{Handle, KindId, Value};
use crate::model::walk::null_behind;

fn parse(text: &str) -> IdedExpr {
    let mut ast = environment().parser().parse(text).expect(text);
    null_behind(&mut ast);
    ast
}

fn handle(step: u32) -> Handle {
    Handle {
        kind: KindId(0),
        step,
        nth: 0,
    }
}

/// Three things, one of them gone, one of them with a field that is not known; and names of every kind of value.
struct World {
    layout: Arc<Layout>,
    mirror: Mirror,
    before: Mirror,
    names: Names,
}

impl World {
    fn new() -> World {
        let derived = |text: &str| {
            let ast = parse(text);
            Arc::new(Expression::new(text.into(), 0..0, ast, Uses::default()))
        };
        let layout = Arc::new(Layout {
            kinds: vec![KindLayout {
                name: "thing".into(),
                plural: "things".into(),
                fields: ["n", "name", "next", "tags"].map(String::from).into(),
                derived: vec![
                    ("big".into(), derived("self.n > 1")),
                    ("others".into(), derived("things.filter(x, x != self)")),
                ],
            }],
            globals: vec!["limit".into(), "lost".into()],
            natives: BTreeMap::new(),
        });
        let mut mirror = Mirror::new(1, vec![Value::Int(2), Value::Unknown]);
        let tags = Value::List(vec![Value::text("x"), Value::Fresh("t".into(), 1)].into());
        let thing = |n: Value, next: Value| vec![n, Value::text("x"), next, tags.clone()];
        mirror.insert(handle(1), thing(Value::Int(1), Value::Null));
        let before = mirror.clone();
        mirror.insert(handle(2), thing(Value::Int(2), handle(1).into()));
        mirror.insert(handle(3), thing(Value::Unknown, handle(2).into()));
        mirror.insert(handle(4), thing(Value::Int(4), Value::Null));
        mirror.delete(handle(4));
        let map: BTreeMap<Value, Value> = [
            (Value::text("k"), Value::Int(1)),
            (Value::text("name"), Value::Null),
            (Value::text("u"), Value::Unknown),
            (handle(1).into(), Value::text("mine")),
        ]
        .into();
        let mut names = Names::default();
        for (name, value) in [
            ("one", Value::Int(1)),
            ("half", Value::Number(OrderedFloat(0.5))),
            ("nan", Value::Number(OrderedFloat(f64::NAN))),
            ("whole", Value::Number(OrderedFloat(1.0))),
            ("text", Value::text("x")),
            ("fresh", Value::Fresh("t".into(), 1)),
            ("nothing", Value::Null),
            ("left_out", Value::Absent),
            ("unknown", Value::Unknown),
            ("yes", Value::Bool(true)),
            ("first", handle(1).into()),
            ("second", handle(2).into()),
            ("third", handle(3).into()),
            ("dead", handle(4).into()),
            ("never", handle(9).into()),
            ("map", Value::Map(Arc::new(map))),
            (
                "list",
                Value::List(vec![Value::Int(1), Value::Int(3)].into()),
            ),
            (
                "holes",
                Value::List(vec![Value::Int(1), Value::Unknown].into()),
            ),
        ] {
            names.bind(name, value);
        }
        World {
            layout,
            mirror,
            before,
            names,
        }
    }

    fn scope(&self) -> Scope<'_> {
        Scope {
            layout: &self.layout,
            mirror: &self.mirror,
            before: Some(&self.before),
            names: &self.names,
        }
    }

    /// What compiled code says, and what CEL does.
    fn both(&self, text: &str) -> (Result<Value, Stop>, Result<Value, Stop>) {
        let ast = parse(text);
        let scope = self.scope();
        let known = |value: Value| match value.has_unknown() {
            true => Err(EvalError::Unknown),
            false => Ok(value),
        };
        let cel = by_cel(&ast, &scope)
            .and_then(known)
            .map_err(|error| match error {
                EvalError::Unknown => Stop::Unknown,
                EvalError::Failed(_) => Stop::Failed,
            });
        let code = Code::compile(&ast, &self.layout);
        let value = code.value(&Frame::of(&scope));
        (value.map(|value| written_out(Cow::Owned(value))), cel)
    }
}

fn atom() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec![
            "one", "half", "nan", "whole", "text", "fresh", "nothing", "left_out", "unknown", "yes",
            "first", "second", "third", "dead", "never", "map", "list", "holes", "things", "limit",
            "lost", "nowhere",
        ]).prop_map(String::from),
        2 => prop::sample::select(vec![
            "true", "false", "null", "0", "1", "2.0", "\"x\"", "\"t-1\"", "\"k\"", "[]", "absent()",
            "before.things", "9223372036854775807",
        ]).prop_map(String::from),
    ]
}

/// Expressions, of types that fit and of such as do not.
fn expression() -> impl Strategy<Value = String> {
    atom().prop_recursive(4, 24, 3, |inner| {
        let of = inner.clone();
        let two = (inner.clone(), inner.clone());
        let operator = prop::sample::select(vec![
            "&&", "||", "==", "!=", "<", "<=", ">", ">=", "in", "+", "-", "*", "/", "%",
        ]);
        let field = prop::sample::select(vec![
            "n", "name", "next", "tags", "big", "others", "k", "u", "no",
        ]);
        let call = prop::sample::select(vec!["size", "sum", "gone", "string"]);
        let macros = prop::sample::select(vec!["all", "exists", "exists_one", "filter", "map"]);
        prop_oneof![
            5 => (two.clone(), operator).prop_map(|((l, r), o)| format!("({l} {o} {r})")),
            3 => (of.clone(), field).prop_map(|(of, field)| format!("{of}.{field}")),
            2 => (of.clone(), macros).prop_map(|(of, name)| format!("{of}.{name}(x, x == one)")),
            2 => (two.clone(), prop::sample::select(vec![
                "all", "exists", "exists_one", "filter", "map",
            ]))
                .prop_map(|((of, body), name)| format!("{of}.{name}(first, {body})")),
            1 => of.clone().prop_map(|of| format!("!({of})")),
            1 => of.clone().prop_map(|of| format!("-({of})")),
            1 => (of.clone(), call).prop_map(|(of, call)| format!("{call}({of})")),
            1 => of.clone().prop_map(|of| format!("has({of}.k)")),
            1 => of.clone().prop_map(|of| format!("{of}.sort()")),
            1 => of.clone().prop_map(|of| format!("{of}.lowerAscii()")),
            1 => two.clone().prop_map(|(a, b)| format!("[{a}, {b}, {a}].sort()")),
            1 => (two.clone()).prop_map(|(of, key)| format!("{of}[{key}]")),
            1 => (two.clone()).prop_map(|(a, b)| format!("[{a}, {b}]")),
            1 => (two, of).prop_map(|((c, a), b)| format!("(({c}) ? ({a}) : ({b}))")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 20_000,
        rng_seed: RngSeed::Fixed(13),
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn what_is_compiled_says_what_cel_says(text in expression()) {
        // `has` takes a field of something, which not all that is drawn is.
        prop_assume!(environment().parser().parse(&text).is_ok());
        let (code, cel) = World::new().both(&text);
        prop_assert_eq!(code, cel, "{}", text);
    }
}

#[test]
fn what_is_new_in_every_run_stays_so() {
    let world = World::new();
    for text in ["fresh", "false ? text : fresh", "[fresh][0]"] {
        let code = Code::compile(&parse(text), &world.layout);
        let value = code.value(&Frame::of(&world.scope()));
        assert_eq!(value, Ok(Value::Fresh("t".into(), 1)), "{text}");
    }
}

#[test]
fn what_decides_does_so_whatever_is_unknown() {
    let world = World::new();
    for (text, wanted) in [
        ("unknown && false", Ok(false)),
        ("unknown || true", Ok(true)),
        ("unknown && true", Err(Stop::Unknown)),
        ("things.exists(t, t.n == 2)", Ok(true)),
        ("things.all(t, t.n < 2)", Ok(false)),
        ("things.all(t, t.n < 3)", Err(Stop::Unknown)),
        ("things.exists(t, t.next.n == 1)", Ok(true)),
        ("left_out == null", Ok(true)),
        ("null == left_out", Ok(true)),
        ("whole == one", Ok(true)),
        ("nan == nan", Ok(false)),
        ("second.big && !first.big", Ok(true)),
        ("size(second.others) == 2", Ok(true)),
        ("fresh == \"t-1\" && fresh in first.tags", Ok(true)),
        ("map[first] == \"mine\"", Ok(true)),
        ("size(before.things) == 1 && size(things) == 3", Ok(true)),
        ("gone(dead) && gone(never) && !gone(first)", Ok(true)),
    ] {
        let (code, cel) = world.both(text);
        assert_eq!(code, cel, "{text}");
        assert_eq!(code, wanted.map(Value::Bool), "{text}");
    }
}
