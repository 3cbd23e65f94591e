//! How many jobs a second four processes do and a database takes in, how soon a job starts that was committed, also
//! beside a tenant with very many, and what kills of workers and Postgres lose or do twice.

mod fairness;
mod kills;
mod latency;
mod throughput;

use anyhow::Result;

use super::Length;
use super::figures::Figure;

pub(super) async fn measure(length: Length) -> Result<Vec<Figure>> {
    let mut figures = throughput::measure(length).await?;
    figures.extend(latency::measure(length).await?);
    figures.extend(fairness::measure(length).await?);
    figures.extend(kills::measure(length).await);
    Ok(figures)
}
