//! Logs and metrics, the same way in every process.

use prometheus::{Encoder, Registry, TextEncoder};
use settings::{Log, LogFormat};
use tracing_subscriber::EnvFilter;

/// Media type of [`render`]'s text.
pub const METRICS_MEDIA_TYPE: &str = prometheus::TEXT_FORMAT;

/// Logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter directives are wrong.
    #[error("settings: log.filter: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// A subscriber is there already.
    #[error("logging was set up twice")]
    Twice,
}

/// Starts logging to standard error, by the settings. Records of the `log` crate (pingora's, sqlx's) are
/// taken along.
///
/// # Errors
/// When the filter is malformed or logging was set up before.
pub fn init(log: &Log) -> Result<(), TelemetryError> {
    let filter = EnvFilter::builder().parse(&log.filter)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let outcome = match log.format {
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(false).try_init(),
        LogFormat::Text => builder.with_target(false).with_ansi(false).try_init(),
    };
    outcome.map_err(|_| TelemetryError::Twice)
}

/// Everything that `registry` holds, in Prometheus' text form.
///
/// # Errors
/// When a metric is inconsistent.
pub fn render(registry: &Registry) -> Result<Vec<u8>, prometheus::Error> {
    let mut text = Vec::new();
    TextEncoder::new().encode(&registry.gather(), &mut text)?;
    Ok(text)
}
