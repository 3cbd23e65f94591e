//! The operators' listener: `/metrics`, `/healthz`, `/readyz`. Not for the public.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::app::App;
use crate::runtime::fleet::Fleet;

/// How long the database may take to answer a probe.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Clone)]
struct Probed {
    app: Arc<App>,
    fleet: Arc<Fleet>,
}

/// Serves until the process ends.
pub(crate) async fn serve(listener: TcpListener, app: Arc<App>, fleet: Arc<Fleet>) {
    let router = Router::new()
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(Probed { app, fleet });
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!("the health listener ended: {error}");
    }
}

async fn readyz(State(probed): State<Probed>) -> Response {
    match timeout(PROBE_TIMEOUT, ready(&probed)).await {
        Ok(Ok(())) => "ready\n".into_response(),
        Ok(Err(why)) => not_ready(&why),
        Err(_) => not_ready("the database does not answer"),
    }
}

async fn ready(Probed { app, fleet }: &Probed) -> Result<(), String> {
    let workers = fleet.workers();
    let alive = jobs::queue::count_alive(app.upkeep.pool(), &workers, app.limits.silence)
        .await
        .map_err(|error| error.to_string())?;
    if usize::try_from(alive) == Ok(workers.len()) {
        Ok(())
    } else {
        Err(format!("{alive} of {} workers are registered", workers.len()))
    }
}

fn not_ready(why: &str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")).into_response()
}

async fn metrics() -> Response {
    match telemetry::render(prometheus::default_registry()) {
        Ok(text) => ([(CONTENT_TYPE, telemetry::METRICS_MEDIA_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
