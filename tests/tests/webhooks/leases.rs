//! Leasing and settling without a process: as one would.

use std::time::Duration;

use domain::clock::{Clock as _, SystemClock};
use store::webhook_dispatch::{Leased, Outcome, Settlement};
use uuid::Uuid;

/// That all of what was leased went so.
pub(crate) fn settled(leased: &[Leased], lease: Uuid, outcome: Outcome) -> Vec<Settlement> {
    let delivered = outcome == Outcome::Delivered;
    leased
        .iter()
        .map(|one| Settlement {
            tenant_id: one.tenant_id,
            endpoint_id: one.endpoint_id,
            message_id: one.message_id,
            lease,
            outcome,
            pause_until: None,
            started_at: SystemClock.now(),
            took: Duration::ZERO,
            status_code: delivered.then_some(200),
            error: (!delivered).then(|| ("timeout", "no answer".to_owned())),
            answer_sealed: None,
        })
        .collect()
}
