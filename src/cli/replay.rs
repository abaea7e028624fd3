//! `gainsay replay FILE`: runs a kept counterexample again, from its first step on fresh entities.

use std::path::PathBuf;
use std::sync::Arc;

use super::target::TargetOptions;
use super::terminal::Terminal;
use super::{Ending, Failure, load};
use crate::report::{self, Snapshot};
use crate::shrink::{replay, replays_of};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The snapshot, `.snap` or `.snap.new`
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The model, where it is not where the snapshot says
    #[arg(long, value_name = "MODEL")]
    model: Option<PathBuf>,
    #[command(flatten)]
    target: TargetOptions,
    /// How often
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    times: u32,
    /// Show it as curl commands, too
    #[arg(long)]
    curl: bool,
}

pub(super) async fn run(arguments: &Arguments, terminal: &Terminal) -> Result<Ending, Failure> {
    let usage = |e: report::SnapshotError| Failure::Usage(e.to_string());
    let path = match &arguments.model {
        Some(path) => path.clone(),
        None => report::snapshot::source(&arguments.file).map_err(usage)?,
    };
    let model = Arc::new(load(&path, terminal)?);
    let snapshot = Snapshot::read(&model, &arguments.file).map_err(usage)?;
    let ready = arguments
        .target
        .ready(&model, crate::generate::Options::default(), terminal)
        .await?;
    let found = replay(
        &ready.runner,
        &snapshot.plan,
        &snapshot.check,
        arguments.times,
    )
    .await;
    let found = match found {
        Ok(found) => found,
        Err(error) => {
            ready.stop().await?;
            return Err(error.into());
        }
    };
    let ending = match &found {
        Some(found) => {
            terminal.print(&report::story(&model, found, terminal.style()));
            if arguments.curl {
                terminal.print(&report::curl(&model, found, &ready.url));
            }
            Ending::Violations
        }
        None => {
            terminal.print(&format!(
                "{}: did not fail in {} replays",
                snapshot.check,
                replays_of(&snapshot.plan, arguments.times)
            ));
            Ending::Held
        }
    };
    ready.stop().await?;
    Ok(ending)
}
