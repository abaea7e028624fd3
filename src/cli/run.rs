//! `gainsay run MODEL`: replays what is known, drives new plans, reports, and writes snapshots for review.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::target::{Ready, TargetOptions};
use super::terminal::Terminal;
use super::{Ending, Failure, ModelPath, PlanOptions, duration, load};
use crate::campaign::{self, Progress, Report, campaign};
use crate::generate::Generator;
use crate::model::Model;
use crate::report::{self, Snapshot, Summary, Written};
use crate::run::Runner;
use crate::shrink::{Counterexample, replay};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    path: ModelPath,
    #[command(flatten)]
    target: TargetOptions,
    #[command(flatten)]
    plans: PlanOptions,
    /// Plans at once
    #[arg(long, value_name = "N", default_value_t = 4)]
    jobs: usize,
    /// Start no more plans after this time
    #[arg(long, value_name = "TIME", value_parser = duration)]
    time: Option<Duration>,
    /// Stop at the first violation
    #[arg(long)]
    fail_fast: bool,
    /// Delete what each plan created when it is over, by the model's own rules; on Ctrl-C, too
    #[arg(long)]
    cleanup: bool,
    /// Where counterexamples are kept
    #[arg(long, value_name = "DIR", default_value = "snapshots")]
    snapshots: PathBuf,
    /// Do not replay the counterexamples that are kept
    #[arg(long)]
    no_replay: bool,
    /// Show each counterexample as curl commands, too
    #[arg(long)]
    curl: bool,
    /// Show as whom each rule was tried, and what came of it
    #[arg(long)]
    access: bool,
    /// Write what was sent and answered, as JSON Lines that `gainsay judge` reads
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
}

/// Why a counterexample is not replayed.
const OUT_OF_REACH: &str =
    "it kills the server, or breaks a link of it, and neither is in reach; give --target";

pub(super) async fn run(arguments: &Arguments, terminal: &Terminal) -> Result<Ending, Failure> {
    let model = Arc::new(load(&arguments.path.model, terminal)?);
    let generate = arguments.plans.generate(&model)?;
    let misstarts = arguments.target.startup(terminal).await?;
    let ready = arguments.target.ready(&model, generate, terminal).await?;
    let result = drive(arguments, &model, &ready, terminal).await;
    ready.stop().await?;
    match (result?, misstarts) {
        (ending, 0) => Ok(ending),
        _ => Ok(Ending::Violations),
    }
}

async fn drive(
    arguments: &Arguments,
    model: &Arc<Model>,
    ready: &Ready,
    terminal: &Terminal,
) -> Result<Ending, Failure> {
    let mut still = 0;
    let generator = Generator::new(model.clone(), ready.generate.clone());
    let mut runner = ready.runner.clone();
    if arguments.cleanup || ready.cleanup {
        runner = runner.with_cleanup(generator.clone());
        end_gently(&runner, terminal);
    }
    let runner = &runner;
    if !arguments.no_replay {
        still = replay_kept(model, runner, &arguments.snapshots, terminal).await?;
    }
    let seeds = arguments.plans.seeds();
    let options = campaign::Options {
        seeds: seeds.clone(),
        jobs: arguments.jobs.clamp(1, 256),
        fail_fast: arguments.fail_fast,
        time: arguments.time,
        ..campaign::Options::default()
    };
    let report = match &arguments.history {
        None => driven(&generator, runner, &options, terminal).await?,
        Some(path) => kept(&generator, runner, &options, path, terminal).await?,
    };
    for found in &report.counterexamples {
        terminal.print(&report::story(model, found, terminal.style()));
        if arguments.curl {
            terminal.print(&report::curl(model, found, &ready.url));
        }
        keep(model, found, &arguments.snapshots, terminal)?;
    }
    if arguments.access {
        terminal.print(&report::access(model, &report.access, terminal.style()));
    }
    terminal.print(&report::summary(
        model,
        &Summary {
            still_failing: still,
            ..summarise(&report, &options)
        },
        terminal.style(),
    ));
    Ok(ending(&report, still > 0))
}

/// Lets Ctrl-C end the runs under way, so that what they created is cleaned up; a second one ends at once.
fn end_gently(runner: &Runner, terminal: &Terminal) {
    let (runner, terminal) = (runner.clone(), terminal.clone());
    let interrupted = super::interrupted_gently();
    tokio::spawn(async move {
        interrupted.notified().await;
        terminal.note("interrupted: what was created is deleted; Ctrl-C again ends at once");
        runner.stop();
    });
}

/// Runs a campaign, and shows how it gets on.
pub(super) async fn driven(
    generator: &Generator,
    runner: &Runner,
    options: &campaign::Options,
    terminal: &Terminal,
) -> Result<Report, Failure> {
    let mut progress = terminal.progress(options.seeds.end - options.seeds.start);
    let result = campaign(generator, runner, options, &mut |event| {
        progress.show(&event)
    })
    .await;
    progress.finish();
    Ok(result?)
}

/// As [`driven`], and writes what was sent and answered to a file.
async fn kept(
    generator: &Generator,
    runner: &Runner,
    options: &campaign::Options,
    path: &Path,
    terminal: &Terminal,
) -> Result<Report, Failure> {
    use report::recording;
    let failed = |e: std::io::Error| {
        let path = path.display();
        Failure::Harness(format!("cannot write the history {path}: {e}"))
    };
    let model = runner.model();
    let mut file = BufWriter::new(std::fs::File::create(path).map_err(failed)?);
    let head = recording::head(model, runner.start());
    let mut written = file.write_all(head.as_bytes());
    let fence = u64::try_from(runner.client().fence_after().as_micros()).unwrap_or(u64::MAX);
    let mut progress = terminal.progress(options.seeds.end - options.seeds.start);
    let result = campaign(generator, runner, options, &mut |event| {
        if let (Progress::Ran(plan, run), Ok(())) = (&event, &written) {
            let lines = recording::lines(model, runner.start(), plan, run, fence);
            written = file.write_all(lines.as_bytes());
        }
        progress.show(&event);
    })
    .await;
    progress.finish();
    written.and_then(|()| file.flush()).map_err(failed)?;
    Ok(result?)
}

/// How a campaign ended.
pub(super) fn ending(report: &Report, still_failing: bool) -> Ending {
    if still_failing || !report.counterexamples.is_empty() {
        Ending::Violations
    } else if report.plans_run < report.plans_asked {
        Ending::Inconclusive
    } else {
        Ending::Held
    }
}

pub(super) fn summarise(report: &Report, options: &campaign::Options) -> Summary {
    Summary {
        plans_asked: report.plans_asked,
        plans_run: report.plans_run,
        steps: report.steps,
        requests: report.requests,
        elapsed: report.elapsed,
        coverage: report.coverage.clone(),
        access: report.access.totals(),
        tidied: report.tidied.clone(),
        skipped_steps: report.skipped,
        inconclusive: report.inconclusive,
        unanswered: report.unanswered,
        races: (report.races, report.spread),
        faults: report.faults.clone(),
        unmet: report.unmet,
        creations: report.creations,
        worlds: report.worlds,
        seeds: options.seeds.start..=options.seeds.end.saturating_sub(1),
        jobs: report.jobs,
        counterexamples: report.failures(),
        alongside: report.alongside(),
        stopped_by: report.stopped_by.clone(),
        still_failing: 0,
    }
}

/// Writes the snapshot of a counterexample for review, and says what became of it.
fn keep(
    model: &Model,
    found: &Counterexample,
    directory: &Path,
    terminal: &Terminal,
) -> Result<(), Failure> {
    // What never failed again is nothing to review.
    if found.standing.never() {
        return Ok(());
    }
    let snapshot = Snapshot::new(model, found);
    let written = report::snapshot::write(directory, &snapshot, model, terminal.ci)
        .map_err(|e| Failure::Harness(e.to_string()))?;
    match written {
        Written::Unchanged => terminal.note("  kept and reviewed already: as it was"),
        Written::Pending(path) => {
            terminal.note(&format!(
                "  written for review: {} (rename it to .snap to accept it; in a Cargo project `cargo insta review` does)",
                path.display()
            ));
            keep_log(model, found, &path, terminal)?;
        }
        Written::WouldBePending(path) => terminal.note(&format!(
            "  CI is set, so nothing was written; it would be {}",
            path.display()
        )),
    }
    Ok(())
}

/// Writes what the server wrote beside the snapshot.
fn keep_log(
    model: &Model,
    found: &Counterexample,
    snapshot: &Path,
    terminal: &Terminal,
) -> Result<(), Failure> {
    if found.log.is_empty() {
        return Ok(());
    }
    // `….snap.new` becomes `….log`.
    let path = snapshot.with_extension("").with_extension("log");
    std::fs::write(&path, report::log(model, found))
        .map_err(|e| Failure::Harness(format!("cannot write the log {}: {e}", path.display())))?;
    terminal.note(&format!("  what the server wrote: {}", path.display()));
    Ok(())
}

/// Replays the counterexamples that are kept for a model. How many still fail.
async fn replay_kept(
    model: &Arc<Model>,
    runner: &Runner,
    directory: &Path,
    terminal: &Terminal,
) -> Result<usize, Failure> {
    let folder = report::snapshot::folder(directory, &model.name);
    let mut paths: Vec<PathBuf> = match std::fs::read_dir(&folder) {
        Ok(entries) => entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|e| e == "snap"))
            .collect(),
        Err(_) => return Ok(0),
    };
    paths.sort();
    let mut still = 0;
    for path in paths {
        let snapshot = match Snapshot::read(model, &path) {
            Ok(snapshot) => snapshot,
            // A counterexample of an older model must not keep the new one from being tested.
            Err(error) => {
                terminal.note(&format!("not replayed: {error}"));
                continue;
            }
        };
        if !runner.can_run(&snapshot.plan) {
            terminal.note(&format!("not replayed: {}: {OUT_OF_REACH}", path.display()));
            continue;
        }
        match replay(runner, &snapshot.plan, &snapshot.check, 1).await? {
            Some(found) => {
                still += 1;
                terminal.note(&format!(
                    "✗ still fails: {}  ({})",
                    snapshot.check,
                    path.display()
                ));
                runner.known_to_fail(&found.violation, &found.plan);
            }
            None => terminal.note(&format!(
                "✓ fails no longer: {}  ({}; delete it once that is settled)",
                snapshot.check,
                path.display()
            )),
        }
    }
    Ok(still)
}
