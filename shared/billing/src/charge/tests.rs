//! Charges: the worked numbers, every bound, the stored form, and a slow reference.

use std::collections::BTreeMap;

use domain::meter::MeterName;
use domain::money::Currency;
use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde::de::DeserializeOwned;

use super::*;

fn toml<T: DeserializeOwned>(text: &str) -> Result<T, toml::de::Error> {
    #[derive(serde::Deserialize)]
    struct File<T> {
        charge: T,
    }
    toml::from_str::<File<T>>(&format!("charge = {text}")).map(|file| file.charge)
}

fn charge(text: &str) -> Charge {
    toml(&format!("{{ meter = \"messages\", {text} }}")).unwrap()
}

fn currency(code: &str) -> Currency {
    code.parse().unwrap()
}

fn minor(charge: &Charge, quantity: u64) -> i64 {
    charge.rate(quantity, Currency::USD).unwrap().amount_minor
}

const OVERAGE: &str = r#"included = 10_000, model = "per_unit", unit = "0.0047""#;
const GRADUATED: &str = r#"model = "graduated", tiers = [
    { up_to = 10_000, unit = "0" }, { up_to = 20_000, unit = "0.005" }, { unit = "0.004" },
]"#;
const VOLUME: &str = r#"model = "volume", tiers = [
    { up_to = 10, unit = "1" }, { up_to = 100, unit = "0.5", flat = "2" }, { unit = "0.1" },
]"#;
const PACKAGE: &str = r#"included = 100, model = "package", size = 1_000, price = "2.5""#;

#[test]
fn overage_as_worked() {
    let rated = charge(OVERAGE).rate(13_457, Currency::USD).unwrap();
    assert_eq!((rated.amount_minor, rated.billable, rated.minimum), (1_625, 3_457, None));
    assert_eq!(minor(&charge(OVERAGE), 10_000), 0);
    // 0.47 and 0.94 of a cent.
    assert_eq!((minor(&charge(OVERAGE), 10_001), minor(&charge(OVERAGE), 10_002)), (0, 1));
}

#[test]
fn graduated_as_worked_and_at_each_bound() {
    let charge = charge(GRADUATED);
    assert_eq!(minor(&charge, 23_457), 6_383);
    for (quantity, amount_minor) in [
        (0, 0),
        (9_999, 0),
        (10_000, 0),
        (10_001, 1),     // 0.5 of a cent
        (10_003, 2),     // 1.5
        (19_999, 5_000), // 4 999.5
        (20_000, 5_000),
        (20_001, 5_000), // 5 000.4
        (20_002, 5_001), // 5 000.8
    ] {
        assert_eq!(minor(&charge, quantity), amount_minor, "{quantity}");
    }
}

#[test]
fn a_sum_over_tiers_is_rounded_once() {
    // Each tier alone is 0.4 of a cent.
    let charge = charge(
        r#"model = "graduated", tiers = [{ up_to = 1, unit = "0.004" }, { unit = "0.004" }]"#,
    );
    assert_eq!((minor(&charge, 1), minor(&charge, 2)), (0, 1));
}

#[test]
fn a_flat_price_is_charged_once_its_tier_is_reached() {
    let charge = charge(
        r#"included = 5, model = "graduated", tiers = [
            { up_to = 10, unit = "0", flat = "3" }, { unit = "0.01", flat = "7" },
        ]"#,
    );
    let amounts = [0, 5, 6, 15, 16, 17].map(|quantity| minor(&charge, quantity));
    assert_eq!(amounts, [0, 0, 300, 300, 1_001, 1_002]);
}

#[test]
fn volume_takes_one_tier_for_all() {
    let charge = charge(VOLUME);
    let amounts = [0, 1, 9, 10, 11, 99, 100, 101, 102].map(|quantity| minor(&charge, quantity));
    assert_eq!(amounts, [0, 100, 900, 1_000, 750, 5_150, 5_200, 1_010, 1_020]);
}

#[test]
fn a_started_package_is_a_package() {
    let charge = charge(PACKAGE);
    let amounts = [0, 100, 101, 1_099, 1_100, 1_101, 2_100, 2_101];
    let amounts = amounts.map(|quantity| minor(&charge, quantity));
    assert_eq!(amounts, [0, 0, 250, 250, 250, 500, 500, 750]);
}

#[test]
fn the_minimum_is_the_least_amount() {
    let charge = charge(r#"included = 10, model = "per_unit", unit = "1", minimum_minor = 500"#);
    let rated = |quantity| {
        let rated = charge.rate(quantity, Currency::USD).unwrap();
        (rated.amount_minor, rated.minimum.is_some())
    };
    assert_eq!((rated(0), rated(10), rated(14)), ((500, true), (500, true), (500, true)));
    assert_eq!((rated(15), rated(16)), ((500, false), (600, false)));
}

#[test]
fn minor_units_are_the_currencys() {
    let charge = charge(r#"model = "per_unit", unit = "0.0047""#);
    let rated = |code: &str| charge.rate(3_457, currency(code)).unwrap().amount_minor;
    assert_eq!(
        (rated("JPY"), rated("USD"), rated("KWD"), rated("CLF")),
        (16, 1_625, 16_248, 162_479)
    );
}

#[test]
fn late_usage_as_worked() {
    let charge = charge(OVERAGE);
    assert_eq!((minor(&charge, 12_000), minor(&charge, 12_500)), (940, 1_175));
    assert_eq!(late(&charge, 12_000, 12_500, Currency::USD), Ok(235));
}

#[test]
fn late_usage_may_fill_the_minimum_and_may_make_a_period_cheaper() {
    let amount =
        |charge: &Charge, billed, total| late(charge, billed, total, Currency::USD).unwrap();
    let minimum = charge(r#"model = "per_unit", unit = "1", minimum_minor = 500"#);
    assert_eq!((amount(&minimum, 0, 4), amount(&minimum, 4, 7)), (0, 200));
    assert_eq!((amount(&charge(VOLUME), 10, 11), amount(&charge(VOLUME), 11, 10)), (-250, 250));
}

#[test]
fn what_cannot_be_billed_is_an_error() {
    let out = Err(ChargeError::OutOfRange(OutOfRange));
    for model in [
        r#"model = "per_unit", unit = "999999999999.999999999999""#,
        r#"model = "per_unit", unit = "0.01""#,
        r#"model = "graduated", tiers = [{ up_to = 9, unit = "0" }, { unit = "10" }]"#,
        r#"model = "volume", tiers = [{ unit = "999999999999" }]"#,
        r#"model = "package", size = 1, price = "1""#,
    ] {
        assert_eq!(charge(model).rate(u64::MAX, Currency::USD), out, "{model}");
        assert!(charge(model).affordable(i64::MAX, Currency::USD).unwrap().is_some(), "{model}");
        let delta = late(&charge(model), 1, u64::MAX, Currency::USD);
        assert_eq!(delta, Err(ChargeError::OutOfRange(OutOfRange)), "{model}");
    }
    let cent = charge(r#"model = "per_unit", unit = "0.01""#);
    assert_eq!(minor(&cent, i64::MAX.unsigned_abs()), i64::MAX);
    assert_eq!(cent.rate(i64::MAX.unsigned_abs() + 1, Currency::USD), out);
    let cheap = charge(r#"model = "per_unit", unit = "0.000000000001""#);
    assert_eq!(minor(&cheap, u64::MAX), 1_844_674_407);
}

#[test]
fn a_cap_is_a_quota() {
    let quota = |text: &str, cap_minor| charge(text).affordable(cap_minor, Currency::USD);
    // 3 457 units are 16.2479 and billed as 16.25; 3 458 are 16.2526 and billed as the same; 3 459 are 16.2573.
    assert_eq!(quota(OVERAGE, 1_625), Ok(Some(13_458)));
    assert_eq!(quota(OVERAGE, 0), Ok(Some(10_001)));
    assert_eq!(quota(GRADUATED, 6_383), Ok(Some(23_458)));
    assert_eq!(quota(GRADUATED, 5_000), Ok(Some(20_001)));
    assert_eq!(quota(PACKAGE, 499), Ok(Some(1_100)));
    assert_eq!(quota(PACKAGE, 500), Ok(Some(2_100)));
    assert_eq!(quota(PACKAGE, 0), Ok(Some(100)));
    // Eleven would cost 7.50, but whoever uses eight and stops there pays 8.00.
    assert_eq!(quota(VOLUME, 750), Ok(Some(7)));
    assert_eq!(quota(VOLUME, 999), Ok(Some(9)));
    // All of the second tier fits but for its last ten; the third is cheap again, and out of reach.
    assert_eq!(quota(VOLUME, 4_700), Ok(Some(90)));
    assert_eq!(quota(VOLUME, 5_200), Ok(Some(520)));
}

#[test]
fn a_cap_that_nothing_reaches_is_none() {
    let quota = |text: &str, cap_minor| charge(text).affordable(cap_minor, Currency::USD);
    assert_eq!(quota(r#"model = "per_unit", unit = "0""#, 0), Ok(None));
    assert_eq!(quota(r#"model = "per_unit", unit = "0.000000000001""#, 1_844_674_407), Ok(None));
    assert_eq!(
        quota(r#"model = "per_unit", unit = "0.000000000001""#, 1_844_674_406),
        Ok(Some(18_446_744_064_999_999_999))
    );
    let most = r#"model = "graduated", tiers = [{ up_to = 5, unit = "1" }, { unit = "0" }]"#;
    assert_eq!((quota(most, 499), quota(most, 500)), (Ok(Some(4)), Ok(None)));
    let mut included = charge(r#"model = "per_unit", unit = "1""#);
    included.included = u64::MAX;
    assert_eq!(included.affordable(0, Currency::USD), Ok(None));
}

#[test]
fn a_cap_below_the_minimum_is_refused() {
    let charge = charge(r#"model = "per_unit", unit = "1", minimum_minor = 500"#);
    assert_eq!(charge.affordable(500, Currency::USD), Ok(Some(5)));
    expect![
        "the cap is below the minimum of USD 5.00, which is charged without any use; raise the cap to it"
    ]
    .assert_eq(&charge.affordable(499, Currency::USD).unwrap_err().to_string());
    assert!(charge.affordable(-1, Currency::USD).is_err());
}

#[test]
fn amounts_are_explained() {
    let check = |text: &str, quantity, expected: Expect| {
        let rated = charge(text).rate(quantity, Currency::USD).unwrap();
        expected.assert_eq(&rated.explain("message"));
    };
    check(OVERAGE, 13_457, expect!["3,457 messages × 0.0047"]);
    check(OVERAGE, 10_000, expect!["0 messages"]);
    check(
        GRADUATED,
        23_457,
        expect!["10,000 messages × 0 + 10,000 messages × 0.005 + 3,457 messages × 0.004"],
    );
    check(VOLUME, 11, expect!["11 messages × 0.5 + 2 flat"]);
    check(PACKAGE, 1_101, expect!["2 packages of 1,000 messages × 2.5"]);
    check(PACKAGE, 1_100, expect!["1 package of 1,000 messages × 2.5"]);
    let minimum = r#"model = "per_unit", unit = "1", minimum_minor = 500"#;
    check(minimum, 4, expect!["4 messages × 1, raised to the minimum of USD 5.00"]);
    check(minimum, 0, expect!["0 messages, raised to the minimum of USD 5.00"]);
    check(minimum, 5, expect!["5 messages × 1"]);
}

/// The database holds these for years: what is written below must always be read.
#[test]
fn the_stored_form() {
    let check = |text: &str, expected: Expect| {
        let charge = charge(text);
        let json = serde_json::to_string(&charge).unwrap();
        expected.assert_eq(&json);
        assert_eq!(serde_json::from_str::<Charge>(&json).unwrap(), charge);
        let again = toml::to_string(&charge).unwrap();
        assert_eq!(toml::from_str::<Charge>(&again).unwrap(), charge);
    };
    check(
        OVERAGE,
        expect![[
            r#"{"meter":"messages","included":10000,"model":"per_unit","unit":"0.0047","minimum_minor":0}"#
        ]],
    );
    check(
        VOLUME,
        expect![[
            r#"{"meter":"messages","included":0,"model":"volume","tiers":[{"up_to":10,"unit":"1"},{"up_to":100,"unit":"0.5","flat":"2"},{"unit":"0.1"}],"minimum_minor":0}"#
        ]],
    );
    check(
        r#"model = "graduated", tiers = [{ unit = "0.10" }], minimum_minor = 50"#,
        expect![[
            r#"{"meter":"messages","included":0,"model":"graduated","tiers":[{"unit":"0.1"}],"minimum_minor":50}"#
        ]],
    );
    check(
        PACKAGE,
        expect![[
            r#"{"meter":"messages","included":100,"model":"package","size":1000,"price":"2.5","minimum_minor":0}"#
        ]],
    );
    let rated = charge(PACKAGE).rate(1_101, Currency::USD).unwrap();
    expect![[
        r#"{"amount_minor":500,"billable":1001,"steps":[{"quantity":2,"unit":"2.5","package":1000}]}"#
    ]]
    .assert_eq(&serde_json::to_string(&rated).unwrap());
}

#[test]
fn the_catalogue_lists_charges_by_cycle_and_currency() {
    type Charges = BTreeMap<String, BTreeMap<Currency, Vec<Charge>>>;
    let charges: Charges = toml::from_str(
        r#"
        [Monthly]
        USD = [
            { meter = "messages", included = 100_000, model = "per_unit", unit = "0.0008" },
            { meter = "api_calls", model = "graduated", tiers = [
                { up_to = 10_000, unit = "0" },
                { up_to = 20_000, unit = "0.005" },
                { unit = "0.004" },
            ] },
            { meter = "users", included = 5, model = "package", size = 5, price = "20" },
        ]
        JPY = [{ meter = "messages", model = "volume", tiers = [{ unit = "0.1" }], minimum_minor = 50 }]
        "#,
    )
    .unwrap();
    let usd = &charges["Monthly"][&Currency::USD];
    let amounts = usd.iter().zip([101_000, 23_457, 11]).map(|(charge, used)| minor(charge, used));
    assert_eq!(amounts.collect::<Vec<_>>(), [80, 6_383, 4_000]);
    assert_eq!(charges["Monthly"][&currency("JPY")].len(), 1);
}

#[test]
fn what_is_no_charge_is_refused_and_told_why() {
    let check = |text: &str, expected: &str| {
        let error = toml::<Charge>(&format!("{{ {text} }}")).unwrap_err();
        assert!(error.message().contains(expected), "{text}: {}", error.message());
    };
    let unit = r#"meter = "m", model = "per_unit""#;
    check(r#"model = "per_unit", unit = "1""#, "missing field `meter`");
    check(r#"meter = "M", model = "per_unit", unit = "1""#, "lower-case");
    check(r#"meter = "m", unit = "1""#, "missing field `model`");
    check(r#"meter = "m", model = "flat", unit = "1""#, "unknown variant `flat`, expected one of");
    check(unit, "missing field `unit`");
    check(&format!("{unit}, unit = 0.0047"), "expected a price in quotes such as \"0.0047\"");
    check(&format!(r#"{unit}, unit = "-1""#), "no sign");
    check(&format!(r#"{unit}, unit = "1", currency = "USD""#), "unknown field `currency`");
    check(&format!(r#"{unit}, unit = "1", tiers = []"#), "unknown field `tiers`");
    check(&format!(r#"{unit}, unit = "1", included = -1"#), "-1");
    check(&format!(r#"{unit}, unit = "1", minimum_minor = -1"#), "must not be negative");
    check(r#"meter = "m", model = "volume", tiers = []"#, "at least one tier");
    let bounded = r#"meter = "m", model = "graduated", tiers = [{ up_to = 1, unit = "1" }]"#;
    check(bounded, "the last tier must have no `up_to`");
    check(r#"meter = "m", model = "package", size = 0, price = "1""#, "nonzero");
}

/// A decimal with its parts, for the reference to reckon with.
#[derive(Debug, Clone, Copy)]
struct Decimal {
    digits: u32,
    places: u32,
}

impl Decimal {
    fn rate(self) -> Rate {
        let (scale, width) = (10_u32.pow(self.places), self.places as usize);
        let text = match width {
            0 => self.digits.to_string(),
            _ => format!("{}.{:0width$}", self.digits / scale, self.digits % scale),
        };
        text.parse().unwrap()
    }
}

/// An exact fraction, in lowest terms only by chance.
#[derive(Debug, Clone, Copy)]
struct Fraction(i128, i128);

impl Fraction {
    fn plus(self, price: Decimal) -> Self {
        let places = 10_i128.pow(price.places);
        // All denominators are powers of ten up to 10^6, so the greater is a multiple of the other.
        let common = self.1.max(places);
        Self(self.0 * (common / self.1) + i128::from(price.digits) * (common / places), common)
    }

    /// Half up, which is away from zero: nothing here is negative.
    fn rounded(self, minor_per_unit: i128) -> i64 {
        let double = 2 * self.0 * minor_per_unit + self.1;
        i64::try_from(double.div_euclid(2 * self.1)).unwrap()
    }
}

#[derive(Debug, Clone)]
enum Plain {
    PerUnit(Decimal),
    Graduated(Vec<(u64, Decimal, Decimal)>),
    Volume(Vec<(u64, Decimal, Decimal)>),
    Package(u64, Decimal),
}

#[derive(Debug, Clone)]
struct Case {
    plain: Plain,
    included: u64,
    minimum_minor: i64,
    currency: Currency,
}

impl Case {
    fn charge(&self) -> Charge {
        let tiers = |tiers: &[(u64, Decimal, Decimal)]| {
            let last = tiers.len() - 1;
            let tier = |(index, (bound, unit, flat)): (usize, &(u64, Decimal, Decimal))| Tier {
                up_to: (index < last).then_some(*bound),
                unit: unit.rate(),
                flat: flat.rate(),
            };
            tiers.iter().enumerate().map(tier).collect::<Vec<_>>().try_into().unwrap()
        };
        let model = match &self.plain {
            Plain::PerUnit(unit) => Model::PerUnit { unit: unit.rate() },
            Plain::Graduated(list) => Model::Graduated { tiers: tiers(list) },
            Plain::Volume(list) => Model::Volume { tiers: tiers(list) },
            Plain::Package(size, price) => {
                Model::Package { size: (*size).try_into().unwrap(), price: price.rate() }
            }
        };
        Charge {
            meter: MeterName::messages(),
            included: self.included,
            model,
            minimum_minor: self.minimum_minor,
        }
    }

    /// Unit by unit.
    fn reference(&self, quantity: u64) -> i64 {
        let mut sum = Fraction(0, 1);
        let first = self.included + 1;
        // The tier that unit `number` is in.
        let tier = |tiers: &[(u64, Decimal, Decimal)], number: u64| {
            let last = tiers.len() - 1;
            tiers[..last].iter().filter(|(bound, ..)| *bound < number).count()
        };
        for unit in first..=quantity {
            let number = unit - self.included;
            match &self.plain {
                Plain::PerUnit(price) => sum = sum.plus(*price),
                Plain::Graduated(tiers) => {
                    let at = tier(tiers, number);
                    sum = sum.plus(tiers[at].1);
                    if number == 1 || tier(tiers, number - 1) != at {
                        sum = sum.plus(tiers[at].2);
                    }
                }
                Plain::Volume(tiers) => {
                    let at = tier(tiers, quantity - self.included);
                    sum = sum.plus(tiers[at].1);
                    if number == 1 {
                        sum = sum.plus(tiers[at].2);
                    }
                }
                Plain::Package(size, price) => {
                    if (number - 1).is_multiple_of(*size) {
                        sum = sum.plus(*price);
                    }
                }
            }
        }
        sum.rounded(10_i128.pow(self.currency.minor_digits())).max(self.minimum_minor)
    }
}

fn decimals() -> impl Strategy<Value = Decimal> {
    let any = (0_u32..3_000_000, 0_u32..=6);
    // Small ones and zero often: that is where rounding and cheaper tiers happen.
    prop_oneof![any, (0_u32..30, 0_u32..=6)].prop_map(|(digits, places)| Decimal { digits, places })
}

fn tier_lists() -> impl Strategy<Value = Vec<(u64, Decimal, Decimal)>> {
    let flat = prop_oneof![Just(Decimal { digits: 0, places: 0 }), decimals()];
    proptest::collection::vec((1_u64..60, decimals(), flat), 1..6).prop_map(|mut tiers| {
        let mut below = 0;
        for (bound, ..) in &mut tiers {
            below += *bound;
            *bound = below;
        }
        tiers
    })
}

fn cases() -> impl Strategy<Value = Case> {
    let plain = prop_oneof![
        decimals().prop_map(Plain::PerUnit),
        tier_lists().prop_map(Plain::Graduated),
        tier_lists().prop_map(Plain::Volume),
        (1_u64..50, decimals()).prop_map(|(size, price)| Plain::Package(size, price)),
    ];
    let currencies = prop_oneof![Just("USD"), Just("JPY"), Just("KWD"), Just("CLF")];
    let minimum = prop_oneof![Just(0_i64), 0_i64..5_000];
    (plain, 0_u64..100, minimum, currencies).prop_map(|(plain, included, minimum_minor, code)| {
        Case { plain, included, minimum_minor, currency: currency(code) }
    })
}

proptest! {
    #[test]
    fn rating_is_what_reckoning_unit_by_unit_says(case in cases(), quantity in 0_u64..500) {
        let rated = case.charge().rate(quantity, case.currency).unwrap();
        prop_assert_eq!(rated.amount_minor, case.reference(quantity));
        prop_assert_eq!(rated.billable, quantity.saturating_sub(case.included));
        let decided = rated.minimum.map(|minimum| minimum.amount_minor);
        prop_assert!(decided.is_none_or(|minimum| minimum == case.minimum_minor));
    }

    #[test]
    fn more_never_costs_less_except_by_volume(case in cases(), a in 0_u64..500, more in 0_u64..500) {
        let amount = |quantity| case.charge().rate(quantity, case.currency).unwrap().amount_minor;
        let volume = matches!(case.plain, Plain::Volume(_));
        prop_assert!(volume || amount(a) <= amount(a + more));
    }

    #[test]
    fn a_quota_is_the_last_quantity_before_the_first_that_is_too_dear(
        case in cases(),
        cap_minor in prop_oneof![0_i64..20, 0_i64..50_000],
    ) {
        let charge = case.charge();
        let fits = |quantity| {
            charge.rate(quantity, case.currency).is_ok_and(|rated| rated.amount_minor <= cap_minor)
        };
        match charge.affordable(cap_minor, case.currency) {
            Err(error) => {
                prop_assert!(!fits(0));
                let told = matches!(error, ChargeError::CapBelowMinimum { minimum }
                    if minimum.amount_minor == case.minimum_minor);
                prop_assert!(told);
            }
            Ok(quota) => {
                let looked_at = (0..2_000).find(|quantity| !fits(*quantity));
                match (looked_at, quota) {
                    (Some(dear), quota) => prop_assert_eq!(quota, Some(dear - 1)),
                    (None, Some(quota)) => {
                        prop_assert!(quota >= 1_999 && fits(quota) && !fits(quota + 1));
                    }
                    (None, None) => prop_assert!(fits(u64::MAX)),
                }
            }
        }
    }

    #[test]
    fn late_batches_add_up_to_one_bill(case in cases(), mut totals in proptest::collection::vec(0_u64..500, 1..6)) {
        let charge = case.charge();
        totals.insert(0, 0);
        let amount = |quantity| charge.rate(quantity, case.currency).unwrap().amount_minor;
        let deltas = totals.windows(2).map(|pair| {
            late(&charge, pair[0], pair[1], case.currency).unwrap()
        });
        prop_assert_eq!(amount(0) + deltas.sum::<i64>(), amount(*totals.last().unwrap()));
    }

    #[test]
    fn every_charge_is_read_back(case in cases()) {
        let charge = case.charge();
        let json = serde_json::to_value(&charge).unwrap();
        prop_assert_eq!(serde_json::from_value::<Charge>(json).unwrap(), charge.clone());
        let text = toml::to_string(&charge).unwrap();
        prop_assert_eq!(toml::from_str::<Charge>(&text).unwrap(), charge);
    }

    #[test]
    fn no_quantity_panics(
        case in cases(),
        included: u64,
        minimum_minor: i64,
        (quantity, other, cap_minor) in any::<(u64, u64, i64)>(),
        dear in "[0-9]{1,12}\\.[0-9]{1,12}",
    ) {
        let mut charges = vec![Charge { included, minimum_minor, ..case.charge() }];
        let unit = dear.parse().unwrap();
        charges.push(Charge { model: Model::PerUnit { unit }, ..case.charge() });
        for charge in charges {
            if let Ok(rated) = charge.rate(quantity, case.currency) {
                prop_assert!(!rated.explain("units").is_empty() && rated.amount_minor >= 0);
            }
            let _ = late(&charge, quantity, other, case.currency);
            if let Ok(Some(quota)) = charge.affordable(cap_minor, case.currency) {
                prop_assert!(charge.rate(quota, case.currency).unwrap().amount_minor <= cap_minor);
            }
        }
    }
}
