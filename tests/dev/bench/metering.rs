//! What counting costs, how much the roll-up and the events API take, how old usage is when a tenant sees it,
//! and what kills lose or count twice.

mod counting;
mod events;
mod freshness;
mod kills;
mod rollup;

use anyhow::Result;
use harness::{App, AppOptions};

use super::figures::Figure;
use super::{Length, tenants};

pub(super) async fn measure(length: Length) -> Result<Vec<Figure>> {
    let mut figures = counting::measure(length)?;
    figures.extend(rollup::measure(length).await?);
    figures.extend(events::measure(length).await?);
    figures.extend(freshness::measure(length).await?);
    figures.extend(kills::measure(length).await);
    Ok(figures)
}

/// An installation with so many tenants, on a Postgres that keeps what it says it keeps.
async fn installation(tenants: u64) -> Result<App> {
    let options = AppOptions { own_postgres: true, jobs_may_remain: true, ..AppOptions::default() };
    let app = App::start_with(options).await;
    let insert = sqlx::AssertSqlSafe(tenants::insert(tenants, 1));
    sqlx::raw_sql(insert).execute(&mut app.database().connect().await).await?;
    Ok(app)
}
