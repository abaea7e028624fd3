//! What models mean, where it takes no server to see it: derived fields, what fields start as, and what is left out.

use std::sync::Arc;

use gainsay::generate::{Coverage, Generator, Options, rehearse_step};
use gainsay::model::expression::Names;
use gainsay::model::mirror::Mirror;
use gainsay::model::value::{Handle, Value};
use gainsay::model::{Body, Model};

const SHELF: &str = r#"
model: shelf
entities:
  member: { fields: { id: string, key: secret }, auth: { bearer: "${self.key}" } }
setup: [ join: 2 ]
rules:
  join:
    by: anyone
    request: POST /members
    responds: 201
    creates: { member: { id: "${body.id}", key: "${body.key}" } }
areas:
  Books:
    entities:
      book:
        fields: { id: string, copies: "int = 2", lent: "[member]", note: { type: string, initial: new } }
        derived:
          free: self.copies - size(self.lent)
          lent_out: self.free <= 0 && self.note == "new"
    rules:
      add: { by: member, request: POST /books, responds: 201, creates: { book: { id: "${body.id}" } } }
      lend:
        by: member
        pick: { book: books }
        with: { until: optional(text(1)) }
        request: POST /books/{book}/lend
        json: { until: '${until == null ? "whenever" : until}', forever: "${null == until}", asked: "${until != null}" }
        requires: { some_left: { that: "!book.lent_out", else: 409 } }
        responds: 200
        sets: { book.lent: "${book.lent + [actor]}" }
"#;

fn model() -> Arc<Model> {
    Arc::new(
        Model::parse("shelf.yaml", SHELF).unwrap_or_else(|e| panic!("{}", e.render(false, 100))),
    )
}

/// A derived field of an entity, in a mirror.
fn derived(model: &Model, mirror: &Mirror, of: Handle, field: &str) -> Value {
    let kind = model.kind(of.kind);
    let derived = kind.derived.iter().find(|d| d.name == field).unwrap();
    let mut names = Names::default();
    names.bind("self", Value::Entity(of));
    derived.what.eval(&model.scope(mirror, &names)).unwrap()
}

#[test]
fn derived_fields_follow_the_mirror_that_is_read() {
    let model = model();
    let generator = Generator::new(model.clone(), Options::default());
    let mut coverage = Coverage::new(&model, &[]);
    let mut mirror = generator.start();
    let mut before: Vec<(Mirror, Handle, i64)> = Vec::new();
    for step in generator.plan(0).all() {
        let outcome = rehearse_step(&model, &mut mirror, step).unwrap().assumed;
        coverage.count(step.action.rule, outcome);
        let book = model.kinds.iter().position(|k| k.name == "book").unwrap();
        let books = mirror.all(gainsay::model::value::KindId(u16::try_from(book).unwrap()));
        let books: Vec<(Handle, Vec<Value>)> = books
            .map(|(handle, record)| (handle, record.fields.to_vec()))
            .collect();
        for (handle, fields) in books {
            assert_eq!(fields[1], Value::Int(2), "what it starts as");
            assert_eq!(fields[3], Value::text("new"), "what it starts as");
            let Value::List(lent) = &fields[2] else {
                panic!("a list")
            };
            let free = 2 - i64::try_from(lent.len()).unwrap();
            assert_eq!(derived(&model, &mirror, handle, "free"), Value::Int(free));
            let out = derived(&model, &mirror, handle, "lent_out");
            assert_eq!(out, Value::Bool(free == 0));
            before.push((mirror.clone(), handle, free));
        }
    }
    for (mirror, handle, free) in before {
        assert_eq!(derived(&model, &mirror, handle, "free"), Value::Int(free));
    }
    // Both ways of the condition that is stated there were aimed at.
    let lend = model.rule_named("lend").unwrap();
    assert!(coverage.of(lend).all(|(_, times)| times > 0));
}

#[test]
fn what_is_left_out_equals_null() {
    let model = model();
    let rule = &model.rules[model.rule_named("lend").unwrap()];
    let Body::Json(template) = &rule.request.body else {
        panic!("the rule sends JSON")
    };
    let sent = |until: Value| {
        let mirror = model.initial();
        let mut names = Names::default();
        names.bind("until", until);
        let scope = model.scope(&mirror, &names);
        let key = |handle: Handle| serde_json::Value::from(handle.to_string());
        template
            .eval(&scope, &|_| Value::Null)
            .unwrap()
            .to_json(&key)
    };
    assert_eq!(
        sent(Value::Absent),
        serde_json::json!({ "until": "whenever", "forever": true, "asked": false })
    );
    assert_eq!(
        sent(Value::text("May")),
        serde_json::json!({ "until": "May", "forever": false, "asked": true })
    );
}
