//! What every client promises, said once and tried with each.

use domain::payment::{Charge, ChargeState, Decline, ProviderName, RefundState};
use payments::{About, Fact, PaymentError, SettledKind};

use crate::fake::Reply;
use crate::openapi::hold_against_stripes_description;
use crate::subject::{BEGUN, Subject, at, key, refund_key, usd};

/// Every case, with every client.
macro_rules! with_each_client {
    ($($case:ident)*) => {
        with_each_client!(@ stripe Stripe $($case)*);
        with_each_client!(@ paypal PayPal $($case)*);
        with_each_client!(@ btcpay BtcPay $($case)*);
    };
    (@ $module:ident $name:ident $($case:ident)*) => {
        mod $module {
            $(#[tokio::test]
            async fn $case() {
                let subject = super::Subject::start(super::ProviderName::$name).await;
                super::$case(&subject).await;
                super::finish(&subject);
            })*
        }
    };
}

with_each_client! {
    a_charge_is_made_once_however_often_it_is_asked_for
    what_was_done_and_never_answered_is_found_and_not_done_again
    what_never_arrived_is_not_found
    a_charge_is_found_by_its_id
    the_customer_is_told_where_to_confirm
    a_withdrawn_charge_is_withdrawn
    a_refund_is_made_once
    a_refund_that_was_never_answered_is_found
    what_a_webhook_is_about_is_read_again
    what_is_not_there_is_no_fact
    reconciliation_sees_what_came_in_and_what_went_back
}

/// No request that is not written down; and all to Stripe are as Stripe describes them.
fn finish(subject: &Subject) {
    let requests = subject.replay.all();
    if subject.provider.name() == ProviderName::Stripe {
        hold_against_stripes_description(&requests);
    }
}

/// A charge that nobody had to do anything for; with coins somebody has.
fn is_made(subject: &Subject, charge: &Charge) -> bool {
    match subject.provider.name() {
        ProviderName::BtcPay => {
            matches!(charge.state, ChargeState::ActionRequired { url: Some(_) })
        }
        _ => charge.state == ChargeState::Succeeded,
    }
}

async fn a_charge_is_made_once_however_often_it_is_asked_for(subject: &Subject) {
    let first = subject.provider.charge(&subject.order(1)).await.expect("an answer");
    assert!(is_made(subject, &first), "{first:?}");
    assert_eq!(first.amount, usd(9_900));
    assert_eq!(subject.provider.charge(&subject.order(1)).await, Ok(first));
    // Twice under one key, which is written down; or once, where the provider knows no keys.
    let asked = subject.replay.count("charge");
    let expected = if subject.provider.name() == ProviderName::BtcPay { 1 } else { 2 };
    assert_eq!(asked, expected);
}

async fn what_was_done_and_never_answered_is_found_and_not_done_again(subject: &Subject) {
    subject.replay.answer_after_all("charge", Reply::Silence);
    let late = subject.provider.charge(&subject.order(1)).await;
    assert_eq!(late, Err(PaymentError::Unavailable("no answer came in time".into())));
    let found =
        subject.provider.look_up(&subject.order(1)).await.expect("an answer").expect("it is known");
    assert!(is_made(subject, &found), "{found:?}");
    assert_eq!(subject.replay.count("charge"), 1);
    let again = subject.provider.charge(&subject.order(1)).await.expect("an answer");
    assert_eq!(again.reference, found.reference);
}

async fn what_never_arrived_is_not_found(subject: &Subject) {
    assert_eq!(subject.provider.look_up(&subject.order(1)).await, Ok(None));
    assert_eq!(subject.replay.count("charge"), 0);
}

async fn a_charge_is_found_by_its_id(subject: &Subject) {
    let made = subject.provider.charge(&subject.order(1)).await.expect("an answer");
    let mut order = subject.order(1);
    order.reference = Some(&made.reference);
    assert_eq!(subject.provider.look_up(&order).await, Ok(Some(made.clone())));
    order.reference = Some("unknown");
    let unknown = subject.provider.look_up(&order).await.expect("an answer");
    // Stripe tells its own ids from others, and looks by the key.
    let is_stripe = subject.provider.name() == ProviderName::Stripe;
    assert_eq!(unknown, is_stripe.then_some(made));
}

async fn the_customer_is_told_where_to_confirm(subject: &Subject) {
    let charge = subject.provider.charge(&subject.order(4)).await.expect("an answer");
    let ChargeState::ActionRequired { url: Some(url) } = charge.state else {
        panic!("{charge:?}");
    };
    assert!(url.starts_with("https://"), "{url}");
    assert!(!charge.reference.is_empty());
}

async fn a_withdrawn_charge_is_withdrawn(subject: &Subject) {
    let charge = subject.provider.charge(&subject.order(4)).await.expect("an answer");
    let withdrawn = subject.provider.cancel(&charge.reference).await.expect("an answer");
    assert_eq!(withdrawn.state, ChargeState::Canceled);
    assert_eq!(withdrawn.reference, charge.reference);
    // What got through meanwhile is answered as it is.
    subject.replay.happen("paid");
    let paid = subject.provider.cancel(&charge.reference).await.expect("an answer");
    assert_eq!((paid.state, paid.amount), (ChargeState::Succeeded, usd(9_900)));
}

async fn a_refund_is_made_once(subject: &Subject) {
    let charge = subject.provider.charge(&subject.order(1)).await.expect("an answer");
    let order = subject.refund_order(&charge.reference);
    assert_eq!(subject.provider.look_up_refund(&order).await, Ok(None));
    let refund = subject.provider.refund(&order).await.expect("an answer");
    assert_eq!(refund.amount, usd(1_000));
    assert_ne!(refund.state, RefundState::Failed);
    let again = subject.provider.refund(&order).await.expect("an answer");
    assert_eq!(again, refund);
    let mut known = order;
    known.reference = Some(&refund.reference);
    assert_eq!(subject.provider.look_up_refund(&known).await, Ok(Some(refund)));
}

async fn a_refund_that_was_never_answered_is_found(subject: &Subject) {
    let charge = subject.provider.charge(&subject.order(1)).await.expect("an answer");
    let order = subject.refund_order(&charge.reference);
    subject.replay.answer_after_all("refund", Reply::HangUp);
    let lost = subject.provider.refund(&order).await;
    assert_eq!(lost, Err(PaymentError::Unavailable("the connection broke off".into())));
    let found =
        subject.provider.look_up_refund(&order).await.expect("an answer").expect("it is known");
    assert_eq!((found.amount, subject.replay.count("refund")), (usd(1_000), 1));
}

async fn what_a_webhook_is_about_is_read_again(subject: &Subject) {
    let charge = subject.provider.charge(&subject.order(1)).await.expect("an answer");
    let about = About::Charge(charge.reference.clone());
    assert_eq!(subject.provider.read(&about).await, Ok(Some(Fact::Charge(key(1), charge.clone()))));
    let refund =
        subject.provider.refund(&subject.refund_order(&charge.reference)).await.expect("an answer");
    let about = About::Refund(refund.reference.clone());
    assert_eq!(subject.provider.read(&about).await, Ok(Some(Fact::Refund(refund_key(), refund))));
}

async fn what_is_not_there_is_no_fact(subject: &Subject) {
    for about in [About::Charge("unknown".into()), About::Refund("unknown".into()), About::Nothing]
    {
        assert_eq!(subject.provider.read(&about).await, Ok(None), "{about:?}");
    }
}

async fn reconciliation_sees_what_came_in_and_what_went_back(subject: &Subject) {
    subject.replay.happen("settled");
    let settled = subject.provider.settled(at(BEGUN), at(BEGUN + 86_400)).await.expect("an answer");
    let of = |kind: SettledKind| {
        let all = settled.iter().filter(move |settled| settled.kind == kind);
        let told = |settled: &payments::Settled| (settled.key.clone(), settled.amount.amount_minor);
        all.map(told).collect::<Vec<_>>()
    };
    let ours = (Some(key(1).to_string()), 9_900);
    // One that is nobody's of ours is told too.
    assert_eq!(of(SettledKind::Payment), [ours, (None, 4_200)]);
    assert_eq!(of(SettledKind::Refund), [(Some(refund_key().to_string()), 1_000)]);
    let disputed = match subject.provider.name() {
        ProviderName::BtcPay => vec![],
        _ => vec![(Some(key(1).to_string()), 9_900)],
    };
    assert_eq!(of(SettledKind::Dispute), disputed);
}

/// Only where money is taken without its owner.
#[tokio::test]
async fn refusals_are_for_the_day_or_for_good() {
    for (name, soft, hard) in [
        (ProviderName::Stripe, "insufficient_funds", "stolen_card"),
        (ProviderName::PayPal, "INSTRUMENT_DECLINED", "PAYER_ACCOUNT_LOCKED_OR_CLOSED"),
    ] {
        let subject = Subject::start(name).await;
        for (attempt, code, is_hard) in [(2, soft, false), (3, hard, true)] {
            let charge = subject.provider.charge(&subject.order(attempt)).await.expect("an answer");
            let decline = Decline { hard: is_hard, code: code.to_owned() };
            assert_eq!(charge.state, ChargeState::Declined(decline), "{name}");
            assert!(!charge.reference.is_empty());
        }
        let processing = subject.provider.charge(&subject.order(5)).await.expect("an answer");
        assert_eq!(processing.state, ChargeState::Processing, "{name}");
        finish(&subject);
    }
}
