//! Webhooks: signed, and while the simulator misbehaves late, doubled, out of order, or lost.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ring::hmac;
use serde_json::json;

use super::world::{Event, World};
use super::{Shared, WEBHOOK_SECRET};
use crate::wait::poll_async;

const TAKEN_WITHIN: Duration = Duration::from_secs(30);
const DELAY_MS_MAX: u32 = 1500;
const LOST_PERCENT: u32 = 10;
const DOUBLED_PERCENT: u32 = 20;

#[derive(Debug, Default)]
pub(super) struct Hooks {
    edge: Mutex<String>,
    http: reqwest::Client,
    /// What is told again in the end.
    kept: Mutex<Vec<Event>>,
}

fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How Stripe signs a body at a time, in seconds.
#[must_use]
pub fn stripe_signature(secret: &str, at: i64, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, &[at.to_string().as_bytes(), b".", body].concat());
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={at},v1={hex}")
}

impl Hooks {
    pub(super) fn tells(&self, edge: &str) {
        edge.clone_into(&mut hold(&self.edge));
    }

    /// Whether it is taken.
    async fn send(&self, event: &Event) -> bool {
        let edge = hold(&self.edge).clone();
        let body = json!({
            "id": event.id, "object": "event", "type": event.kind, "data": { "object": event.object },
        });
        let (body, at) = (body.to_string(), World::now());
        let signature = stripe_signature(WEBHOOK_SECRET, at, body.as_bytes());
        let request = self
            .http
            .post(format!("{edge}/hooks/stripe"))
            .header("stripe-signature", signature)
            .header("content-type", "application/json")
            .body(body);
        request.send().await.is_ok_and(|answer| answer.status().is_success())
    }
}

/// Tells of something in its own time.
pub(super) fn tell(shared: Arc<Shared>, event: Event) {
    let faulty = shared.world().faulty;
    if faulty && shared.below(100) < LOST_PERCENT {
        return;
    }
    hold(&shared.hooks.kept).push(event.clone());
    let times = if faulty && shared.below(100) < DOUBLED_PERCENT { 2 } else { 1 };
    for _ in 0..times {
        let (shared, event) = (shared.clone(), event.clone());
        let delay = if faulty { shared.below(DELAY_MS_MAX) } else { 0 };
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(delay.into())).await;
            // What is not taken is told again in the end.
            shared.hooks.send(&event).await;
        });
    }
}

/// Tells again, twice and in any order.
pub(super) async fn tells_all_again(shared: &Arc<Shared>) {
    let mut all = std::mem::take(&mut *hold(&shared.hooks.kept));
    all.extend(all.clone());
    for place in (1..all.len()).rev() {
        let other = shared.below(u32::try_from(place + 1).unwrap_or(u32::MAX));
        all.swap(place, usize::try_from(other).unwrap_or_default());
    }
    for event in all {
        let taken =
            poll_async(TAKEN_WITHIN, async || shared.hooks.send(&event).await.then_some(()));
        assert!(taken.await.is_some(), "the edge does not take {event:?}");
    }
}
