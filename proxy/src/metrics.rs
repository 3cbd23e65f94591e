//! What the edge counts, and the private listener that shows it: `/metrics`, `/healthz`, `/readyz`.

mod limits;
mod usage;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ::limits::Limiter;
use async_trait::async_trait;
use domain::problem::ProblemKind;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{Response, StatusCode};
use metering::Spool;
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;
use prometheus::{
    Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};

pub(crate) use self::limits::LimitMetrics;
pub(crate) use self::usage::UsageMetrics;
use crate::listeners::Opening;
use crate::policy_feed::PolicyFeed;

/// Bounds of the histogram of decisions, in seconds.
const DECISION_BUCKETS: &[f64] =
    &[1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 5e-4, 1e-3, 5e-3, 1e-2];
/// Bounds of the histogram of changes, in seconds.
const PROPAGATION_BUCKETS: &[f64] =
    &[0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 10.0, 60.0];
/// Bounds of the histogram of requests, in seconds.
const REQUEST_BUCKETS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// Counters of the request path.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    denials: IntCounterVec,
    reloads: IntCounterVec,
    pub(crate) propagation_seconds: Histogram,
    pub(crate) decision_seconds: Histogram,
    pub(crate) request_seconds: Histogram,
    pub(crate) in_flight: IntGauge,
    pub(crate) commit_waits_missed: IntCounter,
    pub(crate) log_lines_dropped: IntCounter,
    pub(crate) limits: LimitMetrics,
    pub(crate) usage: UsageMetrics,
    gauges: Gauges,
}

/// Values that are read off when they are asked for.
#[derive(Debug)]
struct Gauges {
    policy_age: Gauge,
    database_connected: IntGauge,
    policy_loads: IntCounter,
    policy_changes: IntCounter,
    policy_load_seconds: Gauge,
    peers_fit: IntGaugeVec,
}

impl Metrics {
    pub(crate) fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let seconds = |name: &str, help: &str, buckets: &[f64]| {
            Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))
        };
        let metrics = Self {
            requests: IntCounterVec::new(
                Opts::new(
                    "pytake_edge_requests_total",
                    "Requests answered, by route and status class.",
                ),
                &["route", "class"],
            )?,
            denials: IntCounterVec::new(
                Opts::new(
                    "pytake_edge_denials_total",
                    "Requests answered by the edge, by problem.",
                ),
                &["problem"],
            )?,
            reloads: IntCounterVec::new(
                Opts::new("pytake_edge_route_reloads_total", "Route tables loaded on SIGHUP."),
                &["outcome"],
            )?,
            propagation_seconds: seconds(
                "pytake_edge_policy_propagation_seconds",
                "Time from a change's being written to its being in force here.",
                PROPAGATION_BUCKETS,
            )?,
            decision_seconds: seconds(
                "pytake_edge_decision_seconds",
                "Time to decide on a request, without its limits.",
                DECISION_BUCKETS,
            )?,
            request_seconds: seconds(
                "pytake_edge_request_seconds",
                "Time from a request's header to the end of its answer.",
                REQUEST_BUCKETS,
            )?,
            in_flight: IntGauge::new("pytake_edge_requests_in_flight", "Requests being served.")?,
            commit_waits_missed: IntCounter::new(
                "pytake_edge_commit_waits_missed_total",
                "Answers passed on before the policy showed their effect.",
            )?,
            log_lines_dropped: IntCounter::new(
                "pytake_edge_access_log_dropped_total",
                "Access log lines dropped because the reader was slow.",
            )?,
            limits: LimitMetrics::new()?,
            usage: UsageMetrics::new()?,
            gauges: Gauges::new()?,
            registry,
        };
        let all: [Box<dyn prometheus::core::Collector>; 9] = [
            Box::new(metrics.requests.clone()),
            Box::new(metrics.denials.clone()),
            Box::new(metrics.reloads.clone()),
            Box::new(metrics.propagation_seconds.clone()),
            Box::new(metrics.decision_seconds.clone()),
            Box::new(metrics.request_seconds.clone()),
            Box::new(metrics.in_flight.clone()),
            Box::new(metrics.commit_waits_missed.clone()),
            Box::new(metrics.log_lines_dropped.clone()),
        ];
        let limits = metrics.limits.collectors();
        let usage = metrics.usage.collectors();
        let gauges = metrics.gauges.collectors();
        for collector in all.into_iter().chain(limits).chain(usage).chain(gauges) {
            metrics.registry.register(collector)?;
        }
        Ok(metrics)
    }

    /// Counts an answered request.
    pub(crate) fn count(&self, route: &str, status: u16, problem: Option<ProblemKind>) {
        let class = match status {
            100..200 => "1xx",
            200..300 => "2xx",
            300..400 => "3xx",
            400..500 => "4xx",
            500..600 => "5xx",
            _ => "none",
        };
        self.requests.with_label_values(&[route, class]).inc();
        if let Some(problem) = problem {
            self.denials.with_label_values(&[problem.slug()]).inc();
        }
    }
}

impl Metrics {
    /// Counts a route table that was to be loaded anew.
    pub(crate) fn count_reload(&self, loaded: bool) {
        let outcome = if loaded { "loaded" } else { "refused" };
        self.reloads.with_label_values(&[outcome]).inc();
    }
}

impl Gauges {
    fn new() -> Result<Self, prometheus::Error> {
        Ok(Self {
            policy_age: Gauge::new(
                "pytake_edge_policy_age_seconds",
                "Time since the policy was last known to be current; -1 before the first load.",
            )?,
            database_connected: IntGauge::new(
                "pytake_edge_database_connected",
                "1 while changes are learned from Postgres.",
            )?,
            policy_loads: IntCounter::new(
                "pytake_edge_policy_loads_total",
                "Times that the whole policy was read.",
            )?,
            policy_changes: IntCounter::new(
                "pytake_edge_policy_changes_total",
                "Changed entities that were read one by one.",
            )?,
            policy_load_seconds: Gauge::new(
                "pytake_edge_policy_load_seconds",
                "How long the last load took.",
            )?,
            peers_fit: IntGaugeVec::new(
                Opts::new("pytake_edge_upstream_peers_fit", "Peers that can be reached, by pool."),
                &["pool"],
            )?,
        })
    }

    fn collectors(&self) -> Vec<Box<dyn prometheus::core::Collector>> {
        vec![
            Box::new(self.policy_age.clone()),
            Box::new(self.database_connected.clone()),
            Box::new(self.policy_loads.clone()),
            Box::new(self.policy_changes.clone()),
            Box::new(self.policy_load_seconds.clone()),
            Box::new(self.peers_fit.clone()),
        ]
    }
}

/// What readiness and the gauges are read off.
#[derive(Debug, Clone)]
pub(crate) struct Vitals {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) policy: Arc<PolicyFeed>,
    pub(crate) limiter: Arc<Limiter>,
    pub(crate) spool: Arc<Spool>,
    pub(crate) opening: Arc<Opening>,
    /// Age of the policy past which nothing is decided by it.
    pub(crate) policy_stale_after: Duration,
}

impl Vitals {
    /// Whether the policy is too old to decide by.
    pub(crate) fn stale(&self) -> bool {
        self.policy.status().age().is_none_or(|age| age > self.policy_stale_after)
    }

    /// Whether the edge can do its work, or why not.
    pub(crate) fn ready(&self) -> Result<(), String> {
        if !self.opening.is_over() {
            return Err("the public listeners are not open yet".to_owned());
        }
        if self.policy.current().is_none() {
            return Err("no policy has been loaded yet; is Postgres up?".to_owned());
        }
        if self.stale() {
            return Err(
                "the policy is older than edge.policy_stale_after_seconds; is Postgres up?"
                    .to_owned(),
            );
        }
        if !self.policy.status().settled.load(Ordering::Relaxed) {
            return Err("the policy is not on disk yet, in case Postgres goes away".to_owned());
        }
        if !self.spool.has_room() {
            return Err(
                "usage waits on disk up to edge.usage_bytes_max; is Postgres up?".to_owned()
            );
        }
        match self.policy.table().upstreams.down().first() {
            Some(pool) => Err(format!("no peer of the upstream `{pool}` can be reached")),
            None => Ok(()),
        }
    }

    fn render(&self) -> Result<Vec<u8>, prometheus::Error> {
        let gauges = &self.metrics.gauges;
        let status = self.policy.status();
        gauges.policy_age.set(status.age().map_or(-1.0, |age| age.as_secs_f64()));
        gauges.database_connected.set(i64::from(status.connected.load(Ordering::Relaxed)));
        copy(&gauges.policy_loads, &status.loads);
        copy(&gauges.policy_changes, &status.changes);
        let load = Duration::from_micros(status.load_us.load(Ordering::Relaxed));
        gauges.policy_load_seconds.set(load.as_secs_f64());
        self.metrics.limits.read_off(&self.limiter);
        self.metrics.usage.read_off(&self.spool);
        let table = self.policy.table();
        gauges.peers_fit.reset();
        for (pool, fit, _) in table.upstreams.counts() {
            gauges.peers_fit.with_label_values(&[pool]).set(int(fit as u64));
        }
        telemetry::render(&self.metrics.registry)
    }
}

fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Shows a counter that is kept elsewhere, in a crate that knows nothing of Prometheus.
fn copy(shown: &IntCounter, kept: &AtomicU64) {
    shown.reset();
    shown.inc_by(kept.load(Ordering::Relaxed));
}

/// Status and text of a health answer.
pub(crate) fn health_line(health: Result<(), String>) -> (u16, String) {
    match health {
        Ok(()) => (200, "ok\n".to_owned()),
        Err(why) => (503, format!("{why}\n")),
    }
}

#[async_trait]
impl ServeHttp for Vitals {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let (status, media_type, body) = match session.req_header().uri.path() {
            "/metrics" => match self.render() {
                Ok(text) => (200, telemetry::METRICS_MEDIA_TYPE, text),
                Err(error) => (500, "text/plain", error.to_string().into_bytes()),
            },
            "/healthz" => (200, "text/plain", b"ok\n".to_vec()),
            "/readyz" => {
                let (status, line) = health_line(self.ready());
                (status, "text/plain", line.into_bytes())
            }
            _ => (404, "text/plain", b"here are /metrics, /healthz and /readyz\n".to_vec()),
        };
        let mut response = Response::new(body);
        *response.status_mut() =
            StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let length = response.body().len();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, http::HeaderValue::from_static(media_type));
        headers.insert(CONTENT_LENGTH, length.into());
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_registers_once() {
        let metrics = Metrics::new().unwrap();
        metrics.count("/a", 200, None);
        metrics.count("none", 404, Some(ProblemKind::NotFound));
        let text = String::from_utf8(telemetry::render(&metrics.registry).unwrap()).unwrap();
        assert!(text.contains(r#"pytake_edge_requests_total{class="2xx",route="/a"} 1"#), "{text}");
        assert!(text.contains(r#"pytake_edge_denials_total{problem="not-found"} 1"#), "{text}");
    }
}
