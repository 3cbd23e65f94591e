//! Jobs: list them, look into one, have some tried anew, or discard them.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use domain::faults::Faults;
use domain::id::{JobId, TenantId};
use jobs::repair::{self, Detail, Failure, Repair, Selection, State as JobState, Summary};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::extract::{Body, PageQuery, PathId, Wire, malformed_query};
use crate::operator::{Operator, OperatorApp};
use crate::problem::Problem;
use crate::routes::List;

/// Jobs of one call by id.
const IDS_MAX: usize = 1_000;
/// Longest text to look for in errors, and longest reason.
const TEXT_CHARS_MAX: usize = 500;

/// A job.
#[derive(Serialize, ToSchema)]
pub(crate) struct JobBody {
    #[schema(example = "job_01m84mhn9zhyxjcgx1c2c8p33d")]
    id: String,
    #[schema(example = "email")]
    queue: String,
    /// `due`, `later`, `held`, `dead`, `discarded` or `done`.
    #[schema(example = "dead")]
    state: &'static str,
    tenant_id: Option<String>,
    /// Attempts that ended.
    attempts: u32,
    /// Attempts after which it is dead.
    attempts_max: u32,
    /// Higher first.
    priority: u32,
    /// Not before.
    run_at: String,
    /// When the last attempt ended.
    ended_at: Option<String>,
    /// Why the last attempt failed.
    error: Option<String>,
}

impl From<Summary> for JobBody {
    fn from(job: Summary) -> Self {
        Self {
            id: job.id.to_string(),
            queue: job.queue,
            state: job.state.as_str(),
            tenant_id: job.tenant_id.map(|id| id.to_string()),
            attempts: job.attempts,
            attempts_max: job.attempts_max,
            priority: job.priority,
            run_at: job.run_at.to_string(),
            ended_at: job.ended_at.map(|at| at.to_string()),
            error: job.error,
        }
    }
}

/// All that is known of a job.
#[derive(Serialize, ToSchema)]
pub(crate) struct JobDetailBody {
    #[serde(flatten)]
    job: JobBody,
    /// What its type reads of it; of one that cannot be read, only its shape.
    #[schema(value_type = Object)]
    payload: Value,
    /// It is there once.
    idempotency_key: Option<String>,
    /// W3C trace context of its cause.
    traceparent: Option<String>,
    /// The worker that holds it.
    worker: Option<String>,
    /// The last twenty failures, oldest first.
    errors: Vec<JobErrorBody>,
}

/// An attempt that failed.
#[derive(Serialize, ToSchema)]
pub(crate) struct JobErrorBody {
    attempt: u32,
    at: String,
    worker: Option<String>,
    error: Option<String>,
}

impl From<Failure> for JobErrorBody {
    fn from(failure: Failure) -> Self {
        let Failure { attempt, at, worker, error } = failure;
        Self { attempt, at: at.to_string(), worker, error }
    }
}

/// Which jobs are wanted.
#[derive(Deserialize, IntoParams)]
pub(crate) struct JobsQuery {
    /// Of this queue.
    queue: Option<String>,
    /// `due`, `later`, `held`, `dead`, `discarded` or `done`.
    state: Option<String>,
    /// Of this tenant.
    tenant_id: Option<String>,
    /// Whose last error holds this text.
    error: Option<String>,
}

/// Which jobs are meant: those of `ids`, or all that the rest describes.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct JobSelection {
    ids: Option<Vec<String>>,
    #[schema(example = "email")]
    queue: Option<String>,
    #[schema(example = "dead")]
    state: Option<String>,
    tenant_id: Option<String>,
    /// Whose last error holds this text.
    #[schema(example = "connection refused")]
    error: Option<String>,
    /// Say how many are meant, and change nothing.
    #[serde(default)]
    dry_run: bool,
    /// Why they are discarded.
    reason: Option<String>,
}

/// A checked [`JobSelection`].
pub(crate) struct Meant {
    selection: Selection,
    dry_run: bool,
    reason: Option<String>,
}

impl JobsQuery {
    fn parse(self, faults: &mut Faults) -> Selection {
        let Self { queue, state, tenant_id, error } = self;
        let state = state.and_then(|text| faults.check("/state", text.parse::<JobState>()));
        let tenant_id =
            tenant_id.and_then(|text| faults.check("/tenant_id", text.parse::<TenantId>()));
        if error.as_ref().is_some_and(|text| text.chars().count() > TEXT_CHARS_MAX) {
            faults.push("/error", format!("must have at most {TEXT_CHARS_MAX} characters"));
        }
        Selection { ids: None, queue, state, tenant_id, error }
    }
}

impl Wire for JobSelection {
    type Parsed = Meant;

    fn parse(self) -> Result<Meant, Faults> {
        let mut faults = Faults::new();
        let Self { ids, queue, state, tenant_id, error, dry_run, reason } = self;
        let filter = JobsQuery { queue, state, tenant_id, error }.parse(&mut faults);
        let mut parse = |(index, text): (usize, String)| {
            faults.check(&format!("/ids/{index}"), text.parse::<JobId>())
        };
        let ids: Option<Vec<JobId>> = ids.map(|ids| {
            ids.into_iter().take(IDS_MAX + 1).enumerate().filter_map(&mut parse).collect()
        });
        if ids.as_ref().is_some_and(|ids| ids.len() > IDS_MAX) {
            faults.push("/ids", format!("must be at most {IDS_MAX}"));
        }
        let too_long = |text: &String| text.is_empty() || text.chars().count() > TEXT_CHARS_MAX;
        if reason.as_ref().is_some_and(too_long) {
            faults.push("/reason", format!("must have 1 to {TEXT_CHARS_MAX} characters"));
        }
        let selection = Selection { ids, ..filter };
        if selection.is_everything() {
            faults
                .push("", "must name `ids`, or at least one of queue, state, tenant_id and error");
        }
        faults.finish(Some(Meant { selection, dry_run, reason }))
    }
}

/// What came of it.
#[derive(Serialize, ToSchema)]
pub(crate) struct RepairedBody {
    /// Jobs that were meant.
    #[schema(example = 120)]
    matched: u64,
    /// Jobs that were changed. The others were held by a worker, or were so already.
    #[schema(example = 118)]
    changed: u64,
}

/// List jobs
///
/// Newest first.
#[utoipa::path(
    get,
    path = "/api/v1/admin/jobs",
    tag = "Jobs",
    params(
        ("limit" = Option<u8>, Query),
        ("cursor" = Option<String>, Query),
        JobsQuery,
    ),
    responses((status = 200, body = List<JobBody>)),
)]
pub(crate) async fn list(
    State(app): State<OperatorApp>,
    PageQuery(page): PageQuery,
    query: Result<Query<JobsQuery>, QueryRejection>,
) -> Result<Json<List<JobBody>>, Problem> {
    let Query(query) = query.map_err(|_| malformed_query())?;
    let mut faults = Faults::new();
    let selection = query.parse(&mut faults);
    let selection = faults.finish(Some(selection))?;
    let mut tx = app.store.control().await?;

    let rows = repair::list(&mut tx, &selection, page).await?;

    Ok(Json(List::of(rows, JobBody::from)))
}

/// Look into a job
#[utoipa::path(
    get,
    path = "/api/v1/admin/jobs/{job_id}",
    tag = "Jobs",
    params(("job_id" = String, Path)),
    responses((status = 200, body = JobDetailBody)),
    extensions(("x-problems" = json!(["not-found"]))),
)]
pub(crate) async fn show(
    State(app): State<OperatorApp>,
    PathId(id): PathId<JobId>,
) -> Result<Json<JobDetailBody>, Problem> {
    let mut tx = app.store.control().await?;

    let detail = repair::get(&mut tx, id).await?;

    let Detail { summary, payload, idempotency_key, traceparent, worker, errors } = detail;
    Ok(Json(JobDetailBody {
        job: summary.into(),
        payload,
        idempotency_key,
        traceparent,
        worker,
        errors: errors.into_iter().map(JobErrorBody::from).collect(),
    }))
}

/// Have jobs tried anew
///
/// Dead and discarded jobs, and those that wait for their time, run now, as if for the first time.
#[utoipa::path(
    post,
    path = "/api/v1/admin/jobs/retry",
    tag = "Jobs",
    request_body = JobSelection,
    responses((status = 200, body = RepairedBody)),
)]
pub(crate) async fn retry(
    State(app): State<OperatorApp>,
    operator: Operator,
    body: Body<JobSelection>,
) -> Result<Json<RepairedBody>, Problem> {
    if body.value.reason.is_some() {
        let mut faults = Faults::new();
        faults.push("/reason", "is for discarding; leave it out");
        return Err(faults.into());
    }
    change(&app, &operator, body.value, &Repair::Retry).await
}

/// Discard jobs
///
/// Jobs that wait, and dead ones, are given up; the reason is kept with them. What a worker holds goes on.
#[utoipa::path(
    post,
    path = "/api/v1/admin/jobs/discard",
    tag = "Jobs",
    request_body = JobSelection,
    responses((status = 200, body = RepairedBody)),
)]
pub(crate) async fn discard(
    State(app): State<OperatorApp>,
    operator: Operator,
    body: Body<JobSelection>,
) -> Result<Json<RepairedBody>, Problem> {
    let Some(reason) = body.value.reason.clone() else {
        let mut faults = Faults::new();
        faults.push("/reason", "must say why");
        return Err(faults.into());
    };
    change(&app, &operator, body.value, &Repair::Discard(reason)).await
}

async fn change(
    app: &OperatorApp,
    operator: &Operator,
    meant: Meant,
    repair: &Repair,
) -> Result<Json<RepairedBody>, Problem> {
    if meant.dry_run {
        let matched = repair::count(&mut app.store.control().await?, &meant.selection).await?;
        return Ok(Json(RepairedBody { matched, changed: 0 }));
    }
    let event = |action, details| operator.event(app, action, details);

    let done = repair::repair(&app.store, &meant.selection, repair, event).await?;

    Ok(Json(RepairedBody { matched: done.matched, changed: done.changed }))
}
