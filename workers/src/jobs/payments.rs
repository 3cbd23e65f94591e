//! `Payments`: money that is asked for and given back. An attempt is begun by its cause, in the transaction of that; here it
//! is carried out ([`charge`]), heard of ([`event`]) and looked up ([`poll`]), and whatever tells of it, [`settle`] is
//! where it counts.

pub(super) mod charge;
mod event;
mod expiries;
mod forget;
mod poll;
mod reconcile;
mod refund;
pub(super) mod settle;

use jobs::catalog::Payments;
use payments::About;

use crate::app::App;
use crate::runtime::Perform;
use crate::runtime::attempt::Attempt;
use crate::runtime::outcome::Outcome;

impl Perform for Payments {
    async fn perform(self, app: &App, _attempt: &Attempt) -> anyhow::Result<Outcome> {
        match self {
            Self::Charge { tenant_id, charge_id } => {
                charge::charge(app, tenant_id, charge_id).await
            }
            Self::Refund { tenant_id, refund_id } => {
                refund::refund(app, tenant_id, refund_id).await
            }
            Self::Dispute { provider, reference } => {
                event::look(app, provider, &About::Dispute(reference)).await
            }
            Self::Forget { tenant_id, payment_method_id } => {
                forget::forget(app, tenant_id, payment_method_id).await
            }
            Self::Event { provider, event_id } => event::hear(app, provider, &event_id).await,
            Self::Reconcile => reconcile::reconcile(app).await.map(|()| Outcome::Done),
            Self::Repair { difference_id } => reconcile::repair::repair(app, difference_id).await,
            Self::Poll => poll::poll(app).await.map(|()| Outcome::Done),
            Self::Expiries => expiries::tell_all(app).await.map(|()| Outcome::Done),
        }
    }
}

/// What a call of a provider that came to nothing means for the job: it is tried again, and what may have been done is
/// looked up first.
fn outcome_of(error: payments::PaymentError) -> anyhow::Result<Outcome> {
    match error {
        payments::PaymentError::RateLimited { retry_after } => {
            let pause = retry_after.unwrap_or(RATE_LIMITED_PAUSE);
            Ok(Outcome::RetryAfter(pause, "the provider takes no more calls for now".to_owned()))
        }
        error => Err(error.into()),
    }
}

/// How long a provider is left alone that does not say.
const RATE_LIMITED_PAUSE: std::time::Duration = std::time::Duration::from_secs(10);
