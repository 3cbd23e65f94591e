//! How long after its commit a change is enforced: keys are revoked one after another while two edges serve,
//! and each edge is asked with the key until it refuses.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use sqlx::PgConnection;

use super::crowd;
use crate::bench::caller::Caller;
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
            until_refused(first, &request, committed),
            until_refused(second, &request, committed)
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

async fn until_refused(caller: &mut Caller, request: &str, since: Instant) -> Result<Duration> {
    loop {
        let status = caller.ask(request).await?;
        let took = since.elapsed();
        match status {
            401 => return Ok(took),
            200 if took < ENFORCED_WITHIN => {}
            status => bail!("{status} after {took:?}, where a refusal is due"),
        }
    }
}
