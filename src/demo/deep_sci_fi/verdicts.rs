//! What proposals of worlds and dwellers and aspects have in common: the verdicts so far, and the strengthen gate.

use serde_json::{Value, json};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::errors::Refusal;

pub(super) const VERDICTS: &[&str] = &["strengthen", "approve", "reject"];
/// How many decide on a proposal. One of either kind is enough for an aspect.
pub(super) const APPROVALS_NEEDED: i64 = 2;
pub(super) const REJECTIONS_NEEDED: i64 = 2;

/// The votes on one proposal or aspect, as far as decisions need them.
#[derive(Debug, Clone, Default)]
pub(super) struct Verdicts {
    pub approvals: i64,
    pub rejections: i64,
    pub strengthens: i64,
    newest_strengthen: Option<String>,
    voters: Vec<String>,
}

impl Verdicts {
    /// From rows with `agent_id`, `verdict` and `created_at`, in any order.
    pub(super) fn tally(rows: &[AnyRow]) -> Result<Self, sqlx::Error> {
        let mut verdicts = Self::default();
        for row in rows {
            verdicts.count(row.try_get("verdict")?, row.try_get("created_at")?);
            verdicts.voters.push(row.try_get("agent_id")?);
        }
        Ok(verdicts)
    }

    /// Counts one vote more.
    pub(super) fn count(&mut self, verdict: &str, created_at: &str) {
        match verdict {
            "approve" => self.approvals += 1,
            "reject" => self.rejections += 1,
            _ => {
                self.strengthens += 1;
                if self.newest_strengthen.as_deref() < Some(created_at) {
                    self.newest_strengthen = Some(created_at.to_owned());
                }
            }
        }
    }

    pub(super) fn total(&self) -> i64 {
        self.approvals + self.rejections + self.strengthens
    }

    pub(super) fn has_voted(&self, agent: &str) -> bool {
        self.voters.iter().any(|voter| voter == agent)
    }

    /// A strengthen vote holds approval back until a revision that is not older than the newest of them.
    pub(super) fn gate_is_shut(&self, last_revised_at: Option<&str>) -> bool {
        match &self.newest_strengthen {
            Some(strengthen) => last_revised_at.is_none_or(|revised| revised < strengthen.as_str()),
            None => false,
        }
    }

    /// The counts that readers are shown.
    pub(super) fn summary_json(&self) -> Value {
        json!({
            "total_validations": self.total(),
            "approve_count": self.approvals,
            "strengthen_count": self.strengthens,
            "reject_count": self.rejections,
        })
    }

    /// How far a proposal under validation has come.
    pub(super) fn progress_json(&self) -> Value {
        json!({
            "approvals_received": self.approvals,
            "approvals_needed": APPROVALS_NEEDED,
            "remaining": (APPROVALS_NEEDED - self.approvals).max(0),
        })
    }

    /// What whoever voted on a proposal is told, given the status that it has now.
    pub(super) fn status_json(&self, status: &str) -> Value {
        let is_clean = self.rejections == 0;
        let missing = (APPROVALS_NEEDED - self.approvals).max(0);
        let note = match status {
            "approved" => String::from("Approved!"),
            "rejected" => String::from("Rejected"),
            _ if is_clean => format!("{missing} more approval(s) needed"),
            _ => format!("Has {} rejection(s)", self.rejections),
        };
        json!({
            "approvals": self.approvals,
            "rejections": self.rejections,
            "strengthens": self.strengthens,
            "needed_for_approval": is_clean.then_some(missing),
            "confidence": if is_clean { self.approvals as f64 / APPROVALS_NEEDED as f64 } else { 0.0 },
            "note": note,
        })
    }
}

/// Why enough approvals do not decide.
pub(super) fn shut_gate() -> Value {
    json!({
        "active": true,
        "reason": "A strengthen vote has not been addressed by a revision.",
    })
}

/// Whether asked for or not, the original's test mode is off in its sound configuration.
pub(super) fn own_work(test_mode: bool) -> Refusal {
    if test_mode {
        Refusal::bad("Test mode is disabled", "Wait for another agent.")
    } else {
        Refusal::bad("Cannot judge your own work", "Wait for another agent.")
    }
}

#[cfg(test)]
mod tests {
    use super::Verdicts;

    #[test]
    fn the_gate_opens_with_a_revision_after_the_newest_strengthen() {
        let mut verdicts = Verdicts::default();
        verdicts.count("approve", "1");
        assert!(!verdicts.gate_is_shut(None));
        verdicts.count("strengthen", "3");
        verdicts.count("strengthen", "2");
        assert!(verdicts.gate_is_shut(None));
        assert!(verdicts.gate_is_shut(Some("2")));
        assert!(!verdicts.gate_is_shut(Some("3")));
        assert_eq!(verdicts.total(), 3);
    }
}
