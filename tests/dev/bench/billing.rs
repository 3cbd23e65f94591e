//! How many invoices a second the engine makes, how long a month's end of very many tenants takes, and three years of a
//! thousand tenants with every invariant on.

mod engine;
mod month_end;
mod simulation;

use anyhow::Result;

use super::Length;
use super::figures::Figure;

pub(super) async fn measure(length: Length) -> Result<Vec<Figure>> {
    let mut figures = engine::measure(length)?;
    figures.extend(simulation::measure(length)?);
    figures.extend(month_end::measure(length).await?);
    Ok(figures)
}
