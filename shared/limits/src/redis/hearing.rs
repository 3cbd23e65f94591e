//! What other edges take: told by Redis at each eighth of a limit. An edge that has never used a cell then knows
//! what is left of it, should Redis go away or lose the cell; and who holds slots in reserve gives them back.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use redis::RedisError;
use tokio::time::sleep;

use super::Server;
use crate::key::CellKey;
use crate::shared_cell::Known;
use crate::take::Limiter;

const RECONNECT_AFTER: Duration = Duration::from_millis(500);

impl Limiter {
    /// Hears until it is dropped. While it cannot, less is known; nothing fails.
    pub(super) async fn hear_for_ever(&self, server: &Server) {
        loop {
            if let Err(error) = self.hear(server).await {
                tracing::debug!(%error, "levels of limits are not heard");
            }
            sleep(RECONNECT_AFTER).await;
        }
    }

    async fn hear(&self, server: &Server) -> Result<(), RedisError> {
        let mut connection = server.listen().await?;
        connection.subscribe(self.channel()).await?;
        let mut messages = connection.on_message();
        while let Some(message) = messages.next().await {
            let words: String = message.get_payload()?;
            let Some((key, known)) = parse(&words) else { continue };
            let Some(cell) = self.cells.hear(key, known, self.now_us()) else { continue };
            let mut state = cell.lock();
            if state.lease.holds_in_vain(state.rule) && !state.asked {
                state.asked = self.asks.try_send(Arc::clone(&cell)).is_ok();
            }
        }
        Ok(())
    }
}

/// `key born version level at`, as `cell.lua` publishes it.
fn parse(words: &str) -> Option<(CellKey, Known)> {
    let mut words = words.split(' ');
    let key = CellKey::parse(words.next()?)?;
    let mut number = || words.next()?.parse().ok();
    Some((key, Known { born: number()?, version: number()?, level: number()?, at: number()? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_published_is_understood() {
        let key = CellKey::tenant(7);
        let words = format!("{} 1 2 3 4", key.in_redis("p:"));
        assert_eq!(parse(&words), Some((key, Known { born: 1, version: 2, level: 3, at: 4 })));
        assert_eq!(parse("p:limit:{tenant:7:0} 1 2 3"), None);
    }
}
