//! Asking cells a question without being an edge: of whoever shows them, or knows better.

use std::time::Duration;

use redis::{FromRedisValue, RedisError, Script, ScriptInvocation};
use tokio::sync::Mutex;

use crate::key::CellKey;
use crate::redis::{Connection, Server};

/// Longest that an answer is waited for.
const ANSWER_MAX: Duration = Duration::from_millis(250);

/// The cells cannot be asked at present.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Redis refused, or is away.
    #[error("Redis does not say: {0}")]
    Redis(#[from] RedisError),
    /// Redis did not answer in time.
    #[error("Redis did not answer within {} ms", ANSWER_MAX.as_millis())]
    Late(#[from] tokio::time::error::Elapsed),
}

/// One script, and a connection that is made when it is first needed, and anew after a failure.
pub(crate) struct Client {
    server: Server,
    key_prefix: String,
    script: Script,
    connection: Mutex<Option<Connection>>,
}

impl Client {
    pub(crate) fn new(server: Server, key_prefix: &str, script: &str) -> Self {
        Self {
            server,
            key_prefix: key_prefix.to_owned(),
            script: Script::new(script),
            connection: Mutex::new(None),
        }
    }

    /// Asks all cells at once; `arguments` fills in what each is asked.
    pub(crate) async fn ask<T, A: FromRedisValue>(
        &self,
        cells: &[T],
        arguments: impl Fn(&T, &mut ScriptInvocation<'_>) + Sync,
        key: impl Fn(&T) -> CellKey + Sync,
    ) -> Result<Vec<A>, AskError> {
        let connection = self.connection().await?;
        let asked = futures::future::try_join_all(cells.iter().map(|cell| {
            let mut connection = connection.clone();
            let mut question = self.script.key(key(cell).in_redis(&self.key_prefix));
            arguments(cell, &mut question);
            async move { question.invoke_async(&mut connection).await }
        }));
        self.answered(asked).await
    }

    /// Whether something is noted under `name`.
    pub(crate) async fn has(&self, name: &str) -> Result<bool, AskError> {
        let mut connection = self.connection().await?;
        let key = format!("{}{name}", self.key_prefix);
        self.answered(async { redis::cmd("EXISTS").arg(key).query_async(&mut connection).await })
            .await
    }

    /// Notes something under `name`.
    pub(crate) async fn put(&self, name: &str) -> Result<(), AskError> {
        let mut connection = self.connection().await?;
        let key = format!("{}{name}", self.key_prefix);
        self.answered(async {
            redis::cmd("SET").arg(key).arg(1).query_async(&mut connection).await
        })
        .await
    }

    async fn answered<T>(
        &self,
        asked: impl Future<Output = Result<T, RedisError>>,
    ) -> Result<T, AskError> {
        let answered = tokio::time::timeout(ANSWER_MAX, asked).await;
        let answered = answered.map_err(AskError::from).and_then(|answer| Ok(answer?));
        if answered.is_err() {
            *self.connection.lock().await = None;
        }
        answered
    }

    async fn connection(&self) -> Result<Connection, AskError> {
        let mut kept = self.connection.lock().await;
        if let Some(connection) = &*kept {
            return Ok(connection.clone());
        }
        let connection = tokio::time::timeout(ANSWER_MAX, self.server.connect()).await??;
        *kept = Some(connection.clone());
        Ok(connection)
    }
}
