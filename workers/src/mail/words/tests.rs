use std::net::IpAddr;

use domain::period::Period;
use expect_test::{Expect, expect};
use store::mail_facts::{
    InvitationFacts, InvoiceFacts, MemberFacts, PersonFacts, SignInFacts, TrialFacts, UsageFacts,
    WebhookFacts,
};

use super::*;

/// The subject and the text. The HTML holds every word of the text, and no markup of anybody's name.
fn check(words: &impl Words, expected: &Expect) {
    let (text, html) = (words.text().unwrap(), words.html().unwrap());
    assert!(!html.contains("<b>"), "{html}");
    assert!(html.contains("<title>") && html.contains("</html>"), "{html}");
    let plain = |text: &str| text.replace(['\n', '<', '>', '/', '"'], " ");
    let shown = plain(&html);
    for word in text.split_whitespace().filter(|word| word.chars().all(|c| c.is_ascii_digit())) {
        assert!(shown.contains(word), "{word} is not in {html}");
    }
    expected.assert_eq(&format!("{}\n\n{text}", words.subject()));
}

fn member() -> MemberFacts {
    MemberFacts {
        email: "ada@example.com".to_owned(),
        name: "Ada <b>\nLovelace".to_owned(),
        tenant: "Acme".to_owned(),
        time_zone: "Europe/Berlin".parse().unwrap(),
    }
}

fn person() -> PersonFacts {
    PersonFacts {
        email: "ada@example.com".to_owned(),
        name: "Ada".to_owned(),
        verified: true,
        email_generation: 1,
        password_generation: 1,
    }
}

fn period() -> Period {
    Period {
        start: "2026-11-01T00:00:00Z".parse().unwrap(),
        end: "2026-12-01T00:00:00Z".parse().unwrap(),
    }
}

fn invoice(status: &str) -> InvoiceFacts {
    let money = |text: &str, amount_minor| domain::money::Money {
        amount_minor,
        currency: text.parse().unwrap(),
    };
    InvoiceFacts {
        number: "PT-000017".to_owned(),
        status: status.to_owned(),
        total: money("USD", 9_900),
        due: money("JPY", 1_500),
        due_on: jiff::civil::date(2026, 12, 15),
        period: period(),
    }
}

fn link() -> Option<String> {
    Some("https://app.example.com/account".to_owned())
}

#[test]
fn invitation() {
    let facts = InvitationFacts {
        tenant: "Acme".to_owned(),
        inviter: Some("Ada".to_owned()),
        email: "bo@example.com".to_owned(),
        name: "Bo".to_owned(),
    };
    let link = "https://example.com/invitations/accept?token=i1".to_owned();
    check(
        &Invitation::new(&facts, link, period().end),
        &expect![[r#"
        Ada invites you to join Acme on PyTake

        Hello Bo,

        Ada invites you to join Acme on PyTake.

        Accept the invitation here:

        https://example.com/invitations/accept?token=i1

        The link is good for you alone, once, until 1 December 2026, 00:00 UTC.
        If you did not expect this message, you can ignore it."#]],
    );
}

#[test]
fn verify_email() {
    check(
        &VerifyEmail::new(&person(), "https://example.com/1".to_owned()),
        &expect![[r#"
        Confirm your e-mail address for PyTake

        Hello Ada,

        someone, probably you, signed up for PyTake with this address.

        Confirm that it is yours and choose a password here:

        https://example.com/1

        If it was not you, ignore this message: nothing happens without the link."#]],
    );
}

#[test]
fn reset_password() {
    check(
        &ResetPassword::new(&person(), "https://example.com/1".to_owned()),
        &expect![[r#"
        Set a new PyTake password

        Hello Ada,

        someone, probably you, asked for a new PyTake password for this address.

        Choose one here:

        https://example.com/1

        If it was not you, ignore this message: your password stays as it is."#]],
    );
}

#[test]
fn sign_in_alert() {
    let sign_in = SignInFacts {
        user_id: domain::id::UserId::from_uuid(uuid::Uuid::nil()),
        at: period().start,
        address: Some(IpAddr::from([192, 0, 2, 7])),
        user_agent: Some("curl/8 <b>".to_owned()),
    };
    check(
        &SignInAlert::new(&person(), &sign_in, link()),
        &expect![[r#"
        New sign-in to your PyTake account

        Hello Ada,

        your PyTake account was signed in to on 1 November 2026, 00:00 UTC,
        from the address 192.0.2.7, by curl/8 <b>.
        It was not used from that network lately.

        If it was you, there is nothing to do.

        If it was not, ask for a new password at once: setting it ends every session.
        Then look through what was done in your name.

        https://app.example.com/account
    "#]],
    );
    let unnamed = SignInFacts { user_agent: None, ..sign_in };
    check(
        &SignInAlert::new(&person(), &unnamed, None),
        &expect![[r#"
        New sign-in to your PyTake account

        Hello Ada,

        your PyTake account was signed in to on 1 November 2026, 00:00 UTC,
        from the address 192.0.2.7.
        It was not used from that network lately.

        If it was you, there is nothing to do.

        If it was not, ask for a new password at once: setting it ends every session.
        Then look through what was done in your name.
    "#]],
    );
}

#[test]
fn trial_ending() {
    let trial = TrialFacts {
        plan: domain::plan::PlanName::Pro,
        ends_at: period().end,
        price: invoice("Open").total,
        cycle: domain::plan::BillingCycle::Yearly,
    };
    check(
        &TrialEnding::new(&member(), &trial, link()),
        &expect![[r#"
        The trial of Acme ends on 1 December 2026, 01:00 CET

        Hello Ada <b> Lovelace,

        the trial of Acme on the Pro plan ends on 1 December 2026, 01:00 CET.
        From then on it costs USD 99.00 a year, before taxes.

        See plan and way to pay:

        https://app.example.com/account

        To leave, cancel before that day, and nothing is charged."#]],
    );
}

#[test]
fn receipt() {
    check(
        &Receipt::new(&member(), &invoice("Paid"), link()),
        &expect![[r#"
        Receipt for invoice PT-000017 of Acme

        Hello Ada <b> Lovelace,

        thank you: invoice PT-000017 of Acme is paid.

        Total:  USD 99.00
        Period: 1 November 2026, 01:00 CET to 1 December 2026, 01:00 CET

        See the invoice:

        https://app.example.com/account
    "#]],
    );
}

#[test]
fn invoice_reminder() {
    check(
        &InvoiceReminder::new(&member(), &invoice("Open"), -3, link()),
        &expect![[r#"
            Invoice PT-000017 of Acme is due on 15 December 2026

            Hello Ada <b> Lovelace,

            JPY 1500 for invoice PT-000017 of Acme is due on 15 December 2026.

            See the invoice, and how to pay it:

            https://app.example.com/account

            If you have paid in the last days, there is nothing more to do."#]],
    );
    check(
        &InvoiceReminder::new(&member(), &invoice("Open"), 1, None),
        &expect![[r#"
            Invoice PT-000017 of Acme was due on 15 December 2026

            Hello Ada <b> Lovelace,

            JPY 1500 for invoice PT-000017 of Acme was due on 15 December 2026, and has not reached us.


            If you have paid in the last days, there is nothing more to do."#]],
    );
}

#[test]
fn payment_failed() {
    check(
        &PaymentFailed::new(&member(), &invoice("Open"), true, link()),
        &expect![[r#"
            Payment of invoice PT-000017 of Acme failed

            Hello Ada <b> Lovelace,

            JPY 1500 for invoice PT-000017 of Acme could not be collected.

            See the invoice, and mend the way to pay:

            https://app.example.com/account

            We try again in the coming days."#]],
    );
}

#[test]
fn usage_alert() {
    let usage = UsageFacts {
        title: "Messages sent".to_owned(),
        used: 8_001,
        limit: 10_000,
        period: period(),
        stops: true,
    };
    check(
        &UsageAlert::new(&member(), &usage, 80, link()),
        &expect![[r#"
        Acme: 80 % of messages sent used

        Hello Ada <b> Lovelace,

        Acme has used 8001 of 10000 (Messages sent),
        which is 80 % or more of what its plan allows until 1 December 2026, 01:00 CET.

        Once all is used, requests that count are refused until then, or until you upgrade.

        See usage and plan:

        https://app.example.com/account
    "#]],
    );
    let going_on = UsageFacts { stops: false, ..usage };
    check(
        &UsageAlert::new(&member(), &going_on, 100, None),
        &expect![[r#"
        Acme: 100 % of messages sent used

        Hello Ada <b> Lovelace,

        Acme has used 8001 of 10000 (Messages sent),
        which is 100 % or more of what its plan allows until 1 December 2026, 01:00 CET.

        What goes beyond is billed at the end of the period.

    "#]],
    );
}

#[test]
fn webhook_trouble() {
    let facts = |disabled: Option<&str>| WebhookFacts {
        url: "https://example.com/hooks".to_owned(),
        failing_since: (disabled != Some("Gone")).then_some(period().start),
        disabled: disabled.map(str::to_owned),
    };
    check(
        &WebhookTrouble::new(&member(), &facts(None), link()),
        &expect![[r#"
        Acme: a webhook endpoint is failing

        Hello Ada <b> Lovelace,

        nothing gets through to the webhook endpoint of Acme at

        https://example.com/hooks

        since 1 November 2026, 01:00 CET.
        After five days without an answer of success it will be disabled.

        Its messages are kept: mend the endpoint, enable it, and replay what failed.

        https://app.example.com/account
    "#]],
    );
    check(
        &WebhookTrouble::new(&member(), &facts(Some("Failing")), None),
        &expect![[r#"
        Acme: a webhook endpoint was disabled

        Hello Ada <b> Lovelace,

        nothing gets through to the webhook endpoint of Acme at

        https://example.com/hooks

        since 1 November 2026, 01:00 CET.
        It was disabled.

        Its messages are kept: mend the endpoint, enable it, and replay what failed.
    "#]],
    );
    check(
        &WebhookTrouble::new(&member(), &facts(Some("Gone")), None),
        &expect![[r#"
        Acme: a webhook endpoint was disabled

        Hello Ada <b> Lovelace,

        the webhook endpoint of Acme at

        https://example.com/hooks

        answered that it wants no more messages (410), and was disabled.

        Its messages are kept: mend the endpoint, enable it, and replay what failed.
    "#]],
    );
}

#[test]
fn a_payment_that_is_refused_for_good_is_not_said_to_be_tried_again() {
    check(
        &PaymentFailed::new(&member(), &invoice("Open"), false, None),
        &expect![[r#"
        Payment of invoice PT-000017 of Acme failed

        Hello Ada <b> Lovelace,

        JPY 1500 for invoice PT-000017 of Acme could not be collected.


        The way to pay is refused for good: it takes another one, or a transfer."#]],
    );
}

#[test]
fn payment_action() {
    let link = Some("https://bank.example.com/confirm".to_owned());
    check(
        &PaymentAction::new(&member(), &invoice("Open"), link),
        &expect![[r#"
        Confirm the payment of invoice PT-000017 of Acme

        Hello Ada <b> Lovelace,

        JPY 1500 for invoice PT-000017 of Acme waits for you to confirm the payment.

        Confirm it here:

        https://bank.example.com/confirm

        Nothing is charged before you do."#]],
    );
}

#[test]
fn dunning() {
    use jobs::catalog::DunningStage;
    let said = |stage, link| Dunning::new(&member(), &invoice("Open"), stage, link);
    check(
        &said(DunningStage::ReadOnly, link()),
        &expect![[r#"
        Acme can only be read until it is paid

        Hello Ada <b> Lovelace,

        JPY 1500 for invoice PT-000017 of Acme is not paid.

        Until it is paid, nothing can be changed any more. All that is there can be read.

        See the invoice, and pay it or set another way to pay:

        https://app.example.com/account

        Everything works again as soon as it is paid."#]],
    );
    check(
        &said(DunningStage::BillingOnly, None),
        &expect![[r#"
        Acme is suspended until it is paid

        Hello Ada <b> Lovelace,

        JPY 1500 for invoice PT-000017 of Acme is not paid.

        Until it is paid, the service is suspended. Your data is kept.


        Everything works again as soon as it is paid."#]],
    );
    check(
        &said(DunningStage::FinalNotice, None),
        &expect![[r#"
        The subscription of Acme is about to end

        Hello Ada <b> Lovelace,

        JPY 1500 for invoice PT-000017 of Acme is not paid.

        If it is not paid in the next days, the subscription ends.


        Everything works again as soon as it is paid."#]],
    );
    check(
        &said(DunningStage::Ended, None),
        &expect![[r#"
        The subscription of Acme has ended

        Hello Ada <b> Lovelace,

        JPY 1500 for invoice PT-000017 of Acme is not paid.

        The subscription has ended for it, and the free plan follows. Your data is kept as the free plan keeps it.


        What is still open can be paid at any time."#]],
    );
}

#[test]
fn payment_method_expiring() {
    let label = domain::payment::MethodLabel {
        brand: Some("visa".to_owned()),
        last_four: Some("4242".to_owned()),
        expires_on: Some(jiff::civil::date(2026, 12, 31)),
        email: None,
    };
    let words = PaymentMethodExpiring::new(&member(), &label, link());
    check(
        &words.unwrap(),
        &expect![[r#"
        The way to pay of Acme is good until 31 December 2026

        Hello Ada <b> Lovelace,

        the way to pay of Acme, visa ending in 4242, is good until 31 December 2026.

        Set another here, so that invoices are paid after it, too:

        https://app.example.com/account

        If your bank has renewed it by then, there may be nothing to do."#]],
    );
    let endless = domain::payment::MethodLabel::default();
    assert!(PaymentMethodExpiring::new(&member(), &endless, None).is_none());
}
