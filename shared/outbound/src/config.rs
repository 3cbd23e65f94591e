//! What bounds a call.

use std::time::Duration;

use domain::destination::DestinationPolicy;

/// How calls are made, and what bounds them.
#[derive(Debug, Clone)]
pub struct Config {
    /// What tenants may reach.
    pub policy: DestinationPolicy,
    /// For the whole exchange: look-up, connection, request, answer with its body.
    pub timeout: Duration,
    /// For the look-up, the connection and the TLS handshake together.
    pub connect_timeout: Duration,
    /// The most bytes of an answer's body that are read; then the connection is dropped.
    pub answer_bytes_max: usize,
    /// The `User-Agent` header.
    pub user_agent: String,
    /// Certificates (DER) that are trusted beside the system's.
    pub extra_roots: Vec<Vec<u8>>,
    /// The most idle connections that are kept for one host.
    pub idle_per_host: usize,
}

impl Config {
    /// As [`Config::timeout`].
    pub const TIMEOUT: Duration = Duration::from_secs(15);
    /// As [`Config::connect_timeout`].
    pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
    /// As [`Config::answer_bytes_max`].
    pub const ANSWER_BYTES_MAX: usize = 16 * 1024;
    /// As [`Config::idle_per_host`]: thousands of calls a second, of some 50 ms each, without connecting anew.
    pub const IDLE_PER_HOST: usize = 128;

    /// With the bounds above and the system's certificates.
    #[must_use]
    pub fn new(policy: DestinationPolicy, user_agent: String) -> Self {
        Self {
            policy,
            timeout: Self::TIMEOUT,
            connect_timeout: Self::CONNECT_TIMEOUT,
            answer_bytes_max: Self::ANSWER_BYTES_MAX,
            user_agent,
            extra_roots: Vec::new(),
            idle_per_host: Self::IDLE_PER_HOST,
        }
    }
}
