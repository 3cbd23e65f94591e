//! Reading how far cells have come, for those who show it and take nothing.

use crate::client::{AskError, Client};
use crate::key::CellKey;
use crate::redis::Server;
use crate::rule::Rule;

/// Reads cells.
pub struct Reader(Client);

impl Reader {
    /// A reader of the cells in `server` whose names start with `key_prefix`.
    #[must_use]
    pub fn new(server: Server, key_prefix: &str) -> Self {
        Self(Client::new(server, key_prefix, include_str!("read.lua")))
    }

    /// How many permits of each cell are taken, those included that edges hold ready.
    ///
    /// # Errors
    /// When Redis is away or does not answer in time; limits themselves go on without it.
    pub async fn taken(&self, cells: &[(CellKey, Rule)]) -> Result<Vec<u64>, AskError> {
        let arguments = |(_, rule): &(CellKey, Rule),
                         question: &mut redis::ScriptInvocation<'_>| {
            question.arg(rule.unit()).arg(rule.drain().argument());
        };
        self.0.ask(cells, arguments, |(key, _)| *key).await
    }
}
