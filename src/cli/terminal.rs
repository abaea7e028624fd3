//! The terminal: results to stdout, chatter to stderr, colours and moving lines only where somebody sees them.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::report::Style;

/// What is known of the terminal and the environment, read once.
#[derive(Clone, Debug)]
pub struct Terminal {
    /// Whether results may be coloured.
    pub color: bool,
    /// Columns.
    pub width: usize,
    /// Whether progress may move.
    moving: bool,
    /// Whether this is a CI run, in which nothing is written for review.
    pub ci: bool,
}

impl Terminal {
    /// What this process has.
    pub fn of_process() -> Terminal {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty())
            || std::env::var_os("TERM").is_some_and(|t| t == "dumb");
        let stdout = std::io::stdout().is_terminal();
        let columns = console::Term::stdout()
            .size_checked()
            .map(|(_, columns)| columns);
        Terminal {
            color: stdout && !plain,
            width: usize::from(columns.unwrap_or(100)).clamp(60, 140),
            moving: std::io::stderr().is_terminal() && !plain,
            ci: std::env::var_os("CI").is_some_and(|v| !v.is_empty() && v != "false" && v != "0"),
        }
    }

    /// The style of reports.
    pub fn style(&self) -> Style {
        Style {
            color: self.color,
            width: self.width,
        }
    }

    /// Prints a result to stdout. That nobody reads any more (a closed pipe) is not an error.
    pub fn print(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(text.as_bytes());
        if !text.ends_with('\n') {
            let _ = out.write_all(b"\n");
        }
        let _ = out.flush();
    }

    /// Prints a remark to stderr.
    pub fn note(&self, text: &str) {
        let mut out = std::io::stderr().lock();
        let _ = writeln!(out, "{}", text.trim_end());
    }

    /// A progress line for so many plans.
    pub fn progress(&self, plans: u64) -> Progress {
        let bar = ProgressBar::with_draw_target(
            Some(plans),
            match self.moving {
                true => ProgressDrawTarget::stderr(),
                false => ProgressDrawTarget::hidden(),
            },
        );
        let template = "{spinner} {pos}/{len} plans  {bar:24}  {msg}  {elapsed}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        if self.moving {
            bar.enable_steady_tick(Duration::from_millis(100));
        }
        Progress {
            bar,
            moving: self.moving,
            plans,
            done: 0,
            steps: 0,
            violations: 0,
            began: std::time::Instant::now(),
        }
    }
}

/// The progress of a campaign.
pub struct Progress {
    bar: ProgressBar,
    moving: bool,
    plans: u64,
    done: u64,
    steps: u64,
    violations: usize,
    began: std::time::Instant,
}

impl Progress {
    /// Shows what happened.
    pub fn show(&mut self, event: &crate::campaign::Progress<'_>) {
        use crate::campaign::Progress as Event;
        match event {
            Event::Ran(..) => {}
            Event::Plan { steps, covered, .. } => {
                self.done += 1;
                self.steps += *steps as u64;
                let rate = self.steps as f64 / self.began.elapsed().as_secs_f64().max(0.001);
                let message = format!(
                    "{rate:.0} steps/s  {}/{} outcomes  {} violations",
                    covered.1, covered.0, self.violations
                );
                self.bar.set_position(self.done);
                self.bar.set_message(message.clone());
                // Without a terminal: a line now and then, not one for each of a million plans.
                let tenth = (self.plans / 10).max(1);
                if !self.moving && (self.done.is_multiple_of(tenth) || self.done == self.plans) {
                    self.line(&format!("{}/{} plans  {message}", self.done, self.plans));
                }
            }
            Event::Failure { check, seed, steps } => {
                self.violations += 1;
                self.line(&format!(
                    "✗ {check}  (seed {seed}, after {steps} steps): looking for the shortest plan that still fails…"
                ));
            }
            Event::Counterexample(found) => self.line(&format!(
                "  {} steps, failed {} of {} times, after {} replays",
                found.plan.len(),
                found.standing.failed,
                found.standing.runs,
                found.replays
            )),
        }
    }

    fn line(&self, text: &str) {
        match self.moving {
            true => self.bar.println(text),
            false => {
                let _ = writeln!(std::io::stderr().lock(), "{text}");
            }
        }
    }

    /// Clears the line.
    pub fn finish(self) {
        self.bar.finish_and_clear();
    }
}
