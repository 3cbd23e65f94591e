//! Stripe's own: saving cards, the bank that wants its customer, disputes, pages of lists.

use domain::payment::{ChargeState, Decline, DisputeState, MethodLabel, ProviderName};
use domain::secret::Secret;
use jiff::civil::date;
use payments::{About, Fact, MethodState, NewMethod, PaymentError, SavedMethod};
use serde_json::json;

use crate::fake::Reply;
use crate::openapi::hold_against_stripes_description;
use crate::subject::{RETURN_URL, Subject, key, tenant_id, usd};

async fn start() -> Subject {
    Subject::start(ProviderName::Stripe).await
}

fn finish(subject: &Subject) {
    hold_against_stripes_description(&subject.replay.all());
}

fn visa() -> MethodLabel {
    MethodLabel {
        brand: Some("visa".into()),
        last_four: Some("4242".into()),
        expires_on: Some(date(2030, 12, 31)),
        email: None,
    }
}

async fn save(
    subject: &Subject,
    card: &str,
    beside: Option<&str>,
) -> Result<SavedMethod, PaymentError> {
    let (card, beside) =
        (Secret::new(card.to_owned()), beside.map(|text| Secret::new(text.into())));
    let wish = NewMethod {
        tenant_id: tenant_id(),
        email: Some("billing@acme.example"),
        token: Some(&card),
        beside: beside.as_ref(),
        return_url: RETURN_URL,
    };
    subject.provider.save_method(&wish).await
}

#[tokio::test]
async fn a_card_is_saved_with_the_tenants_customer_and_twice_is_once() {
    let subject = start().await;
    let saved = save(&subject, "pm_new", None).await.unwrap();
    assert_eq!(saved.token.expose(), "cus_1/pm_new");
    assert_eq!((saved.label.clone(), &saved.state), (visa(), &MethodState::Usable));
    assert_eq!(save(&subject, "pm_new", None).await, Ok(saved.clone()));
    assert_eq!((subject.replay.count("customer"), subject.replay.count("setup")), (1, 1));
    // A second card of the same tenant needs no second customer.
    let beside = save(&subject, "pm_beside", Some(saved.token.expose())).await.unwrap();
    assert_eq!(beside.token.expose(), "cus_1/pm_beside");
    assert_eq!(subject.replay.count("customer"), 1);
    finish(&subject);
}

#[tokio::test]
async fn another_tenants_card_is_not_taken() {
    let subject = start().await;
    for (card, code) in [
        ("pm_foreign", "payment_method_of_another_customer"),
        ("pm_unknown", "resource_missing"),
        ("tok_visa", "invalid_payment_method"),
        ("pm_declined", "lost_card"),
    ] {
        let refused = save(&subject, card, None).await;
        let decline = Decline { hard: true, code: code.into() };
        assert_eq!(refused, Err(PaymentError::Declined(decline)), "{card}");
    }
    finish(&subject);
}

#[tokio::test]
async fn a_card_whose_bank_asks_is_usable_once_its_owner_has_agreed() {
    let subject = start().await;
    let saved = save(&subject, "pm_asks", None).await.unwrap();
    let url = "https://hooks.stripe.com/redirect/setup".to_owned();
    assert_eq!(saved.state, MethodState::NeedsConfirmation { url });
    let waits = subject.provider.confirm_method(&saved.token).await.unwrap();
    assert_eq!(waits, saved);
    subject.replay.happen("agreed");
    let usable = subject.provider.confirm_method(&saved.token).await.unwrap();
    assert_eq!((usable.state, usable.label), (MethodState::Usable, visa()));
    assert_eq!(usable.token, saved.token);
    subject.replay.happen("failed");
    let failed = subject.provider.confirm_method(&saved.token).await;
    assert!(
        matches!(failed, Err(PaymentError::Declined(Decline { hard: false, .. }))),
        "{failed:?}"
    );
    finish(&subject);
}

#[tokio::test]
async fn a_card_is_forgotten_once_and_again() {
    let subject = start().await;
    let token = Secret::new("cus_1/pm_1".to_owned());
    assert_eq!(subject.provider.forget_method(&token).await, Ok(()));
    assert_eq!(subject.provider.forget_method(&token).await, Ok(()));
    let unknown = Secret::new("cus_1/pm_unknown".to_owned());
    assert_eq!(subject.provider.forget_method(&unknown).await, Ok(()));
    assert_eq!(subject.replay.count("detach_again"), 1);
    // Its metadata tell whose it was.
    let fact = subject.provider.read(&About::Method("pm_1".into())).await.unwrap();
    assert_eq!(fact, Some(Fact::Method(tenant_id(), token, None)));
    finish(&subject);
}

#[tokio::test]
async fn a_card_that_its_bank_renewed_is_read_again() {
    let subject = start().await;
    let fact = subject.provider.read(&About::Method("pm_1".into())).await.unwrap();
    let token = Secret::new("cus_1/pm_1".to_owned());
    assert_eq!(fact, Some(Fact::Method(tenant_id(), token, Some(visa()))));
    assert_eq!(subject.provider.read(&About::Method("pm_stranger".into())).await, Ok(None));
    finish(&subject);
}

#[tokio::test]
async fn the_bank_wants_its_customer_so_it_is_confirmed_on_session() {
    let subject = start().await;
    let charge = subject.provider.charge(&subject.order(4)).await.unwrap();
    let url = Some("https://hooks.stripe.com/redirect/authenticate".to_owned());
    assert_eq!(charge.state, ChargeState::ActionRequired { url: url.clone() });
    let confirm = &subject.replay.named("charge_customer")[0];
    // Under a key of its own, and no more off-session.
    assert_eq!(confirm.header("idempotency-key"), format!("{}:customer", key(4).idempotency_key()));
    // What a webhook finds in between has no address yet.
    let mut order = subject.order(4);
    order.reference = Some(&charge.reference);
    let found = subject.provider.look_up(&order).await.unwrap().unwrap();
    assert_eq!(found.state, ChargeState::ActionRequired { url });
    finish(&subject);
}

#[tokio::test]
async fn a_charge_that_broke_off_before_it_was_confirmed_is_confirmed_when_it_is_looked_up() {
    let subject = start().await;
    subject.replay.happen("unconfirmed");
    let found = subject.provider.look_up(&subject.order(1)).await.unwrap().unwrap();
    assert_eq!(found.state, ChargeState::Succeeded);
    assert_eq!((subject.replay.count("confirm"), subject.replay.count("charge")), (1, 0));
    finish(&subject);
}

#[tokio::test]
async fn a_card_that_is_gone_is_a_decline_and_not_a_wrong_call() {
    let subject = start().await;
    for param in ["payment_method", "customer"] {
        let gone = json!({ "error": { "type": "invalid_request_error", "code": "resource_missing",
            "param": param, "message": "No such thing" } });
        subject.replay.answer_instead("charge", Reply::json(400, &gone));
        let charge = subject.provider.charge(&subject.order(1)).await.unwrap();
        let decline = Decline { hard: true, code: "resource_missing".into() };
        assert_eq!(charge.state, ChargeState::Declined(decline));
        assert_eq!(charge.reference, key(1).idempotency_key());
        // Known by our key, it is looked for in the customer's list.
        let mut order = subject.order(1);
        order.reference = Some(&charge.reference);
        assert_eq!(subject.provider.look_up(&order).await, Ok(None));
    }
    finish(&subject);
}

#[tokio::test]
async fn a_list_is_read_to_its_end() {
    let subject = start().await;
    subject.replay.happen("many");
    let found = subject.provider.look_up(&subject.order(1)).await.unwrap().unwrap();
    assert_eq!((found.reference.as_str(), found.state), ("pi_1", ChargeState::Succeeded));
    assert_eq!(subject.replay.count("page_2"), 1);
    finish(&subject);
}

#[tokio::test]
async fn a_dispute_is_of_the_charge_that_it_is_about() {
    let subject = start().await;
    let fact = subject.provider.read(&About::Dispute("dp_1".into())).await.unwrap();
    let Some(Fact::Dispute(of, dispute)) = fact else { panic!("{fact:?}") };
    assert_eq!((of, dispute.charge_reference.as_str()), (key(1), "pi_1"));
    assert_eq!((dispute.amount, dispute.state), (usd(9_900), DisputeState::Open));
    // An inquiry holds nothing back, and somebody else's is somebody else's.
    for other in ["dp_inquiry", "dp_stranger", "dp_unknown"] {
        assert_eq!(subject.provider.read(&About::Dispute(other.into())).await, Ok(None), "{other}");
    }
    finish(&subject);
}

#[tokio::test]
async fn what_is_not_in_whole_steps_is_never_sent() {
    let subject = start().await;
    let mut order = subject.order(1);
    for (amount_minor, currency) in [(5_124, "KWD"), (0, "USD"), (-5, "USD")] {
        order.amount = domain::money::Money { amount_minor, currency: currency.parse().unwrap() };
        let refused = subject.provider.charge(&order).await;
        assert!(matches!(refused, Err(PaymentError::Unsupported(_))), "{refused:?}");
    }
    assert!(subject.replay.all().is_empty());
}
