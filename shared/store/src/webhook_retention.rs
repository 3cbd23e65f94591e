//! Forgetting messages and what became of them, some at a time, and endpoints that were deleted.

use domain::id::{WebhookEndpointId, WebhookMessageId};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use uuid::Uuid;

use crate::error::Error;
use crate::tenant_tx::{TenantTx, Tx};

/// Rows that are deleted in one transaction.
const BATCH: i64 = 5_000;

/// Forgets some of what the tenant published before `before`; whether there may be more. What is still on its way stays.
/// Ids begin with their time, so what is old is what comes first, and no index is needed for it.
///
/// # Errors
/// When the database is gone.
pub async fn forget(tx: &mut TenantTx, before: Timestamp) -> Result<bool, Error> {
    let bound = WebhookMessageId::new(before, [0; 10]).as_uuid();
    let endpoints = sqlx::query_scalar!(
        "SELECT id FROM webhook_endpoints WHERE tenant_id = $1",
        tx.tenant_id() as _
    )
    .fetch_all(tx.connection())
    .await?;
    let mut more = false;
    for endpoint in endpoints {
        more |= forget_deliveries(tx, endpoint, bound).await?;
    }
    let deleted = sqlx::query!(
        "DELETE FROM webhook_messages
        WHERE tenant_id = $1 AND id IN (
            SELECT id FROM webhook_messages AS old
            WHERE old.tenant_id = $1 AND old.id < $2
                AND NOT EXISTS (
                    SELECT FROM webhook_deliveries AS delivery
                    WHERE delivery.tenant_id = $1 AND delivery.message_id = old.id
                        AND delivery.endpoint_id = ANY (
                            SELECT endpoint.id FROM webhook_endpoints AS endpoint WHERE endpoint.tenant_id = $1))
            ORDER BY id
            LIMIT $3)",
        tx.tenant_id() as _,
        bound,
        BATCH
    )
    .execute(tx.connection())
    .await?;
    sqlx::query!(
        "DELETE FROM webhook_replays WHERE tenant_id = $1 AND ended_at < $2",
        tx.tenant_id() as _,
        before.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    Ok(more || is_full(deleted.rows_affected()))
}

async fn forget_deliveries(
    tx: &mut TenantTx,
    endpoint: WebhookEndpointId,
    bound: Uuid,
) -> Result<bool, Error> {
    let deleted = sqlx::query_scalar!(
        r#"WITH gone AS (
            DELETE FROM webhook_deliveries
            WHERE tenant_id = $1 AND endpoint_id = $2 AND message_id IN (
                SELECT message_id FROM webhook_deliveries
                WHERE tenant_id = $1 AND endpoint_id = $2 AND message_id < $3
                    AND status IN ('Delivered', 'Failed', 'Held')
                ORDER BY message_id
                LIMIT $4)
            RETURNING message_id
        ),
        attempts AS (
            DELETE FROM webhook_attempts
            WHERE tenant_id = $1 AND endpoint_id = $2 AND message_id IN (SELECT message_id FROM gone)
        )
        SELECT count(*) AS "count!" FROM gone"#,
        tx.tenant_id() as _,
        endpoint as _,
        bound,
        BATCH
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(is_full(deleted.unsigned_abs()))
}

/// Forgets some of what was sent to endpoints that were deleted, and those of which nothing is left; whether there may
/// be more.
///
/// # Errors
/// When the database is gone.
pub async fn forget_deleted(tx: &mut TenantTx) -> Result<bool, Error> {
    let endpoints = sqlx::query_scalar!(
        "SELECT id FROM webhook_endpoints WHERE tenant_id = $1 AND status = 'Deleted'",
        tx.tenant_id() as _
    )
    .fetch_all(tx.connection())
    .await?;
    let mut more = false;
    for endpoint in endpoints {
        let some = forget_deliveries(tx, endpoint, Uuid::max()).await?;
        more |= some;
        if some {
            continue;
        }
        sqlx::query!(
            "DELETE FROM webhook_endpoints
            WHERE tenant_id = $1 AND id = $2 AND NOT EXISTS (
                SELECT FROM webhook_deliveries WHERE tenant_id = $1 AND endpoint_id = $2)",
            tx.tenant_id() as _,
            endpoint as _
        )
        .execute(tx.connection())
        .await?;
    }
    Ok(more)
}

fn is_full(rows: u64) -> bool {
    rows >= BATCH.unsigned_abs()
}
