//! Usage as it happens: Server-Sent Events (WHATWG HTML, "Server-sent events") for live views.
//!
//! A stream ends after a minute and the client, as every `EventSource` does, asks again: so whoever may no longer
//! look stops seeing it within that minute, and nothing is held for those who went away.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use domain::id::TenantId;
use domain::problem::ProblemKind;
use futures::Stream;
use futures::stream::unfold;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep_until};

use crate::app::App;
use crate::authorized::{Authorized, needs};
use crate::problem::Problem;
use crate::routes::usage::{UsageBody, current};

/// Streams of one API process at the same time.
pub(crate) const STREAMS_MAX: usize = 256;
/// How often the figures are read.
const INTERVAL: Duration = Duration::from_secs(2);
/// How long a stream lasts.
const LIFE: Duration = Duration::from_secs(60);
/// What a client waits before it asks again.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// How often something is sent when nothing has changed; below the edge's time for an answer's next byte.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

struct Live {
    app: App,
    tenant_id: TenantId,
    ends: Instant,
    next: Instant,
    last: String,
    _permit: OwnedSemaphorePermit,
}

/// Watch usage
///
/// An event `usage` at once and whenever a figure changes, with the body of "Show usage" as its data. The stream
/// ends after a minute; ask again, as `EventSource` does by itself. It counts as a call in progress meanwhile.
#[utoipa::path(
    get,
    path = "/api/v1/tenants/{tenant_id}/usage/stream",
    tag = "Usage",
    params(("tenant_id" = String, Path)),
    responses((status = 200, body = UsageBody, content_type = "text/event-stream")),
    extensions(("x-permission" = json!("ViewUsage"))),
)]
pub(crate) async fn watch(
    State(app): State<App>,
    auth: Authorized<needs::ViewUsage>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let permit = app.streams.clone().try_acquire_owned().map_err(|_| too_many_streams())?;
    let now = Instant::now();
    let live = Live {
        tenant_id: auth.tenant_id(),
        app,
        ends: now + LIFE,
        next: now,
        last: String::new(),
        _permit: permit,
    };
    Ok(Sse::new(unfold(live, event)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// Answers that last take from the same number.
pub(crate) fn too_many_streams() -> Problem {
    let detail = "Too many streams are open; ask again shortly.";
    Problem::new(ProblemKind::Overloaded, detail).retry_after(1)
}

/// The next event, when something has changed; `None` at the stream's end.
async fn event(mut live: Live) -> Option<(Result<Event, Infallible>, Live)> {
    loop {
        if live.next >= live.ends {
            return None;
        }
        sleep_until(live.next).await;
        live.next = Instant::now() + INTERVAL;
        // Without the database for a moment there is nothing new to say.
        let Some(text) = figures(&live).await else { continue };
        if text != live.last {
            live.last.clone_from(&text);
            let event = Event::default().event("usage").retry(ASK_AGAIN).data(text);
            return Some((Ok(event), live));
        }
    }
}

async fn figures(live: &Live) -> Option<String> {
    let mut tx = live.app.store.begin(live.tenant_id).await.ok()?;
    let usage = current(&mut tx).await.ok()?;
    drop(tx);
    serde_json::to_string(&usage.with_limits(&live.app).await).ok()
}
