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
- `leaks_internals`: on
- `unique`: on
- `recovers`: within 5s
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

#[test]
fn areas_are_chapters_and_derived_fields_are_explained() {
    let text = r#"
model: lending
setup: [ join ]
entities:
  member: { fields: { id: string, key: secret }, auth: { bearer: "${self.key}" } }
rules:
  join:
    by: anyone
    request: POST /members
    responds: 201
    creates: { member: { id: "${body.id}", key: "${body.key}" } }
areas:
  The shelf:
    about: What can be lent.
    entities:
      book:
        fields: { id: string, lent: "bool = false", waiting: "[member]" }
        derived: { wanted: size(self.waiting) > 0 || self.lent }
    rules:
      add: { by: member, request: POST /books, responds: 201, creates: { book: { id: "${body.id}" } } }
    invariants:
      reads_back: { for: book, read: "GET /books/{book}", always: body.wanted == book.wanted }
  Members: { about: Whoever joined. }
"#;
    let model =
        Model::parse("lending.yaml", text).unwrap_or_else(|e| panic!("{}", e.render(false, 100)));
    assert_eq!(
        model.area_of(1).map(|area| area.name.as_str()),
        Some("The shelf")
    );
    assert!(model.area_of(0).is_none());
    assert_eq!(model.rules[1].tags, ["the-shelf"]);
    insta::assert_snapshot!(model.rule_book(), @r##"
# lending

## Areas

    area       entities  rules  outcomes  invariants
    The shelf  book      1      2         1
    Members              0      0         0
    all        2         2      3         1

## Entities

### member (plural: members)

    field  type
    id     string  stands for it in a path
    key    secret

It can act, and shows who it is by a bearer token.

## Set-up

Every plan begins with

- `join`

## Rules

### join

- by anyone, without credentials
- sends `POST /members`

    outcome  status  when
    ok       201     nothing forbids it

After `ok`

- there is a new `member`
  - id: `body.id`
  - key: `body.key`

## The shelf

What can be lent.

### Entities

#### book (plural: books)

    field    type
    id       string    stands for it in a path
    lent     bool      at first false
    waiting  [member]
    wanted   bool      always `size(self.waiting) > 0 || self.lent`

### Rules

#### add

- by a `member` (`actor`)
- sends `POST /books`

    outcome          status  when
    ok               201     nothing forbids it
    unauthenticated  401     no credentials, or none that are valid

After `ok`

- there is a new `book`
  - id: `body.id`
  - lent: `false`
  - waiting: `[]`

### Invariants

#### reads_back

- for every `book`
- asked by anyone, without credentials
- sends `GET /books/{book}`
- always `body.wanted == book.wanted`

## Members

Whoever joined.

## Built-in checks

- `no_server_errors`: on
- `isolation`: on
- `no_secrets_leaked`: on
- `leaks_internals`: on
- `unique`: on
- `recovers`: within 5s
"##);
}
