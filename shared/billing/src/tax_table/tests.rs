use jiff::civil::date;
use proptest::prelude::*;

use super::*;

const TEXT: &str = include_str!("../../../../config/taxes.toml");

fn table() -> TaxTable {
    TaxTable::parse(TEXT).unwrap()
}

fn country(code: &str) -> Country {
    code.parse().unwrap()
}

/// A seller of `DE` or `US-NY` who is registered in `places`.
fn seller(home: &str, places: &[&str]) -> Seller {
    let (code, region) =
        home.split_once('-').map_or((home, None), |(code, region)| (code, Some(region)));
    Seller {
        country: country(code),
        region: region.map(str::to_owned),
        tax_id: None,
        registered: places.iter().map(|place| (*place).to_owned()).collect(),
    }
}

/// A customer of `DE` or `US-NY`; of nowhere for an empty text.
fn customer(home: &str, tax_id: &str) -> Customer {
    let (code, region) =
        home.split_once('-').map_or((home, None), |(code, region)| (code, Some(region)));
    Customer {
        country: (!code.is_empty()).then(|| country(code)),
        region: region.map(str::to_owned),
        tax_id: (!tax_id.is_empty()).then(|| tax_id.parse().unwrap()),
        exempt: false,
    }
}

fn shown(terms: &TaxTerms) -> String {
    let jurisdiction = terms.jurisdiction.as_deref().unwrap_or("-");
    format!("{} {} {jurisdiction}", terms.category.code(), terms.rate)
}

fn terms(seller: &Seller, customer: &Customer) -> TaxTerms {
    table().terms(seller, customer, ProductCategory::Software, date(2026, 11, 25), false)
}

/// What a seller charges a customer for software today.
fn charged(seller: &Seller, home: &str, tax_id: &str) -> String {
    shown(&terms(seller, &customer(home, tax_id)))
}

#[test]
fn a_seller_in_the_eu() {
    let seller = seller("DE", &[]);
    let cases = [
        // Its own country, whoever buys.
        ("DE", "", "S 19 % DE"),
        ("DE", "DE136695976", "S 19 % DE"),
        ("DE", "FR19677010985", "S 19 % DE"),
        // A business in another member.
        ("FR", "FR19677010985", "AE 0 % FR"),
        ("GR", "EL220242232", "AE 0 % GR"),
        // Nobody who proves to be one: no id, another country's, one that is not for VAT.
        ("FR", "", "S 20 % FR"),
        ("GR", "", "S 24 % GR"),
        ("FR", "DE136695976", "S 20 % FR"),
        ("AT", "12/345/67890", "S 20 % AT"),
        // Elsewhere; Northern Ireland is in the EU for goods alone.
        ("US-NY", "12-3456789", "O 0 % -"),
        ("CH", "", "O 0 % -"),
        ("GB", "", "O 0 % -"),
        ("GB", "XI110305878", "O 0 % -"),
        // Taxed as a part of France.
        ("MC", "", "S 20 % FR"),
        ("MC", "FR19677010985", "AE 0 % FR"),
        // No country: its own rate, whatever else is said.
        ("", "", "S 19 % DE"),
        ("", "FR19677010985", "S 19 % DE"),
        ("-NY", "", "S 19 % DE"),
    ];
    for (home, tax_id, expected) in cases {
        assert_eq!(charged(&seller, home, tax_id), expected, "{home} {tax_id}");
    }
}

#[test]
fn a_seller_in_the_eu_owes_the_rate_of_each_member() {
    let rates = [
        "AT 20", "BE 21", "BG 20", "CY 19", "CZ 21", "DE 19", "DK 25", "EE 24", "ES 21", "FI 25.5",
        "FR 20", "GR 24", "HR 25", "HU 27", "IE 23", "IT 22", "LT 21", "LU 17", "LV 21", "MT 18",
        "NL 21", "PL 23", "PT 23", "RO 21", "SE 25", "SI 22", "SK 23",
    ];
    assert_eq!(rates.len(), Country::EU.len());
    for home in ["DE", "MT"] {
        for rate in rates {
            let (member, rate) = rate.split_once(' ').unwrap();
            assert_eq!(charged(&seller(home, &[]), member, ""), format!("S {rate} % {member}"));
        }
    }
}

#[test]
fn a_seller_in_the_united_kingdom() {
    let local = seller("GB", &[]);
    assert_eq!(charged(&local, "GB", ""), "S 20 % GB");
    assert_eq!(charged(&local, "GB", "GB980780684"), "S 20 % GB");
    assert_eq!(charged(&local, "IM", ""), "S 20 % GB");
    assert_eq!(charged(&local, "DE", ""), "O 0 % -");
    assert_eq!(charged(&local, "DE", "DE136695976"), "O 0 % -");
    assert_eq!(charged(&local, "US-NY", ""), "O 0 % -");
    assert_eq!(charged(&local, "", ""), "S 20 % GB");
    // Registered for the One-Stop Shop, it collects from consumers; businesses owe the tax themselves.
    let registered = seller("GB", &["EU"]);
    assert_eq!(charged(&registered, "DE", ""), "S 19 % DE");
    assert_eq!(charged(&registered, "DE", "DE136695976"), "AE 0 % DE");
    assert_eq!(charged(&registered, "CH", ""), "O 0 % -");
}

#[test]
fn a_seller_in_the_united_states() {
    let local = seller("US-NY", &["US-NY", "US-TX", "US-CA"]);
    assert_eq!(charged(&local, "US-NY", ""), "S 4 % US-NY");
    assert_eq!(charged(&local, "US-ny", ""), "S 4 % US-NY");
    assert_eq!(charged(&local, "US-US-NY", ""), "S 4 % US-NY");
    // Four fifths of 6.25 %.
    assert_eq!(charged(&local, "US-TX", ""), "S 5 % US-TX");
    assert_eq!(charged(&local, "US-CA", ""), "O 0 % US-CA");
    // Not registered, and a state that the table does not know.
    assert_eq!(charged(&local, "US-WA", ""), "O 0 % -");
    assert_eq!(charged(&local, "US-OR", ""), "O 0 % -");
    // Without a state, and without a country: where the seller is.
    assert_eq!(charged(&local, "US", ""), "S 4 % US-NY");
    assert_eq!(charged(&local, "US- ", ""), "S 4 % US-NY");
    assert_eq!(charged(&local, "", ""), "S 4 % US-NY");
    assert_eq!(charged(&seller("US-NY", &[]), "US-NY", ""), "O 0 % -");
    assert_eq!(charged(&seller("US", &["US-NY"]), "US", ""), "O 0 % -");
    // Abroad, unless it is registered there.
    assert_eq!(charged(&local, "DE", "DE136695976"), "O 0 % -");
    assert_eq!(charged(&local, "GB", ""), "O 0 % -");
    let abroad = seller("US-NY", &["GB", "DE"]);
    assert_eq!(charged(&abroad, "GB", ""), "S 20 % GB");
    assert_eq!(charged(&abroad, "GB", "GB980780684"), "AE 0 % GB");
    assert_eq!(charged(&abroad, "DE", ""), "S 19 % DE");
    assert_eq!(charged(&abroad, "FR", ""), "O 0 % -");
    // And a European one that is registered in a state.
    assert_eq!(charged(&seller("DE", &["US-WA"]), "US-WA", ""), "S 6.5 % US-WA");
}

#[test]
fn an_exempt_customer_pays_no_tax_and_the_invoice_says_why() {
    for (home, place, expected) in
        [("DE", "DE", "E 0 % DE"), ("US-NY", "US-NY", "E 0 % US-NY"), ("DE", "US-NY", "E 0 % -")]
    {
        let buyer = Customer { exempt: true, ..customer(place, "") };
        let terms = terms(&seller(home, &["US-NY"][..usize::from(home != "DE")]), &buyer);
        assert_eq!(shown(&terms), expected);
        assert_eq!(terms.note.as_deref(), Some(EXEMPT));
    }
}

#[test]
fn what_is_not_taxed_says_by_which_law() {
    let note = |home: &str, place: &str, tax_id: &str| {
        terms(&seller(home, &["GB"]), &customer(place, tax_id)).note
    };
    let reverse =
        "Reverse charge: VAT to be accounted for by the recipient (Art. 196 Directive 2006/112/EC)";
    assert_eq!(note("DE", "FR", "FR19677010985").as_deref(), Some(reverse));
    assert_eq!(note("DE", "GB", "GB980780684").as_deref(), Some(REVERSE_CHARGE));
    assert_eq!(note("DE", "CH", "").as_deref(), Some(OUTSIDE_EU));
    assert_eq!(note("GB", "CH", "").as_deref(), Some(OUTSIDE_GB));
    assert_eq!(note("US", "CH", ""), None);
    assert_eq!(note("DE", "DE", ""), None);
    assert_eq!(terms(&seller("US", &[]), &customer("CH", "")), TaxTerms::none());
}

#[test]
fn prices_include_only_a_tax_that_is_charged() {
    let inclusive = |place: &str, tax_id: &str| {
        let (seller, buyer) = (seller("DE", &[]), customer(place, tax_id));
        let day = date(2026, 1, 1);
        table().terms(&seller, &buyer, ProductCategory::Software, day, true).inclusive
    };
    assert!(inclusive("DE", "") && inclusive("FR", ""));
    assert!(!inclusive("FR", "FR19677010985") && !inclusive("US", ""));
}

#[test]
fn rates_change_on_their_day() {
    let table = table();
    let on = |place: &str, kind: ProductCategory, day: &str| {
        let day: Date = day.parse().unwrap();
        let terms = table.terms(&seller(place, &[]), &customer(place, ""), kind, day, false);
        format!("{} {}", terms.category.code(), terms.rate)
    };
    for (place, day, expected) in [
        ("DE", "2020-06-30", "19 %"),
        ("DE", "2020-07-01", "16 %"),
        ("DE", "2020-12-31", "16 %"),
        ("DE", "2021-01-01", "19 %"),
        ("EE", "2023-12-31", "20 %"),
        ("EE", "2024-01-01", "22 %"),
        ("EE", "2025-06-30", "22 %"),
        ("EE", "2025-07-01", "24 %"),
        ("FI", "2024-08-31", "24 %"),
        ("FI", "2024-09-01", "25.5 %"),
        ("IE", "2020-08-31", "23 %"),
        ("IE", "2020-09-01", "21 %"),
        ("IE", "2021-02-28", "21 %"),
        ("IE", "2021-03-01", "23 %"),
        ("LU", "2022-12-31", "17 %"),
        ("LU", "2023-12-31", "16 %"),
        ("LU", "2024-01-01", "17 %"),
        ("RO", "2025-07-31", "19 %"),
        ("RO", "2025-08-01", "21 %"),
        ("SK", "2024-12-31", "20 %"),
        ("SK", "2025-01-01", "23 %"),
        // Before the first and after the last.
        ("DE", "-009999-01-01", "19 %"),
        ("SK", "9999-12-31", "23 %"),
    ] {
        assert_eq!(
            on(place, ProductCategory::Software, day),
            format!("S {expected}"),
            "{place} {day}"
        );
    }
    for (place, day, expected) in [
        ("DE", "2019-12-17", "S 19 %"),
        ("DE", "2019-12-18", "S 7 %"),
        ("DE", "2020-07-01", "S 5 %"),
        ("DE", "2026-01-01", "S 7 %"),
        ("GB", "2020-04-30", "S 20 %"),
        ("GB", "2020-05-01", "Z 0 %"),
        ("FR", "2026-01-01", "S 20 %"),
    ] {
        assert_eq!(on(place, ProductCategory::Publication, day), expected, "{place} {day}");
    }
}

#[test]
fn a_product_is_taxed_by_its_kind() {
    let day = date(2026, 1, 1);
    let seller = seller("US-NY", &["US-NY", "US-TX"]);
    let of = |place: &str| {
        shown(&table().terms(
            &seller,
            &customer(place, ""),
            ProductCategory::Publication,
            day,
            false,
        ))
    };
    assert_eq!(of("US-NY"), "O 0 % US-NY");
    assert_eq!(of("US-TX"), "S 6.25 % US-TX");
}

#[test]
fn a_seller_whose_tax_is_unknown_is_refused() {
    let check = |home: &str, places: &[&str]| table().check(&seller(home, places));
    for (home, places) in [
        ("DE", &[][..]),
        ("MC", &[]),
        ("US", &[]),
        ("US-NY", &["US-NY", "GB", "EU"]),
        ("GB", &["DE"]),
    ] {
        assert_eq!(check(home, places), Ok(()));
    }
    let unknown = |name: &str| Err(TaxTableError::Unknown(name.to_owned()));
    assert_eq!(check("CH", &[]), unknown("CH"));
    assert_eq!(check("US", &["US-NY", "US-OR"]), unknown("US-OR"));
    assert_eq!(check("US", &["us-ny"]), unknown("us-ny"));
    assert_eq!(check("US", &["NY"]), unknown("NY"));
}

#[test]
fn a_table_that_is_none_is_refused() {
    let with = |rest: &str| TaxTable::parse(&format!("{TEXT}\n{rest}")).unwrap_err();
    let named = |name: &str| {
        with(&format!(
            "[jurisdictions.{name}]\nrates = [{{ from = \"2020-01-01\", standard = \"1\" }}]"
        ))
    };
    for name in ["EU", "UK", "XX", "de", "us-NY", "US-ny", "US-", "US-NEWY", "\"\"", "\"US-N Y\""] {
        assert_eq!(named(name), TaxTableError::Jurisdiction(name.trim_matches('"').to_owned()));
    }
    let rates = |rates: &str| with(&format!("[jurisdictions.CH]\nrates = [{rates}]"));
    let (early, late) = (
        r#"{ from = "2020-01-01", standard = "7.7" }"#,
        r#"{ from = "2024-01-01", standard = "8.1" }"#,
    );
    let refused = TaxTableError::Rates("CH".to_owned());
    assert_eq!(rates(""), refused);
    assert_eq!(rates(&format!("{late}, {early}")), refused);
    assert_eq!(rates(&format!("{early}, {early}")), refused);
    let both = r#"{ from = "2020-01-01", standard = "7.7", special = { software = "1" }, untaxed = ["software"] }"#;
    assert_eq!(rates(both), refused);
    for form in [
        r#"{ from = "2020-02-30", standard = "7.7" }"#,
        r#"{ from = "2020-01-01", standard = 7.7 }"#,
        r#"{ from = "2020-01-01", standard = "101" }"#,
        r#"{ from = "2020-01-01" }"#,
        r#"{ from = "2020-01-01", standard = "1", until = "2021-01-01" }"#,
        r#"{ from = "2020-01-01", standard = "1", special = { bread = "1" } }"#,
    ] {
        assert!(matches!(rates(form), TaxTableError::Form(_)), "{form}");
    }
    let without = TEXT.replace("[jurisdictions.FI]", "[jurisdictions.CH]");
    assert_eq!(TaxTable::parse(&without), Err(TaxTableError::Missing(country("FI"))));
    assert!(matches!(TaxTable::parse(""), Err(TaxTableError::Form(_))));
}

#[test]
fn a_row_of_ones_own_taxes_its_country_and_a_states_goes_first() {
    let rows = r#"
[jurisdictions.CA]
rates = [{ from = "2008-01-01", standard = "5" }]
[jurisdictions.CA-ON]
rates = [{ from = "2010-07-01", standard = "13" }]
"#;
    let table = TaxTable::parse(&format!("{TEXT}{rows}")).unwrap();
    let charged = |places: &[&str], home: &str| {
        let (seller, buyer) = (seller("CA-ON", places), customer(home, ""));
        shown(&table.terms(&seller, &buyer, ProductCategory::Software, date(2026, 1, 1), false))
    };
    assert_eq!(charged(&["CA-ON"], "CA-ON"), "S 13 % CA-ON");
    assert_eq!(charged(&["CA-ON"], "CA-AB"), "S 5 % CA");
    assert_eq!(charged(&[], "CA-ON"), "S 5 % CA");
}

#[test]
fn sellers_and_customers_are_stored_as_this() {
    let seller =
        Seller { tax_id: Some("DE136695976".parse().unwrap()), ..seller("DE", &["US-NY"]) };
    let stored = r#"{"country":"DE","region":null,"tax_id":"DE136695976","registered":["US-NY"]}"#;
    assert_eq!(serde_json::to_string(&seller).unwrap(), stored);
    assert_eq!(serde_json::from_str::<Seller>(stored).unwrap(), seller);
    let customer = customer("US-NY", "12-3456789");
    let stored = r#"{"country":"US","region":"NY","tax_id":"12-3456789","exempt":false}"#;
    assert_eq!(serde_json::to_string(&customer).unwrap(), stored);
    assert_eq!(serde_json::from_str::<Customer>(stored).unwrap(), customer);
}

fn any_country() -> impl Strategy<Value = Country> {
    let codes = ["DE", "FR", "GR", "MC", "GB", "IM", "US", "CH", "CA"];
    prop::sample::select(codes.to_vec()).prop_map(country)
}

proptest! {
    #[test]
    fn terms_are_always_fit_for_an_invoice(
        home in any_country(), place in prop::option::of(any_country()), region: Option<String>, state: Option<String>,
        registered in prop::collection::btree_set("EU|GB|DE|US-NY|US-CA|.{0,4}", 0..4),
        tax_id in prop::option::of("FR19677010985|EL220242232|GB980780684|12-3456789"),
        exempt: bool, kind: bool, inclusive: bool, days in -3_000_000_i32..2_900_000,
    ) {
        let category = if kind { ProductCategory::Software } else { ProductCategory::Publication };
        let seller = Seller { country: home, region, tax_id: None, registered };
        let tax_id = tax_id.map(|id| id.parse().unwrap());
        let buyer = Customer { country: place, region: state, tax_id, exempt };
        let day = date(2026, 1, 1).saturating_add(jiff::Span::new().days(days));
        let terms = table().terms(&seller, &buyer, category, day, inclusive);
        prop_assert!(crate::tax::levy(&[(&terms, 100)]).is_ok());
        // Within the EU nothing is free by accident.
        let eu = |country: Country| country.territory().is_eu();
        if eu(home) && place.is_none_or(eu) && !exempt && buyer.tax_id.is_none() {
            prop_assert!(terms.rate > TaxRate::ZERO);
        }
        let unsaid = terms.category != TaxCategory::Standard && terms.note.is_none();
        prop_assert!(!unsaid || terms.category == TaxCategory::OutsideScope);
    }

    #[test]
    fn nothing_panics(text: String, name: String) {
        let _ = TaxTable::parse(&text);
        let _ = TaxTable::parse(&format!("{TEXT}\n[jurisdictions.{name}]\nrates = []"));
        let _ = text.parse::<Country>();
        let _ = table().check(&Seller { registered: [name].into(), ..seller("DE", &[]) });
    }
}
