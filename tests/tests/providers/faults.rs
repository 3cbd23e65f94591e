//! What goes wrong on the way, with each client: what may have been done is `Unavailable`, and nothing is told that is
//! secret or somebody's.

use std::time::{Duration, Instant};

use domain::payment::ProviderName;
use payments::PaymentError;

use crate::fake::Reply;
use crate::subject::{CANARY, Subject, open};

const ALL: [ProviderName; 3] = [ProviderName::Stripe, ProviderName::PayPal, ProviderName::BtcPay];

async fn charge_answered_by(name: ProviderName, reply: Reply) -> PaymentError {
    let subject = Subject::start(name).await;
    subject.replay.answer_instead("charge", reply);
    let error = subject.provider.charge(&subject.order(1)).await.expect_err("it is a fault");
    let told = format!("{error} {error:?} {:?}", subject.provider);
    assert!(!told.contains(CANARY) && !told.contains("jane@"), "{name}: {told}");
    assert!(!error.to_string().contains("127.0.0.1"), "{error}");
    // And the way is free again.
    assert!(subject.provider.charge(&subject.order(1)).await.is_ok(), "{name}");
    error
}

fn answer(status: u16, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Reply {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Reply::Answer(status, headers.iter().map(own).collect(), body.into())
}

fn is_unavailable(error: &PaymentError) -> bool {
    matches!(error, PaymentError::Unavailable(_))
}

#[tokio::test]
async fn too_many_calls_are_told_with_the_time_to_wait() {
    for name in ALL {
        let error = charge_answered_by(name, answer(429, &[("retry-after", "7")], "{}")).await;
        let retry_after = Some(Duration::from_secs(7));
        assert_eq!(error, PaymentError::RateLimited { retry_after }, "{name}");
        let error = charge_answered_by(name, answer(429, &[], "slow down")).await;
        assert_eq!(error, PaymentError::RateLimited { retry_after: None }, "{name}");
    }
}

#[tokio::test]
async fn a_fault_of_the_providers_may_have_been_a_charge() {
    for name in ALL {
        for status in [500, 502, 503, 504] {
            let error = charge_answered_by(name, answer(status, &[], "jane@example.com")).await;
            assert!(is_unavailable(&error), "{name} {status}: {error:?}");
        }
    }
}

#[tokio::test]
async fn another_call_under_the_same_key_may_become_a_charge() {
    let stripes = r#"{"error":{"type":"idempotency_error","code":"idempotency_key_in_use"}}"#;
    let error = charge_answered_by(ProviderName::Stripe, answer(409, &[], stripes)).await;
    assert!(is_unavailable(&error), "{error:?}");
    let locked = r#"{"error":{"type":"invalid_request_error","code":"lock_timeout"}}"#;
    let error = charge_answered_by(ProviderName::Stripe, answer(400, &[], locked)).await;
    assert!(is_unavailable(&error), "{error:?}");
    let paypals = r#"{"name":"RESOURCE_CONFLICT","message":"busy"}"#;
    let error = charge_answered_by(ProviderName::PayPal, answer(409, &[], paypals)).await;
    assert!(is_unavailable(&error), "{error:?}");
}

#[tokio::test]
async fn what_cannot_be_read_says_nothing_and_is_not_quoted() {
    for name in ALL {
        for body in [
            "",
            "{",
            "[]",
            "null",
            "<html>jane@example.com</html>",
            r#"{"id":"jane@x"}"#,
            r#""jane@x""#,
            r#"{"id":7}"#,
        ] {
            let error = charge_answered_by(name, answer(200, &[], body)).await;
            assert!(is_unavailable(&error), "{name} {body}: {error:?}");
        }
        let error = charge_answered_by(name, answer(200, &[], vec![0xff; 100])).await;
        assert!(is_unavailable(&error), "{name}");
    }
}

#[tokio::test]
async fn an_endless_answer_is_not_read_to_its_end() {
    for name in ALL {
        let error = charge_answered_by(name, answer(200, &[], vec![b' '; 4 << 20])).await;
        let expected = "its answer is longer than 1048576 bytes";
        assert_eq!(error, PaymentError::Unavailable(expected.into()), "{name}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_with_the_key() {
    for name in ALL {
        let elsewhere = [("location", "http://127.0.0.1:1/")];
        let error = charge_answered_by(name, answer(307, &elsewhere, "")).await;
        assert_eq!(error, PaymentError::Unavailable("it answered 307".into()), "{name}");
    }
}

#[tokio::test]
async fn slow_and_broken_answers_end_in_time() {
    for name in ALL {
        let start = Instant::now();
        let error = charge_answered_by(name, Reply::Silence).await;
        assert_eq!(error, PaymentError::Unavailable("no answer came in time".into()), "{name}");
        assert!(start.elapsed() < Duration::from_secs(5));
        let error = charge_answered_by(name, Reply::HangUp).await;
        assert_eq!(error, PaymentError::Unavailable("the connection broke off".into()), "{name}");
    }
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_unavailable() {
    for name in ALL {
        let subject = Subject::start(name).await;
        // A port that was free a moment ago.
        let port = harness::reserve().unwrap();
        let nobody = open(name, &format!("http://{}", port.address()));
        let error = nobody.charge(&subject.order(1)).await.unwrap_err();
        assert_eq!(error, PaymentError::Unavailable("no connection could be made".into()));
    }
}

#[tokio::test]
async fn a_call_that_is_wrong_is_not_worth_repeating() {
    for (name, status, body, code) in [
        (
            ProviderName::Stripe,
            401,
            r#"{"error":{"type":"invalid_request_error","message":"Invalid API Key"}}"#,
            "invalid_request_error",
        ),
        (
            ProviderName::Stripe,
            400,
            r#"{"error":{"type":"idempotency_error","message":"other parameters"}}"#,
            "idempotency_error",
        ),
        (
            ProviderName::PayPal,
            422,
            r#"{"name":"UNPROCESSABLE_ENTITY","details":[{"issue":"CURRENCY_NOT_SUPPORTED"}]}"#,
            "CURRENCY_NOT_SUPPORTED",
        ),
        (
            ProviderName::PayPal,
            403,
            r#"{"name":"NOT_AUTHORIZED","message":"insufficient permissions"}"#,
            "NOT_AUTHORIZED",
        ),
        (ProviderName::BtcPay, 401, "", "401"),
        (
            ProviderName::BtcPay,
            403,
            r#"{"code":"missing-permission","message":"btcpay.store.cancreateinvoice"}"#,
            "missing-permission",
        ),
        (ProviderName::BtcPay, 422, r#"[{"path":"amount","message":"bad"}]"#, "amount"),
    ] {
        let error = charge_answered_by(name, answer(status, &[], body)).await;
        let PaymentError::Refused { code: told, .. } = &error else { panic!("{error:?}") };
        assert_eq!(told, code, "{name}");
    }
}
