//! Revenue as operators are told of it, of what real processes billed: MRR moves by its movements alone, a past day says
//! the same for ever, what was billed is what the ledger says, and a test's time is nobody's revenue.

use std::collections::BTreeMap;

use harness::{AppOptions, Owner, poll_async};
use jiff::ToSpan as _;
use jiff::civil::Date;
use serde_json::{Value, json};

use crate::desk::{BOUND, Desk, Invoice, ZONE, settings, today, upgrade, usd};

/// The report of some days, as it was answered.
async fn answered(desk: &Desk, from: Date, to: Date) -> String {
    let path = format!("/api/v1/admin/revenue?from={from}&to={to}");
    desk.operator.get(&path).await.expect(200).body
}

/// The same, read.
async fn report(desk: &Desk, from: Date, to: Date) -> Value {
    serde_json::from_str(&answered(desk, from, to).await).expect("JSON")
}

fn int(of: &Value, pointer: &str) -> i64 {
    of.pointer(pointer).and_then(Value::as_i64).unwrap_or_else(|| panic!("no {pointer} in {of}"))
}

const KINDS: [(&str, &str); 5] = [
    ("New", "new_minor"),
    ("Reactivation", "reactivation_minor"),
    ("Expansion", "expansion_minor"),
    ("Contraction", "contraction_minor"),
    ("Churn", "churn_minor"),
];

/// What must hold of the figures of a currency, whatever happened.
fn add_up(of: &Value) {
    let moved: i64 = KINDS.iter().map(|(_, kind)| int(&of["movements"], &format!("/{kind}"))).sum();
    assert_eq!(int(of, "/movements/net_new_minor"), moved, "{of}");
    let change = int(of, "/end/mrr_minor") - int(of, "/start/mrr_minor");
    assert_eq!(change, moved, "{of}");
    assert_eq!(int(of, "/transferred_minor"), 0, "{of}");
    let days = of["days"].as_array().expect("days");
    for (kind, field) in KINDS {
        let of_kind = days.iter().filter(|day| day["kind"] == kind);
        let sum: i64 = of_kind.map(|day| int(day, "/delta_minor")).sum();
        assert_eq!(sum, int(&of["movements"], &format!("/{field}")), "{kind}: {of}");
    }
    let plans = of["plans"].as_array().expect("plans");
    for pointer in [
        "/start/mrr_minor",
        "/start/tenants",
        "/end/mrr_minor",
        "/end/tenants",
        "/movements/net_new_minor",
        "/transferred_minor",
        "/revenue/billed_minor",
        "/revenue/credited_minor",
        "/revenue/collected_minor",
        "/trials/started",
        "/trials/converted",
        "/trials/ended",
    ] {
        let sum: i64 = plans.iter().map(|plan| int(plan, pointer)).sum();
        assert_eq!(sum, int(of, pointer), "{pointer}: {of}");
    }
    for plan in plans {
        let change = int(plan, "/end/mrr_minor") - int(plan, "/start/mrr_minor");
        let told = int(plan, "/movements/net_new_minor") + int(plan, "/transferred_minor");
        assert_eq!(change, told, "{plan}");
    }
}

/// Tenants that do, on one day and at their first period's end 30 or 31 days later, all that can be done to MRR. The day
/// is 35 days ago by now.
async fn a_month_ago(desk: &Desk) -> BTreeMap<&'static str, Owner> {
    let mut owners = BTreeMap::new();
    for (name, plan) in
        [("grows", "Starter"), ("shrinks", "Pro"), ("leaves", "Enterprise"), ("returns", "Starter")]
    {
        owners.insert(name, desk.customer(name, plan).await.0);
    }
    upgrade(&owners["grows"], "Pro", "Monthly").await;
    upgrade(&owners["shrinks"], "Starter", "Monthly").await;
    for name in ["leaves", "returns"] {
        let owner = &owners[name];
        owner.post(&owner.path("/cancel"), json!({})).await.expect(200);
    }
    let (yearly, _) = desk.customer("yearly", "Pro").await;
    upgrade(&yearly, "Pro", "Yearly").await;
    owners.insert("yearly", yearly);
    owners.insert("tries", desk.app.tenant("tries", "Starter").await);
    desk.age(35).await;
    owners
}

#[tokio::test]
async fn what_recurs_changes_by_its_movements_and_by_nothing_else() {
    let desk = Desk::open().await;
    let owners = a_month_ago(&desk).await;
    desk.bill().await;
    upgrade_again(&desk, &owners["returns"]).await;
    let now = today(ZONE);
    let days: Vec<Date> = [40, 35, 34, 6, 4, 0, -1].map(|ago: i32| now - ago.days()).to_vec();

    for (first, from) in days.iter().enumerate() {
        for to in &days[first..] {
            let report = report(&desk, *from, *to).await;
            let data = report["data"].as_array().expect("currencies");
            data.iter().for_each(add_up);
        }
    }
    // Ranges that follow each other meet.
    let early = report(&desk, days[0], days[2]).await["data"][0].clone();
    let late = report(&desk, days[2] + 1.day(), days[6]).await["data"][0].clone();
    let whole = report(&desk, days[0], days[6]).await["data"][0].clone();
    assert_eq!((&early["start"], &early["end"]), (&whole["start"], &late["start"]));
    assert_eq!(late["end"], whole["end"]);

    // Starter 29, Pro 99, Enterprise 299, and a year of Pro 990 over twelve; all of it in a month.
    assert_eq!(early["end"]["mrr_minor"], 9_900 + 9_900 + 29_900 + 2_900 + 8_250);
    assert_eq!(
        whole["movements"],
        json!({
            "new_minor": 2_900 + 9_900 + 29_900 + 2_900 + 9_900, "expansion_minor": 7_000,
            "contraction_minor": -7_000 - 1_650, "churn_minor": -29_900 - 2_900,
            "reactivation_minor": 9_900, "net_new_minor": 30_950,
        })
    );
    assert_eq!(
        whole["end"],
        json!({ "mrr_minor": 30_950, "arr_minor": 371_400, "tenants": 4, "arpu_minor": 7_738 })
    );
    // By plan: who left is told of the plan that it left, who changed of the one that it has.
    let plans: Vec<String> = whole["plans"]
        .as_array()
        .expect("plans")
        .iter()
        .map(|of| {
            let name = of["plan"].as_str().expect("a plan");
            let moved = KINDS.map(|(_, kind)| int(&of["movements"], &format!("/{kind}")));
            format!("{name} {moved:?} {}", int(of, "/transferred_minor"))
        })
        .collect();
    assert_eq!(
        plans,
        [
            "Starter [5800, 0, 0, -7000, -2900] 7000",
            "Pro [19800, 9900, 7000, -1650, 0] -7000",
            "Enterprise [29900, 0, 0, 0, -29900] 0",
        ]
    );
    // Of 608.50 that were there: 70.00 and 299.00 are lost, though one pays more than before it left.
    assert_eq!(
        late["retention"],
        json!({ "gross_churn_bp": 6_064, "net_retention_bp": 5_086, "logo_churn_bp": 2_000 })
    );
    // Five converted, one never paid and its trial is over.
    assert_eq!(
        whole["trials"],
        json!({ "started": 6, "converted": 5, "ended": 1, "conversion_bp": 8_333 })
    );
    desk.books_hold().await;
}

/// Whose subscription ended comes back: on the free plan there is no way to pay on file any more, or there is.
async fn upgrade_again(desk: &Desk, owner: &Owner) {
    desk.all_pay_by_transfer().await;
    upgrade(owner, "Pro", "Monthly").await;
}

#[tokio::test]
async fn a_past_day_says_the_same_to_the_byte_after_more_was_billed() {
    let desk = Desk::open().await;
    let owners = a_month_ago(&desk).await;
    let (owner, invoice) = desk.customer("late", "Pro").await;
    desk.age(35).await;
    desk.bill().await;
    let now = today(ZONE);
    let ranges: Vec<(Date, Date)> = [(80, 2), (75, 65), (70, 70), (39, 2), (35, 35), (9, 2)]
        .map(|(from, to): (i32, i32)| (now - from.days(), now - to.days()))
        .to_vec();
    let past = async || {
        let mut all = Vec::new();
        for (from, to) in &ranges {
            all.push(answered(&desk, *from, *to).await);
            let path = format!("/api/v1/admin/revenue/receivables?on={to}");
            all.push(desk.operator.get(&path).await.expect(200).body);
        }
        all
    };
    let before = past().await;
    assert!(before[0].contains("\"complete\":true") && before[0].contains("\"kind\":\"Churn\""));
    assert!(before[1].contains("\"due_minor\":"), "{}", before[1]);

    // Paid, taken back, given up, withdrawn, upgraded, canceled, come and tried: all of it today.
    let act = async |invoice: &Invoice, act: &str, body: Value| {
        let answer = desk.operator.post(&invoice.act(act), body).await;
        assert!(answer.status < 300, "{answer:?}");
    };
    act(&invoice, "/payments", json!({ "reference": "1", "amount": usd(5_000) })).await;
    act(&invoice, "/credit-notes", json!({ "reason": "Outage" })).await;
    for (name, what) in [("leaves", "/uncollectible"), ("shrinks", "/void"), ("grows", "/payments")]
    {
        let owner = &owners[name];
        let list = owner.get(&owner.path("/invoices")).await.expect(200).json();
        let open = list["data"].as_array().expect("a list").iter();
        let open = open
            .filter(|of| of["status"] == "Open")
            .min_by_key(|of| int(of, "/total/amount_minor"));
        let body = if what == "/payments" { json!({ "reference": "2" }) } else { json!({}) };
        act(&Invoice::of(owner, open.expect("an open one")), what, body).await;
    }
    upgrade(&owner, "Enterprise", "Yearly").await;
    let yearly = &owners["yearly"];
    yearly.post(&yearly.path("/cancel"), json!({})).await.expect(200);
    desk.customer("new", "Pro").await;
    desk.app.tenant("tries-too", "Pro").await;
    desk.app.wait_for_jobs().await;

    assert_eq!(past().await, before);
    let today = report(&desk, now, now + 1.day()).await;
    assert_ne!(int(&today, "/data/0/revenue/credited_minor"), 0);
    assert_ne!(int(&today, "/data/0/movements/new_minor"), 0);
    desk.books_hold().await;
}

#[tokio::test]
async fn a_day_is_complete_once_every_period_that_ended_by_it_is_closed() {
    let desk = Desk::open().await;
    let (owner, _) = desk.customer("acme", "Pro").await;
    owner.post(&owner.path("/cancel"), json!({})).await.expect(200);
    desk.age(35).await;
    let now = today(ZONE);
    let whole = async |to: Date| report(&desk, now - 40.days(), to).await;

    // Its period ended four or five days ago; the day before that nothing is open.
    let lately = now - 2.days();
    let open = whole(lately).await;
    assert_eq!((&open["complete"], int(&open, "/data/0/end/mrr_minor")), (&json!(false), 9_900));
    assert_eq!(whole(now - 8.days()).await["complete"], true);
    let before = answered(&desk, now - 40.days(), now - 8.days()).await;

    desk.bill().await;

    let closed = whole(lately).await;
    assert_eq!((&closed["complete"], int(&closed, "/data/0/end/mrr_minor")), (&json!(true), 0));
    // Of a day that is not over nothing is said for ever.
    for to in [now, now + 1.day()] {
        assert_eq!(whole(to).await["complete"], false, "{to}");
    }
    assert_eq!(int(&closed, "/data/0/movements/churn_minor"), -9_900);
    assert_eq!(answered(&desk, now - 40.days(), now - 8.days()).await, before);
}

/// What the ledger says of an account within some days, of all tenants of a plan or all there are.
async fn booked(desk: &Desk, accounts: &str, from: Date, to: Date, subdomains: &str) -> i64 {
    let sql = format!(
        "SELECT coalesce(sum(amount_minor), 0)::bigint FROM ledger_entries AS entries
        JOIN ledger_transactions AS posted
            ON (posted.tenant_id, posted.id) = (entries.tenant_id, entries.transaction_id)
        JOIN tenants ON tenants.id = posted.tenant_id
        WHERE account LIKE '{accounts}' AND subdomain LIKE '{subdomains}'
            AND (posted_at AT TIME ZONE '{ZONE}')::date BETWEEN '{from}' AND '{to}'"
    );
    desk.ask(&sql).await[0]
}

#[tokio::test]
async fn what_was_billed_by_plan_is_what_the_ledger_booked_as_revenue() {
    let desk = Desk::open().await;
    let act = async |invoice: &Invoice, act: &str, body: Value| {
        let answer = desk.operator.post(&invoice.act(act), body).await;
        assert!(answer.status < 300, "{answer:?}");
    };
    let credit =
        |minor: i64| json!({ "reason": "Outage", "lines": [{ "line": 1, "amount_minor": minor }] });
    let paid = |minor: i64| json!({ "reference": minor.to_string(), "amount": usd(minor) });
    // A plan each, told by the name; then some of all that can be done to their invoices, a month ago and today.
    let mut invoices = Vec::new();
    for (name, plan) in
        [("starter-a", "Starter"), ("pro-a", "Pro"), ("pro-b", "Pro"), ("pro-c", "Pro")]
    {
        invoices.push(desk.customer(name, plan).await.1);
    }
    act(&invoices[0], "/payments", paid(3_451)).await;
    act(&invoices[1], "/credit-notes", credit(1_234)).await;
    act(&invoices[2], "/payments", paid(5_000)).await;
    desk.age(35).await;
    desk.bill().await;
    act(&invoices[1], "/payments", paid(777)).await;
    act(&invoices[2], "/credit-notes", credit(9_000)).await;
    act(&invoices[3], "/void", json!({})).await;
    act(&desk.customer("enterprise-a", "Enterprise").await.1, "/uncollectible", json!({})).await;

    let now = today(ZONE);
    let ranges = [
        (now - 40.days(), now - 30.days()),
        (now, now + 1.day()),
        (now - 40.days(), now + 1.day()),
    ];
    for (from, to) in ranges {
        let report = report(&desk, from, to).await;
        let data = &report["data"][0];
        add_up(data);
        let figures = async |of: &Value, subdomains: &str| {
            let earned = int(of, "/revenue/billed_minor") - int(of, "/revenue/credited_minor");
            let revenue = booked(&desk, "Revenue", from, to, subdomains).await;
            assert_eq!(earned, -revenue, "{subdomains} {from} {to}: {of}");
        };
        figures(data, "%").await;
        assert_eq!(
            int(data, "/revenue/collected_minor"),
            booked(&desk, "Cash%", from, to, "%").await
        );
        for plan in data["plans"].as_array().expect("plans") {
            // Money of no plan: in credit, or spent from it. No line was written by hand.
            let Some(name) = plan["plan"].as_str().map(str::to_lowercase) else { continue };
            figures(plan, &format!("{name}-%")).await;
        }
    }
    // By hand: fees of a month ago less a note; today's fees of the four, and of one that came.
    let earned = async |from: Date, to: Date| {
        let of = report(&desk, from, to).await["data"][0]["revenue"].clone();
        (int(&of, "/billed_minor"), int(&of, "/credited_minor"), int(&of, "/collected_minor"))
    };
    let [(past, past_end), (today, end), _] = ranges;
    assert_eq!(earned(past, past_end).await, (2_900 + 3 * 9_900, 1_234, 3_451 + 5_000));
    let came = 2_900 + 3 * 9_900 + 29_900;
    assert_eq!(earned(today, end).await, (came, 9_000 + 9_900, 777));
    desk.books_hold().await;
}

#[tokio::test]
async fn a_tenant_on_a_test_clock_is_in_no_figure() {
    let mut settings = settings();
    settings.push(("PYTAKE_BILLING__TEST_CLOCKS", "true".to_owned()));
    let desk = Desk::with(AppOptions { settings, ..AppOptions::default() }).await;
    let now = today(ZONE);
    let (from, to) = (now - 80.days(), now + 1.day());
    let empty = answered(&desk, from, to).await;
    let receivables = format!("/api/v1/admin/revenue/receivables?on={to}");
    let owed = async || desk.operator.get(&receivables).await.expect(200).json()["data"].clone();

    let body = json!({
        "name": "Test", "subdomain": "simulated", "plan": "Pro", "owner_name": "Ann",
        "owner_email": "owner@simulated.example", "test_clock": format!("{}T00:00:00Z", now - 70.days()),
    });
    let tester = desk.app.stranger();
    let signed_up = tester.post("/api/v1/tenants", body).await.expect(201);
    let id = signed_up.text("/tenant/id");
    let tester = tester.bearing(&signed_up.text("/access_token")).with("x-tenant-id", &id);
    desk.all_pay_by_transfer().await;
    let path = format!("/api/v1/tenants/{id}/test-clock");
    let advance = json!({ "to": format!("{}T00:00:00Z", now - 20.days()) });
    tester.post(&format!("{path}/advance"), advance).await.expect(202);
    let there = poll_async(BOUND, async || {
        let clock = tester.get(&path).await;
        (clock.status == 200 && clock.json()["status"] == "ready").then_some(())
    });
    assert!(there.await.is_some(), "the clock gets there");

    // It has converted and owes two months; nothing of it is told, not even that its period ended long ago for us.
    let written: Vec<i64> = desk
        .ask(
            "SELECT count(*) FROM revenue_movements UNION ALL SELECT count(*) FROM invoices WHERE status = 'Open'
            UNION ALL SELECT count(*) FROM ledger_transactions
            UNION ALL SELECT count(*) FROM subscriptions WHERE period_end < now()",
        )
        .await;
    assert_eq!(written, [1, 2, 2, 0]);
    desk.alter("UPDATE subscriptions SET period_end = now() - interval '5 days'").await;
    assert_eq!(answered(&desk, from, to).await, empty);
    let until = report(&desk, from, now - 2.days()).await;
    assert_eq!((&until["complete"], &until["data"]), (&json!(true), &json!([])));
    assert_eq!(owed().await, json!([]));

    let (_, invoice) = desk.customer("real", "Starter").await;
    let report = report(&desk, from, to).await;
    add_up(&report["data"][0]);
    assert_eq!(report["data"][0]["end"]["mrr_minor"], 2_900);
    assert_eq!(report["data"][0]["trials"]["started"], 1);
    assert_eq!(report["data"][0]["revenue"]["billed_minor"], 2_900);
    let due = json!({ "invoices": 1, "due_minor": 3_451 });
    assert_eq!(owed().await[0]["total"], due, "{invoice:?}");
}
