//! `gainsay link`: a TCP link by itself, for whoever wants to break one by hand.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader, stdin};

use super::target::start_link;
use super::terminal::Terminal;
use super::{Ending, Failure};
use crate::drive::LinkConfig;
use crate::generate::LinkFault;

/// A fault that somebody asks for by hand lasts until he heals it, or so long.
const LEASE: Duration = Duration::from_secs(24 * 60 * 60);

const COMMANDS: &str =
    "cut, refuse, delay MILLISECONDS, slow, cut-after BYTES, cut-answers-after BYTES, heal";

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Where it listens, an address of this machine with a port (0: any that is free)
    #[arg(value_name = "LISTEN")]
    listen: SocketAddr,
    /// Where it leads: HOST:PORT
    #[arg(value_name = "UPSTREAM")]
    upstream: String,
}

pub(super) async fn run(arguments: &Arguments, terminal: &Terminal) -> Result<Ending, Failure> {
    if !arguments.listen.ip().is_loopback() {
        return Err(Failure::Usage(format!(
            "{} is no address of this machine alone\n  a link listens on a loopback address, such as 127.0.0.1:15432",
            arguments.listen
        )));
    }
    let config = LinkConfig {
        listen: arguments.listen,
        upstream: arguments.upstream.clone(),
    };
    let link = start_link("", &config).await?;
    terminal.print(&link.address().to_string());
    terminal.note(&format!(
        "a link to {}; Ctrl-C ends it. It takes commands, one a line: {COMMANDS}",
        config.upstream
    ));
    let mut lines = BufReader::new(stdin()).lines();
    loop {
        let line = match lines.next_line().await {
            Ok(Some(line)) => line,
            // Nobody is there to say anything: it goes on as it is.
            Ok(None) | Err(_) => std::future::pending().await,
        };
        match line.split_whitespace().collect::<Vec<_>>().as_slice() {
            [] => {}
            ["heal"] => {
                let met = link.heal_it();
                terminal.note(match met {
                    true => "healed; something had met the fault",
                    false => "healed; nothing had met a fault",
                });
            }
            words => match fault(words) {
                Some(fault) => {
                    link.break_it(fault, LEASE);
                    terminal.note("broken");
                }
                None => terminal.note(&format!("`{line}` is no command; there are {COMMANDS}")),
            },
        }
    }
}

fn fault(words: &[&str]) -> Option<LinkFault> {
    Some(match words {
        ["cut"] => LinkFault::Cut,
        ["refuse"] => LinkFault::Refuse,
        ["slow"] => LinkFault::Slow,
        ["delay", millis] => LinkFault::Delay {
            millis: millis.parse().ok()?,
        },
        [name @ ("cut-after" | "cut-answers-after"), bytes] => LinkFault::CutAfter {
            bytes: bytes.parse().ok()?,
            answers: *name == "cut-answers-after",
        },
        _ => return None,
    })
}
