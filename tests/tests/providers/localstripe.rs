//! A Stripe of others' (`localstripe`, from `PyPI`): a card is saved, charged and refunded, and its signed webhooks are
//! believed. It is stateful and independent; what it does otherwise than Stripe is translated here, and nowhere else:
//!
//! - a charge has no `description`, lists know neither `created` nor `customer`, and there are no disputes;
//! - a setup intent is neither confirmed at once nor does it attach its card: that takes three calls;
//! - a declined charge comes without its payment intent, and as another type of error;
//! - it knows no idempotency keys: that a charge is made once is proved elsewhere.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::payment::{ChargeState, Decline, ProviderName, RefundState};
use domain::secret::Secret;
use harness::{Leash, Receiver, Spawn, poll_async, reserve, root, tail};
use http::HeaderMap;
use jiff::Timestamp;
use payments::{About, Fact, Incoming, NewMethod, Provider, SavedMethod, SettledKind};
use serde_json::{Value, json};

use crate::fake::{Reply, Request, serve};
use crate::openapi::hold_against_stripes_description;
use crate::subject::{DESCRIPTION, RETURN_URL, key, open, refund_key, tenant_id, usd};

const READY_WITHIN: Duration = Duration::from_secs(30);

/// The server, and what translates between it and us.
struct LocalStripe {
    _leash: Leash,
    _folder: tempfile::TempDir,
    base: String,
    front: String,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl LocalStripe {
    async fn start() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().expect("a folder");
        let port = reserve().expect("a port");
        let log = folder.path().join("localstripe.log");
        let number = port.address().port();
        let leash = Spawn::new("python3", &log)
            .args(["-m", "localstripe", "--from-scratch", "--port", &number.to_string()])
            .variables([("PYTHONPATH", root().join(".dev/wheels/python"))])
            .start()
            .expect("python3 starts");
        let base = format!("http://127.0.0.1:{number}");
        let ready = poll_async(READY_WITHIN, async || call(&base, "GET", "/v1/balance", &[]).await);
        assert!(ready.await.is_some(), "no localstripe; see deploy/prerequisites:\n{}", tail(&log));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (kept, behind) = (seen.clone(), base.clone());
        let address = serve(move |request| {
            kept.lock().expect("nobody panics while holding it").push(request.clone());
            let behind = behind.clone();
            Box::pin(async move { translate(&behind, &request).await })
        })
        .await;
        let front = format!("http://{address}");
        Self { _leash: leash, _folder: folder, base, front, seen }
    }

    /// Something that nobody but the test asks for.
    async fn ask(&self, path: &str, fields: &[(&str, &str)]) -> Value {
        let fields: Vec<_> =
            fields.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        let (status, body) = call(&self.base, "POST", path, &fields).await.expect("an answer");
        assert_eq!(status, 200, "{body}");
        body
    }

    async fn card(&self, number: &str) -> Secret<String> {
        let card = [
            ("type", "card"),
            ("card[number]", number),
            ("card[exp_month]", "12"),
            ("card[exp_year]", "2030"),
            ("card[cvc]", "123"),
        ];
        let made = self.ask("/v1/payment_methods", &card).await;
        Secret::new(made["id"].as_str().expect("an id").to_owned())
    }

    async fn save(&self, stripe: &dyn Provider, number: &str) -> SavedMethod {
        let card = self.card(number).await;
        let wish = NewMethod {
            tenant_id: tenant_id(),
            email: Some("billing@acme.example"),
            token: Some(&card),
            beside: None,
            return_url: RETURN_URL,
        };
        stripe.save_method(&wish).await.expect("it is saved")
    }
}

/// One call of the server.
async fn call(
    base: &str,
    method: &str,
    path: &str,
    fields: &[(String, String)],
) -> Option<(u16, Value)> {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let (target, body) = match method {
        "GET" => (format!("{base}{path}?{form}"), String::new()),
        _ => (format!("{base}{path}"), form),
    };
    let method = method.parse().expect("a method");
    let request = client
        .request(method, target)
        .header("authorization", "Bearer sk_test_12345")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body);
    let answer = request.send().await.ok()?;
    let status = answer.status().as_u16();
    Some((status, answer.json().await.unwrap_or(Value::Null)))
}

/// What Stripe would do, done by the server.
async fn translate(base: &str, request: &Request) -> Reply {
    let path = request.path.as_str();
    let without = |fields: Vec<(String, String)>, names: &[&str]| -> Vec<(String, String)> {
        let stays = |name: &str| !names.iter().any(|unknown| name.starts_with(unknown));
        fields.into_iter().filter(|(name, _)| stays(name)).collect()
    };
    let (method, fields) = match request.method.as_str() {
        "GET" => ("GET", without(request.query.clone(), &["created", "customer"])),
        _ => ("POST", without(request.form(), &["description"])),
    };
    if path == "/v1/disputes" {
        return Reply::json(200, &json!({ "data": [], "has_more": false }));
    }
    if method == "POST" && path == "/v1/setup_intents" {
        return set_up(base, fields).await;
    }
    match call(base, method, path, &fields).await {
        Some((status, body)) => Reply::json(status, &body),
        None => Reply::json(500, &Value::Null),
    }
}

async fn set_up(base: &str, fields: Vec<(String, String)>) -> Reply {
    let of = |name: &str| {
        let found = fields.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    };
    let (card, customer) = (of("payment_method"), of("customer"));
    let at_once = ["payment_method", "confirm", "return_url"];
    let begun: Vec<_> =
        fields.iter().filter(|(name, _)| !at_once.contains(&name.as_str())).cloned().collect();
    let (_, setup) = call(base, "POST", "/v1/setup_intents", &begun).await.expect("an answer");
    let id = setup["id"].as_str().expect("an id");
    let path = format!("/v1/setup_intents/{id}/confirm");
    let confirm = [("payment_method".to_owned(), card.clone())];
    let (status, confirmed) = call(base, "POST", &path, &confirm).await.expect("an answer");
    if status == 200 {
        let path = format!("/v1/payment_methods/{card}/attach");
        call(base, "POST", &path, &[("customer".to_owned(), customer)]).await.expect("an answer");
    }
    Reply::json(status, &confirmed)
}

fn order<'a>(method: &'a Secret<String>, attempt: u32) -> payments::ChargeOrder<'a> {
    #[expect(clippy::disallowed_methods, reason = "the server lives by the machine's clock")]
    let begun_at = Timestamp::now();
    payments::ChargeOrder {
        key: key(attempt),
        amount: usd(9_900),
        method,
        description: DESCRIPTION,
        reference: None,
        begun_at,
        return_url: RETURN_URL,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_is_charged_refunded_and_forgotten_and_its_webhooks_are_believed() {
    let server = LocalStripe::start().await;
    let stripe = open(ProviderName::Stripe, &server.front);
    let receiver = Receiver::start().await;
    let hook = [("url", receiver.url()), ("secret", "whsec_test".to_owned())];
    let hook: Vec<_> = hook.iter().map(|(name, value)| (*name, value.as_str())).collect();
    server.ask("/_config/webhooks/ours", &hook).await;
    let saved = server.save(&*stripe, "4242424242424242").await;
    assert_eq!(saved.label.last_four.as_deref(), Some("4242"));

    let order = order(&saved.token, 1);
    assert_eq!(stripe.look_up(&order).await, Ok(None));
    let charge = stripe.charge(&order).await.unwrap();
    assert_eq!((charge.amount, &charge.state), (usd(9_900), &ChargeState::Succeeded));
    assert_eq!(stripe.look_up(&order).await, Ok(Some(charge.clone())));

    let genuine = poll_async(READY_WITHIN, async || {
        let all = receiver.received();
        all.into_iter().find(|one| one.json()["type"] == "payment_intent.succeeded")
    });
    let received = genuine.await.expect("a webhook");
    let mut headers = HeaderMap::new();
    headers.insert("stripe-signature", received.header("stripe-signature").parse().unwrap());
    let now = order.begun_at;
    let incoming = Incoming { headers: &headers, body: &received.body, now };
    let notice = stripe.parse_webhook(incoming).await.unwrap();
    assert_eq!(notice.about, About::Charge(charge.reference.clone()));
    let fact = stripe.read(&notice.about).await.unwrap();
    assert_eq!(fact, Some(Fact::Charge(key(1), charge.clone())));
    let forged = [&received.body[..], b" "].concat();
    let incoming = Incoming { headers: &headers, body: &forged, now };
    assert!(stripe.parse_webhook(incoming).await.is_err());

    let part = payments::RefundOrder {
        key: refund_key(),
        amount: usd(1_000),
        charge_reference: &charge.reference,
        reference: None,
        begun_at: order.begun_at,
    };
    let refund = stripe.refund(&part).await.unwrap();
    assert_eq!((refund.amount, refund.state), (usd(1_000), RefundState::Succeeded));
    assert_eq!(stripe.look_up_refund(&part).await, Ok(Some(refund)));
    let hour = jiff::SignedDuration::from_hours(1);
    let settled = stripe.settled(order.begun_at - hour, order.begun_at + hour).await.unwrap();
    let kinds: Vec<_> = settled.iter().map(|one| (one.kind, one.amount.amount_minor)).collect();
    assert_eq!(kinds, [(SettledKind::Payment, 9_900), (SettledKind::Refund, 1_000)]);
    assert_eq!(stripe.forget_method(&saved.token).await, Ok(()));
    hold_against_stripes_description(&server.seen.lock().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_without_money_is_a_decline() {
    let server = LocalStripe::start().await;
    let stripe = open(ProviderName::Stripe, &server.front);
    // Can be saved, and not charged.
    let saved = server.save(&*stripe, "4000000000000341").await;
    let charge = stripe.charge(&order(&saved.token, 1)).await.unwrap();
    let decline = Decline { hard: false, code: "card_declined".into() };
    assert_eq!(charge.state, ChargeState::Declined(decline));
    hold_against_stripes_description(&server.seen.lock().unwrap());
}
