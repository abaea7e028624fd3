//! The command line: one file a command. Arguments and the environment are read here, once, and passed on.

mod check;
mod demo;
mod judge;
mod link;
mod replay;
mod run;
mod show;
mod target;
mod terminal;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Parser, Subcommand};
use tokio::sync::Notify;

use crate::campaign::CampaignError;
use crate::drive::ClientError;
use crate::generate::{Fault, Faults, OwnFault, Races, UnknownFault};
use crate::model::{LoadError, Model};
use terminal::Terminal;

/// Tests HTTP APIs against a model of their business rules.
///
/// A model says who may do what, and what must hold. Gainsay makes random plans of actions by several principals,
/// drives them against a live server, checks every answer, and boils a failure down to the shortest plan that fails.
#[derive(Debug, Parser)]
#[command(
    name = "gainsay",
    version,
    max_term_width = 100,
    arg_required_else_help = true
)]
#[command(
    after_help = "Exit codes: 0 held, 1 violations, 2 usage or model, 3 target or harness, 4 inconclusive."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check a model, and rehearse it: which outcomes plans reach, offline
    Check(check::Arguments),
    /// Print the rule book of a model
    Show(show::Arguments),
    /// Drive plans against a server and report what does not hold
    Run(Box<run::Arguments>),
    /// Replay a counterexample that a run wrote
    Replay(Box<replay::Arguments>),
    /// Judge a recorded history by itself, without a server
    Judge(judge::Arguments),
    /// Run a TCP link that can be broken by hand
    Link(link::Arguments),
    /// Find a planted bug in an embedded server, and explain it
    Demo(demo::Arguments),
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// Everything held.
    Held,
    /// There are violations.
    Violations,
    /// Nothing failed, and not everything could be judged.
    Inconclusive,
}

/// Why a command came to nothing.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The arguments or the model are at fault: exit code 2.
    #[error("{0}")]
    Usage(String),
    /// The same, rendered already.
    #[error("{0}")]
    Rendered(String),
    /// The target or the harness is at fault: exit code 3.
    #[error("{0}")]
    Harness(String),
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Remote { .. } | ClientError::Address { .. } => {
                Failure::Usage(error.to_string())
            }
            other => Failure::Harness(other.to_string()),
        }
    }
}

impl From<UnknownFault> for Failure {
    fn from(error: UnknownFault) -> Self {
        Failure::Usage(error.to_string())
    }
}

impl From<CampaignError> for Failure {
    fn from(error: CampaignError) -> Self {
        match error {
            CampaignError::Process(error) => Failure::Harness(error.to_string()),
            CampaignError::Unreachable { url, source } => Failure::Harness(format!(
                "the target at {url} cannot be reached: {source}\n  start the server, or correct --url"
            )),
        }
    }
}

/// Runs the command line of this process; the exit code says how it ended.
pub fn main() -> ExitCode {
    let terminal = Terminal::of_process();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are results, everything else is a usage error; a closed pipe is neither.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let result = match arguments.command {
        Command::Check(arguments) => check::run(&arguments, &terminal),
        Command::Show(arguments) => show::run(&arguments, &terminal),
        Command::Run(arguments) => block_on(run::run(&arguments, &terminal)),
        Command::Replay(arguments) => block_on(replay::run(&arguments, &terminal)),
        Command::Judge(arguments) => judge::run(&arguments, &terminal),
        Command::Link(arguments) => block_on(link::run(&arguments, &terminal)),
        Command::Demo(arguments) => block_on(demo::run(&arguments, &terminal)),
    };
    match result {
        Ok(Ending::Held) => ExitCode::SUCCESS,
        Ok(Ending::Violations) => ExitCode::from(1),
        Ok(Ending::Inconclusive) => ExitCode::from(4),
        Err(failure) => {
            match &failure {
                Failure::Rendered(text) => terminal.note(text),
                other => terminal.note(&format!("gainsay: {other}")),
            }
            ExitCode::from(match failure {
                Failure::Usage(_) | Failure::Rendered(_) => 2,
                Failure::Harness(_) => 3,
            })
        }
    }
}

/// Runs a command on tokio; Ctrl-C ends it, and with it what it started.
fn block_on(command: impl Future<Output = Result<Ending, Failure>>) -> Result<Ending, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::Harness(format!("cannot start the runtime: {e}")))?;
    runtime.block_on(async {
        let mut command = pin!(command);
        loop {
            tokio::select! {
                result = &mut command => return result,
                _ = tokio::signal::ctrl_c() => match GENTLY.swap(false, Ordering::Relaxed) {
                    true => INTERRUPTED.notify_one(),
                    false => return Err(Failure::Harness("interrupted".into())),
                },
            }
        }
    })
}

/// Whether the next Ctrl-C is told, and does not end gainsay by itself.
static GENTLY: AtomicBool = AtomicBool::new(false);
/// Told of such a Ctrl-C.
static INTERRUPTED: Notify = Notify::const_new();

/// What is told of the next Ctrl-C, which does not end gainsay then.
fn interrupted_gently() -> &'static Notify {
    GENTLY.store(true, Ordering::Relaxed);
    &INTERRUPTED
}

/// Loads a model, or says everything that is wrong with it.
fn load(path: &std::path::Path, terminal: &Terminal) -> Result<Model, Failure> {
    Model::load(path).map_err(|error| match error {
        LoadError::Read { .. } => Failure::Usage(format!(
            "{error}\n  give the path of a model file, such as models/kinto.yaml"
        )),
        LoadError::Model(errors) => Failure::Rendered(format!(
            "{}{errors}",
            errors.render(terminal.color, terminal.width)
        )),
    })
}

/// `A..B`, `A..=B`, or a single seed.
fn seeds(text: &str) -> Result<std::ops::Range<u64>, String> {
    let number = |s: &str| {
        s.trim()
            .parse::<u64>()
            .map_err(|_| format!("`{s}` is not a seed"))
    };
    let range = match text.split_once("..") {
        Some((from, to)) => {
            let from = number(from)?;
            match to.strip_prefix('=') {
                Some(to) => from..number(to)?.saturating_add(1),
                None => from..number(to)?,
            }
        }
        None => {
            let seed = number(text)?;
            seed..seed.saturating_add(1)
        }
    };
    match range.is_empty() {
        true => Err(format!(
            "`{text}` holds no seeds; write A..B with A below B"
        )),
        false => Ok(range),
    }
}

fn duration(text: &str) -> Result<std::time::Duration, String> {
    humantime::parse_duration(text)
        .map_err(|_| format!("`{text}` is not a time; write 500ms, 30s, 5m"))
}

/// Options of every command that makes plans.
#[derive(Debug, clap::Args)]
struct PlanOptions {
    /// The seeds, one plan each: A..B, A..=B, or a single one
    #[arg(long, value_name = "A..B", default_value = "0..25", value_parser = seeds)]
    seeds: std::ops::Range<u64>,
    /// A single seed
    #[arg(long, value_name = "N", conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Steps of a plan after its set-up (50, or one for every 4 outcomes of the model where that is more)
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
    /// Only rules with these names or tags (what they need is done all the same)
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// Not the rules with these names or tags
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    skip: Vec<String>,
    #[command(flatten)]
    faults: FaultOptions,
    #[command(flatten)]
    races: RaceOptions,
}

/// What goes wrong between the clients and the server.
#[derive(Debug, clap::Args)]
struct FaultOptions {
    /// Let things fail: network (twice, swallowed, slow, cut, malformed, abandoned, late, key), process (crash, stop,
    /// pause), link (link_cut, link_refuse, link_delay, link_slow, link_cut_after), or some of these
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    faults: Vec<String>,
    /// How many of the steps are faults, from 0 to 0.9 (0.3 with --faults, or else none)
    #[arg(long, value_name = "RATE")]
    fault_rate: Option<f64>,
}

#[derive(Debug, clap::Args)]
struct RaceOptions {
    /// Let steps run against each other, sent at the same instant; RATE of those that change something, from 0 to 1 (0.3)
    #[arg(long, value_name = "RATE", num_args = 0..=1, require_equals = true, default_missing_value = "0.3")]
    races: Option<f64>,
    /// How many branches a race has at most, from 2 to 8 (4)
    #[arg(long, value_name = "N", requires = "races", value_parser = clap::value_parser!(u8).range(2..=8))]
    race_width: Option<u8>,
}

/// Of the steps that change something, so many run against others where nobody says how many.
const RACE_RATE: f64 = 0.3;

impl RaceOptions {
    fn races(&self) -> Result<Races, Failure> {
        self.races_or(0.0)
    }

    /// The races that are asked for; so many where nobody says anything.
    fn races_or(&self, usual: f64) -> Result<Races, Failure> {
        let rate = self.races.unwrap_or(usual);
        if !(0.0..=1.0).contains(&rate) {
            return Err(Failure::Usage(format!(
                "--races is from 0 to 1, not {rate}\n  0.3 means that three of ten steps that change something run against others"
            )));
        }
        let usual = Races::default();
        Ok(Races {
            // A rate in thousandths, from 0 to 1,000.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            permille: (rate * 1000.0).round() as u16,
            width: self.race_width.unwrap_or(usual.width),
        })
    }
}

/// Of the steps of plans with faults, so many are faults where nobody says.
const FAULT_RATE: f64 = 0.3;

impl FaultOptions {
    /// Whether anybody said anything about faults.
    fn given(&self) -> bool {
        !self.faults.is_empty() || self.fault_rate.is_some()
    }

    fn faults(&self) -> Result<Faults, Failure> {
        let rate = match (self.fault_rate, self.faults.is_empty()) {
            (Some(rate), _) => rate,
            (None, true) => 0.0,
            (None, false) => FAULT_RATE,
        };
        if !(0.0..=0.9).contains(&rate) {
            return Err(Failure::Usage(format!(
                "--fault-rate is from 0 to 0.9, not {rate}\n  0.3 means that three of ten steps are faults"
            )));
        }
        let mut kinds = BTreeSet::new();
        for name in &self.faults {
            match name.as_str() {
                "network" => kinds.extend(Fault::NETWORK),
                "process" => kinds.extend(Fault::PROCESS),
                "link" => kinds.extend(Fault::LINK),
                // What a target's program calls its own is known once it runs.
                name => {
                    let own = |error| OwnFault::asked_for(name).map(Fault::Own).ok_or(error);
                    kinds.insert(name.parse::<Fault>().or_else(own)?);
                }
            }
        }
        let mut faults = Faults::network(rate);
        if !kinds.is_empty() {
            faults.kinds = kinds.into_iter().collect();
        }
        Ok(faults)
    }
}

impl PlanOptions {
    fn seeds(&self) -> std::ops::Range<u64> {
        match self.seed {
            Some(seed) => seed..seed.saturating_add(1),
            None => self.seeds.clone(),
        }
    }

    /// The options of the generator; a name that no rule has is an error.
    fn generate(&self, model: &Model) -> Result<crate::generate::Options, Failure> {
        for name in self.only.iter().chain(&self.skip) {
            let known = model
                .rules
                .iter()
                .any(|r| r.name == *name || r.tags.contains(name));
            if !known {
                let names = model.rules.iter().flat_map(|r| {
                    std::iter::once(r.name.as_str()).chain(r.tags.iter().map(String::as_str))
                });
                let help = match crate::model::diagnostics::nearest(name, names) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "`gainsay show` lists the rules".to_owned(),
                };
                return Err(Failure::Usage(format!(
                    "the model has no rule and no tag `{name}`\n  {help}"
                )));
            }
        }
        if self.steps == Some(0) {
            return Err(Failure::Usage(
                "a plan needs at least one step\n  give --steps 1 or more".into(),
            ));
        }
        if self.steps.is_some_and(|steps| steps > 100_000) {
            return Err(Failure::Usage(
                "a plan has at most 100000 steps\n  give fewer --steps, or more --seeds".into(),
            ));
        }
        Ok(crate::generate::Options {
            steps: self.steps,
            only: self.only.clone(),
            skip: self.skip.clone(),
            accounts: Vec::new(),
            faults: self.faults.faults()?,
            races: self.races.races()?,
        })
    }
}

/// The path of a model.
#[derive(Debug, clap::Args)]
struct ModelPath {
    /// The model file
    #[arg(value_name = "MODEL")]
    model: PathBuf,
}
