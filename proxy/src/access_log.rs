//! The access log: one JSON object a line on standard output, written by a thread of its own. No secrets: no
//! query (mailed tokens travel there), no credentials. When the reader is too slow, lines are dropped and counted.

use std::io::{BufWriter, Write};
use std::net::IpAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use domain::id::{ApiKeyId, TenantId, UserId};
use jiff::Timestamp;
use serde::Serialize;

/// Lines that may wait for the writer.
const LINES_MAX: usize = 8192;
/// Longest that a line waits in the buffer.
const FLUSH_AFTER: Duration = Duration::from_millis(200);
/// Longest that a stopping edge waits for its log.
const FLUSH_WAIT_MAX: Duration = Duration::from_secs(1);

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

/// What the writer is handed.
enum Entry {
    Line(Vec<u8>),
    /// Write out all that came before, then say so.
    Flush(SyncSender<()>),
}

/// Where lines go, and how many of a million.
#[derive(Debug)]
pub(crate) struct AccessLog {
    entries: SyncSender<Entry>,
    per_million: u32,
}

impl AccessLog {
    /// Starts the writer.
    pub(crate) fn start(per_million: u32) -> std::io::Result<Self> {
        let (entries, written) = sync_channel(LINES_MAX);
        std::thread::Builder::new().name("access-log".to_owned()).spawn(move || write(&written))?;
        Ok(Self { entries, per_million })
    }

    /// Whether the request with this random number is one of those logged.
    pub(crate) const fn samples(&self, random: u32) -> bool {
        random % 1_000_000 < self.per_million
    }

    /// Logs; false if the writer is behind and the line was dropped.
    pub(crate) fn write(&self, line: &Line<'_>) -> bool {
        let Ok(mut bytes) = serde_json::to_vec(line) else { return false };
        bytes.push(b'\n');
        self.entries.try_send(Entry::Line(bytes)).is_ok()
    }

    /// Waits until everything logged so far is written out, within bounds.
    pub(crate) fn flush(&self) {
        let (done, written) = sync_channel(1);
        if self.entries.try_send(Entry::Flush(done)).is_ok() {
            // Not in time: the process ends without the last lines rather than hang.
            let _ = written.recv_timeout(FLUSH_WAIT_MAX);
        }
    }
}

fn write(entries: &Receiver<Entry>) {
    let mut out = BufWriter::with_capacity(1 << 16, std::io::stdout());
    let mut flushed = Instant::now();
    loop {
        let entry = entries.recv_timeout(FLUSH_AFTER);
        let outcome = match &entry {
            Ok(Entry::Line(line)) => out.write_all(line),
            Ok(Entry::Flush(_)) | Err(RecvTimeoutError::Timeout) => Ok(()),
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let due = !matches!(entry, Ok(Entry::Line(_))) || flushed.elapsed() >= FLUSH_AFTER;
        let outcome = outcome.and_then(|()| if due { out.flush() } else { Ok(()) });
        if due {
            flushed = Instant::now();
        }
        if let Ok(Entry::Flush(done)) = entry {
            // Nobody waits any more: fine.
            let _ = done.try_send(());
        }
        if let Err(error) = outcome {
            // A closed standard output is no reason to stop serving: the lines are lost, the edge goes on.
            tracing::debug!(%error, "the access log cannot be written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sampling_is_by_the_million() {
        let (entries, _written) = sync_channel(1);
        let log = AccessLog { entries, per_million: 250_000 };
        assert_eq!((0..4_000_000).step_by(1000).filter(|n| log.samples(*n)).count(), 1000);
    }
}
