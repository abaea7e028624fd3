//! Putting a backup in the place of a key: five steps in one transaction, or, with a slip, in several.

use std::time::Duration;

use super::errors::Refusal;
use super::service::{App, now};
use super::slips::Slip;
use crate::demo::sqlite::Tx;

/// How long it is between two transactions, with a slip.
const BETWEEN: Duration = Duration::from_millis(24);

/// Who asks for a rotation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Trigger {
    /// Somebody who names the key.
    Admin,
    /// The provider refused a request with the key. Whatever became of it since counts for nothing.
    Upstream,
}

/// What became of one.
pub(super) enum Rotation {
    Done {
        new: String,
    },
    /// The key was replaced before.
    Already,
    Absent,
    /// None is left. The key is exhausted.
    NoBackup,
    /// What was to be inserted is a key already. The key is marked as exhausted, if it is there.
    Failed,
}

/// The steps after which something could come between.
#[derive(Clone, Copy)]
enum Step {
    Find,
    Delete,
    Insert,
    Move,
}

struct Work<'a> {
    app: &'a App,
    pool: &'a str,
    failed: &'a str,
    reason: &'a str,
}

pub(super) async fn rotate(
    app: &App,
    pool: &str,
    failed: &str,
    reason: &str,
    trigger: Trigger,
) -> Result<Rotation, Refusal> {
    let work = Work {
        app,
        pool,
        failed,
        reason,
    };
    let windows = [Slip::DeleteThenInsert, Slip::InsertThenMark];
    let alone = match app.slips.any(&windows) {
        true => Some(app.rotations.lock().await),
        false => None,
    };
    let rotation = work.run(trigger).await;
    drop(alone);
    rotation
}

impl Work<'_> {
    async fn run(&self, trigger: Trigger) -> Result<Rotation, Refusal> {
        let slips = self.app.slips;
        let mut tx = self.app.database.write().await?;
        let status = self.status(&mut tx).await?;
        let stale = match status.as_deref() {
            Some("healthy") => None,
            Some(_) => (trigger == Trigger::Upstream).then_some(Rotation::Already),
            None => match self.was_replaced(&mut tx).await? {
                true if slips.has(Slip::IgnoreDeleteCount) => None,
                true => Some(Rotation::Already),
                false => Some(Rotation::Absent),
            },
        };
        if let Some(stale) = stale {
            return Ok(stale);
        }
        let Some((new, api_key)) = self.find(&mut tx).await? else {
            if status.is_none() {
                return Ok(Rotation::Already);
            }
            match slips.has(Slip::NoBackupDeletes) {
                true => drop(self.delete(&mut tx).await?),
                false => self.exhaust(&mut tx).await?,
            }
            tx.commit().await?;
            return Ok(Rotation::NoBackup);
        };
        if slips.has(Slip::BurnBackup) {
            self.mark(&mut tx, &new).await?;
        }
        tx = self.after(Step::Find, tx).await?;
        if self.delete(&mut tx).await? == 0 && !slips.has(Slip::IgnoreDeleteCount) {
            // Another was faster. In one transaction that cannot be.
            return Ok(Rotation::Already);
        }
        tx = self.after(Step::Delete, tx).await?;
        if let Err(error) = self.insert(&mut tx, &new, &api_key).await {
            drop(tx);
            return match error.as_database_error() {
                Some(cause) if cause.is_unique_violation() => self.give_up().await,
                _ => Err(error.into()),
            };
        }
        tx = self.after(Step::Insert, tx).await?;
        if !slips.has(Slip::NoBindingMove) {
            self.move_bindings(&mut tx, &new).await?;
        }
        tx = self.after(Step::Move, tx).await?;
        self.mark(&mut tx, &new).await?;
        self.note(&mut tx, &new).await?;
        tx.commit().await?;
        Ok(Rotation::Done { new })
    }

    /// Lets others go on: within the transaction, or, with a slip, between it and another one.
    async fn after(&self, step: Step, tx: Tx) -> Result<Tx, Refusal> {
        let own = match step {
            Step::Find => Slip::BurnBackup,
            Step::Delete => Slip::DeleteThenInsert,
            Step::Insert => Slip::InsertThenMark,
            Step::Move => Slip::NonatomicClaim,
        };
        if !self.app.slips.any(&[Slip::NonatomicClaim, own]) {
            tokio::task::yield_now().await;
            return Ok(tx);
        }
        tx.commit().await?;
        tokio::time::sleep(BETWEEN).await;
        Ok(self.app.database.write().await?)
    }

    async fn status(&self, tx: &mut Tx) -> Result<Option<String>, sqlx::Error> {
        sqlx::query_scalar("SELECT status FROM keys WHERE pool = ? AND id = ?")
            .bind(self.pool)
            .bind(self.failed)
            .fetch_optional(&mut **tx)
            .await
    }

    /// Whether a backup took its place, and it does not wait as a backup itself.
    async fn was_replaced(&self, tx: &mut Tx) -> Result<bool, sqlx::Error> {
        let statement = "SELECT EXISTS (SELECT 1 FROM history WHERE pool = ?1 AND key_id = ?2)
            AND NOT EXISTS (SELECT 1 FROM backups WHERE pool = ?1 AND id = ?2 AND NOT is_used)";
        sqlx::query_scalar(statement)
            .bind(self.pool)
            .bind(self.failed)
            .fetch_one(&mut **tx)
            .await
    }

    /// The id and the key of a backup that is not used.
    async fn find(&self, tx: &mut Tx) -> Result<Option<(String, String)>, sqlx::Error> {
        let statement = "SELECT id, api_key FROM backups WHERE pool = ? AND NOT is_used
            ORDER BY rowid LIMIT 1";
        sqlx::query_as(statement)
            .bind(self.pool)
            .fetch_optional(&mut **tx)
            .await
    }

    /// How many keys it deleted.
    async fn delete(&self, tx: &mut Tx) -> Result<u64, sqlx::Error> {
        let deleted = sqlx::query("DELETE FROM keys WHERE pool = ? AND id = ?")
            .bind(self.pool)
            .bind(self.failed)
            .execute(&mut **tx)
            .await?;
        Ok(deleted.rows_affected())
    }

    async fn insert(&self, tx: &mut Tx, new: &str, api_key: &str) -> Result<(), sqlx::Error> {
        let statement = "INSERT INTO keys (pool, id, api_key, replaced_key, created_at)
            VALUES (?, ?, ?, ?, ?)";
        sqlx::query(statement)
            .bind(self.pool)
            .bind(new)
            .bind(api_key)
            .bind(self.failed)
            .bind(now())
            .execute(&mut **tx)
            .await?;
        Ok(())
    }

    async fn move_bindings(&self, tx: &mut Tx, new: &str) -> Result<(), sqlx::Error> {
        sqlx::query("UPDATE bindings SET key_id = ? WHERE pool = ? AND key_id = ?")
            .bind(new)
            .bind(self.pool)
            .bind(self.failed)
            .execute(&mut **tx)
            .await?;
        Ok(())
    }

    async fn mark(&self, tx: &mut Tx, new: &str) -> Result<(), sqlx::Error> {
        let statement = "UPDATE backups SET is_used = TRUE, used_for = ?, used_at = ?
            WHERE pool = ? AND id = ?";
        sqlx::query(statement)
            .bind(self.failed)
            .bind(now())
            .bind(self.pool)
            .bind(new)
            .execute(&mut **tx)
            .await?;
        Ok(())
    }

    async fn note(&self, tx: &mut Tx, new: &str) -> Result<(), sqlx::Error> {
        let statement = "INSERT INTO history (pool, key_id, reason, new_key_id, at)
            VALUES (?, ?, ?, ?, ?)";
        sqlx::query(statement)
            .bind(self.pool)
            .bind(self.failed)
            .bind(self.reason)
            .bind(new)
            .bind(now())
            .execute(&mut **tx)
            .await?;
        Ok(())
    }

    async fn exhaust(&self, tx: &mut Tx) -> Result<(), sqlx::Error> {
        sqlx::query("UPDATE keys SET status = 'exhausted' WHERE pool = ? AND id = ?")
            .bind(self.pool)
            .bind(self.failed)
            .execute(&mut **tx)
            .await?;
        Ok(())
    }

    async fn give_up(&self) -> Result<Rotation, Refusal> {
        let mut tx = self.app.database.write().await?;
        self.exhaust(&mut tx).await?;
        tx.commit().await?;
        Ok(Rotation::Failed)
    }
}
