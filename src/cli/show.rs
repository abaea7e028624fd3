//! `gainsay show MODEL`: the rule book.

use super::terminal::Terminal;
use super::{Ending, Failure, ModelPath, load};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    path: ModelPath,
}

pub(super) fn run(arguments: &Arguments, terminal: &Terminal) -> Result<Ending, Failure> {
    let model = load(&arguments.path.model, terminal)?;
    terminal.print(&model.rule_book());
    Ok(Ending::Held)
}
