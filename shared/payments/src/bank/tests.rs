mod file;

use domain::bank::{Entry, EntryKind};
use domain::money::Money;
use proptest::prelude::*;

use super::{BYTES_MAX, StatementError, parse};
use file::{Batch, File, IBAN, credit, entry};

fn eur(amount_minor: i64) -> Money {
    Money { amount_minor, currency: "EUR".parse().unwrap() }
}

fn entries(file: &File) -> Vec<Entry> {
    let mut statements = parse(file.xml().as_bytes()).unwrap();
    assert_eq!(statements.len(), 1);
    statements.remove(0).entries
}

#[test]
fn a_statement_is_read_whole_in_each_version() {
    for version in ["02", "04", "06", "08", "13"] {
        let file = File {
            version,
            entries: vec![credit(15_542).reference("RF78PY2026000123"), credit(1)],
            ..File::default()
        };
        let statement = parse(file.xml().as_bytes()).unwrap().remove(0);
        assert_eq!((statement.iban.as_str(), statement.id.as_str()), (IBAN, "2026-12-03"));
        assert_eq!(statement.sequence, Some(42));
        assert_eq!(statement.closing_on, Some(jiff::civil::date(2026, 12, 3)));
        let [first, second] = &statement.entries[..] else { panic!("{version}: {statement:?}") };
        assert_eq!((first.kind, first.amount), (EntryKind::Credit, eur(15_542)));
        assert_eq!(first.reference.as_deref(), Some("RF78PY2026000123"));
        assert_eq!(first.payer_name.as_deref(), Some("Max & Söhne GmbH"), "version {version}");
        assert_eq!(first.payer_iban.as_deref(), Some("NL91ABNA0417164300"));
        assert_eq!(first.end_to_end_id.as_deref(), Some("E2E-7"));
        assert_eq!(first.booked_on, Some(jiff::civil::date(2026, 12, 3)));
        assert_eq!(
            (second.reference.as_deref(), second.text.as_str()),
            (None, "Rechnung 7 und Dank")
        );
        assert_ne!(first.key, second.key);
    }
}

#[test]
fn prefixes_comments_and_foreign_elements_do_not_deceive() {
    let xml = File { entries: vec![credit(500)], ..File::default() }.xml();
    let plain = parse(xml.as_bytes()).unwrap();
    let prefixed = xml
        .replace("xmlns=", "xmlns:ns2=")
        .replace("</", "\u{1}")
        .replace("<?xml", "\u{2}")
        .replace('<', "<ns2:")
        .replace('\u{1}', "</ns2:")
        .replace('\u{2}', "<?xml");
    assert_eq!(parse(prefixed.as_bytes()).unwrap(), plain);
    let commented = xml.replace("E2E-7", "E2<!-- <EndToEndId>X</EndToEndId> -->E-7");
    assert_eq!(parse(commented.as_bytes()).unwrap(), plain);
    let foreign = "<SplmtryData><x:Ntry xmlns:x=\"urn:x\"><x:Amt Ccy=\"EUR\">9</x:Amt></x:Ntry></SplmtryData>\
        <y:Ntry xmlns:y=\"urn:y\"/>";
    let foreign = xml.replace("</Stmt>", &format!("{foreign}</Stmt>"));
    assert_eq!(parse(foreign.as_bytes()).unwrap(), plain);
    let marked = format!("\u{feff}{xml}");
    assert_eq!(parse(marked.as_bytes()).unwrap(), plain);
}

#[test]
fn only_what_is_booked_counts_and_debits_are_only_summed() {
    let file = File {
        entries: vec![
            credit(500),
            entry(-300),
            credit(900).status("PDNG"),
            credit(800).status("INFO"),
            credit(0),
        ],
        ..File::default()
    };
    let entries = entries(&file);
    assert_eq!(entries.iter().map(|entry| entry.amount).collect::<Vec<_>>(), [eur(500)]);
}

#[test]
fn a_batch_is_taken_apart_if_its_parts_add_up() {
    let batch =
        |parts: &[i64]| Batch { parts: parts.iter().copied().map(credit).collect(), ..credit(900) };
    let of = |batch| entries(&File { entries: vec![batch], ..File::default() });
    let apart = of(batch(&[400, 500]));
    assert_eq!(apart.iter().map(|entry| entry.amount).collect::<Vec<_>>(), [eur(400), eur(500)]);
    assert!(apart.iter().all(|entry| entry.kind == EntryKind::Credit));
    // Two that are alike are two.
    let alike = of(batch(&[450, 450]));
    assert_ne!(alike[0].key, alike[1].key);
    // Fees that were taken off, or no amounts at all: what came is one sum, and nobody knows of whom.
    for parts in [&[400, 499][..], &[400, 0, 501]] {
        let lump = of(batch(parts));
        assert_eq!((lump.len(), lump[0].kind, lump[0].amount), (1, EntryKind::Lump, eur(900)));
        assert_eq!((lump[0].payer_iban.as_deref(), lump[0].reference.as_deref()), (None, None));
    }
    let mut silent = batch(&[400, 500]);
    silent.parts[1].amount_told = false;
    assert_eq!(of(silent)[0].kind, EntryKind::Lump);
    // Of one movement, what reached the account counts, whatever was sent.
    let one = of(Batch { parts: vec![credit(950)], ..credit(900) });
    assert_eq!((one.len(), one[0].kind, one[0].amount), (1, EntryKind::Credit, eur(900)));
}

#[test]
fn what_takes_money_back_is_told_apart() {
    let file = File {
        entries: vec![
            entry(-500).reversal(),
            credit(300).reversal(),
            entry(-200).returned(),
            credit(100).returned(),
        ],
        ..File::default()
    };
    let kinds: Vec<EntryKind> = entries(&file).iter().map(|entry| entry.kind).collect();
    use EntryKind::{Return, Reversal};
    assert_eq!(kinds, [Reversal, Return, Reversal, Return]);
}

#[test]
fn keys_are_the_banks_or_made_of_what_is_said_and_of_any_two_different() {
    let keys = |list: Vec<Batch>| -> Vec<String> {
        entries(&File { entries: list, ..File::default() }).into_iter().map(|e| e.key).collect()
    };
    let known = credit(500).bank_reference("BANK-1");
    assert_eq!(keys(vec![known.clone()]), ["Credit 2026-12-03 BANK-1"]);
    // The same money, told of in another place and beside other money, is the same.
    assert_eq!(keys(vec![credit(7), known.clone()])[1], keys(vec![known.clone()])[0]);
    let same = keys(vec![credit(7), credit(500)]);
    assert_eq!(same[1], keys(vec![credit(500)])[0]);
    // A reversal of it is something else, and so is what the bank gave the same reference.
    let all = keys(vec![known.clone(), entry(-500).reversal().bank_reference("BANK-1"), known]);
    assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), 3);
    let alike = keys(vec![credit(500), credit(500), credit(501)]);
    assert_eq!(alike.iter().collect::<std::collections::BTreeSet<_>>().len(), 3);
    let unnamed = entries(&File {
        entries: vec![credit(5).bank_reference("NONREF"), credit(5).bank_reference("REF")],
        ..File::default()
    });
    assert!(unnamed[0].key_of_content && !unnamed[1].key_of_content);
}

#[test]
fn several_references_are_none_and_the_text_holds_them() {
    let mut two = credit(500).reference("RF18 5390 0754 7034");
    two.references.push("rf78py2026000123".to_owned());
    let two = &entries(&File { entries: vec![two], ..File::default() })[0];
    assert_eq!(two.reference, None);
    assert!(two.text.contains("RF18539007547034") && two.text.contains("RF78PY2026000123"));
}

#[test]
fn a_statement_that_does_not_add_up_is_refused() {
    let file = File { entries: vec![credit(500)], off: 1, ..File::default() };
    let error = parse(file.xml().as_bytes()).unwrap_err();
    assert!(
        matches!(&error, StatementError::Unbalanced { moved, .. } if *moved == eur(500)),
        "{error}"
    );
    // Without balances it cannot be told; a notification has none.
    let xml = File { entries: vec![credit(500)], ..File::default() }.xml();
    for gone in ["OPBD", "CLBD"] {
        let error = parse(xml.replace(gone, "XXXX").as_bytes()).unwrap_err();
        assert!(matches!(error, StatementError::Malformed { .. }), "{error}");
    }
    let dollars = xml.replacen("<Ntry><Amt Ccy=\"EUR\">", "<Ntry><Amt Ccy=\"USD\">", 1);
    assert!(matches!(parse(dollars.as_bytes()), Err(StatementError::Malformed { .. })));
    let overdrawn = File { opening: -10_000, entries: vec![credit(500)], ..File::default() };
    assert_eq!(entries(&overdrawn).len(), 1);
    // A page in between goes from one interim balance to the next.
    let page = File { entries: vec![credit(500)], ..File::default() }.xml();
    let page = page.replace("OPBD", "ITBD").replace("CLBD", "ITBD");
    let page =
        page.replace("<ElctrncSeqNb>", "<StmtPgntn><PgNb>2</PgNb></StmtPgntn><ElctrncSeqNb>");
    assert_eq!(parse(page.as_bytes()).unwrap()[0].id, "2026-12-03/2");
}

#[test]
fn a_notification_has_the_same_entries_by_the_same_keys() {
    let file = File {
        entries: vec![credit(500).bank_reference("BANK-1"), credit(600)],
        ..File::default()
    };
    let notice = File { notice: true, off: 99, ..file.clone() };
    let told = parse(notice.xml().as_bytes()).unwrap().remove(0);
    assert_eq!((told.sequence, told.closing_on), (None, None));
    assert_eq!(told.entries, entries(&file));
}

#[test]
fn other_files_are_refused_with_a_reason() {
    let xml = File::default().xml();
    let refused = |text: &str| parse(text.as_bytes()).unwrap_err();
    assert_eq!(
        refused(&xml.replace("camt.053.001.08", "camt.052.001.08")),
        StatementError::OtherDocument
    );
    assert_eq!(
        refused(&xml.replace("camt.053.001.08", "camt.053.001.01")),
        StatementError::OtherDocument
    );
    assert_eq!(refused(&xml.replace("BkToCstmrStmt", "Other")), StatementError::OtherDocument);
    assert_eq!(refused("<Document/>"), StatementError::OtherDocument);
    assert_eq!(parse(&[0x3c, 0xff]), Err(StatementError::Encoding));
    assert!(matches!(refused(""), StatementError::Xml(_)));
    assert_eq!(parse(&vec![b' '; BYTES_MAX + 1]), Err(StatementError::TooLarge));
    for gone in ["<Id>2026-12-03</Id>", "<IBAN>DE89370400440532013000</IBAN>"] {
        assert!(
            matches!(refused(&xml.replace(gone, "")), StatementError::Malformed { .. }),
            "{gone}"
        );
    }
}

#[test]
fn entities_are_not_expanded_and_depth_is_no_danger() {
    let bomb = "<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;\">]><x>&b;</x>";
    assert!(matches!(parse(bomb.as_bytes()), Err(StatementError::Xml(_))));
    let outside = "<!DOCTYPE x [<!ENTITY a SYSTEM \"file:///etc/hostname\">]><x>&a;</x>";
    assert!(matches!(parse(outside.as_bytes()), Err(StatementError::Xml(_))));
    let deep = format!("{}{}", "<a>".repeat(400_000), "</a>".repeat(400_000));
    assert_eq!(parse(deep.as_bytes()), Err(StatementError::OtherDocument));
    let wide = format!("<a>{}</a>", "<b/>".repeat(2_000_000));
    assert!(matches!(parse(wide.as_bytes()), Err(StatementError::Xml(_))));
}

/// Another reader of statements sees the same: what of theirs is comparable, which is euros, payers and texts.
#[track_caller]
fn compare_with_sepa(file: &File) {
    let theirs = sepa::camt053::parse_camt053(&file.xml()).unwrap();
    let theirs = theirs.statements.into_iter().flat_map(|statement| statement.entries);
    let theirs: Vec<_> = theirs
        .filter(|entry| matches!(entry.status, sepa::EntryStatus::Booked))
        .flat_map(|entry| entry.details.into_iter())
        .filter_map(|detail| Some((detail.signed_ct()?, detail)))
        .filter(|(minor, _)| *minor > 0)
        .map(|(minor, detail)| (minor, detail.counterparty_iban, detail.end_to_end_id))
        .collect();
    let ours: Vec<_> = entries(file)
        .into_iter()
        .map(|entry| (entry.amount.amount_minor, entry.payer_iban, entry.end_to_end_id))
        .collect();
    assert_eq!(ours, theirs);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_statement_is_read_as_another_reader_reads_it(
        amounts in prop::collection::vec((-100_000_i64..100_000, prop::collection::vec(1_i64..5_000, 0..4)), 0..12),
        opening in -1_000_000_i64..1_000_000,
        new in any::<bool>(),
    ) {
        let entries = amounts.into_iter().filter(|(amount, _)| *amount != 0).map(|(amount, parts)| {
            if parts.len() < 2 {
                return entry(amount);
            }
            let sum = parts.iter().sum();
            Batch { parts: parts.into_iter().map(credit).collect(), ..credit(sum) }
        });
        let version = if new { "08" } else { "02" };
        let file = File { opening, version, entries: entries.collect(), ..File::default() };
        compare_with_sepa(&file);
        let keys: Vec<String> = self::entries(&file).into_iter().map(|entry| entry.key).collect();
        let distinct: std::collections::BTreeSet<_> = keys.iter().collect();
        prop_assert_eq!(distinct.len(), keys.len());
    }

    #[test]
    fn any_cent_too_much_or_too_little_is_noticed(off in prop_oneof![-500_i64..0, 1_i64..500]) {
        let file = File { entries: vec![credit(500), entry(-7)], off, ..File::default() };
        let refused = matches!(parse(file.xml().as_bytes()), Err(StatementError::Unbalanced { .. }));
        prop_assert!(refused);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse(&bytes);
    }

    /// Statements that were damaged on their way: cut, overwritten, repeated.
    #[test]
    fn no_damaged_statement_makes_it_panic(
        at: prop::sample::Index,
        len in 0_usize..60,
        bytes in prop::collection::vec(any::<u8>(), 0..20),
        words in "[<>&/A-Za-z0-9.\\- é\"=]{0,20}",
    ) {
        let file = File {
            entries: vec![credit(500).reversal(), Batch { parts: vec![credit(1), credit(2)], ..credit(3) }],
            ..File::default()
        };
        let xml = file.xml().into_bytes();
        let at = at.index(xml.len());
        let end = (at + len).min(xml.len());
        let _ = parse(&[&xml[..at], &bytes, &xml[end..]].concat());
        let _ = parse(&[&xml[..at], words.as_bytes(), &xml[end..]].concat());
        let _ = parse(&xml[..at]);
    }
}
