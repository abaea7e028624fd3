//! Recordings: histories as JSON Lines, to be judged by themselves, by gainsay or by anybody. A head, then one line an
//! operation; docs/histories.md has every field. What is read may come from a stranger.

mod probes;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::BufRead;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use super::paint::{inert, is_unsafe};
use super::portable::{
    PlanError, PortableStep, read_handle, read_step, read_value, write_handle, write_step,
    write_value,
};
use crate::check::linear::{Deed, Operation, Refutation};
use crate::drive::Renderer;
use crate::drive::disguises::{self, SHORTEST};
use crate::drive::history::{Exchange, Purpose};
use crate::drive::symbols::is_secret_name;
use crate::generate::{Damage, Delivery, Fault, Plan};
use crate::model::mirror::Mirror;
use crate::model::oracle::Answer;
use crate::model::value::{Handle, KindId, Value};
use crate::model::{Mode, Model, Statuses};
use crate::run::PlanRun;
pub use probes::told_apart;

/// The version of the format.
const VERSION: u32 = 1;

/// The most bytes that a history may have, and one line of it.
const MOST_BYTES: usize = 512 << 20;
const LONGEST_LINE: usize = 32 << 20;

/// Why a history cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// It could not be read at all.
    #[error("the history cannot be read: {0}")]
    Read(#[from] std::io::Error),
    /// A line makes no sense.
    #[error("line {line}: {reason}\n  {help}")]
    Line {
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
        /// What to do.
        help: String,
    },
}

/// A history that was read.
#[derive(Debug)]
pub struct Recording {
    /// What its plans start from.
    pub start: Mirror,
    /// Its plans, which have nothing to do with each other.
    pub plans: Vec<Recorded>,
}

/// What happened in one plan.
#[derive(Debug, Default)]
pub struct Recorded {
    /// The plan.
    pub plan: u64,
    /// What was asked and answered.
    pub operations: Vec<Operation>,
    /// The line of each.
    pub lines: Vec<usize>,
    /// Where the server failed: the line, what was asked, and the status.
    pub failures: Vec<(usize, String, u16)>,
    /// What was asked about what never was, in the place of what an operation was about.
    probes: Vec<probes::Recorded>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    gainsay: u32,
    model: String,
    #[serde(default)]
    start: BTreeMap<String, BTreeMap<String, Json>>,
}

/// What was wrong with a delivery: for those who read a history. It is judged by what came of it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Noted {
    kind: String,
    /// Whether anything met it.
    fired: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[serde(default)]
    plan: u64,
    id: Option<u32>,
    by: Option<String>,
    rule: Option<String>,
    #[serde(default)]
    pick: BTreeMap<String, String>,
    #[serde(default)]
    with: BTreeMap<String, Json>,
    again: Option<u32>,
    #[serde(rename = "fault")]
    _fault: Option<Noted>,
    read: Option<String>,
    of: Option<String>,
    probe: Option<u32>,
    #[serde(default)]
    made_up: BTreeMap<String, String>,
    start_us: u64,
    end_us: Option<u64>,
    status: Option<u16>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: Json,
}

/// Reads a history of a model.
///
/// # Errors
///
/// [`RecordingError`] where it cannot be read, or is none of this model.
pub fn read(model: &Model, mut text: impl BufRead) -> Result<Recording, RecordingError> {
    let mut recording: Option<Recording> = None;
    let mut places: HashMap<u64, usize> = HashMap::new();
    let mut bytes = 0;
    let mut buffer = Vec::new();
    for line in 1.. {
        buffer.clear();
        let mut limited = std::io::Read::take(&mut text, LONGEST_LINE as u64 + 1);
        let read = limited.read_until(b'\n', &mut buffer)?;
        let at = |reason: String, help: &str| RecordingError::Line {
            line,
            reason,
            help: help.to_owned(),
        };
        if read == 0 {
            break;
        }
        bytes += read;
        if read > LONGEST_LINE || bytes > MOST_BYTES {
            return Err(at(
                "it is too long".into(),
                "a line has at most 32 MiB and a history 512 MiB; write several histories",
            ));
        }
        if buffer.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        const FIELDS: &str = "docs/histories.md has the fields of a line";
        let no_json =
            |error: serde_json::Error| at(error.to_string().replace(" at line 1 ", " at "), FIELDS);
        // A list would be read as the values of the fields, in their order.
        if buffer.trim_ascii_start().first() != Some(&b'{') {
            return Err(at("it is no JSON object".into(), FIELDS));
        }
        match &mut recording {
            None => {
                let head: Head = serde_json::from_slice(&buffer).map_err(no_json)?;
                let start = read_head(model, &head).map_err(|(reason, help)| at(reason, help))?;
                let plans = Vec::new();
                recording = Some(Recording { start, plans });
            }
            Some(recording) => {
                let read: Line = serde_json::from_slice(&buffer).map_err(no_json)?;
                let plan = read.plan;
                let place = *places.entry(plan).or_insert_with(|| {
                    recording.plans.push(Recorded {
                        plan,
                        ..Recorded::default()
                    });
                    recording.plans.len() - 1
                });
                read_line(model, &mut recording.plans[place], line, read)
                    .map_err(|(reason, help)| at(reason, help))?;
            }
        }
    }
    let recording = recording.ok_or_else(|| RecordingError::Line {
        line: 1,
        reason: "the history is empty".into(),
        help: "begin it with {\"gainsay\": 1, \"model\": \"NAME\"}".into(),
    })?;
    for plan in &recording.plans {
        let mut known = BTreeSet::new();
        for (op, line) in plan.operations.iter().zip(&plan.lines) {
            let acts = matches!(op.deed, Deed::Act(_));
            if acts && !known.insert(op.id) {
                return Err(RecordingError::Line {
                    line: *line,
                    reason: format!("there are two operations {} in plan {}", op.id, plan.plan),
                    help: "give each an `id` of its own: what it creates is named after it".into(),
                });
            }
        }
        probes::check(model, plan)?;
    }
    Ok(recording)
}

type Wrong = (String, &'static str);

const AS_THE_MODEL: &str = "names are those of the model; `gainsay show` lists them";

fn of_plan(error: &PlanError) -> Wrong {
    (error.to_string(), AS_THE_MODEL)
}

fn read_head(model: &Model, head: &Head) -> Result<Mirror, Wrong> {
    if head.gainsay != VERSION {
        let help = "this gainsay reads version 1";
        return Err((format!("it is of version {}", head.gainsay), help));
    }
    if head.model != model.name {
        return Err((
            format!(
                "it is of the model `{}`, not of `{}`",
                head.model, model.name
            ),
            "give the model that it was made with",
        ));
    }
    let mut start = model.initial();
    for (name, fields) in &head.start {
        let handle = read_handle(model, name, None).map_err(|e| of_plan(&e))?;
        let kind = model.kind(handle.kind);
        if let Some(other) = fields
            .keys()
            .find(|f| !kind.fields.iter().any(|k| k.name == **f))
        {
            return Err((format!("{name} has no field `{other}`"), AS_THE_MODEL));
        }
        let value = |field: &crate::model::Field| match fields.get(&field.name) {
            Some(json) => read_value(model, json, None).map_err(|e| of_plan(&e)),
            None => Ok(Value::Unknown),
        };
        let values = kind.fields.iter().map(value).collect::<Result<_, _>>()?;
        start.insert(handle, values);
    }
    Ok(start)
}

fn read_line(model: &Model, plan: &mut Recorded, at: usize, line: Line) -> Result<(), Wrong> {
    if line.probe.is_some() {
        return probes::read(plan, at, line);
    }
    let name = line.rule.clone().or_else(|| line.read.clone());
    let answer = line.answer();
    let (deed, id) = match (&line.rule, &line.read) {
        (Some(rule), None) => {
            let id = line.id.ok_or_else(|| {
                let help = "say `\"id\": N`: what it creates is named after it";
                ("it has no `id`".to_owned(), help)
            })?;
            if line.of.is_some() {
                let help = "leave it out: what a rule is about stands under `pick`";
                return Err(("a rule has no `of`".to_owned(), help));
            }
            let step = PortableStep {
                id,
                rule: rule.clone(),
                by: line.by.clone().unwrap_or_else(|| "anyone".to_owned()),
                pick: line.pick,
                args: line.with,
                delivery: Delivery::Once,
                lane: None,
            };
            let step = read_step(model, &step).map_err(|e| of_plan(&e))?;
            (Deed::Act(step.action), id)
        }
        (None, Some(read)) => {
            let invariant = model.invariants.iter().position(|i| *i.name == **read);
            let unknown = || (format!("the model has no invariant `{read}`"), AS_THE_MODEL);
            let invariant = invariant.ok_or_else(unknown)?;
            let kind = model.invariants[invariant]
                .each
                .as_ref()
                .map(|(_, kind)| *kind);
            let entity = line.of.as_ref().map(|of| read_handle(model, of, None));
            let entity = entity.transpose().map_err(|e| of_plan(&e))?;
            if entity.map(|entity| entity.kind) != kind
                || model.invariants[invariant].read.is_none()
            {
                let help = "`of` names an entity of the kind that the invariant is `for`, if it is for any; and it has a `read`";
                return Err((format!("`{read}` cannot be read of that"), help));
            }
            (
                Deed::Read { invariant, entity },
                line.id.unwrap_or_default(),
            )
        }
        _ => {
            let help = "say `\"rule\": \"NAME\"` of what was attempted, or `\"read\": \"NAME\"` of an invariant that was read for";
            return Err(("it is neither of a rule nor of a read".to_owned(), help));
        }
    };
    let mut op = Operation {
        id,
        start: line.start_us,
        end: line.end_us,
        answer: answer?,
        again: line.again,
        deed,
    };
    // That the server failed is one thing; whether what was asked took effect nobody knows.
    if let Some(status) = line.status.filter(|status| Statuses::failed(*status))
        && !foresees(model, &op.deed, status)
    {
        if model.has_builtin("no_server_errors") {
            plan.failures.push((at, name.unwrap_or_default(), status));
        }
        op.answer = None;
        op.end = None;
    }
    plan.operations.push(op);
    plan.lines.push(at);
    Ok(())
}

impl Line {
    /// What was answered, if anybody saw it.
    fn answer(&self) -> Result<Option<Answer>, Wrong> {
        if self.end_us.is_some_and(|end| end < self.start_us) {
            let help = "times are microseconds of one clock";
            return Err(("it ends before it starts".to_owned(), help));
        }
        if self.status.is_some() && self.end_us.is_none() {
            let help = "say `end_us`, or `\"status\": null` where nobody saw an answer";
            return Err(("it has an answer and no end".to_owned(), help));
        }
        Ok(self.status.map(|status| Answer {
            status,
            headers: Value::Map(Arc::new(
                (self.headers.iter())
                    .map(|(k, v)| (Value::text(k.to_ascii_lowercase()), Value::text(v.as_str())))
                    .collect(),
            )),
            body: Value::from_json(&self.body),
        }))
    }
}

fn foresees(model: &Model, deed: &Deed, status: u16) -> bool {
    match deed {
        Deed::Act(action) => (model.rules[action.rule].outcomes(model).into_iter())
            .any(|outcome| model.statuses(action.rule, outcome).allow(status)),
        Deed::Read { .. } => false,
    }
}

/// Why a plan's answers cannot be explained, in words.
pub fn refuted(model: &Model, recorded: &Recorded, refutation: &Refutation) -> String {
    let name = |index: &usize| {
        let op = &recorded.operations[*index];
        match &op.deed {
            Deed::Act(action) => format!("{} {}", op.id, model.rules[action.rule].name),
            Deed::Read { invariant, .. } => {
                format!("a read for {}", model.invariants[*invariant].name)
            }
        }
    };
    // The end of a long order says more than its beginning.
    const SHOWN: usize = 12;
    let order: Vec<String> = refutation.order.iter().map(name).collect();
    let shown = order.len().saturating_sub(SHOWN);
    let mut out = format!("✗ plan {}: no order explains the answers\n", recorded.plan);
    out.push_str(&match order.is_empty() {
        true => "  none of them can be the first:\n".to_owned(),
        false => format!(
            "  {}{} can come first; but then\n",
            if shown > 0 { "… " } else { "" },
            order[shown..].join(" → ")
        ),
    });
    for next in &refutation.next {
        let expected: Vec<String> = (next.expected.iter())
            .map(|(outcome, statuses)| format!("{statuses} ({outcome})"))
            .collect();
        let must = match next.wrong.is_empty() {
            true => format!(
                "must answer {}, and answered {}",
                expected.join(" or "),
                next.observed
            ),
            false => format!(
                "answered what does not hold: {}",
                inert(&next.wrong.join("; "))
            ),
        };
        let line = recorded
            .lines
            .get(next.operation)
            .copied()
            .unwrap_or_default();
        out.push_str(&format!(
            "    {} {must}  (line {line})\n",
            name(&next.operation)
        ));
    }
    out
}

/// The head of a history whose plans start from a mirror.
pub fn head(model: &Model, start: &Mirror) -> String {
    let masks = Masks::of(model, start, None);
    let mut entities = Map::new();
    for (index, kind) in model.kinds.iter().enumerate() {
        let id = KindId(u16::try_from(index).unwrap_or(u16::MAX));
        for (handle, record) in start.all(id) {
            let fields = kind.fields.iter().zip(record.fields.iter());
            let fields =
                fields.map(|(f, v)| (f.name.clone(), masks.json("", &write_value(model, v))));
            let fields: Map<String, Json> = fields.collect();
            entities.insert(write_handle(model, handle), fields.into());
        }
    }
    let mut head = json!({ "gainsay": VERSION, "model": model.name });
    if !entities.is_empty() {
        head["start"] = entities.into();
    }
    format!("{head}\n")
}

/// The lines of a plan that was run. A request without an answer may take effect for so many microseconds more.
pub fn lines(model: &Arc<Model>, start: &Mirror, plan: &Plan, run: &PlanRun, fence: u64) -> String {
    let masks = Masks::of(model, start, Some((plan, run)));
    let renderer = Renderer::new(model.clone(), masks.mark.1.clone(), run.now);
    // Whichever of a request and of those that try it again takes effect, it does so once: they are one operation.
    let mut merged: BTreeMap<u32, u32> = BTreeMap::new();
    for step in plan.all() {
        if let Delivery::Retried { of } = step.delivery
            && run.sent(step.id)
        {
            merged.insert(of, step.id);
        }
    }
    let mut began: BTreeMap<u32, u64> = BTreeMap::new();
    let probed = probes::probed(run);
    // What gainsay does to the server may be why it fails.
    let shaken = plan.all().any(|step| step.delivery.is_of_all());
    let mut out = String::new();
    for event in &run.history.events {
        let exchange = &event.exchange;
        let mut line = Map::new();
        line.insert("plan".into(), plan.seed.into());
        match &event.purpose {
            Purpose::Step(id) => {
                let Some(step) = plan.all().find(|step| step.id == *id) else {
                    continue;
                };
                let started = began.get(id).copied().unwrap_or(micros(exchange.started));
                if let Some(retry) = merged.get(id) {
                    began.insert(*retry, started);
                    continue;
                }
                let status = exchange.status();
                let told = match step.delivery {
                    Delivery::Cut(_) | Delivery::KeyOf { refused: true, .. } => continue,
                    Delivery::Malformed(Damage::Length) if status.is_none() => false,
                    Delivery::Malformed(_) if status.is_none_or(|status| status >= 400) => continue,
                    Delivery::Malformed(_) => false,
                    _ => status.is_some_and(|status| !Statuses::failed(status) || !shaken),
                };
                let mut step = step.clone();
                step.action = renderer.materialise(&step.action);
                let written = write_step(model, &step);
                line.insert("id".into(), (*id).into());
                line.insert("by".into(), written.by.into());
                line.insert("rule".into(), written.rule.into());
                if !written.pick.is_empty() {
                    line.insert("pick".into(), json!(written.pick));
                }
                if !written.args.is_empty() {
                    let args = written.args.iter();
                    let args = args.map(|(name, value)| (name.clone(), masks.json("", value)));
                    line.insert("with".into(), args.collect::<Map<_, _>>().into());
                }
                if let Some(of) = step.delivery.copy_of() {
                    line.insert("again".into(), of.into());
                }
                if let Some(fault) = Fault::of(step.delivery) {
                    let noted = Noted {
                        kind: fault.to_string(),
                        fired: !run.unmet.contains(id),
                    };
                    line.insert("fault".into(), json!(noted));
                }
                answer(model, &masks, &mut line, exchange, (started, told, fence));
                if probed.contains(id) {
                    show_type(&masks, &mut line, exchange);
                }
                out.push_str(&written_out(line));
            }
            Purpose::Probe { of, made_up } => {
                line.insert("probe".into(), (*of).into());
                let mask = |text: &str| masks.text("", text);
                let made_up = made_up.iter();
                let made_up = made_up.map(|(made_up, of)| (mask(made_up), mask(of).into()));
                line.insert("made_up".into(), made_up.collect::<Map<_, _>>().into());
                let started = micros(exchange.started);
                answer(model, &masks, &mut line, exchange, (started, true, 0));
                show_type(&masks, &mut line, exchange);
                out.push_str(&written_out(line));
            }
            Purpose::Read {
                entity, invariants, ..
            } => {
                for invariant in invariants {
                    let invariant = &model.invariants[*invariant];
                    if invariant.mode != Mode::Always || exchange.status().is_none() {
                        continue;
                    }
                    let mut line = line.clone();
                    line.insert("read".into(), invariant.name.as_ref().into());
                    if let Some(entity) = entity {
                        line.insert("of".into(), write_handle(model, *entity).into());
                    }
                    let started = micros(exchange.started);
                    let told = exchange
                        .status()
                        .is_some_and(|s| !Statuses::failed(s) || !shaken);
                    answer(model, &masks, &mut line, exchange, (started, told, fence));
                    out.push_str(&written_out(line));
                }
            }
        }
    }
    out
}

/// A line of JSON that no terminal obeys: what JSON may hold as it is, and a terminal acts on, is escaped, too.
fn written_out(line: Map<String, Json>) -> String {
    let mut out = String::new();
    for c in Json::from(line).to_string().chars() {
        match is_unsafe(c) {
            true => (c.encode_utf16(&mut [0; 2]).iter())
                .for_each(|unit| out.push_str(&format!("\\u{unit:04x}"))),
            false => out.push(c),
        }
    }
    out.push('\n');
    out
}

fn micros(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Adds when an operation began and ended, and what was answered.
fn answer(
    model: &Model,
    masks: &Masks,
    line: &mut Map<String, Json>,
    exchange: &Exchange,
    (started, told, fence): (u64, bool, u64),
) {
    let ended = micros(exchange.started + exchange.took);
    line.insert("start_us".into(), started.into());
    let Some(response) = exchange.response.as_ref().filter(|_| told) else {
        line.insert("end_us".into(), ended.saturating_add(fence).into());
        line.insert("status".into(), Json::Null);
        return;
    };
    line.insert("end_us".into(), ended.into());
    line.insert("status".into(), response.status.into());
    let source = model.source.to_ascii_lowercase();
    let mut headers = Map::new();
    for (name, value) in &response.headers {
        // Of most of them the model says nothing.
        if source.contains(name.as_str()) {
            let value = masks.json(name, &value.as_str().into());
            headers.entry(name.clone()).or_insert(value);
        }
    }
    if !headers.is_empty() {
        line.insert("headers".into(), headers.into());
    }
    let body = response.value();
    if !body.is_null() {
        line.insert("body".into(), masks.json("", &body));
    }
}

/// Adds the type of what was answered, whether the model speaks of it or not: it must not tell anything.
fn show_type(masks: &Masks, line: &mut Map<String, Json>, exchange: &Exchange) {
    const NAME: &str = "content-type";
    let shown = exchange.response.as_ref().and_then(|r| r.header(NAME));
    if let (Some(shown), true) = (shown, line.get("status").is_some_and(|s| !s.is_null())) {
        let headers = line.entry("headers").or_insert_with(|| json!({}));
        headers[NAME] = masks.json(NAME, &shown.into());
    }
}

/// What is written in place of secrets, and of what makes a run's values unique: the same for the same.
struct Masks {
    /// The run's mark between dashes, and what stands for it.
    mark: (String, String),
    /// Secrets, longest first, and what stands for each.
    table: Vec<(String, String)>,
    /// The texts that gainsay made up as arguments: an answer may say them again.
    arguments: BTreeSet<String>,
}

impl Masks {
    fn of(model: &Model, start: &Mirror, ran: Option<(&Plan, &PlanRun)>) -> Masks {
        let mark = ran.map_or("", |(_, run)| run.mark.as_str());
        let mut arguments = BTreeSet::new();
        for step in ran.iter().flat_map(|(plan, _)| plan.all()) {
            for arg in &step.action.args {
                texts(arg, &mut |text| {
                    arguments.insert(text.to_owned());
                });
            }
        }
        let mut table: BTreeMap<String, String> = BTreeMap::new();
        for mirror in std::iter::once(start).chain(ran.map(|(_, run)| &run.mirror)) {
            for (index, kind) in model.kinds.iter().enumerate() {
                let id = KindId(u16::try_from(index).unwrap_or(u16::MAX));
                for (handle, record) in mirror.all(id) {
                    let fields = kind.fields.iter().zip(record.fields.iter());
                    for (field, value) in fields.filter(|(field, _)| field.ty.is_secret()) {
                        texts(value, &mut |text| {
                            let marked = !mark.is_empty() && text.contains(mark);
                            if text.is_empty() || marked || table.contains_key(text) {
                                return;
                            }
                            let mask = match arguments.contains(text) {
                                // It has to be a valid argument still, as far as that can be.
                                true => another(text, table.len()),
                                false => mask(model, handle, &field.name),
                            };
                            for form in disguises::with_itself(text) {
                                table.entry(form).or_insert_with(|| mask.clone());
                            }
                        });
                    }
                }
            }
        }
        for told in ran.iter().flat_map(|(_, run)| run.jars.told()) {
            if told.value.len() >= SHORTEST {
                let mask = mask(model, told.whose, &told.what);
                for form in disguises::with_itself(&told.value) {
                    table.entry(form).or_insert_with(|| mask.clone());
                }
            }
        }
        let mut table: Vec<(String, String)> = table.into_iter().collect();
        table.sort_by_key(|(raw, _)| std::cmp::Reverse(raw.len()));
        Masks {
            mark: (mark.to_owned(), "x".repeat(mark.len())),
            table,
            arguments,
        }
    }

    /// JSON without secrets; `name` is what it stands under.
    fn json(&self, name: &str, json: &Json) -> Json {
        match json {
            Json::String(text) => self.text(name, text).into(),
            Json::Array(items) => items.iter().map(|item| self.json(name, item)).collect(),
            Json::Object(map) => map
                .iter()
                .map(|(name, value)| (self.text("", name), self.json(name, value)))
                .collect::<Map<_, _>>()
                .into(),
            other => other.clone(),
        }
    }

    fn text(&self, name: &str, text: &str) -> String {
        let mut out = text.to_owned();
        for (raw, mask) in &self.table {
            if raw.len() >= SHORTEST {
                out = out.replace(raw.as_str(), mask);
            } else if out == *raw {
                out.clone_from(mask);
            }
        }
        let (mark, masked) = &self.mark;
        if !mark.is_empty() {
            out = out.replace(&format!("-{mark}-"), &format!("-{masked}-"));
        }
        // What nobody learned is nobody's business either.
        let kept = out != text || text.len() < SHORTEST || self.arguments.contains(text);
        match !kept && is_secret_name(name) {
            true => "‹hidden›".to_owned(),
            false => out,
        }
    }
}

fn mask(model: &Model, handle: Handle, field: &str) -> String {
    format!("‹{}.{field}›", write_handle(model, handle))
}

/// A text as long as another one.
fn another(text: &str, nth: usize) -> String {
    let letters = b"abcdefghijklmnopqrstuvwxyz";
    let letter = |at: usize| {
        char::from(letters[(nth / letters.len().pow(u32::from(at > 0)) + at) % letters.len()])
    };
    (0..text.chars().count()).map(letter).collect()
}

/// Looks at all texts in a value.
fn texts(value: &Value, look: &mut dyn FnMut(&str)) {
    match value {
        Value::Text(text) => look(text),
        Value::List(items) => items.iter().for_each(|item| texts(item, look)),
        Value::Map(map) => map.iter().for_each(|(key, value)| {
            texts(key, look);
            texts(value, look);
        }),
        _ => {}
    }
}
