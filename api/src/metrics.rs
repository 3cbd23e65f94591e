//! What the API tells Prometheus of itself: requests by route and status, and how long they take.

use std::sync::LazyLock;
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use prometheus::{HistogramVec, IntCounterVec, IntGauge, Registry, histogram_opts, opts};

/// Bounds of the request histogram, in seconds: from a read of one row to a slow password hash.
const SECONDS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];
/// What stands for a path that no route has: labels must not grow with what strangers ask for.
const NO_ROUTE: &str = "none";

struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    seconds: HistogramVec,
    in_flight: IntGauge,
}

static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::new);

impl Metrics {
    #[expect(clippy::expect_used, reason = "constant names: a fault shows at the first start")]
    fn new() -> Self {
        let registry = Registry::new();
        let requests = IntCounterVec::new(
            opts!("pytake_api_requests_total", "Requests answered, by route and status."),
            &["method", "route", "status"],
        )
        .expect("constant names");
        let seconds = HistogramVec::new(
            histogram_opts!(
                "pytake_api_request_seconds",
                "Time from a request's head to its answer's.",
                SECONDS.to_vec()
            ),
            &["route"],
        )
        .expect("constant names");
        let in_flight = IntGauge::new("pytake_api_requests_in_flight", "Requests being served.")
            .expect("constant names");
        registry.register(Box::new(requests.clone())).expect("registered once");
        registry.register(Box::new(seconds.clone())).expect("registered once");
        registry.register(Box::new(in_flight.clone())).expect("registered once");
        Self { registry, requests, seconds, in_flight }
    }
}

/// Counts a request as being served for as long as it lives, even if its caller goes away.
struct InFlight;

impl InFlight {
    fn begin() -> Self {
        METRICS.in_flight.inc();
        Self
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        METRICS.in_flight.dec();
    }
}

/// Counts and times a request.
pub(crate) async fn observe(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let method = request.method().clone();
    let start = Instant::now();
    let in_flight = InFlight::begin();

    let response = next.run(request).await;

    drop(in_flight);
    let route = route.as_ref().map_or(NO_ROUTE, MatchedPath::as_str);
    let status = response.status();
    METRICS.requests.with_label_values(&[method.as_str(), route, status.as_str()]).inc();
    METRICS.seconds.with_label_values(&[route]).observe(start.elapsed().as_secs_f64());
    response
}

/// Everything, in Prometheus' text form.
pub(crate) fn render() -> Result<Vec<u8>, prometheus::Error> {
    telemetry::render(&METRICS.registry)
}
