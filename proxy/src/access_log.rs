//! The access log: one JSON object a line on standard output. No secrets: no query (mailed tokens travel there),
//! no credentials. Requests only append to a buffer, which a thread of its own writes out a few times a second:
//! waking a writer for each line would cost more than the request. When the reader is too slow, lines are
//! dropped and counted.

use std::io::Write;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::id::{ApiKeyId, TenantId, UserId};
use jiff::Timestamp;
use serde::Serialize;

/// Bytes that may wait for the writer.
const WAITING_BYTES_MAX: usize = 8 << 20;
/// Longest that a line waits.
const FLUSH_EVERY: Duration = Duration::from_millis(100);
/// Longest that a stopping edge waits for its log.
const LAST_FLUSH_MAX: Duration = Duration::from_secs(1);

/// What is logged of a request.
#[derive(Debug, Serialize)]
pub(crate) struct Line<'a> {
    pub(crate) at: Timestamp,
    pub(crate) request_id: &'a str,
    pub(crate) client: IpAddr,
    pub(crate) host: Option<&'a str>,
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) route: Option<&'a str>,
    pub(crate) status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) problem: Option<&'static str>,
    #[serde(rename = "tenant.id", skip_serializing_if = "Option::is_none")]
    pub(crate) tenant_id: Option<TenantId>,
    #[serde(rename = "user.id", skip_serializing_if = "Option::is_none")]
    pub(crate) user_id: Option<UserId>,
    #[serde(rename = "api_key.id", skip_serializing_if = "Option::is_none")]
    pub(crate) api_key_id: Option<ApiKeyId>,
    pub(crate) request_bytes: u64,
    pub(crate) response_bytes: u64,
    pub(crate) duration_us: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

/// Lines that wait, and how many of a million are logged.
#[derive(Debug)]
pub(crate) struct AccessLog {
    waiting: Mutex<Vec<u8>>,
    /// Held while lines are written, so that they stay in order.
    writing: Mutex<Vec<u8>>,
    per_million: u32,
}

impl AccessLog {
    /// Starts the writer.
    pub(crate) fn start(per_million: u32) -> std::io::Result<Arc<Self>> {
        let log =
            Arc::new(Self { waiting: Mutex::default(), writing: Mutex::default(), per_million });
        let writer = Arc::clone(&log);
        std::thread::Builder::new().name("access-log".to_owned()).spawn(move || {
            loop {
                std::thread::sleep(FLUSH_EVERY);
                writer.flush();
            }
        })?;
        Ok(log)
    }

    /// Whether the request with this random number is one of those logged.
    pub(crate) const fn samples(&self, random: u32) -> bool {
        random % 1_000_000 < self.per_million
    }

    /// Logs; false if the writer is behind and the line was dropped.
    pub(crate) fn write(&self, line: &Line<'_>) -> bool {
        let Ok(mut bytes) = serde_json::to_vec(line) else { return false };
        bytes.push(b'\n');
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let room = waiting.len() + bytes.len() <= WAITING_BYTES_MAX;
        if room {
            waiting.extend_from_slice(&bytes);
        }
        room
    }

    /// Writes out everything logged so far, if that goes fast: a reader that stands still must not keep the
    /// edge from stopping.
    pub(crate) fn last_flush(self: &Arc<Self>) {
        let (done, written) = std::sync::mpsc::sync_channel(1);
        let log = Arc::clone(self);
        std::thread::spawn(move || {
            log.flush();
            // Nobody waits any more: fine.
            let _ = done.try_send(());
        });
        let _ = written.recv_timeout(LAST_FLUSH_MAX);
    }

    fn flush(&self) {
        let mut writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        // Two buffers change places, so that neither is ever allocated anew.
        std::mem::swap(
            &mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner),
            &mut *writing,
        );
        let mut out = std::io::stdout().lock();
        if let Err(error) = out.write_all(&writing).and_then(|()| out.flush()) {
            // A closed standard output is no reason to stop serving: the lines are lost, the edge goes on.
            tracing::debug!(%error, "the access log cannot be written");
        }
        writing.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sampling_is_by_the_million() {
        let log = AccessLog {
            waiting: Mutex::default(),
            writing: Mutex::default(),
            per_million: 250_000,
        };
        assert_eq!((0..4_000_000).step_by(1000).filter(|n| log.samples(*n)).count(), 1000);
    }
}
