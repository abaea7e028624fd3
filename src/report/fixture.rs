//! A small model and scripted servers, for the tests of reports.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::check::Worlds;
use crate::drive::history::{Event, Exchange, History, Purpose, Request, Response};
use crate::drive::{Jars, Renderer};
use crate::generate::{Plan, Step};
use crate::model::Model;
use crate::model::action::{Action, Actor, Picked};
use crate::model::value::{Handle, KindId, Value};
use crate::shrink::{Counterexample, Standing};

pub const NOTES: &str = r#"model: notes
defaults: { unauthenticated: 401, absent: 404, invalid: 422 }
entities:
  user:
    fields: { id: string, name: string, token: secret, pin: secret }
    auth: { headers: { X-Key: "${self.token}" } }
  note:
    fields: { id: string, author: user, text: string, status: string, serial: int }
setup: [ register: 2 ]
rules:
  register:
    by: anyone
    with: { name: unique("user"), pin: uuid() }
    request: POST /users
    json: { name: "${name}", pin: "${pin}" }
    requires:
      name_is_free: { that: "!users.exists(u, u.name == name)", else: 409 }
    responds: 201
    creates: { user: { id: "${body.user.id}", name: "${name}", token: "${body.token}", pin: "${pin}" } }
  write:
    by: user
    with: { text: "text(1, 80)", tags: "optional(list(text(1, 5), 0, 3))" }
    request: POST /notes
    json: { text: "${text}", tags: "${tags}" }
    responds: 201
    returns: { text_as_given: body.text == text }
    creates: { note: { id: "${body.id}", author: "${actor}", text: "${text}", status: draft, serial: "${body.serial}" } }
  publish:
    by: user
    pick: { note: notes }
    request: POST /notes/{note}/publish
    query: { notify: "no" }
    requires:
      own_note:      { that: note.author == actor, else: 403 }
      still_a_draft: { that: note.status == "draft", else: 409 }
    responds: 200
    sets: { note.status: published }
invariants:
  note_reads_back:
    for: note
    by: note.author
    read: GET /notes/{note}
    always: body.status == note.status && body.text == note.text
"#;

/// What the scripted server does wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Slip {
    /// Anybody may publish.
    PublishesForAnybody,
    /// A refusal has another status.
    RefusesOtherwise,
    /// Publishing is not kept.
    ForgetsToPublish,
    /// It fails, with a text that a terminal would obey, and a key in it.
    Fails,
    /// It registers a taken name, and shows a new key.
    RegistersTwice,
}

pub fn model() -> Arc<Model> {
    let model = Model::parse("models/notes.yaml", NOTES);
    Arc::new(model.unwrap_or_else(|e| panic!("{}", e.render(false, 100))))
}

pub fn handle(kind: u16, step: u32) -> Handle {
    Handle {
        kind: KindId(kind),
        step,
        nth: 0,
    }
}

fn step(id: u32, rule: usize, actor: Actor, picks: Vec<Picked>, args: Vec<Value>) -> Step {
    let action = Action {
        rule,
        actor,
        picks,
        args,
    };
    Step::new(id, action)
}

fn register(id: u32) -> Step {
    let pin = format!("1b4e28ba-2fa1-41d2-883f-0016d3cca42{id}");
    step(
        id,
        0,
        Actor::Anyone,
        vec![],
        vec![Value::Fresh("user".into(), id), Value::text(pin)],
    )
}

/// A counterexample of a slip, as a run would have it. `run` makes ids and keys others.
pub fn found(model: &Arc<Model>, slip: Slip, run: u32) -> Counterexample {
    let text =
        Value::text("what is \"it\"? $HOME `id` it's a text of many characters, more than fit");
    let publisher = match slip {
        Slip::ForgetsToPublish => handle(0, 1),
        _ => handle(0, 2),
    };
    let note = Picked::Entity(handle(1, 3));
    let mut steps = vec![
        step(
            3,
            1,
            Actor::Entity(handle(0, 1)),
            vec![],
            vec![text, Value::Absent],
        ),
        step(4, 2, Actor::Entity(publisher), vec![note], vec![]),
    ];
    if slip == Slip::RegistersTwice {
        let mut again = register(1);
        again.id = 3;
        steps = vec![again];
    }
    let plan = Plan {
        seed: 17,
        setup: vec![register(1), register(2)],
        steps,
    };
    play(model, plan, slip, run)
}

fn play(model: &Arc<Model>, plan: Plan, slip: Slip, run: u32) -> Counterexample {
    let mark = format!("k{run}x9");
    let renderer = Renderer::new(model.clone(), mark.clone(), 1_800_000_000);
    let mut judge = Worlds::new(model.clone(), model.initial());
    let mut history = History::default();
    let mut server = Server {
        run,
        slip,
        count: 0,
        statuses: BTreeMap::new(),
        texts: BTreeMap::new(),
    };
    for step in plan.all() {
        let expected = judge.expect(renderer.materialise(&step.action));
        let request = renderer
            .request(judge.mirror(), &Jars::default(), &expected.action)
            .unwrap_or_else(|e| panic!("step {}: {e}", step.id));
        let response = server.answer(&request);
        history
            .events
            .push(event(Purpose::Step(step.id), request, &response));
        judge.observe(
            step,
            None,
            &expected,
            &response,
            (history.events.len() - 1, Duration::from_millis(3)),
        );
        for due in judge.due(Some(&[&expected.action])) {
            let invariant = &model.invariants[due.invariant];
            let (Some(read), Some((name, _)), Some(entity)) =
                (&invariant.read, &invariant.each, due.entity)
            else {
                continue;
            };
            let request =
                renderer.read(judge.mirror(), &Jars::default(), read, Some((name, entity)));
            let (request, _) = request.ok().flatten().unwrap_or_else(|| panic!("a read"));
            let response = server.answer(&request);
            let purpose = Purpose::Read {
                after: step.id,
                at_end: false,
                entity: Some(entity),
                invariants: vec![due.invariant],
            };
            history.events.push(event(purpose, request, &response));
            judge.observe_read(&due, &response, history.events.len() - 1, None, false);
        }
    }
    let (violations, _, mirror) = judge.finish();
    Counterexample {
        violation: violations
            .into_iter()
            .next()
            .unwrap_or_else(|| panic!("a violation")),
        plan,
        history,
        mirror,
        jars: Jars::default(),
        mark,
        standing: Standing { failed: 2, runs: 2 },
        also: Vec::new(),
        log: Vec::new(),
        seed: Some(17),
        found_in: 31,
        replays: 22,
        requests: 301,
    }
}

fn event(purpose: Purpose, request: Request, response: &Response) -> Event {
    Event {
        purpose,
        exchange: Exchange {
            request,
            response: Some(Arc::new(response.clone())),
            started: Duration::ZERO,
            took: Duration::from_millis(3),
            deferred: 0,
        },
    }
}

struct Server {
    run: u32,
    slip: Slip,
    count: u32,
    statuses: BTreeMap<String, String>,
    texts: BTreeMap<String, String>,
}

impl Server {
    fn answer(&mut self, request: &Request) -> Response {
        self.count += 1;
        let n = self.count;
        let run = self.run;
        let body: serde_json::Value = request
            .body
            .as_ref()
            .and_then(|b| serde_json::from_slice(&b.bytes).ok())
            .unwrap_or_default();
        let path: Vec<&str> = request.path.split('/').skip(1).collect();
        let id = path.get(1).map_or(String::new(), |id| (*id).to_owned());
        match (request.method.as_str(), path.as_slice()) {
            ("POST", ["users"]) => json(
                201,
                serde_json::json!({
                    "user": { "id": format!("u-{run}-{n}0000") }, "token": format!("key_{run}_{n}_secret"),
                    "created_at": "2026-11-20T10:11:12Z"
                }),
            ),
            ("POST", ["notes"]) => {
                let id = format!("n-{run}-{n}0000");
                let text = body["text"].as_str().unwrap_or_default().to_owned();
                self.statuses.insert(id.clone(), "draft".into());
                self.texts.insert(id.clone(), text.clone());
                json(201, serde_json::json!({ "id": id, "text": text, "serial": 70_000 + run }))
            }
            ("POST", ["notes", _, "publish"]) => match self.slip {
                Slip::PublishesForAnybody => json(
                    200,
                    serde_json::json!({ "id": id, "status": "published", "at": 1_764_000_000 + run, "serial": 70_000 + run }),
                ),
                Slip::RefusesOtherwise => json(404, serde_json::json!({ "detail": format!("no note {id}") })),
                Slip::Fails => Response {
                    status: 500,
                    headers: vec![],
                    body: format!("\u{1b}]0;owned\u{7}\u{1b}[2Jfailed for key_{run}_1_secret \u{202e}at a1b2c3d4e5f6a7b8c9d0e1f2{run}")
                        .into_bytes(),
                    truncated: false,
                },
                _ => json(200, serde_json::json!({ "status": "published" })),
            },
            ("GET", ["notes", _]) => json(
                200,
                serde_json::json!({ "id": id, "status": self.statuses[&id], "text": self.texts[&id] }),
            ),
            other => panic!("not scripted: {other:?}"),
        }
    }
}

fn json(status: u16, body: serde_json::Value) -> Response {
    Response {
        status,
        headers: vec![("content-type".into(), "application/json".into())],
        body: body.to_string().into_bytes(),
        truncated: false,
    }
}
