//! Hearing of new jobs as they are committed. A wake-up may be lost: whoever relies on it polls as well.

use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgListener;

/// Sent by the trigger `wake_workers`; its payload is the queue.
const CHANNEL: &str = "apalis_jobs";

/// How long to wait before listening anew.
const PAUSE: Duration = Duration::from_secs(1);

/// Calls `wake` with the queue of each job that can run, for ever, whatever becomes of the connection.
pub async fn listen(pool: PgPool, wake: impl Fn(&str) + Send) {
    loop {
        if let Err(error) = listen_once(&pool, &wake).await {
            tracing::debug!("not woken by new jobs for a moment: {error}");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn listen_once(pool: &PgPool, wake: &(impl Fn(&str) + Send)) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    loop {
        let notification = listener.recv().await?;
        wake(notification.payload());
    }
}
