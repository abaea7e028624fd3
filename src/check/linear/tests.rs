use proptest::prelude::*;

use super::*;
use crate::model::action::{Actor, Picked};
use crate::model::value::{KindId, Value};

fn model(name: &str) -> Model {
    let path = format!("tests/histories/{name}.yaml");
    Model::load(path.as_ref()).expect("the model is valid")
}

fn body(entries: &[(&str, i64)]) -> Value {
    let map = entries
        .iter()
        .map(|(k, v)| (Value::text(*k), Value::Int(*v)))
        .collect();
    Value::Map(std::sync::Arc::new(map))
}

fn operation(model: &Model, rule: &str, args: &[i64], times: (u64, Option<u64>)) -> Operation {
    let rule = model.rule_named(rule).expect("a rule of the model");
    let register = Handle {
        kind: KindId(0),
        step: 0,
        nth: 0,
    };
    Operation {
        id: 0,
        deed: Deed::Act(Action {
            rule,
            actor: Actor::Anyone,
            picks: (model.rules[rule].picks.iter())
                .map(|_| Picked::Entity(register))
                .collect(),
            args: args.iter().map(|arg| Value::Int(*arg)).collect(),
        }),
        start: times.0,
        end: times.1,
        answer: None,
        again: None,
    }
}

fn answered(status: u16, body: Value, operation: Operation) -> Operation {
    Operation {
        answer: Some(Answer {
            status,
            headers: Value::Map(std::sync::Arc::default()),
            body,
        }),
        ..operation
    }
}

/// A mirror with one register in it, where the model has any.
fn start(model: &Model) -> Mirror {
    let mut mirror = model.initial();
    if model.name == "register" {
        let register = Handle {
            kind: KindId(0),
            step: 0,
            nth: 0,
        };
        mirror.insert(register, vec![Value::text("r"), Value::Int(0)]);
    }
    mirror
}

fn verdict(model: &Model, mut operations: Vec<Operation>) -> Verdict {
    for (id, op) in operations.iter_mut().enumerate() {
        op.id = u32::try_from(id + 1).expect("few");
    }
    check(model, &start(model), &operations, &Bounds::default())
}

/// Whether some permutation explains a history, by looking at all of them.
fn by_brute_force(model: &Model, operations: &[Operation]) -> bool {
    fn from(space: &mut Space<'_>, state: u32, done: &mut Vec<usize>) -> bool {
        let operations = space.operations();
        let left: Vec<usize> = (0..operations.len())
            .filter(|o| !done.contains(o))
            .collect();
        if left.iter().all(|o| operations[*o].answer.is_none()) {
            return true;
        }
        for operation in left.iter().copied() {
            let op = &operations[operation];
            let ended = |other: &usize| {
                let other = &operations[*other];
                other.answer.is_some() && other.until() < op.start
            };
            // What has no answer and is over may just never have come.
            let late = done.iter().any(|d| operations[*d].start > op.until());
            if left.iter().any(ended) || late {
                continue;
            }
            let next: Vec<u32> = match &op.answer {
                Some(_) => {
                    let before = done.clone();
                    let done = |o: usize| before.contains(&o);
                    space.observe(state, operation, done).into_iter().collect()
                }
                None => space.suppose(state, operation).to_vec(),
            };
            for state in next {
                done.push(operation);
                let explained = from(space, state, done);
                done.pop();
                if explained {
                    return true;
                }
            }
        }
        false
    }
    let mirror = start(model);
    let mut space = Space::new(model, &mirror, operations);
    from(&mut space, 0, &mut Vec::new())
}

#[test]
fn a_read_may_be_of_either_of_two_writes_at_once() {
    let model = model("register");
    let put = |value, from, to| {
        let op = operation(&model, "put", &[value], (from, Some(to)));
        answered(200, Value::Null, op)
    };
    let get = |value, from, to| {
        let op = operation(&model, "get", &[], (from, Some(to)));
        answered(200, body(&[("value", value)]), op)
    };
    let writes = vec![put(1, 0, 10), put(2, 5, 15)];
    for (read, holds) in [(1, true), (2, true), (0, false)] {
        let mut all = writes.clone();
        all.push(get(read, 20, 30));
        let verdict = verdict(&model, all);
        assert_eq!(verdict == Verdict::Explained, holds, "{read}: {verdict:?}");
    }
    // Once one of them was read, the other one is not.
    let mut all = writes;
    all.extend([get(1, 20, 30), get(2, 40, 50)]);
    let Verdict::Contradicted(refutation) = verdict(&model, all) else {
        panic!("a stale read")
    };
    assert_eq!(refutation.order, [1, 0, 2]);
    assert_eq!(refutation.next[0].operation, 3);
}

#[test]
fn a_lost_write_may_come_late_or_never_but_not_after_its_fence() {
    let model = model("register");
    let get = |value, from, to| {
        let op = operation(&model, "get", &[], (from, Some(to)));
        answered(200, body(&[("value", value)]), op)
    };
    let reads = |fence| {
        vec![
            operation(&model, "put", &[7], (0, fence)),
            get(0, 10, 20),
            get(7, 30, 40),
        ]
    };
    assert_eq!(verdict(&model, reads(None)), Verdict::Explained);
    assert_eq!(verdict(&model, reads(Some(35))), Verdict::Explained);
    assert!(matches!(
        verdict(&model, reads(Some(5))),
        Verdict::Contradicted(_)
    ));
    // It came once, so that nothing brings it back.
    let mut again = reads(None);
    again.extend([
        answered(
            200,
            Value::Null,
            operation(&model, "put", &[1], (50, Some(60))),
        ),
        get(1, 70, 80),
        get(7, 90, 100),
    ]);
    assert!(matches!(verdict(&model, again), Verdict::Contradicted(_)));
}

#[test]
fn registers_are_judged_apart_and_what_is_shared_is_not() {
    let register = model("register");
    let mut operations = vec![
        operation(&register, "put", &[1], (0, Some(9))),
        operation(&register, "get", &[], (0, Some(9))),
        operation(&register, "put", &[2], (0, Some(9))),
    ];
    if let Deed::Act(action) = &mut operations[1].deed {
        action.picks = vec![Picked::Entity(Handle {
            kind: KindId(0),
            step: 7,
            nth: 0,
        })];
    }
    let groups = split::split(&register, &start(&register), &operations, &[0, 1, 2]);
    assert_eq!(groups, [vec![0, 2], vec![1]]);
    let counter = model("counter");
    let operations = [
        operation(&counter, "add", &[1], (0, Some(9))),
        operation(&counter, "read", &[], (0, Some(9))),
    ];
    let groups = split::split(&counter, &start(&counter), &operations, &[0, 1]);
    assert_eq!(groups, [vec![0, 1]]);
}

#[test]
fn an_item_is_taken_once() {
    let model = model("queue");
    let push = operation(&model, "push", &[5], (0, Some(1)));
    let take = |times| {
        let op = operation(&model, "take", &[], times);
        answered(200, body(&[("item", 5)]), op)
    };
    let once = vec![answered(201, Value::Null, push), take((2, Some(9)))];
    assert_eq!(verdict(&model, once.clone()), Verdict::Explained);
    let mut twice = once;
    twice.push(take((3, Some(8))));
    let Verdict::Contradicted(refutation) = verdict(&model, twice) else {
        panic!("an item that was taken twice")
    };
    assert_eq!(
        refutation.next[0].expected,
        [("something_waits".to_owned(), "404".to_owned())]
    );
}

/// A short history of one of the models, with answers that may be wrong.
fn few(name: &'static str) -> impl Strategy<Value = Vec<(usize, i64, i64, u64, u64, u8)>> {
    let kinds = match name {
        "counter" | "register" | "queue" => 2usize,
        _ => 1,
    };
    let op = (0..kinds, 1i64..3, 0i64..4, 0u64..12, 0u64..8, 0u8..4);
    prop::collection::vec(op, 1..=6)
}

fn made(model: &Model, drawn: &[(usize, i64, i64, u64, u64, u8)]) -> Vec<Operation> {
    let operation = |(kind, arg, seen, from, took, lost): &(usize, i64, i64, u64, u64, u8)| {
        let (rule, args, status, entry) = match (model.name.as_str(), kind) {
            ("register", 0) => ("put", vec![*arg], 200, ""),
            ("register", _) => ("get", vec![], 200, "value"),
            ("queue", 0) => ("push", vec![*arg], 201, ""),
            ("queue", _) if *seen == 0 => ("take", vec![], 404, ""),
            ("queue", _) => ("take", vec![], 200, "item"),
            (_, 0) => ("add", vec![*arg], 200, "count"),
            _ => ("read", vec![], 200, "count"),
        };
        let op = operation(model, rule, &args, (*from, Some(from + took)));
        match lost {
            0 => Operation { end: None, ..op },
            1 if *took > 5 => op,
            _ => answered(status, body(&[(entry, *seen)]), op),
        }
    };
    drawn.iter().map(operation).collect()
}

/// What a sound server answers when clients run at once, some of whose answers are lost.
pub(super) fn simulated(model: &Model, seed: u64, clients: usize, length: usize) -> Vec<Operation> {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};
    let mut rng = StdRng::seed_from_u64(seed);
    let mut at = vec![0u64; clients];
    let mut asked = Vec::new();
    for index in 0..length {
        let client = index % clients;
        let start = at[client] + rng.random_range(1..20u64);
        let effect = start + rng.random_range(0..20u64);
        let end = effect + rng.random_range(0..20u64);
        at[client] = end + 1;
        asked.push((
            effect,
            start,
            end,
            rng.random_range(0..2usize),
            rng.random_range(1..9i64),
            rng.random_range(0..40u8),
        ));
    }
    asked.sort_unstable();
    let (mut value, mut queue) = (0, std::collections::VecDeque::new());
    let mut operations = Vec::new();
    for (_, start, end, kind, arg, luck) in asked {
        // One in twenty has no answer, and half of these never come.
        let (lost, comes) = (luck < 2, luck != 0);
        let (rule, args, status, answer) = match (model.name.as_str(), kind) {
            ("register", 0) => {
                value = if comes { arg } else { value };
                ("put", vec![arg], 200, Value::Null)
            }
            ("register", _) => ("get", vec![], 200, body(&[("value", value)])),
            ("queue", 0) => {
                if comes {
                    queue.push_back(arg);
                }
                ("push", vec![arg], 201, Value::Null)
            }
            ("queue", _) => match comes.then(|| queue.pop_front()).flatten() {
                Some(item) => ("take", vec![], 200, body(&[("item", item)])),
                None => ("take", vec![], 404, Value::Null),
            },
            (_, 0) => {
                value += if comes { arg } else { 0 };
                ("add", vec![arg], 200, body(&[("count", value)]))
            }
            _ => ("read", vec![], 200, body(&[("count", value)])),
        };
        let op = operation(model, rule, &args, (start, Some(end)));
        operations.push(match lost {
            true => Operation { end: None, ..op },
            false => answered(status, answer, op),
        });
    }
    operations
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn it_agrees_with_whoever_looks_at_all_orders(
        register in few("register"), queue in few("queue"), counter in few("counter")
    ) {
        for (name, drawn) in [("register", register), ("queue", queue), ("counter", counter)] {
            let model = model(name);
            let operations = made(&model, &drawn);
            let holds = by_brute_force(&model, &operations);
            let verdict = verdict(&model, operations.clone());
            prop_assert_eq!(verdict == Verdict::Explained, holds, "{} {:?}: {:?}", name, drawn, verdict);
            // Each search by itself.
            let mirror = start(&model);
            let all: Vec<usize> = {
                let mut all: Vec<usize> = (0..operations.len()).collect();
                all.sort_by_key(|o| operations[*o].start);
                all
            };
            let mut budget = Budget { left: usize::MAX, until: None, why: None };
            let mut space = Space::new(&model, &mirror, &operations);
            let mut forward = Forward::new(&space, 0, &[], &all);
            let found = forward.advance(&mut space, usize::MAX, &mut budget);
            prop_assert_eq!(found == Some(Verdict::Explained), holds, "forward {} {:?}", name, drawn);
            let mut depth = Depth::new(&space, 0, &[], &all);
            let found = depth.advance(&mut space, usize::MAX, &mut budget);
            prop_assert_eq!(found == Some(Verdict::Explained), holds, "depth {} {:?}", name, drawn);
        }
    }
}

#[test]
fn what_a_sound_server_answers_is_never_rejected() {
    let bounds = Bounds {
        worlds: 20_000,
        ..Bounds::default()
    };
    for name in ["register", "queue", "counter"] {
        let model = model(name);
        let mut explained = 0;
        for seed in 0..20 {
            let operations = simulated(&model, seed, 4, 60);
            let verdict = check(&model, &start(&model), &operations, &bounds);
            match verdict {
                Verdict::Explained => explained += 1,
                Verdict::Inconclusive(_) => {}
                Verdict::Contradicted(_) => panic!("{name}, seed {seed}: {verdict:?}"),
            }
        }
        assert!(
            explained > 10,
            "{name}: only {explained} of 20 in the bounds"
        );
    }
}
