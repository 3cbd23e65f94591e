//! How the queues stand.

use axum::Json;
use axum::extract::State;
use jobs::catalog::QUEUES;
use jobs::queue::{self, Depth};
use serde::Serialize;
use utoipa::ToSchema;

use crate::operator::OperatorApp;
use crate::problem::Problem;

/// A queue.
#[derive(Serialize, ToSchema)]
pub(crate) struct QueueBody {
    #[schema(example = "email")]
    queue: String,
    /// Jobs that could run now.
    due: i64,
    /// Jobs that wait for their time.
    later: i64,
    /// Jobs that a worker holds.
    held: i64,
    /// Jobs that kept failing.
    dead: i64,
    /// Jobs that were given up.
    discarded: i64,
    /// How long the oldest due job has waited, in seconds.
    oldest_due_seconds: f64,
}

/// All queues.
#[derive(Serialize, ToSchema)]
pub(crate) struct QueuesBody {
    data: Vec<QueueBody>,
}

impl From<Depth> for QueueBody {
    fn from(depth: Depth) -> Self {
        Self {
            queue: depth.queue,
            due: depth.due,
            later: depth.later,
            held: depth.held,
            dead: depth.dead,
            discarded: depth.discarded,
            oldest_due_seconds: depth.oldest_seconds,
        }
    }
}

/// See how the queues stand
#[utoipa::path(
    get,
    path = "/api/v1/admin/queues",
    tag = "Jobs",
    responses((status = 200, body = QueuesBody)),
)]
pub(crate) async fn list(State(app): State<OperatorApp>) -> Result<Json<QueuesBody>, Problem> {
    let names = QUEUES.map(|form| form.name.to_owned());

    let depths = queue::depths(app.store.pool(), &names).await?;

    Ok(Json(QueuesBody { data: depths.into_iter().map(QueueBody::from).collect() }))
}
