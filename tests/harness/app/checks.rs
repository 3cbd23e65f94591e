//! What must hold when a test is done with an installation.

use std::time::Duration;

use anyhow::Result;
use sqlx::{Connection as _, PgConnection};

use super::App;
use crate::wait::poll_async;

const JOBS_DONE_WITHIN: Duration = Duration::from_secs(10);

impl App {
    /// Waits for the jobs, ends the programs, and looks through what they left.
    pub(super) fn check(&mut self) {
        let unfinished =
            if self.options.jobs_may_remain { Vec::new() } else { self.unfinished_jobs() };
        for running in &mut self.programs {
            running.leash.kill();
        }
        assert!(unfinished.is_empty(), "jobs were left: {unfinished:?}");
        for (name, log) in self.logs() {
            assert!(!log.contains("panicked"), "{name} panicked:\n{log}");
            for secret in self.canaries.all() {
                assert!(!log.contains(&secret), "the secret {secret} is in the log of {name}");
            }
            let error = log.lines().find(|line| line.contains(" ERROR "));
            if !self.options.errors_expected {
                assert_eq!(error, None, "{name} logged an error");
            }
        }
    }

    /// Jobs that are neither done nor discarded after a fair time, e.g. `email: Pending`.
    fn unfinished_jobs(&self) -> Vec<String> {
        let url = self.database.url();
        let asking = std::thread::spawn(move || -> Result<Vec<String>> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let connection = tokio::sync::Mutex::new(PgConnection::connect(&url).await?);
                let done = poll_async(JOBS_DONE_WITHIN, async || {
                    unfinished(&mut *connection.lock().await).await.ok().filter(Vec::is_empty)
                });
                if done.await.is_some() {
                    return Ok(Vec::new());
                }
                Ok(unfinished(&mut *connection.lock().await).await?)
            })
        });
        asking.join().expect("the question does not panic").expect("the jobs can be read")
    }
}

async fn unfinished(connection: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar(
        "SELECT job_type || ': ' || status || coalesce(': ' || last_result::text, '')
         FROM apalis.jobs
         WHERE status <> 'Done'",
    )
    .fetch_all(connection)
    .await
}
