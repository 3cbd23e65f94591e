//! What operators do with money: a payment that a bank told of counts once, is spent on what is due, and is told of to the
//! tenant. After each act the books add up and say what the invoices say.

use futures::future::join_all;
use harness::{Owner, Receiver, poll_async};
use serde_json::{Value, json};

use crate::desk::{BOUND, Desk, Invoice, balance, minor, upgrade, usd};

/// Of Pro: 99.00, and 19 % tax.
const TOTAL: i64 = 11_781;

fn payment(reference: &str, amount_minor: i64) -> Value {
    json!({ "reference": reference, "amount": usd(amount_minor) })
}

/// Which kinds of messages came, in their order by name.
async fn told(receiver: &Receiver, count: usize) -> Vec<String> {
    let mut told: Vec<String> = receiver
        .wait_for(count)
        .await
        .iter()
        .map(|message| message.json()["type"].as_str().expect("a type").to_owned())
        .collect();
    told.sort_unstable();
    told
}

async fn listen(owner: &Owner) -> Receiver {
    let receiver = Receiver::start().await;
    let body = json!({ "url": receiver.url(), "event_types": ["invoice.*", "payment.*"] });
    owner.post(&owner.path("/webhook-endpoints"), body).await.expect(201);
    receiver
}

#[tokio::test]
async fn a_payment_of_what_is_due_settles_the_invoice_and_the_tenant_is_told_of_it() {
    let desk = Desk::open().await;
    let (owner, invoice) = desk.customer("acme", "Pro").await;
    let receiver = listen(&owner).await;
    assert_eq!(invoice.stands(&owner).await, format!("Open {TOTAL}"));

    let path = invoice.act("/payments");
    let body = json!({ "reference": "bank statement 2026-12-03, 17" });
    let answer = desk.operator.post(&path, body.clone()).await.expect(200);

    let recorded = answer.json();
    assert_eq!(recorded["payment"]["amount"], usd(TOTAL));
    assert_eq!(recorded["payment"]["excess"], usd(0));
    assert_eq!(recorded["payment"]["provider"], "Manual");
    assert_eq!(
        (&recorded["invoice"]["status"], minor(&recorded["invoice"]["due"])),
        (&json!("Paid"), 0)
    );
    assert_eq!(invoice.shown(&owner).await["payments"][0]["id"], recorded["payment"]["id"]);
    let mailbox = desk.app.mailbox();
    let number = recorded["invoice"]["number"].as_str().expect("a number").to_owned();
    let thanks = format!("thank you: invoice {number}");
    mailbox.wait_for(&owner.email, &thanks).await;
    assert_eq!(
        told(&receiver, 3).await,
        ["invoice.finalized", "invoice.paid", "payment.succeeded"]
    );

    // Told of a second time: nothing more happens, and the answer is the same.
    let again = desk.operator.post(&path, body).await.expect(200);
    assert_eq!(again.body, answer.body);
    desk.app.wait_for_jobs().await;
    let sent = mailbox.all_to(&owner.email);
    assert_eq!(sent.iter().filter(|mail| mail.text.contains(&thanks)).count(), 1);
    assert_eq!(receiver.received().len(), 3);
    assert_eq!(desk.accounts().await, ["CashManual 11781", "Revenue -9900", "Tax -1881"]);
    desk.books_hold().await;

    let event: Vec<Value> = desk
        .ask(
            "SELECT details || jsonb_build_object('action', action, 'by', operator ~ '^credential_',
                'from', host(address), 'request', request_id ~ '^req_')
            FROM operator_events",
        )
        .await;
    let expected = json!({
        "action": "payment.recorded", "by": true, "from": "127.0.0.1", "request": true,
        "tenant": owner.tenant_id, "invoice": invoice.id, "payment": recorded["payment"]["id"],
        "reference": "bank statement 2026-12-03, 17", "amount": usd(TOTAL),
    });
    assert_eq!(event, [expected]);
}

#[tokio::test]
async fn a_payment_that_a_bank_told_of_many_times_at_once_counts_once() {
    let desk = Desk::open().await;
    let (owner, invoice) = desk.customer("acme", "Pro").await;
    let path = invoice.act("/payments");

    let reports = (0..8).map(|_| desk.operator.post(&path, payment("statement 1", TOTAL)));
    let answers = join_all(reports).await;

    let first = answers[0].clone().expect(200).json()["payment"]["id"].clone();
    for answer in answers {
        assert_eq!(answer.expect(200).json()["payment"]["id"], first);
    }
    assert_eq!(invoice.stands(&owner).await, "Paid 0");
    assert_eq!(balance(&owner).await, 0);
    assert_eq!(desk.acts().await, ["payment.recorded"]);
    assert_eq!(desk.accounts().await, ["CashManual 11781", "Revenue -9900", "Tax -1881"]);
    desk.books_hold().await;
}

#[tokio::test]
async fn a_part_leaves_the_rest_due_and_a_reference_is_of_one_payment() {
    let desk = Desk::open().await;
    let (owner, invoice) = desk.customer("acme", "Pro").await;
    let path = invoice.act("/payments");

    desk.operator.post(&path, payment("statement 1", 5_000)).await.expect(200);

    assert_eq!(invoice.stands(&owner).await, "Open 6781");
    desk.books_hold().await;
    desk.app.wait_for_jobs().await;
    let mails = desk.app.mailbox().all_to(&owner.email);
    assert!(mails.iter().all(|mail| !mail.text.contains("is paid")), "no receipt for a part");

    // Another amount under the same reference is another payment, and so is one for another invoice.
    let other = desk.operator.post(&path, payment("statement 1", 5_001)).await;
    assert_eq!(other.problem(), "409 conflict");
    let more = Invoice::of(&owner, &upgrade(&owner, "Enterprise", "Monthly").await["invoice"]);
    let other = desk.operator.post(&more.act("/payments"), payment("statement 1", 5_000)).await;
    assert_eq!(other.problem(), "409 conflict");
    assert_eq!(invoice.stands(&owner).await, "Open 6781");

    // The same reference of another tenant's payment is no hindrance: banks number statements alike.
    let (neighbour, theirs) = desk.customer("globex", "Pro").await;
    desk.operator.post(&theirs.act("/payments"), payment("statement 1", 5_000)).await.expect(200);
    assert_eq!(theirs.stands(&neighbour).await, "Open 6781");

    let rest = json!({ "reference": "statement 2" });
    let rest = desk.operator.post(&path, rest).await.expect(200).json();
    assert_eq!(minor(&rest["payment"]["amount"]), 6_781);
    assert_eq!(invoice.stands(&owner).await, "Paid 0");
    desk.app.mailbox().wait_for(&owner.email, "is paid").await;
    assert_eq!(desk.acts().await, ["payment.recorded"; 3]);
    desk.books_hold().await;
}

#[tokio::test]
async fn what_is_more_than_due_is_in_credit_and_spent_on_the_next_invoice() {
    let desk = Desk::open().await;
    let (owner, invoice) = desk.customer("acme", "Pro").await;
    let path = invoice.act("/payments");

    let paid = desk.operator.post(&path, payment("statement 1", 20_000)).await.expect(200).json();

    assert_eq!(minor(&paid["payment"]["excess"]), 20_000 - TOTAL);
    assert_eq!(invoice.stands(&owner).await, "Paid 0");
    assert_eq!(balance(&owner).await, 8_219);
    desk.books_hold().await;
    // Nothing is due of it: what comes without an amount means nothing, what comes with one is in credit.
    let nothing = desk.operator.post(&path, json!({ "reference": "statement 2" })).await;
    assert_eq!(nothing.problem(), "409 conflict");
    let twice = desk.operator.post(&path, payment("statement 3", 1_000)).await.expect(200).json();
    assert_eq!(minor(&twice["payment"]["excess"]), 1_000);
    assert_eq!(balance(&owner).await, 9_219);
    desk.books_hold().await;

    let next = upgrade(&owner, "Enterprise", "Monthly").await;
    assert_eq!(minor(&next["invoice"]["credit_applied"]), 9_219);
    let due = minor(&next["invoice"]["total"]) - 9_219;
    assert_eq!(minor(&next["invoice"]["due"]), due);
    assert_eq!(balance(&owner).await, 0);
    desk.books_hold().await;
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_and_leaves_nothing() {
    let desk = Desk::open().await;
    let (owner, invoice) = desk.customer("acme", "Pro").await;
    let (_, theirs) = desk.customer("globex", "Pro").await;
    let path = invoice.act("/payments");
    let euros = json!({ "amount_minor": TOTAL, "currency": "EUR" });
    let bad = [
        (json!({ "reference": "1", "amount": euros }), "/amount/currency"),
        (
            json!({ "reference": "1", "amount": { "amount_minor": 5, "currency": "usd" } }),
            "/amount/currency",
        ),
        (payment("1", 0), "/amount/amount_minor"),
        (payment("1", -1), "/amount/amount_minor"),
        (payment(" ", TOTAL), "/reference"),
        (payment("two\nlines", TOTAL), "/reference"),
        (payment(&"x".repeat(256), TOTAL), "/reference"),
    ];
    for (body, pointer) in bad {
        let refused = desk.operator.post(&path, body).await;
        assert_eq!(refused.problem(), "422 validation-failed");
        assert_eq!(refused.fault_pointers(), [pointer]);
    }
    // Another tenant's invoice under this one's name is none.
    let mixed =
        format!("/api/v1/admin/tenants/{}/invoices/{}/payments", owner.tenant_id, theirs.id);
    assert_eq!(desk.operator.post(&mixed, payment("1", TOTAL)).await.problem(), "404 not-found");
    // Nor does a tenant record payments, wherever it asks.
    let owners = owner.post(&path, payment("1", TOTAL)).await;
    assert_eq!(owners.problem(), "404 not-found");
    let owners = owner.calling(&desk.app.operator_url()).post(&path, payment("1", TOTAL)).await;
    assert_eq!(owners.problem(), "401 unauthenticated");

    assert_eq!(invoice.stands(&owner).await, format!("Open {TOTAL}"));
    assert_eq!(desk.acts().await, Vec::<String>::new());
    assert_eq!(desk.ask::<i64>("SELECT count(*) FROM payments").await, [0]);
    desk.books_hold().await;
}

#[tokio::test]
async fn whoever_is_exempt_pays_no_tax_from_the_next_invoice_on() {
    let desk = Desk::open().await;
    let (owner, invoice) = desk.customer("acme", "Starter").await;
    assert_eq!(minor(&invoice.shown(&owner).await["tax"]), 551);
    let path = format!("/api/v1/admin/tenants/{}/tax-exempt", owner.tenant_id);

    let answer = desk.operator.put(&path, json!({ "exempt": true })).await.expect(200);

    assert_eq!(answer.json(), json!({ "name": "Acme GmbH", "tax_exempt": true }));
    let again = desk.operator.put(&path, json!({ "exempt": true })).await.expect(200);
    assert_eq!(again.body, answer.body);
    let profile = owner.get(&owner.path("/billing/profile")).await.expect(200).json();
    assert_eq!((&profile["tax_exempt"], &profile["country"]), (&json!(true), &json!("DE")));
    // A new profile does not take it back: tenants do not decide on it.
    let moved = json!({ "name": "Acme AG", "country": "DE" });
    owner.put(&owner.path("/billing/profile"), moved).await.expect(200);

    // What was billed stays taxed, and is given back with its tax; the new fee bears none.
    assert_eq!(minor(&invoice.shown(&owner).await["tax"]), 551);
    let next = upgrade(&owner, "Pro", "Monthly").await["invoice"].clone();
    let lines: Vec<_> = next["lines"].as_array().expect("lines").iter().collect();
    assert_eq!(lines.len(), 2, "{next}");
    let of = |line: &Value| (line["tax_terms"]["category"].clone(), minor(&line["tax"]));
    assert_eq!(
        lines.iter().map(|line| of(line)).collect::<Vec<_>>(),
        [(json!("standard"), -551), (json!("exempt"), 0)]
    );
    assert_eq!(minor(&lines[1]["net"]), 9_900);
    desk.books_hold().await;

    desk.operator.put(&path, json!({ "exempt": false })).await.expect(200);
    let events: Vec<String> = desk
        .ask(
            "SELECT action || ' ' || (details ->> 'before') || ' ' || (details ->> 'after')
            FROM operator_events ORDER BY at, id",
        )
        .await;
    let expected = ["false true", "true true", "true false"];
    assert_eq!(events, expected.map(|change| format!("tax_exemption.set {change}")));
    let last = upgrade(&owner, "Enterprise", "Monthly").await["invoice"].clone();
    assert_eq!(minor(&last["lines"][1]["tax"]), 5_681);
    desk.books_hold().await;
    let nobody = "/api/v1/admin/tenants/tenant_00000000000000000000000003/tax-exempt";
    let nobody = desk.operator.put(nobody, json!({ "exempt": true })).await;
    assert_eq!(nobody.problem(), "404 not-found");
}

#[tokio::test]
async fn what_could_not_be_billed_is_listed_with_its_reason_until_it_is() {
    let options = harness::AppOptions {
        settings: crate::desk::settings(),
        // A subscription that cannot be billed is an error, for somebody to look at.
        errors_expected: true,
        ..harness::AppOptions::default()
    };
    let desk = Desk::with(options).await;
    let (broken, _) = desk.customer("acme", "Pro").await;
    let (other, _) = desk.customer("globex", "Pro").await;
    let (well, _) = desk.customer("initech", "Pro").await;
    desk.age(35).await;
    let parked = async |query: &str| {
        let path = format!("/api/v1/admin/billing/parked{query}");
        desk.operator.get(&path).await.expect(200).json()
    };
    let of_them = "tenant_id IN (SELECT id FROM tenants WHERE subdomain IN ('acme', 'globex'))";
    let mended = "UPDATE subscriptions SET parked_at = NULL, parked_reason = NULL";
    desk.alter(&format!("{mended}; UPDATE subscriptions SET currency = 'JPY' WHERE {of_them}"))
        .await;
    desk.alter(
        r#"SELECT apalis.enqueue('billing', '{"version": 1, "job": {"step": "run"}}', 25, priority => 9)"#,
    )
    .await;

    let listed = poll_async(BOUND, async || {
        let page = parked("").await;
        (page["data"].as_array().map(Vec::len) == Some(2)).then_some(page)
    });
    let listed = listed.await.expect("two are parked");

    let rows = listed["data"].as_array().expect("rows");
    let mut tenants = [&broken.tenant_id, &other.tenant_id];
    tenants.sort_unstable();
    for (row, tenant) in rows.iter().zip(tenants) {
        assert_eq!(row["tenant_id"], tenant.as_str());
        assert!(row["subscription_id"].as_str().is_some_and(|id| id.starts_with("sub_")), "{row}");
        assert!(
            row["reason"].as_str().is_some_and(|text| text.contains("is not offered")),
            "{row}"
        );
        assert!(row["parked_at"].as_str() > row["period_end"].as_str(), "{row}");
    }
    // In pages: each once.
    let first = parked("?limit=1").await;
    let cursor = first["next_cursor"].as_str().expect("more");
    let second = parked(&format!("?limit=1&cursor={cursor}")).await;
    assert_eq!((&first["data"][0], &second["data"][0]), (&rows[0], &rows[1]));
    assert_eq!(second["next_cursor"], Value::Null);
    // Who could be billed was.
    let billed = async |owner: &Owner| {
        let page = owner.get(&owner.path("/invoices")).await.expect(200).json();
        page["data"].as_array().expect("a list").len()
    };
    let renewed = poll_async(BOUND, async || (billed(&well).await == 2).then_some(())).await;
    assert!(renewed.is_some(), "the others go on");
    assert_eq!((billed(&broken).await, billed(&other).await), (1, 1));

    desk.alter(&format!("UPDATE subscriptions SET currency = 'USD' WHERE {of_them}")).await;
    desk.bill().await;
    assert_eq!(parked("").await["data"], json!([]));
    assert_eq!((billed(&broken).await, billed(&other).await), (2, 2));
    desk.books_hold().await;
}

#[tokio::test]
async fn one_reference_for_two_invoices_at_once_is_of_one_of_them() {
    let desk = Desk::open().await;
    let (owner, first) = desk.customer("acme", "Pro").await;
    let second = Invoice::of(&owner, &upgrade(&owner, "Enterprise", "Monthly").await["invoice"]);
    for round in 0..10 {
        let paths = [first.act("/payments"), second.act("/payments")];
        let reference = format!("statement {round}");
        let reports =
            (0..6).map(|index| desk.operator.post(&paths[index % 2], payment(&reference, 1)));
        let answers = join_all(reports).await;
        let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 200, 200, 409, 409, 409], "{answers:?}");
    }
    assert_eq!(desk.acts().await, ["payment.recorded"; 10]);
    desk.books_hold().await;
}
