//! How long after its commit a change is enforced: keys are revoked one after another while two edges serve,
//! and each edge is asked with the key until it refuses.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use sqlx::PgConnection;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::crowd;
use crate::bench::figures::{Bar, Figure};

const ENFORCED_WITHIN: Duration = Duration::from_secs(5);

/// Revokes `changes` keys; `edges` serve others meanwhile.
pub(super) async fn measure(
    admin: &mut PgConnection,
    edges: [SocketAddr; 2],
    changes: u64,
) -> Result<Vec<Figure>> {
    let mut millis = Vec::new();
    for number in 0..changes {
        // From the far end, where the load takes none.
        let number = crowd::KEYS - 1 - number;
        let request = super::request(crowd::key(number).expose());
        let mut callers = [Caller::connect(edges[0]).await?, Caller::connect(edges[1]).await?];
        for caller in &mut callers {
            if caller.ask(&request).await? != 200 {
                bail!("a key that is not revoked yet is refused");
            }
        }
        crowd::revoke(admin, number).await?;
        let committed = Instant::now();
        let [first, second] = &mut callers;
        let (first, second) = tokio::try_join!(
            first.until_refused(&request, committed),
            second.until_refused(&request, committed)
        )?;
        millis.extend([first, second].map(|took| took.as_secs_f64() * 1_000.0));
    }
    millis.sort_by(f64::total_cmp);
    let at = |percent: usize| millis[(millis.len() * percent / 100).min(millis.len() - 1)];
    let figure = |name, value, bar| Figure { name, value, bar: Bar::Below(bar) };
    Ok(vec![
        figure("change_to_enforced_p50_ms", at(50), 15.0),
        figure("change_to_enforced_p99_ms", at(99), 50.0),
    ])
}

/// A kept-alive connection to an edge.
struct Caller(TcpStream);

impl Caller {
    async fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await.context("cannot connect to an edge")?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    async fn until_refused(&mut self, request: &str, since: Instant) -> Result<Duration> {
        loop {
            let status = self.ask(request).await?;
            let took = since.elapsed();
            match status {
                401 => return Ok(took),
                200 if took < ENFORCED_WITHIN => {}
                status => bail!("{status} after {took:?}, where a refusal is due"),
            }
        }
    }

    /// Sends the request and reads the whole answer; its status.
    async fn ask(&mut self, request: &str) -> Result<u16> {
        self.0.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let read = self.0.read(&mut buffer).await?;
            if read == 0 {
                bail!("the edge closed a connection");
            }
            answer.extend_from_slice(&buffer[..read]);
            let Some(head) = answer.windows(4).position(|window| window == b"\r\n\r\n") else {
                continue;
            };
            let text = String::from_utf8_lossy(&answer[..head]).to_ascii_lowercase();
            let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.and_then(|length| length.parse().ok()).unwrap_or(0);
            if answer.len() >= head + 4 + length {
                return text.get(9..12).and_then(|s| s.parse().ok()).context("no status");
            }
        }
    }
}
