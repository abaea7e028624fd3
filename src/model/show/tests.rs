use super::*;

#[test]
fn a_rule_book_says_it_all() {
    let text = r#"
model: notes
about: Users write notes.
defaults: { tolerate: [429, 503] }
builtin: { isolation: false }
entities:
  user:
    fields: { id: string, token: secret }
    auth: { headers: { X-Key: "${self.token}" } }
  note:
    about: A line of text.
    fields: { id: string, author: user, text: string, likes: "map(user, int)" }
    owner: author
globals: { written: { type: int, initial: 0 } }
setup: [ register: 2 ]
rules:
  register:
    by: anyone
    request: POST /users
    responds: 201
    creates: { user: { id: "${body.id}", token: "${body.token}" } }
  write:
    by: user
    with: { text: "text(1, 20)" }
    request: POST /notes
    json: { text: "${text}", by: "me, ${actor}" }
    responds: 201
    creates: { note: { id: "${body.id}", author: "${actor}", text: "${text}" } }
    sets: { written: "${written + 1}" }
  like:
    by: user
    pick: { note: notes }
    request: PUT /notes/{note}/like
    idempotent: true
    requires:
      not_ones_own: { that: note.author != actor || written > 9, else: { status: 403, returns: { says_why: has(body.why) } } }
    responds: [200, 204]
    returns: { counted: body.likes == size(note.likes) }
    sets: { "note.likes[actor]": 1 }
    then: [ { when: size(note.likes) > 2, deletes: note } ]
invariants:
  reads_back:
    for: note
    by: note.author
    read: GET /notes/{note}
    eventually: body.text == note.text
    within: 1500ms
"#;
    let model =
        Model::parse("notes.yaml", text).unwrap_or_else(|e| panic!("{}", e.render(false, 100)));
    let expected = r#"# notes

Users write notes.

## Entities

### user (plural: users)

    field  type
    id     string  stands for it in a path
    token  secret

It can act, and shows who it is by the header `X-Key`.

### note (plural: notes)

A line of text.

    field   type
    id      string          stands for it in a path
    author  user            its owner
    text    string
    likes   map(user, int)

## Globals

- `written`: int, at first 0

## Set-up

Every plan begins with

- `register`, 2 times

## Rules

### register

- by anyone, without credentials
- sends `POST /users`

    outcome  status  when
    ok       201     nothing forbids it

After `ok`

- there is a new `user`
  - id: `body.id`
  - token: `body.token`

### write

- by a `user` (`actor`)
- with `text`: `text(1, 20)`
- sends `POST /notes`
  - JSON `{"text": text, "by": "me, ${actor}"}`

    outcome          status      when
    ok               201         nothing forbids it
    unauthenticated  401         no credentials, or none that are valid
    invalid text     400 or 422  text is outside text(1, 20)

After `ok`

- there is a new `note`
  - id: `body.id`
  - author: `actor`
  - text: `text`
  - likes: `{}`
- `written` becomes `written + 1`

### like

- by a `user` (`actor`)
- picks `note` from `notes`
- sends `PUT /notes/{note}/like`
- delivered twice, it answers the same and changes nothing more

    outcome          status      when
    ok               200 or 204  nothing forbids it
    not_ones_own     403         not: note.author != actor || written > 9
    absent note      404         note never was
    gone note        404         note is gone
    unauthenticated  401         no credentials, or none that are valid

After `ok`

- `note.likes[actor]` becomes `1`
- then, if `size(note.likes) > 2`
  - `note` goes

The answer of `ok`

- counted: `body.likes == size(note.likes)`

The answer of `not_ones_own`

- says_why: `has(body.why)`

## Invariants

### reads_back

- for every `note`
- asked by `note.author`
- sends `GET /notes/{note}`
- within 1s 500ms `body.text == note.text`

## Not now

After 429 or 503 the same request is sent again; it counts as no outcome.

## Built-in checks

- `no_server_errors`: on
- `isolation`: off
- `no_secrets_leaked`: on
"#;
    assert_eq!(model.rule_book(), expected);
}

#[test]
fn an_entity_with_stages_has_a_diagram() {
    let model = Model::load("docs/examples/lending.yaml".as_ref()).unwrap();
    let book = model.rule_book();
    let diagram = "    borrower  member?\n\nIts `borrower`\n\n```mermaid\nstateDiagram-v2\n";
    assert!(book.contains(diagram), "{book}");
    assert!(book.contains("    is_set --> is_null: give_back\n```\n\n## Set-up\n"));
}
