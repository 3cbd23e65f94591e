//! How many rows of batches a second go in and through to the periods: edges that hand over as fast as they are
//! let, one worker, and a Postgres that keeps what it says it keeps.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use domain::clock::{Clock as _, SystemClock};
use domain::id::ApiKeyId;
use domain::secret::Secret;
use feed::UsageSink;
use harness::{App, poll_async};
use metering::{Batch, LabelText, Outcome, Principal, Row};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::installation;
use crate::bench::figures::{Bar, Figure};
use crate::bench::{Length, tenants};
use crate::say;

const TENANTS: u16 = 1_000;
const ROUTES: u16 = 10;
/// What an edge counts under in a second.
const ROWS: u64 = TENANTS as u64 * ROUTES as u64;
const EDGES: u64 = 4;
const REQUESTS: u64 = 3;
const ROLLED_UP_WITHIN: Duration = Duration::from_secs(300);

/// Whose requests a second's rows are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Callers {
    /// The same in every second, as a service's customers are.
    Steady,
    /// Others in every second: no row can be added to one before it.
    New,
}

pub(super) async fn measure(length: Length) -> Result<Vec<Figure>> {
    let quick = length == Length::Quick;
    let steady = roll_up(Callers::Steady, if quick { 64 } else { 1_000 }).await?;
    let new = roll_up(Callers::New, if quick { 16 } else { 100 }).await?;
    Ok(vec![
        Figure { name: "rollup_rows_per_s", value: steady, bar: Bar::AtLeast(100_000.0) },
        Figure { name: "rollup_new_rows_per_s", value: new, bar: Bar::None },
    ])
}

/// Rows a second, from the first that is handed over until the periods say all.
async fn roll_up(callers: Callers, batches: u64) -> Result<f64> {
    let app = installation(TENANTS.into()).await?;
    let began = Instant::now();
    let mut edges = JoinSet::new();
    for _ in 0..EDGES {
        let url = Secret::new(app.database().url_as("pytake_edge"));
        edges.spawn(hand_over(UsageSink::new(url), callers, batches / EDGES));
    }
    while let Some(outcome) = edges.join_next().await {
        outcome??;
    }
    let handed_over = began.elapsed();
    wait_until_rolled_up(&app).await?;
    let took = began.elapsed();

    let requests = batches / EDGES * EDGES * ROWS * REQUESTS;
    let counted = counted(&app, "api_calls").await?;
    if counted != requests {
        bail!("{counted} requests are counted of {requests}");
    }
    let rows = requests / REQUESTS;
    say::note(&format!(
        "{callers:?}: {rows} rows were handed over in {handed_over:?}, rolled up in {took:?}"
    ));
    Ok(rows as f64 / took.as_secs_f64())
}

/// Waits until the days and periods say all that was handed over.
pub(super) async fn wait_until_rolled_up(app: &App) -> Result<()> {
    let connection = tokio::sync::Mutex::new(app.database().connect().await);
    let sql = "SELECT NOT EXISTS (SELECT FROM usage_batches WHERE rolled_up_at IS NULL)
        AND NOT EXISTS (SELECT FROM usage_dirty)";
    let done = poll_async(ROLLED_UP_WITHIN, async || {
        let mut connection = connection.lock().await;
        let done: bool = sqlx::query_scalar(sql).fetch_one(&mut *connection).await.ok()?;
        done.then_some(())
    });
    done.await.context("usage is not rolled up in time")
}

/// What the periods say of a meter, over all tenants.
pub(super) async fn counted(app: &App, meter: &str) -> Result<u64> {
    let sql = "SELECT coalesce(sum(quantity), 0)::bigint FROM usage_periods WHERE meter = $1";
    let connection = &mut app.database().connect().await;
    let counted: i64 = sqlx::query_scalar(sql).bind(meter).fetch_one(connection).await?;
    Ok(u64::try_from(counted)?)
}

async fn hand_over(mut sink: UsageSink, callers: Callers, batches: u64) -> Result<()> {
    let mut batch = batch();
    for _ in 0..batches {
        batch.number += 1;
        sink.submit(&batch).await?;
        batch.total_before = batch.total_after();
        batch.minute = SystemClock.now().as_second() / 60;
        if callers == Callers::New {
            for row in &mut batch.rows {
                row.principal = Principal::ApiKey(ApiKeyId::from_uuid(Uuid::now_v7()));
            }
        }
    }
    Ok(())
}

/// A second of an edge: every tenant on every route, each with its key.
fn batch() -> Batch {
    let label = |number: u16| LabelText {
        route: format!("/bench/{number}"),
        meter: number.is_multiple_of(2).then(|| ("messages".to_owned(), 1)),
    };
    let row = |number: u16, label: u16| Row {
        tenant: tenants::tenant(number.into()),
        principal: Principal::ApiKey(ApiKeyId::from_uuid(tenants::tenant(number.into()).as_uuid())),
        label,
        outcome: Outcome::Success,
        requests: REQUESTS,
    };
    Batch {
        edge_id: Uuid::now_v7(),
        boot_id: Uuid::now_v7(),
        number: 0,
        minute: SystemClock.now().as_second() / 60,
        total_before: 0,
        labels: (0..ROUTES).map(label).collect(),
        rows: (0..TENANTS)
            .flat_map(|tenant| (0..ROUTES).map(move |label| row(tenant, label)))
            .collect(),
    }
}
