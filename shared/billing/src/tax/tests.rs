use proptest::prelude::*;

use super::*;

fn rate(per_cent: &str) -> TaxRate {
    per_cent.parse().unwrap()
}

fn terms(per_cent: &str, inclusive: bool) -> TaxTerms {
    let rate = rate(per_cent);
    let category =
        if rate == TaxRate::ZERO { TaxCategory::ZeroRated } else { TaxCategory::Standard };
    TaxTerms { category, rate, inclusive, jurisdiction: Some("DE".to_owned()), note: None }
}

/// The lines after tax as (net, tax), all under the same terms, and the tax of their group.
fn levied(terms: &TaxTerms, amounts: &[i64]) -> (Vec<(i64, i64)>, i64) {
    let lines: Vec<_> = amounts.iter().map(|amount| (terms, *amount)).collect();
    let levied = levy(&lines).unwrap();
    assert_eq!(levied.groups.len(), 1);
    let lines = levied.lines.iter().map(|line| (line.net_minor, line.tax_minor)).collect();
    (lines, levied.groups[0].tax_minor)
}

#[test]
fn three_lines_at_19_per_cent_are_rounded_once() {
    // Line by line it would be 196 × 3 = 588 (§2.8). Exactly: 196.27, 196.27 and 196.46, so the last takes the cent.
    let (lines, tax) = levied(&terms("19", false), &[1033, 1033, 1034]);
    assert_eq!((lines, tax), (vec![(1033, 196), (1033, 196), (1034, 197)], 589));
}

#[test]
fn a_cent_that_two_lines_deserve_alike_goes_to_the_earlier() {
    let (lines, tax) = levied(&terms("25", false), &[2, 2]);
    assert_eq!((lines, tax), (vec![(2, 1), (2, 0)], 1));
}

#[test]
fn of_prices_that_include_it_the_tax_is_rounded_and_the_net_is_the_rest() {
    assert_eq!(levied(&terms("20", true), &[2900]), (vec![(2417, 483)], 483));
    // Rounding the net instead would make 0.11 (288 + 11 = 299, too; §2.8).
    assert_eq!(levied(&terms("4", true), &[299]), (vec![(287, 12)], 12));
    // Exactly 167/6 each, 83.5 in all.
    let (lines, tax) = levied(&terms("20", true), &[167, 167, 167]);
    assert_eq!((lines, tax), (vec![(139, 28), (139, 28), (139, 28)], 84));
}

#[test]
fn credits_are_the_mirror_of_charges() {
    for inclusive in [false, true] {
        for amounts in [&[1033, 1033, 1034][..], &[2900], &[1, 1, 1]] {
            let terms = terms("19", inclusive);
            let mirrored: Vec<i64> = amounts.iter().map(|amount| -amount).collect();
            assert_eq!(levied(&terms, &mirrored).1, -levied(&terms, amounts).1);
        }
    }
    let (lines, tax) = levied(&terms("19", false), &[-1933, 6600]);
    assert_eq!((lines, tax), (vec![(-1933, -367), (6600, 1254)], 887));
}

#[test]
fn terms_that_differ_are_taxed_apart_and_lines_keep_their_order() {
    let (german, low) = (terms("19", false), terms("7", false));
    let french = TaxTerms { jurisdiction: Some("FR".to_owned()), ..german.clone() };
    let none = TaxTerms::none();
    let levied =
        levy(&[(&none, 500), (&german, 1000), (&low, 1000), (&french, 10), (&german, 50)]).unwrap();
    let taxes: Vec<i64> = levied.lines.iter().map(|line| line.tax_minor).collect();
    assert_eq!(taxes, [0, 190, 70, 2, 10]);
    let groups: Vec<_> =
        levied.groups.iter().map(|group| (&group.terms, group.base_minor)).collect();
    assert_eq!(groups, [(&low, 1000), (&german, 1050), (&french, 10), (&none, 500)]);
}

#[test]
fn two_wordings_of_one_law_are_one_group_and_both_are_printed() {
    let noted = |note: &str| TaxTerms { note: Some(note.to_owned()), ..terms("25", false) };
    let (one, other) = (noted("B"), noted("A"));
    let levied = levy(&[(&one, 2), (&other, 2), (&one, 2)]).unwrap();
    assert_eq!(levied.groups.len(), 1);
    assert_eq!(levied.groups[0].terms.note.as_deref(), Some("A\nB"));
    assert_eq!(levied.groups[0].tax_minor, 2);
}

#[test]
fn nothing_is_levied_on_nothing() {
    assert_eq!(levy(&[]), Ok(Levied { lines: vec![], groups: vec![] }));
    assert_eq!(levied(&terms("19", false), &[0]), (vec![(0, 0)], 0));
    assert_eq!(levied(&TaxTerms::none(), &[100]), (vec![(100, 0)], 0));
}

#[test]
fn only_the_standard_category_has_a_rate() {
    for (category, per_cent) in [
        (TaxCategory::Standard, "0"),
        (TaxCategory::ZeroRated, "19"),
        (TaxCategory::Exempt, "0.0001"),
        (TaxCategory::ReverseCharge, "19"),
        (TaxCategory::OutsideScope, "100"),
    ] {
        let terms = TaxTerms { category, ..terms(per_cent, false) };
        let rate = terms.rate;
        assert_eq!(levy(&[(&terms, 1)]), Err(TaxError::RateOfCategory { category, rate }));
    }
}

#[test]
fn amounts_that_leave_64_bits_are_refused() {
    let out = Err(TaxError::OutOfRange(OutOfRange));
    let taxed = terms("19", false);
    assert_eq!(levy(&[(&taxed, i64::MAX)]), out);
    assert_eq!(levy(&[(&TaxTerms::none(), i64::MAX), (&TaxTerms::none(), 1)]), out);
    assert!(levy(&[(&terms("19", true), i64::MAX)]).is_ok());
}

#[test]
fn rates_are_per_cent_to_four_digits() {
    for (text, millionths, shown) in [
        ("0", 0, "0 %"),
        ("19", 190_000, "19 %"),
        ("25.5", 255_000, "25.5 %"),
        ("8.875", 88_750, "8.875 %"),
        ("7.2500", 72_500, "7.25 %"),
        ("0.0001", 1, "0.0001 %"),
        ("10", 100_000, "10 %"),
        ("100", 1_000_000, "100 %"),
    ] {
        assert_eq!(rate(text).millionths(), millionths);
        assert_eq!(rate(text).to_string(), shown);
    }
    for text in [
        "", ".", "19.", ".5", "+19", "-1", "19 %", "1e1", "100.0001", "101", "1000", "1.23456",
        "1.2.3", "٣",
    ] {
        assert_eq!(text.parse::<TaxRate>(), Err(TaxError::Rate), "{text:?}");
    }
    assert_eq!(TaxRate::from_millionths(1_000_001), Err(TaxError::Rate));
}

#[test]
fn terms_are_stored_as_this() {
    let terms = TaxTerms { note: Some("Art. 1".to_owned()), ..terms("8.875", true) };
    let stored = r#"{"category":"standard","rate":"8.875","inclusive":true,"jurisdiction":"DE","note":"Art. 1"}"#;
    assert_eq!(serde_json::to_string(&terms).unwrap(), stored);
    assert_eq!(serde_json::from_str::<TaxTerms>(stored).unwrap(), terms);
    let rate = serde_json::from_str::<TaxTerms>(&stored.replace("8.875", "108"));
    assert!(rate.unwrap_err().to_string().contains("per cent from 0 to 100"));
}

#[test]
fn categories_have_a_code_and_a_name() {
    use TaxCategory::{Exempt, OutsideScope, ReverseCharge, Standard, ZeroRated};
    let all = [Standard, ZeroRated, Exempt, ReverseCharge, OutsideScope];
    assert_eq!(all.map(TaxCategory::code), ["S", "Z", "E", "AE", "O"]);
    for category in all {
        assert_eq!(serde_json::to_value(category).unwrap(), category.as_str());
    }
}

#[test]
fn the_last_credit_takes_the_rest() {
    // 19 % of 1033 is 196; by thirds 65.3 each.
    assert_eq!(credited(1033, 196, 0, 344), Ok(65));
    assert_eq!(credited(1033, 196, 344, 344), Ok(66));
    assert_eq!(credited(1033, 196, 688, 345), Ok(65));
    assert_eq!(credited(1033, 196, 0, 1033), Ok(196));
    assert_eq!(credited(-1033, -196, -344, -689), Ok(-131));
}

#[test]
fn no_more_is_credited_than_was_billed() {
    let left = |left_minor| Err(TaxError::Credit { left_minor });
    assert_eq!(credited(1000, 190, 400, 601), left(600));
    assert_eq!(credited(1000, 190, 400, -1), left(600));
    assert_eq!(credited(1000, 190, 1000, 1), left(0));
    assert_eq!(credited(1000, 190, 1001, 0), left(0));
    assert_eq!(credited(1000, 190, -1, 1), left(0));
    assert_eq!(credited(-1000, -190, -400, -601), left(-600));
    assert_eq!(credited(-1000, -190, 0, 1), left(-1000));
    assert_eq!(credited(0, 0, 0, 1), left(0));
    assert_eq!(credited(1000, 190, 1000, 0), Ok(0));
    assert_eq!(credited(0, 0, 0, 0), Ok(0));
}

#[test]
fn a_line_that_is_all_tax_is_credited_by_its_gross() {
    let (lines, _) = levied(&terms("20", true), &[1, 1, 1]);
    assert_eq!(lines, [(0, 1), (1, 0), (1, 0)]);
    assert_eq!(credited(0, 1, 0, 0), Err(TaxError::AllTax { tax_minor: 1 }));
    assert_eq!(credited(1, 1, 0, 1), Ok(1));
}

/// Terms of few different rates and places, so that lines share groups.
fn any_terms() -> impl Strategy<Value = TaxTerms> {
    let rates = prop::sample::select(vec!["0", "4", "7", "8.875", "19", "25.5", "100"]);
    (rates, any::<bool>(), prop::sample::select(vec!["DE", "FR"])).prop_map(
        |(rate, inclusive, place)| TaxTerms {
            jurisdiction: Some(place.to_owned()),
            ..terms(rate, inclusive)
        },
    )
}

fn lines_of(amounts: std::ops::Range<i64>) -> impl Strategy<Value = Vec<(TaxTerms, i64)>> {
    prop::collection::vec((any_terms(), amounts), 0..20)
}

fn levy_all(lines: &[(TaxTerms, i64)]) -> Result<Levied, TaxError> {
    levy(&lines.iter().map(|(terms, amount)| (terms, *amount)).collect::<Vec<_>>())
}

proptest! {
    #[test]
    fn groups_add_up_to_lines_and_lines_to_amounts(lines in lines_of(-1_000_000..1_000_000)) {
        let levied = levy_all(&lines).unwrap();
        let sum = |of: fn(&Taxed) -> i64| levied.lines.iter().map(of).sum::<i64>();
        prop_assert_eq!(levied.groups.iter().map(|group| group.tax_minor).sum::<i64>(), sum(|line| line.tax_minor));
        prop_assert_eq!(levied.groups.iter().map(|group| group.base_minor).sum::<i64>(), sum(|line| line.net_minor));
        prop_assert_eq!(levied.lines.len(), lines.len());
        for ((terms, amount), line) in lines.iter().zip(&levied.lines) {
            let gross = line.net_minor + line.tax_minor;
            prop_assert_eq!(if terms.inclusive { gross } else { line.net_minor }, *amount);
            // Less than a minor unit from exact.
            let off = i128::from(line.tax_minor) * terms.denominator() - terms.numerator(*amount);
            prop_assert!(off.abs() < terms.denominator());
            prop_assert!(line.tax_minor.signum() * amount.signum() >= 0, "a charge has no negative tax");
        }
        prop_assert!(levied.groups.windows(2).all(|pair| pair[0].terms < pair[1].terms));
    }

    #[test]
    fn the_order_of_lines_changes_no_group(
        (lines, shuffled) in lines_of(-10_000..10_000)
            .prop_flat_map(|lines| (Just(lines.clone()), Just(lines).prop_shuffle())),
    ) {
        prop_assert_eq!(levy_all(&lines).unwrap().groups, levy_all(&shuffled).unwrap().groups);
    }

    #[test]
    fn any_cutting_of_a_line_credits_its_tax_exactly(
        cuts in prop::collection::vec(0_i64..5_000, 1..12), tax in 0_i64..30_000, negative: bool,
    ) {
        let sign = if negative { -1 } else { 1 };
        let net: i64 = cuts.iter().sum::<i64>() * sign;
        prop_assume!(net != 0);
        let tax = tax * sign;
        let (mut before, mut given) = (0, 0);
        for cut in cuts {
            let part = credited(net, tax, before, cut * sign).unwrap();
            prop_assert!(part.signum() * sign >= 0);
            before += cut * sign;
            given += part;
            prop_assert!(given.abs() <= tax.abs());
        }
        prop_assert_eq!(given, tax);
    }

    #[test]
    fn rates_read_back(millionths in 0..=TaxRate::MILLIONTHS_MAX) {
        let rate = TaxRate::from_millionths(millionths).unwrap();
        prop_assert_eq!(String::from(rate).parse(), Ok(rate));
    }

    #[test]
    fn nothing_panics(
        amounts: Vec<i64>, category in 0_usize..5, millionths in 0..=TaxRate::MILLIONTHS_MAX, inclusive: bool,
        credit: [i64; 4], text: String,
    ) {
        use TaxCategory::{Exempt, OutsideScope, ReverseCharge, Standard, ZeroRated};
        let category = [Exempt, OutsideScope, ReverseCharge, Standard, ZeroRated][category];
        let rate = TaxRate::from_millionths(millionths).unwrap();
        let terms = TaxTerms { category, rate, inclusive, ..TaxTerms::none() };
        let _ = levy(&amounts.iter().map(|amount| (&terms, *amount)).collect::<Vec<_>>());
        let [net, tax, before, part] = credit;
        let _ = credited(net, tax, before, part);
        let _ = credited(net, tax, net / 2, net / 2);
        let _ = text.parse::<TaxRate>();
    }
}
