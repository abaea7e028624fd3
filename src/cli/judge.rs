//! `gainsay judge MODEL HISTORY`: whether some order of what was recorded explains every answer under the model's rules.

use std::io::BufReader;
use std::path::PathBuf;
use std::time::Duration;

use super::terminal::Terminal;
use super::{Ending, Failure, ModelPath, duration, load};
use crate::check::linear::{Bounds, Verdict, check};
use crate::report::recording;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    path: ModelPath,
    /// The history: JSON Lines, as `gainsay run --history` writes them
    #[arg(value_name = "HISTORY")]
    history: PathBuf,
    /// Look at a plan no longer than this
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    time: Duration,
}

pub(super) fn run(arguments: &Arguments, terminal: &Terminal) -> Result<Ending, Failure> {
    let model = load(&arguments.path.model, terminal)?;
    let path = arguments.history.display();
    let usage = |reason: String| Failure::Usage(format!("{path}: {reason}"));
    let file = std::fs::File::open(&arguments.history).map_err(|e| usage(e.to_string()))?;
    let history =
        recording::read(&model, BufReader::new(file)).map_err(|e| usage(e.to_string()))?;
    let bounds = Bounds {
        time: arguments.time,
        ..Bounds::default()
    };
    let (mut contradicted, mut inconclusive, mut operations) = (0, 0, 0);
    for plan in &history.plans {
        operations += plan.operations.len();
        let mut wrong = false;
        for (line, what, status) in &plan.failures {
            wrong = true;
            let plan = plan.plan;
            terminal.print(&format!(
                "✗ plan {plan}: the server failed: {what} was answered {status}  (line {line})"
            ));
        }
        for told_apart in recording::told_apart(&model, plan) {
            wrong = true;
            terminal.print(&format!("✗ plan {}: {told_apart}", plan.plan));
        }
        match check(&model, &history.start, &plan.operations, &bounds) {
            Verdict::Explained => {}
            Verdict::Contradicted(refutation) => {
                wrong = true;
                terminal.print(&recording::refuted(&model, plan, &refutation));
            }
            Verdict::Inconclusive(why) => {
                inconclusive += 1;
                terminal.print(&format!("? plan {}: inconclusive: {why}", plan.plan));
            }
        }
        contradicted += usize::from(wrong);
    }
    terminal.print(&format!(
        "{} plans, {operations} operations: {contradicted} contradicted, {inconclusive} inconclusive",
        history.plans.len()
    ));
    Ok(match (contradicted, inconclusive) {
        (0, 0) => Ending::Held,
        (0, _) => Ending::Inconclusive,
        _ => Ending::Violations,
    })
}
