//! Webhooks of `PayPal`, signed by its private key. Whether one is genuine `PayPal` itself is asked, with the body as it
//! came (developer.paypal.com, "Verify webhook signature"); what can be told without asking is told first.

use http::HeaderMap;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use url::{Host, Url};

use super::client::Client;
use super::methods::named;
use super::objects::order_reference;
use crate::call::Caller;
use crate::error::WebhookError;
use crate::provider::{About, Incoming, Notice};

/// For so long an event may be on its way: `PayPal` tries for three days. Its signature is checked with its time, and
/// what comes twice is known by its id.
const AGE_MAX: SignedDuration = SignedDuration::from_hours(24 * 3 + 1);
/// How far `PayPal`'s clock may be before ours.
const AHEAD_MAX: SignedDuration = SignedDuration::from_mins(5);
/// Whose certificates are believed.
const PAYPAL: &str = "paypal.com";

/// What is checked.
#[derive(Debug)]
pub(super) struct Checks {
    webhook_id: String,
    /// Whether it is `PayPal` that is called, and no stand-in of a test.
    is_paypal: bool,
}

#[derive(Serialize)]
struct Question<'a> {
    auth_algo: &'a str,
    cert_url: &'a str,
    transmission_id: &'a str,
    transmission_sig: &'a str,
    transmission_time: &'a str,
    webhook_id: &'a str,
    webhook_event: &'a RawValue,
}

#[derive(Deserialize)]
struct Verdict {
    verification_status: String,
}

#[derive(Deserialize)]
struct Event {
    id: String,
    event_type: String,
    #[serde(default)]
    resource: Resource,
}

#[derive(Default, Deserialize)]
struct Resource {
    id: Option<String>,
    dispute_id: Option<String>,
    #[serde(default)]
    customer: super::objects::Customer,
}

impl Checks {
    pub(super) fn new(caller: &Caller, webhook_id: String) -> Self {
        Self { webhook_id, is_paypal: caller.host().is_some_and(is_paypal) }
    }

    /// A genuine event's content.
    pub(super) async fn parse(
        &self,
        client: &Client,
        incoming: &Incoming<'_>,
    ) -> Result<Notice, WebhookError> {
        let question = self.question(incoming)?;
        let path = ["v1", "notifications", "verify-webhook-signature"];
        let verdict: Verdict = client
            .post(&path, &question, None)
            .await
            .map_err(|failure| WebhookError::Unverifiable(failure.into()))?;
        if verdict.verification_status != "SUCCESS" {
            return Err(WebhookError::Signature);
        }
        let event: Event = serde_json::from_slice(incoming.body)
            .map_err(|error| WebhookError::Malformed(format!("{:?}", error.classify())))?;
        let about = about(&event);
        Ok(Notice { event_id: event.id, kind: event.event_type, about })
    }

    fn question<'a>(&'a self, incoming: &Incoming<'a>) -> Result<Question<'a>, WebhookError> {
        let header = |name| text(incoming.headers, name).ok_or(WebhookError::Signature);
        let cert_url = header("paypal-cert-url")?;
        if self.is_paypal && !is_paypals_certificate(cert_url) {
            return Err(WebhookError::Signature);
        }
        let transmission_time = header("paypal-transmission-time")?;
        let at: Timestamp = transmission_time.parse().map_err(|_| WebhookError::Signature)?;
        let age = incoming.now.duration_since(at);
        if age > AGE_MAX || age < -AHEAD_MAX {
            return Err(WebhookError::Stale);
        }
        let webhook_event = serde_json::from_slice(incoming.body)
            .map_err(|error| WebhookError::Malformed(format!("{:?}", error.classify())))?;
        Ok(Question {
            auth_algo: header("paypal-auth-algo")?,
            cert_url,
            transmission_id: header("paypal-transmission-id")?,
            transmission_sig: header("paypal-transmission-sig")?,
            transmission_time,
            webhook_id: &self.webhook_id,
            webhook_event,
        })
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// A host of `PayPal`'s.
fn is_paypal(host: &str) -> bool {
    host.strip_suffix(PAYPAL).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn is_paypals_certificate(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    let is_its_host = matches!(url.host(), Some(Host::Domain(host)) if is_paypal(host));
    url.scheme() == "https" && is_its_host && url.port().is_none() && url.username().is_empty()
}

fn about(event: &Event) -> About {
    let kind = event.event_type.as_str();
    let id = event.resource.id.as_deref();
    let about = |about: fn(String) -> About| id.map_or(About::Nothing, |id| about(id.to_owned()));
    match kind {
        // What they are about is the refund.
        "PAYMENT.CAPTURE.REFUNDED" | "PAYMENT.CAPTURE.REVERSED" => about(About::Refund),
        _ if kind.starts_with("PAYMENT.CAPTURE.") => about(About::Charge),
        _ if kind.starts_with("PAYMENT.REFUND.") => about(About::Refund),
        _ if kind.starts_with("CHECKOUT.ORDER.") => {
            id.map_or(About::Nothing, |id| About::Charge(order_reference(id)))
        }
        _ if kind.starts_with("CUSTOMER.DISPUTE.") => {
            event.resource.dispute_id.clone().map_or(About::Nothing, About::Dispute)
        }
        _ if kind.starts_with("VAULT.PAYMENT-TOKEN.") => {
            let tenant = event.resource.customer.merchant_customer_id.as_deref();
            id.map_or(About::Nothing, |id| About::Method(named(id, tenant)))
        }
        _ => About::Nothing,
    }
}

#[cfg(test)]
mod tests;
