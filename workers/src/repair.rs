//! `pytake-workers jobs …`: what the operators' listener offers, for whoever is on the machine.

use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use domain::clock::{Clock, SystemClock};
use domain::id::{JobId, OperatorEventId, TenantId};
use jobs::repair::{self, Detail, Failure, Repair, Selection, State, Summary};
use settings::Settings;
use store::operator_events::OperatorEvent;
use store::page::{Page, PageLimit};
use store::{Error, Store};

/// How long to wait for the database.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, Subcommand)]
pub(crate) enum RepairCommand {
    /// List jobs, newest first.
    List {
        #[command(flatten)]
        filter: Filter,
        /// How many.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u8).range(1..=100))]
        limit: u8,
    },
    /// Show all that is known of a job.
    Show {
        /// Its id.
        id: JobId,
    },
    /// Have dead, discarded and waiting jobs tried now, as if for the first time.
    Retry {
        #[command(flatten)]
        meant: Meant,
    },
    /// Give up dead and waiting jobs.
    Discard {
        #[command(flatten)]
        meant: Meant,
        /// Why; kept with each job.
        #[arg(long)]
        reason: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Filter {
    /// Of this queue.
    #[arg(long)]
    queue: Option<String>,
    /// due, later, held, dead, discarded or done.
    #[arg(long)]
    state: Option<State>,
    /// Of this tenant.
    #[arg(long)]
    tenant: Option<TenantId>,
    /// Whose last error holds this text.
    #[arg(long)]
    error: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Meant {
    /// These jobs.
    ids: Vec<JobId>,
    #[command(flatten)]
    filter: Filter,
    /// Say how many are meant, and change nothing.
    #[arg(long)]
    dry_run: bool,
}

impl Filter {
    fn selection(self) -> Selection {
        let Self { queue, state, tenant, error } = self;
        Selection { ids: None, queue, state, tenant_id: tenant, error }
    }
}

/// Does it; what is to be printed.
pub(crate) async fn run(settings: &Settings, command: RepairCommand) -> anyhow::Result<String> {
    let store = Store::connect_lazy(&settings.database.url, 1, ACQUIRE_TIMEOUT)?;
    match command {
        RepairCommand::List { filter, limit } => list(&store, &filter.selection(), limit).await,
        RepairCommand::Show { id } => show(&store, id).await,
        RepairCommand::Retry { meant } => change(&store, meant, Repair::Retry).await,
        RepairCommand::Discard { meant, reason } => {
            change(&store, meant, Repair::Discard(reason)).await
        }
    }
}

async fn list(store: &Store, selection: &Selection, limit: u8) -> anyhow::Result<String> {
    let limit = PageLimit::new(limit).context("a limit is from 1 to 100")?;
    let page = Page { limit, after: None };
    let rows = repair::list(&mut store.control().await?, selection, page).await?;
    let mut lines: Vec<_> = rows.rows.iter().map(line).collect();
    if rows.next.is_some() {
        lines.push("… and more; narrow it down, or raise --limit".to_owned());
    }
    Ok(if lines.is_empty() { "none".to_owned() } else { lines.join("\n") })
}

fn line(job: &Summary) -> String {
    let Summary { id, queue, state, attempts, attempts_max, run_at, .. } = job;
    let tenant = job.tenant_id.map(|tenant| format!("  {tenant}")).unwrap_or_default();
    let error = job.error.as_ref().map(|error| format!("  {error}")).unwrap_or_default();
    format!("{id}  {queue}  {state}  {attempts}/{attempts_max}  {run_at}{tenant}{error}")
}

async fn show(store: &Store, id: JobId) -> anyhow::Result<String> {
    let detail = match repair::get(&mut store.control().await?, id).await {
        Err(Error::NotFound) => bail!("there is no job {id}; ended ones are forgotten in time"),
        detail => detail?,
    };
    let Detail { summary, payload, idempotency_key, traceparent, worker, errors } = detail;
    let mut lines = vec![line(&summary), format!("payload      {payload}")];
    let notes = [("key", idempotency_key), ("traceparent", traceparent), ("held by", worker)];
    for (name, note) in notes {
        lines.extend(note.map(|note| format!("{name:<12} {note}")));
    }
    lines.extend(errors.into_iter().map(|Failure { attempt, at, worker, error }| {
        let (worker, error) = (worker.unwrap_or_default(), error.unwrap_or_default());
        format!("attempt {attempt:<4} {at}  {worker}\n             {error}")
    }));
    Ok(lines.join("\n"))
}

async fn change(store: &Store, meant: Meant, repair: Repair) -> anyhow::Result<String> {
    let ids = Some(meant.ids).filter(|ids| !ids.is_empty());
    let selection = Selection { ids, ..meant.filter.selection() };
    if selection.is_everything() {
        bail!("name jobs, or say which by --queue, --state, --tenant or --error");
    }
    if meant.dry_run {
        let matched = repair::count(&mut store.control().await?, &selection).await?;
        return Ok(format!("{matched} jobs are meant"));
    }
    let operator = operator();
    let event = |action, details| {
        let at = SystemClock.now();
        OperatorEvent {
            id: OperatorEventId::new(at, rand::random()),
            at,
            operator: operator.clone(),
            action,
            details,
            address: None,
            request_id: None,
        }
    };
    let done = repair::repair(store, &selection, &repair, event).await?;
    Ok(format!("{} of {} jobs are changed", done.changed, done.matched))
}

/// The account on this machine.
fn operator() -> String {
    let system = rustix::system::uname();
    let uid = rustix::process::getuid().as_raw();
    format!("uid {uid} on {}", system.nodename().to_string_lossy())
}
