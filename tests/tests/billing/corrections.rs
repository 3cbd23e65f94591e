//! What operators take back: credit notes, withdrawn invoices, invoices that were given up. Never more than was billed,
//! each once, and after each the books say what the invoices say.

use futures::future::join_all;
use harness::{Actor, Answer, Owner, Receiver, poll_async};
use serde_json::{Value, json};

use crate::desk::{BOUND, Desk, Invoice, balance, minor, upgrade, usd};

/// Of Pro: 99.00 net, and 19 % tax.
const NET: i64 = 9_900;
const TOTAL: i64 = 11_781;

async fn pay(desk: &Desk, invoice: &Invoice, reference: &str, amount_minor: i64) {
    let body = json!({ "reference": reference, "amount": usd(amount_minor) });
    desk.operator.post(&invoice.act("/payments"), body).await.expect(200);
}

/// A credit note of so much of the first line, without tax.
fn part(amount_minor: i64) -> Value {
    json!({ "reason": "Outage", "lines": [{ "line": 1, "amount_minor": amount_minor }] })
}

fn whole() -> Value {
    json!({ "reason": "Outage" })
}

async fn credit(desk: &Desk, invoice: &Invoice, body: Value) -> Answer {
    desk.operator.post(&invoice.act("/credit-notes"), body).await
}

/// What a credit note gives back, and what of it went to the balance.
fn given(note: &Value) -> (i64, i64, i64) {
    (minor(&note["total"]), minor(&note["tax"]), minor(&note["balance"]))
}

#[tokio::test]
async fn a_credit_note_takes_off_what_is_due_and_gives_back_what_was_paid() {
    let desk = Desk::open().await;
    let (owner, invoice) = desk.customer("acme", "Pro").await;

    // Unpaid: all of it is taken off what is due.
    let first = credit(&desk, &invoice, part(4_000)).await.expect(201).json();
    assert_eq!(given(&first), (4_760, 760, 0));
    assert_eq!((&first["reason"], &first["invoice_id"]), (&json!("Outage"), &json!(invoice.id)));
    assert_eq!(invoice.stands(&owner).await, "Open 7021");
    assert_eq!(minor(&invoice.shown(&owner).await["credited"]), 4_760);
    desk.books_hold().await;

    // Part paid: first what is due, then the balance.
    pay(&desk, &invoice, "statement 1", 5_000).await;
    assert_eq!(invoice.stands(&owner).await, "Open 2021");
    let second = credit(&desk, &invoice, part(3_000)).await.expect(201).json();
    assert_eq!(given(&second), (3_570, 570, 1_549));
    assert_eq!(invoice.stands(&owner).await, "Paid 0");
    assert_eq!(balance(&owner).await, 1_549);
    desk.books_hold().await;

    // Paid: all that is left goes to the balance, and its tax to the cent.
    let third = credit(&desk, &invoice, whole()).await.expect(201).json();
    assert_eq!(given(&third), (3_451, 551, 3_451));
    assert_eq!(balance(&owner).await, 5_000);
    desk.books_hold().await;
    // Nothing was earned and no tax is owed; what was paid is in credit.
    assert_eq!(desk.accounts().await, ["CashManual 5000", "Credit -5000"]);

    let listed = owner.get(&owner.path("/credit-notes")).await.expect(200).json();
    let numbers: Vec<_> = listed["data"].as_array().expect("a list").iter().collect();
    assert_eq!(numbers, [&third, &second, &first]);
    for (note, number) in [(&first, 1), (&second, 2), (&third, 3)] {
        let shown = note["number"].as_str().expect("a number");
        assert!(shown.starts_with("CN-") && shown.ends_with(&format!("00000{number}")), "{shown}");
    }
    let id = third["id"].as_str().expect("an id");
    let path = owner.path(&format!("/credit-notes/{id}/pdf"));
    let rendered = poll_async(BOUND, async || {
        let answer = owner.get(&path).await;
        (answer.status == 200).then_some(answer)
    });
    let rendered = rendered.await.expect("it is rendered");
    assert!(rendered.body.starts_with("%PDF-"));
    assert_eq!(
        desk.acts().await,
        ["credit_note.issued", "payment.recorded", "credit_note.issued", "credit_note.issued"]
    );
}

#[tokio::test]
async fn no_more_is_taken_back_than_was_billed() {
    let desk = Desk::open().await;
    let (owner, invoice) = desk.customer("acme", "Pro").await;
    let line = |line: u32, amount_minor: i64| json!({ "line": line, "amount_minor": amount_minor });
    let lines = |lines: &[Value]| json!({ "reason": "Outage", "lines": lines });
    let refused = async |body: Value, pointer: &str| {
        let answer = credit(&desk, &invoice, body).await;
        assert_eq!(answer.problem(), "422 validation-failed");
        assert_eq!(answer.fault_pointers(), [pointer]);
        answer.json()["errors"][0]["detail"].as_str().expect("words").to_owned()
    };
    for (body, pointer) in [
        (lines(&[line(1, NET + 1)]), "/lines"),
        (lines(&[line(1, NET - 1), line(1, 2)]), "/lines"),
        (lines(&[line(1, 0)]), "/lines"),
        (lines(&[line(1, -1)]), "/lines"),
        (lines(&[line(2, 1)]), "/lines"),
        (lines(&[line(1, i64::MAX), line(1, i64::MAX)]), "/lines"),
        (lines(&[]), "/lines"),
        (json!({ "reason": "", "lines": [line(1, 1)] }), "/reason"),
        (json!({ "reason": "x".repeat(501), "lines": [line(1, 1)] }), "/reason"),
    ] {
        refused(body, pointer).await;
    }
    assert_eq!(invoice.stands(&owner).await, format!("Open {TOTAL}"));
    assert_eq!(desk.acts().await, Vec::<String>::new());

    // Of eight at once that want two thirds each, one gets them.
    let wishes = (0..8).map(|_| credit(&desk, &invoice, part(6_600)));
    let mut answers: Vec<_> = join_all(wishes).await.iter().map(|answer| answer.status).collect();
    answers.sort_unstable();
    assert_eq!(answers, [&[201_u16][..], &[422; 7]].concat());
    let reason = refused(part(3_301), "/lines").await;
    assert!(reason.contains("at most 3300"), "{reason}");
    credit(&desk, &invoice, part(3_300)).await.expect(201);
    assert_eq!(invoice.stands(&owner).await, "Paid 0");
    assert_eq!(credit(&desk, &invoice, whole()).await.problem(), "409 conflict");
    refused(part(1), "/lines").await;
    assert_eq!(balance(&owner).await, 0);
    assert_eq!(desk.accounts().await, Vec::<String>::new());
    desk.books_hold().await;
}

#[tokio::test]
async fn a_credit_note_under_one_key_is_issued_once() {
    let desk = Desk::open().await;
    let (owner, invoice) = desk.customer("acme", "Pro").await;
    let keyed = |operator: &Actor| operator.with("idempotency-key", "outage-12");
    let path = invoice.act("/credit-notes");

    let caller = keyed(&desk.operator);
    let wishes = (0..6).map(|_| caller.post(&path, part(1_000)));
    let answers = join_all(wishes).await;

    let first = answers[0].clone().expect(201).body;
    let replayed =
        answers.iter().filter(|one| one.header("idempotency-replayed") == "true").count();
    assert_eq!(replayed, 5);
    for answer in answers {
        assert_eq!(answer.expect(201).body, first);
    }
    assert_eq!(invoice.stands(&owner).await, "Open 10591");
    assert_eq!(desk.acts().await, ["credit_note.issued"]);
    let reused = keyed(&desk.operator).post(&path, part(1_001)).await;
    assert!(reused.problem().ends_with("idempotency-key-reused"), "{reused:?}");
    // Another operator's key of the same name is another key.
    let colleague = desk.app.operator();
    let theirs = keyed(&colleague).post(&path, part(1_000)).await.expect(201);
    assert_eq!(theirs.header("idempotency-replayed"), "");
    assert_eq!(invoice.stands(&owner).await, "Open 9401");
    desk.books_hold().await;
}

#[tokio::test]
async fn an_invoice_of_which_nothing_was_paid_or_credited_is_withdrawn_once() {
    let desk = Desk::open().await;
    let (owner, invoice) = desk.customer("acme", "Pro").await;
    let receiver = Receiver::start().await;
    let body = json!({ "url": receiver.url(), "event_types": ["invoice.voided"] });
    owner.post(&owner.path("/webhook-endpoints"), body).await.expect(201);
    let void = async |invoice: &Invoice| desk.operator.post(&invoice.act("/void"), json!({})).await;
    let refused = async |invoice: &Invoice, of: &Owner, stands: &str| {
        assert_eq!(void(invoice).await.problem(), "409 conflict");
        assert_eq!(invoice.stands(of).await, stands);
    };

    let voided = void(&invoice).await.expect(200).json();

    assert_eq!((&voided["status"], minor(&voided["due"])), (&json!("Void"), 0));
    refused(&invoice, &owner, "Void 0").await;
    assert_eq!(desk.accounts().await, Vec::<String>::new());
    desk.books_hold().await;
    let told = receiver.wait_for(1).await;
    assert_eq!(told[0].json()["data"]["invoice_id"], invoice.id.as_str());
    // Nothing can be paid or taken back of it any more.
    let payment = json!({ "reference": "1", "amount": usd(TOTAL) });
    let payment = desk.operator.post(&invoice.act("/payments"), payment).await;
    assert_eq!(payment.problem(), "409 conflict");
    assert_eq!(credit(&desk, &invoice, part(1)).await.problem(), "409 conflict");
    assert_eq!(credit(&desk, &invoice, whole()).await.problem(), "409 conflict");
    let give_up = desk.operator.post(&invoice.act("/uncollectible"), json!({})).await;
    assert_eq!(give_up.problem(), "409 conflict");

    let (paying, paid) = desk.customer("globex", "Pro").await;
    pay(&desk, &paid, "statement 1", 1).await;
    refused(&paid, &paying, "Open 11780").await;
    let (credited, less) = desk.customer("initech", "Pro").await;
    credit(&desk, &less, part(100)).await.expect(201);
    refused(&less, &credited, "Open 11662").await;
    desk.app.wait_for_jobs().await;
    assert_eq!(receiver.received().len(), 1);
    let acts = ["invoice.voided", "payment.recorded", "credit_note.issued"];
    assert_eq!(desk.acts().await, acts);
    desk.books_hold().await;
}

#[tokio::test]
async fn a_withdrawn_invoice_gives_back_the_credit_that_it_took() {
    let desk = Desk::open().await;
    let (owner, first) = desk.customer("acme", "Pro").await;
    pay(&desk, &first, "statement 1", TOTAL + 5_000).await;
    desk.age(35).await;
    desk.bill().await;
    let list = owner.get(&owner.path("/invoices")).await.expect(200).json();
    let mut listed = list["data"].as_array().expect("a list").iter();
    let next = listed.find(|of| of["id"] != first.id.as_str()).expect("a second invoice");
    let next = Invoice::of(&owner, next);
    assert_eq!(next.stands(&owner).await, "Open 6781");
    assert_eq!(balance(&owner).await, 0);
    desk.books_hold().await;

    desk.operator.post(&next.act("/void"), json!({})).await.expect(200);

    assert_eq!(balance(&owner).await, 5_000);
    assert_eq!(
        desk.accounts().await,
        ["CashManual 16781", "Credit -5000", "Revenue -9900", "Tax -1881"]
    );
    desk.books_hold().await;
    // An upgrade gives nothing back of a fee that is not owed any more.
    let upgraded = upgrade(&owner, "Enterprise", "Monthly").await["invoice"].clone();
    let lines = upgraded["lines"].as_array().expect("lines");
    assert_eq!(lines.len(), 1, "{upgraded}");
    assert_eq!(lines[0]["rule"]["rule"], "fee");
    assert_eq!(minor(&upgraded["credit_applied"]), 5_000);
    desk.books_hold().await;
}

#[tokio::test]
async fn of_an_upgrade_that_gave_time_back_neither_invoice_is_withdrawn() {
    let desk = Desk::open().await;
    let (owner, first) = desk.customer("acme", "Pro").await;
    let upgraded = upgrade(&owner, "Enterprise", "Monthly").await;
    let second = Invoice::of(&owner, &upgraded["invoice"]);
    let accounts = desk.accounts().await;

    for invoice in [&first, &second] {
        let stands = invoice.stands(&owner).await;
        let refused = desk.operator.post(&invoice.act("/void"), json!({})).await;
        assert_eq!(refused.problem(), "409 conflict");
        assert_eq!(invoice.stands(&owner).await, stands);
    }

    // Nor is the time that was given back taken back once more.
    let all = credit(&desk, &first, whole()).await;
    let given_back = -minor(&upgraded["invoice"]["lines"][0]["net"]);
    if given_back == NET {
        assert_eq!(all.problem(), "409 conflict");
        assert_eq!(desk.accounts().await, accounts);
    } else {
        let note = all.expect(201).json();
        assert_eq!(minor(&note["total"]) - minor(&note["tax"]), NET - given_back);
    }
    assert!(given_back > NET - 10, "seconds of a month are cents: {upgraded}");
    desk.books_hold().await;
}

#[tokio::test]
async fn what_was_given_up_is_owed_no_more_and_paid_after_all_it_is_no_loss() {
    let desk = Desk::open().await;
    let (owner, invoice) = desk.customer("acme", "Pro").await;
    pay(&desk, &invoice, "statement 1", 1_781).await;
    let path = invoice.act("/uncollectible");
    let owed = async || {
        let on = crate::desk::today(crate::desk::ZONE);
        let path = format!("/api/v1/admin/revenue/receivables?on={on}");
        let report = desk.operator.get(&path).await.expect(200).json();
        report["data"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|of| of["total"].clone())
            .collect::<Vec<_>>()
    };
    let nothing: Vec<Value> = Vec::new();
    assert_eq!(owed().await, [json!({ "invoices": 1, "due_minor": 10_000 })]);

    let answer = desk.operator.post(&path, json!({})).await.expect(200).json();

    assert_eq!((&answer["status"], minor(&answer["due"])), (&json!("Uncollectible"), 10_000));
    assert_eq!(owed().await, nothing);
    let lost = ["BadDebt 10000", "CashManual 1781", "Revenue -9900", "Tax -1881"];
    assert_eq!(desk.accounts().await, lost);
    assert_eq!(desk.operator.post(&path, json!({})).await.problem(), "409 conflict");
    assert_eq!(desk.accounts().await, lost);
    desk.books_hold().await;

    // Paid after all, in two parts and more than all.
    pay(&desk, &invoice, "statement 2", 4_000).await;
    assert_eq!(invoice.stands(&owner).await, "Uncollectible 6000");
    assert_eq!(owed().await, nothing);
    desk.books_hold().await;
    pay(&desk, &invoice, "statement 3", 6_500).await;
    assert_eq!(invoice.stands(&owner).await, "Paid 0");
    assert_eq!(balance(&owner).await, 500);
    assert_eq!(
        desk.accounts().await,
        ["CashManual 12281", "Credit -500", "Revenue -9900", "Tax -1881"]
    );
    desk.books_hold().await;
    desk.app.mailbox().wait_for(&owner.email, "is paid").await;
    assert_eq!(desk.operator.post(&path, json!({})).await.problem(), "409 conflict");
    let acts: Vec<_> =
        desk.acts().await.into_iter().filter(|act| act != "payment.recorded").collect();
    assert_eq!(acts, ["invoice.given_up"]);
}

#[tokio::test]
async fn an_invoice_that_was_given_up_and_is_withdrawn_is_neither_owed_nor_lost() {
    let desk = Desk::open().await;
    let (owner, invoice) = desk.customer("acme", "Pro").await;
    desk.operator.post(&invoice.act("/uncollectible"), json!({})).await.expect(200);
    desk.books_hold().await;

    desk.operator.post(&invoice.act("/void"), json!({})).await.expect(200);

    assert_eq!(invoice.stands(&owner).await, "Void 0");
    assert_eq!(desk.accounts().await, Vec::<String>::new());
    desk.books_hold().await;
}

#[tokio::test]
async fn a_credit_note_on_what_was_given_up_is_less_of_a_loss_and_no_credit() {
    let desk = Desk::open().await;
    let (owner, invoice) = desk.customer("acme", "Pro").await;
    pay(&desk, &invoice, "statement 1", 1_781).await;
    desk.operator.post(&invoice.act("/uncollectible"), json!({})).await.expect(200);

    credit(&desk, &invoice, part(1_000)).await.expect(201);

    assert_eq!(invoice.stands(&owner).await, "Uncollectible 8810");
    assert_eq!(balance(&owner).await, 0);
    desk.books_hold().await;
    // All of it: what was paid is the tenant's, and nothing else.
    credit(&desk, &invoice, whole()).await.expect(201);
    assert_eq!(invoice.stands(&owner).await, "Paid 0");
    assert_eq!(balance(&owner).await, 1_781);
    assert_eq!(desk.accounts().await, ["CashManual 1781", "Credit -1781"]);
    desk.books_hold().await;
}
