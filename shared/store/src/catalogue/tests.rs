//! What a catalogue may say, and what is refused.

use super::*;

#[test]
fn the_shipped_catalogue_is_the_specifications() {
    let catalogue = Catalogue::parse(include_str!("../../../../config/plans.toml")).unwrap();
    let monthly = |plan| {
        catalogue.plans[&plan].price(BillingCycle::Monthly, Currency::USD).unwrap().amount_minor
    };
    assert_eq!(
        PlanName::ALL.iter().map(|plan| monthly(*plan)).collect::<Vec<_>>(),
        [0, 2900, 9900, 29900]
    );
    let calls = |plan| catalogue.plans[&plan].limits.api_calls_per_minute.get();
    assert_eq!(
        PlanName::ALL.iter().map(|plan| calls(*plan)).collect::<Vec<_>>(),
        [10, 100, 1000, 10000]
    );
    let at_once = |plan| catalogue.plans[&plan].limits.concurrent_requests;
    assert_eq!(
        PlanName::ALL.iter().map(|plan| at_once(*plan)).collect::<Vec<_>>(),
        [5, 20, 100, 500].map(NonZeroU32::new)
    );
    let stops = |terms: &PlanTerms| terms.quotas.is_empty() && terms.overage.is_empty();
    assert!(catalogue.plans.values().all(stops), "no plan goes on past its counts yet");
    assert_eq!(catalogue.plans[&PlanName::Enterprise].limits.contacts, Allowance::UNLIMITED);
}

#[test]
fn a_misspelt_limit_or_plan_is_refused() {
    for broken in ["[plans.Gold]\ntrial_days = 0", "[plans.Free]\ntrial_day = 0"] {
        assert!(Catalogue::parse(broken).is_err());
    }
}

/// The shipped catalogue, saying `more` of `plan`.
fn with(plan: &str, more: &str) -> Result<Catalogue, CatalogueError> {
    let heading = format!("[plans.{plan}]\n");
    let text = include_str!("../../../../config/plans.toml");
    let meter = |name| {
        format!(
            "{name} = {{ aggregation = \"sum\", source = \"edge\", title = \"T\", unit = \"u\" }}"
        )
    };
    let meters = format!("[meters]\n{}\n{}\n", meter("pages"), meter("documents"));
    let text = text.replacen("[meters]\n", &meters, 1);
    Catalogue::parse(&text.replacen(&heading, &format!("{heading}{more}\n"), 1))
}

#[test]
fn quotas_and_overage_are_by_meter() {
    let more = "quotas = { pages = 500, documents = 0 }\noverage = [\"messages\", \"pages\"]";
    let catalogue = with("Pro", more).unwrap();
    let terms = catalogue.terms(PlanName::Pro).unwrap();
    let quotas: Vec<_> =
        terms.quotas.iter().map(|(meter, count)| (meter.as_str(), *count)).collect();
    assert_eq!(quotas, [("documents", 0), ("pages", 500)]);
    assert!(terms.overage.contains("messages") && terms.overage.contains("pages"));
}

#[test]
fn a_year_has_the_counts_of_twelve_months_and_a_level_has_none() {
    let terms = with("Pro", "quotas = { pages = 500 }").unwrap();
    let terms = terms.terms(PlanName::Pro).unwrap();
    let stops = |cycle| {
        let stops = terms.hard_stops(cycle).map(|(meter, count)| (meter.to_string(), count));
        stops.collect::<Vec<_>>()
    };
    let counts = |messages, pages| [("messages".to_owned(), messages), ("pages".to_owned(), pages)];
    assert_eq!(stops(BillingCycle::Monthly), counts(100_000, 500));
    assert_eq!(stops(BillingCycle::PayAsYouGo), counts(100_000, 500));
    assert_eq!(stops(BillingCycle::Yearly), counts(1_200_000, 6_000));
    // How many there may be at a time does not grow with it.
    let contacts = "contacts".parse().unwrap();
    assert_eq!(terms.allowance(&contacts, BillingCycle::Yearly), terms.limits.contacts);
    let level = with("Pro", "quotas = { storage_mb = 5 }").unwrap_err().to_string();
    assert_eq!(
        level,
        "config/plans.toml: Pro has a count for `storage_mb`, which is a level and not used up; remove it from `quotas`"
    );
}

#[test]
fn meters_that_contradict_the_plan_are_refused() {
    let refused = |plan, more| with(plan, more).unwrap_err().to_string();
    assert_eq!(
        refused("Pro", "quotas = { messages = 5 }"),
        "config/plans.toml: Pro counts `messages` by `messages_per_month`; remove it from `quotas`"
    );
    assert_eq!(
        refused("Pro", "overage = [\"mesages\"]"),
        "config/plans.toml: Pro has no count for `mesages`; remove it from `overage` or add it to `quotas`"
    );
    assert!(refused("Enterprise", "overage = [\"messages\"]").contains("no count"));
    assert!(refused("Pro", "quotas = { \"a b\" = 5 }").contains("lower-case letters"));
    assert!(with("Pro", "quotas = { pages = -5 }").is_err());
    assert_eq!(
        refused("Pro", "quotas = { leaves = 5 }"),
        "config/plans.toml: Pro has a count for `leaves`, which is not among the meters; add it there"
    );
}

#[test]
fn what_every_request_counts_cannot_be_left_out_or_counted_otherwise() {
    let text = include_str!("../../../../config/plans.toml");
    for (from, to) in [("api_calls = {", "calls = {"), ("\"unique\", source", "\"sum\", source")] {
        let error = Catalogue::parse(&text.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(error.contains("must be counted by the edge"), "{error}");
    }
}
