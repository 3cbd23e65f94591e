//! The mark of each schedule: the last tick that some process has turned into jobs.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use store::{ControlTx, Error, Tx};

/// A tick is the caller's to turn into jobs, in the transaction that claimed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The last tick that was turned into jobs before; `None`: there was none.
    pub last_tick: Option<Timestamp>,
}

/// Moves the mark of `schedule` on to `tick`; `None` if another process has done so. Of those who try at the
/// same time one gets it, and if that one's transaction is rolled back, the next.
///
/// # Errors
/// When the database is gone.
pub async fn claim(
    tx: &mut ControlTx,
    schedule: &str,
    tick: Timestamp,
) -> Result<Option<Claim>, Error> {
    let row = sqlx::query!(
        r#"WITH before AS (SELECT last_tick FROM apalis.schedules WHERE name = $1 FOR UPDATE),
        moved AS (
            INSERT INTO apalis.schedules AS kept (name, last_tick) VALUES ($1, $2)
            ON CONFLICT (name) DO UPDATE SET last_tick = excluded.last_tick
            WHERE kept.last_tick < excluded.last_tick
            RETURNING name
        )
        SELECT (SELECT last_tick FROM before) AS last_tick, EXISTS (SELECT FROM moved) AS "moved!""#,
        schedule,
        tick.to_sqlx() as _
    )
    .fetch_one(tx.connection())
    .await?;
    let last_tick = row.last_tick.map(|at| at.to_jiff());
    Ok(row.moved.then_some(Claim { last_tick }))
}
