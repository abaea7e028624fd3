use std::sync::Arc;

use proptest::prelude::*;

use super::super::fixture::{Slip, found, model};
use super::*;
use crate::generate::{Close, Cut, Damage, Delivery, Generator, Options, Step};
use crate::model::value::Value;

fn snapshot_of(model: &Model, plan: Plan) -> Snapshot {
    Snapshot {
        model: model.name.clone(),
        check: CheckId::Outcome {
            rule: "submit_proposal".into(),
            expected: "own_proposal".into(),
        },
        plan,
        description: "a: \"b\" # c".into(),
        body: "first\n---\nlast".into(),
    }
}

/// The snapshot after insta has read it and written it again, as `cargo insta accept` does.
fn through_insta(text: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("a.snap.new"), dir.path().join("a.snap"));
    std::fs::write(&from, text).unwrap();
    insta::Snapshot::from_file(&from)
        .unwrap()
        .save(&to)
        .unwrap();
    std::fs::read_to_string(to).unwrap()
}

#[test]
fn a_file() {
    let model = model();
    let snapshot = Snapshot::new(&model, &found(&model, Slip::PublishesForAnybody, 3));
    insta::assert_snapshot!(snapshot.to_text(&model).unwrap());
}

#[test]
fn all_generated_plans_are_read_back_also_after_insta() {
    let model = Arc::new(Model::load("models/deep-sci-fi.yaml".as_ref()).unwrap());
    let generator = Generator::new(model.clone(), Options::default());
    for seed in 0..12 {
        let snapshot = snapshot_of(&model, generator.plan(seed));
        let text = snapshot.to_text(&model).unwrap();
        assert_eq!(
            Snapshot::parse(&model, "a.snap", &text).unwrap(),
            snapshot,
            "seed {seed}"
        );
        let again = through_insta(&text);
        assert_eq!(
            Snapshot::parse(&model, "a.snap", &again).unwrap(),
            snapshot,
            "seed {seed}"
        );
    }
}

fn values() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        any::<String>(),
        "[ -~]{0,12}",
        proptest::sample::select(vec![
            "",
            "~",
            "null",
            "yes",
            "No",
            "on",
            "1e3",
            "0x1F",
            "012",
            "1:30",
            "2026-11-20",
            "-",
            "---",
            "- a",
            "# x",
            "a: b",
            "a #b",
            "'",
            "\"",
            "\\",
            "!tag",
            "&a",
            "*a",
            "%",
            "@",
            "`",
            "|",
            ">",
            "? x",
            ":",
            "<<",
            "=",
            ".inf",
            "NaN",
            "$text",
            "a\nb",
            "\u{85}",
            "\u{2028}",
            "\u{feff}",
            "\u{fffe}",
            "\u{1f600}",
            "é",
            "\0",
            "\u{a0}",
            "\t",
            " a",
            "a ",
            "[",
            "{}",
            "+1",
            "1_000",
            ".5",
            "true",
            "y",
            "n",
            "off",
            "Null",
            "12",
            "-7",
            "1e-5",
            "0b1",
            "6.02E23",
            "1b4e28ba-2fa1-41d2-883f-0016d3cca421",
            "TRUE",
            "0o7",
            "\u{e000}",
            "\u{10ffff}",
        ])
        .prop_map(str::to_owned),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<f64>()
            .prop_filter("not a number equals nothing", |n| !n.is_nan())
            .prop_map(|n| Value::Number(n.into())),
        text.clone().prop_map(Value::text),
        (text, any::<u32>()).prop_map(|(t, n)| Value::Fresh(t.into(), n)),
        (0..2u16, any::<u32>(), any::<u16>()).prop_map(|(kind, step, nth)| {
            Value::Entity(crate::model::value::Handle {
                kind: crate::model::value::KindId(kind),
                step,
                nth,
            })
        }),
        Just(Value::Absent),
        Just(Value::Unknown),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(|v| Value::List(v.into())),
            proptest::collection::btree_map(inner.clone(), inner, 0..4)
                .prop_map(|m| Value::Map(Arc::new(m))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]
    #[test]
    fn any_argument_is_read_back_also_after_insta(value in values(), seed in any::<u64>()) {
        let model = model();
        let mut plan = found(&model, Slip::PublishesForAnybody, 3).plan;
        plan.seed = seed;
        plan.steps[0].action.args[0] = value;
        let snapshot = snapshot_of(&model, plan);
        let text = snapshot.to_text(&model).unwrap();
        prop_assert_eq!(&Snapshot::parse(&model, "a.snap", &text).unwrap(), &snapshot);
        prop_assert_eq!(&Snapshot::parse(&model, "a.snap", &through_insta(&text)).unwrap(), &snapshot);
    }
}

#[test]
fn every_delivery_is_read_back_also_after_insta() {
    let model = model();
    let plain = found(&model, Slip::PublishesForAnybody, 3).plan;
    for delivery in [
        Delivery::Slow,
        Delivery::Cut(Cut::Early),
        Delivery::Cut(Cut::Late),
        Delivery::Malformed(Damage::NotANumber),
        Delivery::Malformed(Damage::Nul),
        Delivery::Malformed(Damage::ContentType),
        Delivery::Malformed(Damage::Length),
        Delivery::Behind { of: 1 },
        Delivery::Abandoned {
            close: Close::Fin,
            after: 0,
        },
        Delivery::Abandoned {
            close: Close::Rst,
            after: 8,
        },
        Delivery::Late,
        Delivery::Crashed { after: 3 },
        Delivery::AfterCrash,
        Delivery::AfterStop,
        Delivery::Paused,
        Delivery::Again { of: 3, lost: true },
    ] {
        let mut plan = plain.clone();
        plan.steps[0].delivery = delivery;
        if delivery.again().is_some() {
            let first = plan.steps[0].clone();
            plan.steps[0].delivery = Delivery::Once;
            let id = plan.steps.iter().map(|step| step.id).max().unwrap() + 1;
            let of = first.id;
            plan.steps.push(Step {
                id,
                delivery: delivery.renumbered(|_| of),
                ..first
            });
        }
        let snapshot = snapshot_of(&model, plan);
        let text = snapshot.to_text(&model).unwrap();
        let read = |text: &str| Snapshot::parse(&model, "a.snap", text).unwrap();
        assert_eq!(read(&text), snapshot);
        assert_eq!(read(&through_insta(&text)), snapshot);
    }
}

#[test]
fn what_is_sent_again_must_have_been_sent_before() {
    let model = model();
    let mut plan = found(&model, Slip::PublishesForAnybody, 3).plan;
    let id = plan.steps[0].id;
    plan.steps[0].delivery = Delivery::Again {
        of: id,
        lost: false,
    };
    let text = snapshot_of(&model, plan).to_text(&model).unwrap();
    let error = Snapshot::parse(&model, "a.snap", &text).unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("an earlier step with the same request"),
        "{error}"
    );
}

#[test]
fn pending_first_and_unchanged_once_accepted() {
    let model = model();
    let snapshot = Snapshot::new(&model, &found(&model, Slip::PublishesForAnybody, 3));
    let dir = tempfile::tempdir().unwrap();
    let accepted = Snapshot::path(dir.path(), &model.name, &snapshot.check);
    let waiting = pending(&accepted);
    let written = write(dir.path(), &snapshot, &model, true).unwrap();
    assert_eq!(written, Written::WouldBePending(waiting.clone()));
    assert!(!waiting.exists());
    let written = write(dir.path(), &snapshot, &model, false).unwrap();
    assert_eq!(written, Written::Pending(waiting.clone()));
    assert_eq!(Snapshot::read(&model, &accepted).unwrap(), snapshot);
    std::fs::copy(&waiting, &accepted).unwrap();
    // Another run, with other ids, and another seed.
    let mut other = Snapshot::new(&model, &found(&model, Slip::PublishesForAnybody, 4));
    other.plan.seed = 99;
    assert_eq!(
        write(dir.path(), &other, &model, false).unwrap(),
        Written::Unchanged
    );
    assert!(!waiting.exists());
    other.body.push_str("\nand more");
    assert_eq!(
        write(dir.path(), &other, &model, false).unwrap(),
        Written::Pending(waiting)
    );
}

#[test]
fn what_is_no_snapshot_of_this_model_is_refused() {
    let model = model();
    let snapshot = Snapshot::new(&model, &found(&model, Slip::PublishesForAnybody, 3));
    let good = snapshot.to_text(&model).unwrap();
    let step = |text: &str| text.to_owned();
    let changed = [
        ("rule: write", "rule: wrote"),
        ("text: ", "txet: "),
        ("user@1", "user@one"),
        ("user@1", "robot@1"),
        ("note: note@3", "note: user@1"),
        ("model: notes", "model: others"),
        ("gainsay: 1", "gainsay: 2"),
        ("by: anyone", "by: user@1"),
        ("id: 2", "id: 1"),
        ("$fresh: user", "$include: /etc/passwd"),
    ];
    let mut report = String::new();
    for (from, to) in changed {
        assert!(good.contains(from), "{from} in {good}");
        let error = Snapshot::parse(&model, "a.snap", &good.replacen(from, to, 1)).unwrap_err();
        report.push_str(&format!("{from} → {to}\n  {error}\n"));
    }
    for text in [
        step(""),
        step("no header"),
        step("---\nsource: a\n"),
        step("---\nsource: a\n---\nbody"),
        step("---\n[\n---\n"),
    ] {
        let error = Snapshot::parse(&model, "a.snap", &text).unwrap_err();
        report.push_str(&format!("{text:?}\n  {error}\n"));
    }
    insta::assert_snapshot!(report);
}

#[test]
fn hostile_files_are_bounded() {
    let model = model();
    let huge = format!("---\n{}", "a".repeat(LARGEST));
    assert!(matches!(
        Snapshot::parse(&model, "a", &huge),
        Err(SnapshotError::TooLarge { .. })
    ));
    let mut bomb = String::from("---\nsource: a\ninfo:\n  a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for n in 1..20 {
        let refs = vec![format!("*a{}", n - 1); 9].join(", ");
        bomb.push_str(&format!("  a{n}: &a{n} [{refs}]\n"));
    }
    bomb.push_str("---\n");
    assert!(Snapshot::parse(&model, "a", &bomb).is_err());
    let deep = format!("---\ninfo: {}\n---\n", "[".repeat(100_000));
    assert!(Snapshot::parse(&model, "a", &deep).is_err());
}

#[test]
fn line_ends_are_made_plain_once_and_for_all() {
    let model = model();
    let snapshot = Snapshot::new(&model, &found(&model, Slip::PublishesForAnybody, 3));
    let text = snapshot.to_text(&model).unwrap();
    let foreign = text.replace("What happened\n", "What happened\r\r\r\n");
    assert_ne!(foreign, text);
    let read = Snapshot::parse(&model, "a.snap", &foreign).unwrap();
    assert_eq!(read.to_text(&model).unwrap(), text);
}

#[test]
fn a_name_never_leaves_its_folder() {
    let check = CheckId::Returns {
        rule: "../../etc".into(),
        check: "x".repeat(300),
    };
    let path = Snapshot::path("s".as_ref(), "../m", &check);
    assert!(
        path.starts_with("s") && path.components().count() == 3,
        "{}",
        path.display()
    );
    assert!(
        path.components()
            .all(|c| matches!(c, std::path::Component::Normal(_)))
    );
    assert!(path.file_name().is_some_and(|n| n.len() < 140));
}

#[test]
fn steps_are_named_as_they_are() {
    let model = model();
    let plan = found(&model, Slip::PublishesForAnybody, 3).plan;
    let ids: Vec<u32> = plan.all().map(|s: &Step| s.id).collect();
    assert_eq!(ids, [1, 2, 3, 4]);
}
