//! A connection to one Redis, or to a Redis Cluster.

use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection, PubSub};
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::cluster_async::ClusterConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, Pipeline, RedisError, RedisFuture, Value};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);

/// Where Redis is.
#[derive(Clone)]
pub enum Server {
    /// One server, or what stands for it.
    One(Client),
    /// A cluster, with the servers that it was named by.
    Cluster(Box<ClusterClient>, Vec<Client>),
}

/// The address of Redis cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("must be a Redis URL, or several of one cluster with commas between them: {0}")]
pub struct ServerError(#[from] RedisError);

impl Server {
    /// Reads `redis://host:port`, or several such of one cluster with commas between them.
    ///
    /// # Errors
    ///
    /// It is neither.
    pub fn parse(urls: &str) -> Result<Self, ServerError> {
        let urls: Vec<_> = urls.split(',').map(str::trim).collect();
        let mut clients: Vec<_> =
            urls.iter().map(|url| Client::open(*url)).collect::<Result<_, _>>()?;
        match clients.pop() {
            Some(client) if clients.is_empty() => Ok(Self::One(client)),
            last => {
                clients.extend(last);
                let cluster = ClusterClientBuilder::new(urls)
                    .connection_timeout(CONNECT_TIMEOUT)
                    .response_timeout(ANSWER_TIMEOUT)
                    .retries(1)
                    .build()?;
                Ok(Self::Cluster(Box::new(cluster), clients))
            }
        }
    }

    pub(crate) async fn connect(&self) -> Result<Connection, RedisError> {
        match self {
            Self::One(client) => {
                let config = AsyncConnectionConfig::new()
                    .set_connection_timeout(Some(CONNECT_TIMEOUT))
                    .set_response_timeout(Some(ANSWER_TIMEOUT));
                let connection = client.get_multiplexed_async_connection_with_config(&config);
                connection.await.map(Connection::One)
            }
            Self::Cluster(cluster, _) => {
                cluster.get_async_connection().await.map(Connection::Cluster)
            }
        }
    }

    /// A connection that hears what is published; in a cluster any server passes it on.
    pub(super) async fn listen(&self) -> Result<PubSub, RedisError> {
        let clients = match self {
            Self::One(client) => std::slice::from_ref(client),
            Self::Cluster(_, clients) => clients,
        };
        let mut failure = None;
        for client in clients {
            let connected = tokio::time::timeout(CONNECT_TIMEOUT, client.get_async_pubsub()).await;
            match connected {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) => failure = Some(error),
                Err(_late) => {}
            }
        }
        Err(failure.unwrap_or_else(|| std::io::Error::from(std::io::ErrorKind::TimedOut).into()))
    }
}

/// A connection that many questions share.
#[derive(Clone)]
pub(crate) enum Connection {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Connection {
    /// Whether, after `error` of one question, others may be answered: a cluster mends its own connections, and
    /// while one of its servers is away the others are not.
    pub(super) const fn has_other_servers(&self, _error: &RedisError) -> bool {
        matches!(self, Self::Cluster(_))
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::One(connection) => connection.req_packed_command(cmd),
            Self::Cluster(connection) => connection.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::One(connection) => connection.req_packed_commands(pipeline, offset, count),
            Self::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::One(connection) => connection.get_db(),
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}
