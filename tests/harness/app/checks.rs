//! What must hold when a test is done with an installation.

use std::time::Duration;

use anyhow::Result;
use sqlx::{Connection as _, PgConnection};
use tokio::sync::Mutex;

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
        let mut faults = Vec::new();
        if !unfinished.is_empty() {
            faults.push(format!("jobs were left: {unfinished:?}"));
        }
        for (name, log) in self.logs() {
            faults.extend(self.faults_of(name, &log));
        }
        if !faults.is_empty() {
            self.show_logs();
            panic!("{}", faults.join("\n"));
        }
    }

    fn faults_of(&self, name: &str, log: &str) -> Vec<String> {
        let mut faults = Vec::new();
        if log.contains("panicked") {
            faults.push(format!("{name} panicked"));
        }
        for secret in self.canaries.all().iter().filter(|secret| log.contains(secret.as_str())) {
            faults.push(format!("the secret {secret} is in the log of {name}"));
        }
        let error = log.lines().find(|line| line.contains(" ERROR "));
        if let Some(error) = error.filter(|_| !self.options.errors_expected) {
            faults.push(format!("{name} logged an error: {error}"));
        }
        faults
    }

    /// Waits until no job is waiting or running.
    ///
    /// # Panics
    /// When one still is after a fair time.
    pub async fn wait_for_jobs(&self) {
        let left = jobs_left(self.database.url()).await.expect("the jobs can be read");
        assert!(left.is_empty(), "jobs are left: {left:?}");
    }

    fn unfinished_jobs(&self) -> Vec<String> {
        let url = self.database.url();
        // A drop cannot wait on the runtime that it may be running in.
        let asking = std::thread::spawn(move || -> Result<Vec<String>> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(jobs_left(url))
        });
        asking.join().expect("the question does not panic").expect("the jobs can be read")
    }
}

/// Jobs that are neither done nor discarded after a fair time, e.g. `email: Pending`.
async fn jobs_left(url: String) -> Result<Vec<String>> {
    let connection = Mutex::new(PgConnection::connect(&url).await?);
    let done = poll_async(JOBS_DONE_WITHIN, async || {
        unfinished(&mut *connection.lock().await).await.ok().filter(Vec::is_empty)
    });
    if done.await.is_some() {
        return Ok(Vec::new());
    }
    Ok(unfinished(&mut *connection.lock().await).await?)
}

async fn unfinished(connection: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar(
        "SELECT job_type || ': ' || status || coalesce(': ' || last_result::text, '')
         FROM apalis.jobs
         WHERE status NOT IN ('Done', 'Killed')
             -- What an edge counted may come in at any moment, and is rolled up two seconds after.
             AND NOT (job_type = 'usage' AND status <> 'Failed')",
    )
    .fetch_all(connection)
    .await
}
