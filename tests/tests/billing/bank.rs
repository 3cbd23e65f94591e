//! Money that banks tell of: found to be whose it is, by reference, by text, by who pays how much, or by an operator; and
//! each of it once, however often and by however many it is told.

mod folder;
mod statement;

use futures::future::join_all;
use harness::{Answer, Owner};
use serde_json::{Value, json};

use crate::desk::{Desk, Invoice, balance, upgrade};
use statement::{Statement, Transfer, transfer};

/// Of Pro: 99.00, and 19 % tax.
pub(crate) const TOTAL: i64 = 11_781;
/// A payer's account, and another one's.
const PAYER: &str = "NL91ABNA0417164300";
const STRANGER: &str = "FR1420041010050500013M02606";

async fn send(desk: &Desk, statement: &Statement) -> Answer {
    let body = Some(("application/xml", statement.xml().into_bytes()));
    desk.operator.send(http::Method::POST, "/api/v1/admin/bank-statements", body).await
}

/// Imports a statement of one transfer each: how many were matched, wait, and were known.
async fn import(desk: &Desk, id: &str, transfers: &[Transfer]) -> [i64; 3] {
    let statement = Statement { transfers: transfers.to_vec(), ..Statement::of(id) };
    counts(&send(desk, &statement).await.expect(200).json())
}

fn counts(imported: &Value) -> [i64; 3] {
    let statement = &imported["statements"][0];
    ["matched", "unmatched", "known"].map(|name| statement[name].as_i64().expect("a count"))
}

/// Entries in a state, newest first.
async fn entries(desk: &Desk, state: &str) -> Vec<Value> {
    let path = format!("/api/v1/admin/bank-entries?state={state}");
    let list = desk.operator.get(&path).await.expect(200).json();
    list["data"].as_array().expect("a list").clone()
}

/// Why the only entry that waits does so.
async fn waits_because(desk: &Desk) -> String {
    let waiting = entries(desk, "Unmatched").await;
    assert_eq!(waiting.len(), 1, "{waiting:?}");
    waiting[0]["note"].as_str().expect("a note").to_owned()
}

async fn reference(owner: &Owner, invoice: &Invoice) -> String {
    invoice.shown(owner).await["payment_reference"].as_str().expect("a reference").to_owned()
}

fn act(entry: &Value, act: &str) -> String {
    format!("/api/v1/admin/bank-entries/{}/{act}", entry["id"].as_str().expect("an id"))
}

fn of(owner: &Owner, invoice: &Invoice) -> Value {
    json!({ "tenant_id": owner.tenant_id, "invoice_id": invoice.id })
}

#[tokio::test]
async fn a_transfer_with_the_invoices_reference_pays_it_and_the_tenant_is_told() {
    let desk = Desk::open().await;
    let (owner, invoice) = desk.customer("acme", "Pro").await;
    let shown = invoice.shown(&owner).await;
    let number = shown["number"].as_str().expect("a number").to_owned();
    let reference = reference(&owner, &invoice).await;
    assert!(reference.starts_with("RF") && reference.ends_with(&number.replace('-', "")));

    let paid = transfer(TOTAL).from(PAYER).reference(&reference);
    assert_eq!(import(&desk, "1", std::slice::from_ref(&paid)).await, [1, 0, 0]);

    assert_eq!(invoice.stands(&owner).await, "Paid 0");
    assert_eq!(invoice.shown(&owner).await["payments"][0]["provider"], "BankTransfer");
    assert_eq!(desk.accounts().await, ["CashBankTransfer 11781", "Revenue -9900", "Tax -1881"]);
    let thanks = format!("thank you: invoice {number}");
    desk.app.mailbox().wait_for(&owner.email, &thanks).await;
    let matched = entries(&desk, "Matched").await.remove(0);
    assert_eq!(matched["matched"]["by"], "Reference");
    assert_eq!(matched["matched"]["tenant_id"], owner.tenant_id);
    assert_eq!((&matched["payer_iban"], &matched["note"]), (&json!(PAYER), &Value::Null));

    // The same again, and on another statement: the bank's reference of it tells that it is the same.
    assert_eq!(import(&desk, "1", std::slice::from_ref(&paid)).await, [0, 0, 1]);
    assert_eq!(import(&desk, "2", &[paid]).await, [0, 0, 1]);
    desk.app.wait_for_jobs().await;
    assert_eq!(desk.accounts().await, ["CashBankTransfer 11781", "Revenue -9900", "Tax -1881"]);
    assert_eq!(desk.acts().await, ["bank_statement.imported", "bank_statement.imported"]);
    desk.books_hold().await;
}

#[tokio::test]
async fn a_reference_in_the_text_is_found_and_parts_and_too_much_are_spent_as_they_are() {
    let desk = Desk::open().await;
    let (owner, invoice) = desk.customer("acme", "Pro").await;
    let reference = reference(&owner, &invoice).await;
    let (head, tail) = reference.split_at(7);
    let written = format!("Rechnung {} {tail}, danke", head.to_lowercase());

    let part = transfer(5_000).from(PAYER).text(&written);
    assert_eq!(import(&desk, "1", &[part]).await, [1, 0, 0]);
    assert_eq!(invoice.stands(&owner).await, "Open 6781");
    assert_eq!(entries(&desk, "Matched").await[0]["matched"]["by"], "Text");
    desk.books_hold().await;

    let more = transfer(7_000).from(PAYER).text(&written);
    assert_eq!(import(&desk, "2", &[more]).await, [1, 0, 0]);
    assert_eq!((invoice.stands(&owner).await, balance(&owner).await), ("Paid 0".to_owned(), 219));

    // Paid once more: all of it is the tenant's to have.
    let again = transfer(TOTAL).from(PAYER).reference(&reference);
    assert_eq!(import(&desk, "3", &[again]).await, [1, 0, 0]);
    assert_eq!(balance(&owner).await, 219 + TOTAL);
    desk.app.wait_for_jobs().await;
    desk.books_hold().await;
}

#[tokio::test]
async fn who_has_paid_before_is_known_by_their_account_and_only_by_an_amount_that_one_invoice_has()
{
    let desk = Desk::open().await;
    let (owner, first) = desk.customer("acme", "Pro").await;
    // Nobody is known yet, whatever the amount.
    assert_eq!(import(&desk, "1", &[transfer(TOTAL).from(PAYER)]).await, [0, 1, 0]);
    let named = transfer(TOTAL).from(PAYER).reference(&reference(&owner, &first).await);
    assert_eq!(import(&desk, "2", &[named]).await, [1, 0, 0]);
    let second = Invoice::of(&owner, &upgrade(&owner, "Enterprise", "Monthly").await["invoice"]);
    let due: i64 = second.stands(&owner).await.trim_start_matches("Open ").parse().expect("open");

    let other = transfer(due - 1).from(PAYER);
    let stranger = transfer(due).from(STRANGER);
    let known = transfer(due).from(PAYER);
    assert_eq!(import(&desk, "3", &[other, stranger]).await, [0, 2, 0]);
    assert_eq!(second.stands(&owner).await, format!("Open {due}"));
    assert_eq!(import(&desk, "4", &[known]).await, [1, 0, 0]);

    assert_eq!(second.stands(&owner).await, "Paid 0");
    assert_eq!(entries(&desk, "Matched").await[0]["matched"]["by"], "Payer");
    desk.app.wait_for_jobs().await;
    desk.books_hold().await;
}

#[tokio::test]
async fn two_tenants_are_never_mixed() {
    let desk = Desk::open().await;
    let (acme, theirs) = desk.customer("acme", "Pro").await;
    let (globex, other) = desk.customer("globex", "Pro").await;
    let (of_acme, of_globex) = (reference(&acme, &theirs).await, reference(&globex, &other).await);
    assert_ne!(of_acme, of_globex);

    // One who names both pays neither.
    let both = transfer(2 * TOTAL).from(PAYER).text(&format!("{of_acme} {of_globex}"));
    assert_eq!(import(&desk, "1", &[both]).await, [0, 1, 0]);
    assert_eq!(waits_because(&desk).await, "references of several invoices");
    // An agency pays a part for each; then its account says nothing, because two invoices are of one amount.
    let parts =
        [&of_acme, &of_globex].map(|reference| transfer(1_000).from(PAYER).reference(reference));
    assert_eq!(import(&desk, "2", &parts).await, [2, 0, 0]);
    assert_eq!(import(&desk, "3", &[transfer(TOTAL - 1_000).from(PAYER)]).await, [0, 1, 0]);
    for (owner, invoice) in [(&acme, &theirs), (&globex, &other)] {
        assert_eq!(invoice.stands(owner).await, format!("Open {}", TOTAL - 1_000));
        assert_eq!(invoice.shown(owner).await["payments"].as_array().map(Vec::len), Some(1));
    }
    // Once one of them is paid, there is no doubt.
    let rest = transfer(TOTAL - 1_000).from(STRANGER).reference(&of_globex);
    assert_eq!(import(&desk, "4", &[rest]).await, [1, 0, 0]);
    assert_eq!(import(&desk, "5", &[transfer(TOTAL - 1_000).from(PAYER)]).await, [1, 0, 0]);
    assert_eq!(theirs.stands(&acme).await, "Paid 0");
    assert_eq!((balance(&acme).await, balance(&globex).await), (0, 0));

    // An invoice is looked for in the tenant that an operator names, and nowhere else.
    let waiting = entries(&desk, "Unmatched").await.remove(0);
    let crossed = json!({ "tenant_id": acme.tenant_id, "invoice_id": other.id });
    let refused = desk.operator.post(&act(&waiting, "match"), crossed).await;
    assert_eq!(refused.problem(), "404 not-found");
    desk.app.wait_for_jobs().await;
    desk.books_hold().await;
}

#[tokio::test]
async fn what_does_not_fit_waits_with_its_reason() {
    let desk = Desk::open().await;
    let (owner, invoice) = desk.customer("acme", "Pro").await;
    let reference = reference(&owner, &invoice).await;
    let euros = Statement {
        currency: "EUR",
        transfers: vec![transfer(TOTAL).from(PAYER).reference(&reference)],
        ..Statement::of("euros")
    };
    assert_eq!(counts(&send(&desk, &euros).await.expect(200).json()), [0, 1, 0]);
    assert_eq!(waits_because(&desk).await, "the invoice that it names is in another currency");
    assert_eq!(invoice.stands(&owner).await, format!("Open {TOTAL}"));
    let entry = entries(&desk, "Unmatched").await.remove(0);
    let refused = desk.operator.post(&act(&entry, "match"), of(&owner, &invoice)).await;
    assert_eq!(refused.problem(), "409 conflict");
    desk.operator.post(&act(&entry, "ignore"), json!({ "reason": "sent back" })).await.expect(200);

    desk.operator.post(&invoice.act("/void"), json!({})).await.expect(200);
    let late = transfer(TOTAL).from(PAYER).reference(&reference);
    assert_eq!(import(&desk, "late", &[late]).await, [0, 1, 0]);
    assert_eq!(waits_because(&desk).await, "the invoice that it names is void");
    let slip = transfer(TOTAL).text("RF00INV2026000001");
    let nothing = [slip, transfer(100).text("Zinsen")];
    assert_eq!(import(&desk, "nothing", &nothing).await, [0, 2, 0]);
    desk.app.wait_for_jobs().await;
    desk.books_hold().await;
}

#[tokio::test]
async fn what_waits_is_matched_or_ignored_by_hand_once() {
    let desk = Desk::open().await;
    let (owner, invoice) = desk.customer("acme", "Pro").await;
    let more = Invoice::of(&owner, &upgrade(&owner, "Enterprise", "Monthly").await["invoice"]);
    assert_eq!(import(&desk, "1", &[transfer(TOTAL).from(PAYER).text("Pro")]).await, [0, 1, 0]);
    let entry = entries(&desk, "Unmatched").await.remove(0);

    let path = act(&entry, "match");
    let matches = (0..6).map(|_| desk.operator.post(&path, of(&owner, &invoice)));
    let answers = join_all(matches).await;
    let first = answers[0].clone().expect(200).json();
    assert_eq!((&first["state"], &first["matched"]["by"]), (&json!("Matched"), &json!("Operator")));
    for answer in answers {
        assert_eq!(answer.expect(200).json(), first);
    }
    assert_eq!(invoice.stands(&owner).await, "Paid 0");
    let other = desk.operator.post(&act(&entry, "match"), of(&owner, &more)).await;
    assert_eq!(other.problem(), "409 conflict");
    let ignored = desk.operator.post(&act(&entry, "ignore"), json!({ "reason": "no" })).await;
    assert_eq!(ignored.problem(), "409 conflict");
    assert_eq!(desk.acts().await, ["bank_statement.imported", "bank_entry.matched"]);

    assert_eq!(import(&desk, "2", &[transfer(77).text("Zinsen")]).await, [0, 1, 0]);
    let entry = entries(&desk, "Unmatched").await.remove(0);
    for wrong in [json!({ "reason": " " }), json!({}), json!({ "reason": "a\nb" })] {
        assert_eq!(desk.operator.post(&act(&entry, "ignore"), wrong).await.status, 422);
    }
    for _ in 0..2 {
        let reason = json!({ "reason": "interest" });
        let answer = desk.operator.post(&act(&entry, "ignore"), reason).await.expect(200).json();
        assert_eq!((&answer["state"], &answer["note"]), (&json!("Ignored"), &json!("interest")));
    }
    // It was one after all.
    desk.operator.post(&act(&entry, "match"), of(&owner, &more)).await.expect(200);
    assert_eq!(desk.acts().await[3..], ["bank_entry.ignored", "bank_entry.matched"]);
    let unknown = json!({ "id": "bankentry_01h455vb4pex5vsknk084sn02q" });
    let unknown = desk.operator.post(&act(&unknown, "match"), of(&owner, &more)).await;
    assert_eq!(unknown.problem(), "404 not-found");
    desk.app.wait_for_jobs().await;
    desk.books_hold().await;
}

#[tokio::test]
async fn money_that_is_taken_back_waits_for_an_operator_and_changes_no_books() {
    let desk = Desk::open().await;
    let (owner, invoice) = desk.customer("acme", "Pro").await;
    let paid = transfer(TOTAL).from(PAYER).reference(&reference(&owner, &invoice).await);
    let reversed = Transfer { reversal: true, amount: -TOTAL, ..paid.clone() };
    assert_eq!(import(&desk, "1", &[paid, reversed]).await, [1, 1, 0]);

    assert_eq!(waits_because(&desk).await, "money that came in before was taken back");
    let entry = entries(&desk, "Unmatched").await.remove(0);
    assert_eq!(entry["kind"], "Reversal");
    let refused = desk.operator.post(&act(&entry, "match"), of(&owner, &invoice)).await;
    assert_eq!(refused.problem(), "409 conflict");
    assert_eq!(invoice.stands(&owner).await, "Paid 0");
    desk.app.wait_for_jobs().await;
    desk.books_hold().await;
}

#[tokio::test]
async fn a_statement_that_is_imported_many_times_at_once_counts_once() {
    let desk = Desk::open().await;
    let (owner, invoice) = desk.customer("acme", "Pro").await;
    let reference = reference(&owner, &invoice).await;
    // The bank has no reference of them: alike on one statement, they are three.
    let alike =
        Transfer { bank_reference: None, ..transfer(1_000).from(PAYER).reference(&reference) };
    let statement = Statement { transfers: vec![alike.clone(); 3], ..Statement::of("1") };

    let answers = join_all((0..6).map(|_| send(&desk, &statement))).await;

    let mut sums = [0; 3];
    for answer in answers {
        let counted = counts(&answer.expect(200).json());
        sums = std::array::from_fn(|index| sums[index] + counted[index]);
    }
    assert_eq!(sums, [3, 0, 15]);
    assert_eq!(invoice.stands(&owner).await, format!("Open {}", TOTAL - 3_000));
    assert_eq!(desk.acts().await, ["bank_statement.imported"]);
    // On another statement, nobody can tell whether it is the same: it is not lost, and not booked.
    assert_eq!(import(&desk, "2", &[alike]).await, [0, 1, 0]);
    assert!(waits_because(&desk).await.starts_with("it looks like an entry of another statement"));
    desk.app.wait_for_jobs().await;
    desk.books_hold().await;
}

#[tokio::test]
async fn a_file_that_is_no_sound_statement_is_refused_and_a_gap_is_told() {
    let desk = Desk::open().await;
    let (owner, invoice) = desk.customer("acme", "Pro").await;
    let paid = transfer(TOTAL).from(PAYER).reference(&reference(&owner, &invoice).await);
    let unsound = Statement { off: 1, transfers: vec![paid], ..Statement::of("1") };
    let refused = send(&desk, &unsound).await.expect(422);
    assert!(refused.body.contains("do not make"), "{}", refused.body);
    let path = "/api/v1/admin/bank-statements";
    let post = |kind, body| desk.operator.send(http::Method::POST, path, Some((kind, body)));
    assert_eq!(post("application/json", b"{}".to_vec()).await.status, 415);
    // Larger than what else may be sent.
    let mut roomy = Statement::of("2").xml().into_bytes();
    roomy.resize(3 * 1024 * 1024, b' ');
    post("application/xml", roomy).await.expect(200);
    assert_eq!(invoice.stands(&owner).await, format!("Open {TOTAL}"));
    assert_eq!(entries(&desk, "Matched").await, Vec::<Value>::new());

    let problems = async |sequence| {
        let statement = Statement { sequence, ..Statement::of(&format!("numbered {sequence}")) };
        let imported = send(&desk, &statement).await.expect(200).json();
        imported["statements"][0]["problems"].clone()
    };
    assert_eq!(problems(7).await, json!([]), "the first of an account");
    assert_eq!(problems(8).await, json!([]));
    let told = "statement 9 of the account was not imported: money on it is missing";
    assert_eq!(problems(10).await, json!([told]));
    assert_eq!(problems(9).await, json!([]));
    assert_eq!(problems(10).await, json!([]));
    assert_eq!(problems(1).await, json!([]), "a new year");
}
