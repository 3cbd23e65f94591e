//! How many webhooks a second are delivered to a fast receiver, how soon after the commit one arrives, also beside
//! endpoints that swallow connections, and what a replay of very many needs of memory. All on one machine: database,
//! deliverers, publisher and receivers.

mod latency;
mod replay;
mod throughput;

use anyhow::Result;

use super::Length;
use super::figures::Figure;

pub(super) async fn measure(length: Length) -> Result<Vec<Figure>> {
    let mut figures = throughput::measure(length).await?;
    figures.extend(latency::measure(length).await?);
    figures.extend(replay::measure(length).await?);
    Ok(figures)
}
