//! Reading how far cells have come, for those who show it and take nothing.

use std::time::Duration;

use futures::future::try_join_all;
use redis::{RedisError, Script};
use tokio::sync::Mutex;

use crate::key::CellKey;
use crate::redis::{Connection, Server};
use crate::rule::Rule;

/// Longest that a reader waits.
const READ_MAX: Duration = Duration::from_millis(250);

/// The levels cannot be read at present.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Redis refused, or is away.
    #[error("Redis does not say: {0}")]
    Redis(#[from] RedisError),
    /// Redis did not answer in time.
    #[error("Redis did not answer within {} ms", READ_MAX.as_millis())]
    Late(#[from] tokio::time::error::Elapsed),
}

/// Reads cells. Connects when it is first asked, and anew after a failure.
pub struct Reader {
    server: Server,
    key_prefix: String,
    script: Script,
    connection: Mutex<Option<Connection>>,
}

impl Reader {
    /// A reader of the cells in `server` whose names start with `key_prefix`.
    #[must_use]
    pub fn new(server: Server, key_prefix: &str) -> Self {
        Self {
            server,
            key_prefix: key_prefix.to_owned(),
            script: Script::new(include_str!("read.lua")),
            connection: Mutex::new(None),
        }
    }

    /// How many permits of each cell are taken, those included that edges hold ready.
    ///
    /// # Errors
    /// When Redis is away or does not answer in time; limits themselves go on without it.
    pub async fn taken(&self, cells: &[(CellKey, Rule)]) -> Result<Vec<u64>, ReadError> {
        let outcome = tokio::time::timeout(READ_MAX, self.ask(cells)).await;
        let taken = outcome.map_err(ReadError::from).and_then(|read| Ok(read?));
        if taken.is_err() {
            *self.connection.lock().await = None;
        }
        taken
    }

    async fn ask(&self, cells: &[(CellKey, Rule)]) -> Result<Vec<u64>, RedisError> {
        let connection = self.connection().await?;
        try_join_all(cells.iter().map(|(key, rule)| {
            let mut connection = connection.clone();
            async move {
                let mut question = self.script.key(key.in_redis(&self.key_prefix));
                question.arg(rule.unit()).arg(rule.drain().argument());
                question.invoke_async(&mut connection).await
            }
        }))
        .await
    }

    async fn connection(&self) -> Result<Connection, RedisError> {
        let mut kept = self.connection.lock().await;
        if let Some(connection) = &*kept {
            return Ok(connection.clone());
        }
        let connection = self.server.connect().await?;
        *kept = Some(connection.clone());
        Ok(connection)
    }
}
