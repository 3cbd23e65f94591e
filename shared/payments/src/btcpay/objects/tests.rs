use serde_json::json;

use super::*;

fn charge(status: &str, additional: &str, paid: Option<&str>) -> Charge {
    let object = json!({
        "id": "inv", "status": status, "additionalStatus": additional, "amount": "99.00",
        "paidAmount": paid, "currency": "USD", "checkoutLink": "https://pay/i/inv",
        "createdTime": 1_700_000_000, "metadata": { "orderId": "x" },
    });
    serde_json::from_value::<Invoice>(object).unwrap().into_charge().unwrap()
}

#[test]
fn every_status_of_an_invoice_has_its_word() {
    let state = |status, additional, paid| charge(status, additional, paid).state;
    let url = || Some("https://pay/i/inv".to_owned());
    assert_eq!(state("New", "None", Some("0")), ChargeState::ActionRequired { url: url() });
    assert_eq!(state("New", "PaidPartial", Some("5")), ChargeState::ActionRequired { url: url() });
    assert_eq!(state("Processing", "None", Some("99")), ChargeState::Processing);
    assert_eq!(state("Settled", "None", Some("99")), ChargeState::Succeeded);
    for additional in ["None", "PaidPartial", "PaidLate"] {
        assert_eq!(state("Expired", additional, Some("50")), ChargeState::Canceled, "{additional}");
    }
    for additional in ["None", "Marked", "PaidPartial"] {
        assert_eq!(state("Invalid", additional, Some("99")), ChargeState::Canceled, "{additional}");
    }
}

#[test]
fn what_was_paid_is_what_counts() {
    let amount = |status, paid| charge(status, "None", paid).amount.amount_minor;
    assert_eq!(amount("Settled", Some("99.00")), 9_900);
    assert_eq!(amount("Settled", Some("120.509999")), 12_050);
    // Marked as settled by an operator, after a part, and after nothing.
    assert_eq!(amount("Settled", Some("40")), 4_000);
    assert_eq!(amount("Settled", Some("0")), 9_900);
    // Before version 2.
    assert_eq!(amount("Settled", None), 9_900);
    assert_eq!(amount("New", Some("40")), 9_900);
}

#[test]
fn a_refund_is_done_when_all_of_it_was_drawn() {
    let state = |archived: bool, payouts: &[(&str, &str)]| {
        let pull = json!({ "id": "pp", "name": "r", "currency": "USD", "amount": "10.00", "archived": archived });
        let pull: PullPayment = serde_json::from_value(pull).unwrap();
        let payout = |(state, amount): &(&str, &str)| {
            let object =
                json!({ "state": state, "originalCurrency": "USD", "originalAmount": amount });
            serde_json::from_value::<Payout>(object).unwrap()
        };
        let payouts: Vec<_> = payouts.iter().map(payout).collect();
        pull.into_refund(&payouts).unwrap().state
    };
    assert_eq!(state(false, &[]), RefundState::Processing);
    assert_eq!(state(false, &[("AwaitingApproval", "10")]), RefundState::Processing);
    assert_eq!(state(false, &[("Completed", "4")]), RefundState::Processing);
    assert_eq!(state(false, &[("Completed", "4"), ("Completed", "6.00")]), RefundState::Succeeded);
    assert_eq!(state(true, &[("InProgress", "10")]), RefundState::Processing);
    assert_eq!(state(true, &[("Cancelled", "10")]), RefundState::Failed);
}
