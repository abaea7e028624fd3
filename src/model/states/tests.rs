use crate::model::Model;

/// The diagrams of all entities, each after its entity's name.
fn diagrams(text: &str) -> String {
    let model =
        Model::parse("test.yaml", text).unwrap_or_else(|e| panic!("{}", e.render(false, 100)));
    diagrams_of(&model)
}

fn diagrams_of(model: &Model) -> String {
    let all = model.kinds.iter();
    all.map(|kind| diagrams_for(model, &kind.name)).collect()
}

fn diagrams_for(model: &Model, name: &str) -> String {
    let kind = model.kinds.iter().find(|kind| kind.name == name).unwrap();
    let stages = model.stages(kind).into_iter();
    stages
        .map(|stages| format!("{name}.{}: {stages}", stages.field))
        .collect()
}

/// A model of one entity whose rules are given; who acts is a `user`, and `item` has an owner.
fn model(fields: &str, rules: &str) -> String {
    diagrams(&format!(
        r#"
model: test
entities:
  user: {{ fields: {{ id: string, token: secret }}, auth: {{ bearer: "${{self.token}}" }} }}
  item: {{ fields: {{ id: string, n: int, {fields} }} }}
  part: {{ fields: {{ id: string, item: item }} }}
rules:
  join:
    by: anyone
    request: POST /users
    responds: 201
    creates: {{ user: {{ id: "${{body.id}}", token: "${{body.token}}" }} }}
  assemble:
    by: user
    pick: {{ item: items }}
    request: POST /parts
    responds: 201
    creates: {{ part: {{ id: "${{body.id}}", item: "${{item}}" }} }}
{rules}"#
    ))
}

#[test]
fn lending() {
    let model = Model::load("docs/examples/lending.yaml".as_ref()).unwrap();
    insta::assert_snapshot!(diagrams_of(&model), @r#"
    book.borrower: stateDiagram-v2
        state "borrower is null" as is_null
        state "borrower is set" as is_set
        [*] --> is_null: add_book
        is_null --> is_set: borrow
        is_set --> is_null: give_back
    "#);
    let model = Model::load("docs/examples/lending-full.yaml".as_ref()).unwrap();
    insta::assert_snapshot!(diagrams_of(&model), @r#"
    book.borrower: stateDiagram-v2
        state "borrower is null" as is_null
        state "borrower is set" as is_set
        [*] --> is_null: add_book
        is_null --> is_set: borrow (lent)
        is_null --> [*]: remove_book
        is_set --> is_null: give_back (unless size(book.queue) > 0)
        is_set --> is_set: give_back (if size(book.queue) > 0)
    "#);
}

#[test]
fn proposals_aspects_and_dwellers() {
    let model = Model::load("models/deep-sci-fi.yaml".as_ref()).unwrap();
    let diagrams = ["proposal", "aspect", "dweller"].map(|name| diagrams_for(&model, name));
    insta::assert_snapshot!(diagrams.concat(), @r#"
    proposal.status: stateDiagram-v2
        [*] --> draft: propose_world
        draft --> validating: submit_proposal
        validating --> approved: validate_proposal (under a condition)
        validating --> rejected: validate_proposal (if proposal.rejections >= 2)
    aspect.status: stateDiagram-v2
        [*] --> draft: propose_aspect, propose_event_aspect, propose_aspect_inspired_by_action
        draft --> validating: submit_aspect
        validating --> approved: validate_aspect (if verdict == 'approve' && !aspect.gate_shut), approve_event_aspect (if !aspect.gate_shut)
        validating --> rejected: validate_aspect (if verdict == 'reject')
    dweller.inhabitant: stateDiagram-v2
        state "inhabitant is null" as is_null
        state "inhabitant is set" as is_set
        [*] --> is_null: create_dweller, create_dweller_who_remembers, validate_dweller_proposal (under a condition)
        is_null --> is_set: claim_dweller, claim_dweller_of_own_world
        is_set --> is_null: release_dweller
    "#);
}

#[test]
fn what_an_argument_says_and_what_requirements_exclude() {
    let diagrams = model(
        "status: string",
        r#"
  add:
    by: user
    with: { stage: 'one_of("idea", "open")' }
    request: POST /items
    responds: 201
    creates: { item: { id: "${body.id}", n: 0, status: "${stage}" } }
  move:
    by: user
    pick: { item: items }
    with: { to: 'optional(one_of("open", "done: \"well\""))' }
    request: PATCH /items/{item}
    requires:
      not_done: { that: '!(item.status == "done: \"well\"")', else: 409 }
      another:  { that: to != item.status, else: 409 }
    responds: 200
    sets: { item.status: "${to == null ? item.status : to}" }
  reopen:
    by: user
    pick: { item: items }
    let: { was: item.status }
    request: POST /items/{item}/reopen
    requires: { closed: { that: 'was != "open" && was != "idea"', else: 409 } }
    responds: 200
    sets: { item.status: open }
  forget:
    by: user
    request: POST /forget
    responds: 200
    deletes: 'items.filter(i, i.n > 3).filter(i, i.status in ["idea", "default"])'
  reset:
    by: user
    pick: { part: parts }
    request: POST /parts/{part}/reset
    requires: { few: { that: part.item.n < 3, else: { status: 409, then: { sets: { part.item.status: default } } } } }
    responds: 200
    sets: { part.item.status: idea }
  clear:
    by: user
    pick: { item: items }
    request: POST /items/{item}/clear
    requires: { reset: { that: item.status == "default", else: 409 } }
    responds: 200
    sets: { item.status: "" }
"#,
    );
    insta::assert_snapshot!(diagrams, @r#"
    item.status: stateDiagram-v2
        state "done#58; #quot;well#quot;" as state_3
        state "default" as state_4
        state "(empty)" as state_5
        [*] --> idea: add
        [*] --> open: add
        idea --> open: move
        idea --> state_3: move
        idea --> state_4: reset (refused by few)
        idea --> [*]: forget
        open --> idea: reset
        open --> state_3: move
        open --> state_4: reset (refused by few)
        state_3 --> idea: reset
        state_3 --> open: reopen
        state_3 --> state_4: reset (refused by few)
        state_4 --> idea: reset
        state_4 --> open: move, reopen
        state_4 --> state_3: move
        state_4 --> state_5: clear
        state_4 --> [*]: forget
        state_5 --> idea: reset
        state_5 --> open: move, reopen
        state_5 --> state_3: move
        state_5 --> state_4: reset (refused by few)
    "#);
}

#[test]
fn effects_see_those_before_them() {
    let diagrams = model(
        "status: string",
        r#"
  add:
    by: user
    request: POST /items
    responds: 201
    creates: { item: { id: "${body.id}", n: 0, status: new } }
    then: { when: item.n > 0, sets: { item.status: seen } }
  advance:
    by: user
    pick: { item: items }
    with: { verdict: 'one_of("yes", "no", "later")' }
    request: POST /items/{item}
    responds: 200
    then:
      - { when: item.status == "new", sets: { item.status: seen } }
      - { when: item.status == "seen" && item.n < 3, sets: { item.status: kept } }
      - { when: 'verdict == "yes" && item.n < 9 && item.id != "it''s; #1"', sets: { item.status: approved } }
      - { when: verdict == "no", sets: { item.status: '${item.n > 9 ? "refused" : "new"}' } }
  sweep:
    by: user
    request: POST /sweep
    responds: 200
    each: { i: 'items.filter(x, x.status == "kept")', sets: { i.status: new } }
"#,
    );
    insta::assert_snapshot!(diagrams, @r#"
    item.status: stateDiagram-v2
        [*] --> new: add (unless item.n > 0)
        [*] --> seen: add (if item.n > 0)
        new --> seen: advance (under a condition)
        new --> kept: advance (under a condition)
        new --> approved: advance (if verdict == #quot;yes#quot; && item.n < 9 && item.id != #quot;it's#59; #35;1#quot;)
        new --> refused: advance (if verdict == 'no', if item.n > 9)
        seen --> new: advance (if verdict == 'no', unless item.n > 9)
        seen --> kept: advance (under a condition)
        seen --> approved: advance (if verdict == #quot;yes#quot; && item.n < 9 && item.id != #quot;it's#59; #35;1#quot;)
        seen --> refused: advance (if verdict == 'no', if item.n > 9)
        kept --> new: advance (if verdict == 'no', unless item.n > 9), sweep
        kept --> approved: advance (if verdict == #quot;yes#quot; && item.n < 9 && item.id != #quot;it's#59; #35;1#quot;)
        kept --> refused: advance (if verdict == 'no', if item.n > 9)
        approved --> new: advance (if verdict == 'no', unless item.n > 9)
        approved --> refused: advance (if verdict == 'no', if item.n > 9)
        refused --> new: advance (if verdict == 'no', unless item.n > 9)
        refused --> approved: advance (if verdict == #quot;yes#quot; && item.n < 9 && item.id != #quot;it's#59; #35;1#quot;)
    "#);
}

#[test]
fn alternatives_and_what_may_be_null() {
    let diagrams = model(
        "holder: 'user?', last: 'user?'",
        r#"
  add:
    by: user
    request: POST /items
    responds: 201
    creates: { item: { id: "${body.id}", n: 0 } }
  toggle:
    by: user
    pick: { item: items }
    request: POST /items/{item}/toggle
    either:
      taken: { when: item.holder == null, responds: 200, sets: { item.holder: "${actor}", item.last: "${actor}" } }
      freed: { when: item.holder != null, responds: 202, unsets: item.holder }
  undo:
    by: user
    pick: { item: items }
    request: POST /items/{item}/undo
    responds: 200
    sets: { item.holder: "${item.last}" }
  destroy:
    by: user
    pick: { part: parts }
    request: DELETE /parts/{part}
    requires: { his: { that: part.item.holder == actor, else: 403 } }
    responds: 204
    deletes: [ part.item, part ]
"#,
    );
    insta::assert_snapshot!(diagrams, @r#"
    item.holder: stateDiagram-v2
        state "holder is null" as is_null
        state "holder is set" as is_set
        [*] --> is_null: add
        is_null --> is_set: toggle (taken), undo
        is_set --> is_null: toggle (freed), undo
        is_set --> [*]: destroy
    "#);
}

#[test]
fn what_is_not_always_a_constant_has_no_stages() {
    let diagrams = model(
        "status: string, kind: string, note: string",
        r#"
  add:
    by: user
    with: { note: "text(1, 9)" }
    request: POST /items
    responds: 201
    creates: { item: { id: "${body.id}", n: 0, status: new, kind: a, note: "${note}" } }
  change:
    by: user
    pick: { item: items }
    request: PATCH /items/{item}
    responds: 200
    sets: { item.status: "${body.status}", item.note: none }
"#,
    );
    assert_eq!(diagrams, "");
}
