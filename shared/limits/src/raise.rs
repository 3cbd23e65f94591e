//! Raising quotas to what was counted: Redis and the edges may forget a period, what was counted is kept.

use std::num::NonZeroU64;

use crate::client::{AskError, Client};
use crate::key::CellKey;
use crate::redis::Server;

/// Says that all quotas were raised; gone when Redis forgets.
const MARK: &str = "quotas raised";

/// A quota's cell and how far it must have come.
#[derive(Debug, Clone, Copy)]
pub struct Counted {
    /// The cell.
    pub key: CellKey,
    /// The quota.
    pub permits: u64,
    /// When the period ends, in seconds of Unix time.
    pub ends_at: u64,
    /// What was counted.
    pub used: NonZeroU64,
}

/// Raises cells.
pub struct Raiser(Client);

impl Raiser {
    /// A raiser of the cells in `server` whose names start with `key_prefix`.
    #[must_use]
    pub fn new(server: Server, key_prefix: &str) -> Self {
        Self(Client::new(server, key_prefix, include_str!("raise.lua")))
    }

    /// Whether all quotas were raised in the present life of Redis: false after it has lost its memory.
    ///
    /// # Errors
    /// When Redis is away or does not answer in time.
    pub async fn remembers(&self) -> Result<bool, AskError> {
        self.0.has(MARK).await
    }

    /// Notes that all quotas were raised.
    ///
    /// # Errors
    /// When Redis is away or does not answer in time; then they are raised again.
    pub async fn note_all_raised(&self) -> Result<(), AskError> {
        self.0.put(MARK).await
    }

    /// Has each cell be at least as far as what was counted; how many were not. Never lowers one: edges may have
    /// taken what is still to be counted.
    ///
    /// # Errors
    /// When Redis is away or does not answer in time; the next count raises the cells as well.
    pub async fn raise(&self, cells: &[Counted]) -> Result<usize, AskError> {
        let arguments = |cell: &Counted, question: &mut redis::ScriptInvocation<'_>| {
            let ends_ms = cell.ends_at.saturating_mul(1_000);
            question.arg(cell.used.get()).arg(cell.permits).arg(ends_ms);
        };
        let raised: Vec<u64> = self.0.ask(cells, arguments, |cell| cell.key).await?;
        Ok(raised.into_iter().filter(|raised| *raised > 0).count())
    }
}
