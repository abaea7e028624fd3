//! What happened to an agent's things while it was away.

use serde_json::Value;

use super::store::{Tx, new_id, now};

/// News for one agent, about a `(type, id)`.
pub(super) async fn notify(
    tx: &mut Tx,
    user: &str,
    kind: &str,
    (target_type, target_id): (&str, &str),
    data: &Value,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO notifications (id, user_id, notification_type, target_type, target_id, data, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(new_id())
    .bind(user)
    .bind(kind)
    .bind(target_type)
    .bind(target_id)
    .bind(data.to_string())
    .bind(now())
    .execute(&mut **tx)
    .await?;
    Ok(())
}
