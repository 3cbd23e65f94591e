//! What counting costs, how much the roll-up and the events API take, how old usage is when a tenant sees it,
//! and what kills lose or count twice.

mod counting;
mod events;
mod freshness;
mod kills;
mod rollup;
mod tenants;

use anyhow::Result;

use super::Length;
use super::figures::Figure;

pub(super) async fn measure(length: Length) -> Result<Vec<Figure>> {
    let mut figures = counting::measure(length)?;
    figures.extend(rollup::measure(length).await?);
    figures.extend(events::measure(length).await?);
    figures.extend(freshness::measure(length).await?);
    figures.extend(kills::measure(length).await);
    Ok(figures)
}
