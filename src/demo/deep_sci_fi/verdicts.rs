//! What proposals and aspects have in common: the verdicts so far, and the strengthen gate.

use sqlx::Row;
use sqlx::any::AnyRow;

pub(super) const VERDICTS: &[&str] = &["strengthen", "approve", "reject"];

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
