//! `POST /hooks/{provider}`: where payment providers tell of what happened. Verified on the raw bytes, stored as it came,
//! once; what follows is the job's.

use axum::body::Bytes;
use axum::extract::{Path, State};
use domain::payment::ProviderName;
use domain::problem::ProblemKind;
use http::{HeaderMap, StatusCode};
use jobs::catalog::Payments;
use jobs::{Options, enqueue};
use payments::{Incoming, WebhookError};
use store::provider_events::{self, NewEvent};

use crate::app::App;
use crate::problem::Problem;

/// Seconds after which a provider may tell again what could not be checked.
const RETRY_SECS: u32 = 30;

/// Be told by a payment provider
///
/// For `stripe`, `paypal` and `btcpay`, as their documentation says. What is signed, recent and new is kept, and what is
/// kept already is answered alike.
#[utoipa::path(
    post,
    path = "/hooks/{provider}",
    tag = "Billing",
    params(("provider" = String, Path)),
    request_body(content = String, content_type = "application/json"),
    responses((status = 204, description = "It is kept")),
    extensions(("x-problems" = json!(["malformed-request", "not-found"]))),
    security(()),
)]
pub(crate) async fn receive(
    State(app): State<App>,
    Path(slug): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Problem> {
    let name = ProviderName::of_slug(&slug).ok_or_else(Problem::not_found)?;
    let provider = app.providers.get(name).ok_or_else(Problem::not_found)?;
    let now = app.now();
    let incoming = Incoming { headers: &headers, body: &body, now };
    let notice = provider.parse_webhook(incoming).await.map_err(refused)?;
    let about = serde_json::to_value(&notice.about).map_err(Problem::internal)?;

    let mut tx = app.store.control().await?;
    let event = NewEvent {
        provider: name,
        event_id: &notice.event_id,
        kind: &notice.kind,
        about,
        payload: &body,
    };
    if provider_events::insert(&mut tx, &event, now).await? {
        let job = Payments::Event { provider: name, event_id: notice.event_id.clone() };
        enqueue(&mut tx, &job, Options::default()).await?;
    }

    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

fn refused(error: WebhookError) -> Problem {
    tracing::warn!("a provider's webhook is not taken: {error}");
    match error {
        WebhookError::Unexpected => Problem::not_found(),
        WebhookError::Unverifiable(_) => {
            let detail = "Whether this is genuine cannot be checked for now; send it again later.";
            Problem::new(ProblemKind::UpstreamUnavailable, detail).retry_after(RETRY_SECS)
        }
        WebhookError::Signature | WebhookError::Stale | WebhookError::Malformed(_) => Problem::new(
            ProblemKind::MalformedRequest,
            format!(
                "This is not taken: {error}. Check the webhook's secret, and this machine's clock."
            ),
        ),
    }
}
