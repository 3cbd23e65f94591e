use super::*;

/// `[payments]` as it is shipped, with lines replaced.
fn settings(changes: &[(&str, &str)]) -> PaymentSettings {
    let defaults = include_str!("../../../../config/default.toml");
    let mut table: toml::Table = defaults.parse().unwrap();
    let payments = table.get_mut("payments").unwrap();
    for (path, value) in changes {
        let mut place = &mut *payments;
        for part in path.split('.') {
            place = place.get_mut(part).unwrap();
        }
        let line: toml::Table = format!("value = {value}").parse().unwrap();
        *place = line["value"].clone();
    }
    payments.clone().try_into().unwrap()
}

fn open(production: bool, changes: &[(&str, &str)]) -> Result<Vec<ProviderName>, String> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let opened = settings(changes).open(production, "https://api.example");
    opened
        .map(|providers| providers.all().map(|provider| provider.name()).collect())
        .map_err(|error| error.to_string())
}

const STRIPE: [(&str, &str); 3] = [
    ("sandbox", "false"),
    ("stripe.secret_key", "'sk_test_1'"),
    ("stripe.webhook_secrets", "['whsec_1']"),
];

#[test]
fn what_is_shipped_has_the_sandbox_and_nothing_else() {
    assert_eq!(open(false, &[]), Ok(vec![ProviderName::Sandbox]));
    assert!(open(true, &[]).unwrap_err().contains("payments.sandbox"));
    assert_eq!(open(true, &[("sandbox", "false")]), Ok(Vec::new()));
    let bank = [("sandbox", "false"), ("bank_transfer.enabled", "true")];
    assert_eq!(open(true, &bank), Ok(vec![ProviderName::BankTransfer]));
}

#[test]
fn stripe_wants_a_key_and_the_secret_of_its_webhook() {
    assert_eq!(open(true, &STRIPE), Ok(vec![ProviderName::Stripe]));
    for none in ["[]", "['']", "['whsec_1', '']"] {
        let changes = [&STRIPE[..2], &[("stripe.webhook_secrets", none)]].concat();
        let message = open(true, &changes).unwrap_err();
        assert!(message.starts_with("payments.stripe.webhook_secrets"), "{message}");
    }
    // Without a key it is not set up, whatever else there is.
    assert_eq!(open(true, &[STRIPE[0], STRIPE[2]]), Ok(Vec::new()));
}

/// Each of a provider's settings but one: the message names that one.
fn each_is_missed(provider: ProviderName, all: &[(&str, &str)]) {
    let sandbox = [("sandbox", "false")];
    assert_eq!(open(true, &[&sandbox[..], all].concat()), Ok(vec![provider]));
    for (missing, _) in &all[1..] {
        let rest = all.iter().filter(|(path, _)| path != missing).copied();
        let changes: Vec<_> = sandbox.into_iter().chain(rest).collect();
        let message = open(true, &changes).unwrap_err();
        assert!(message.starts_with(&format!("payments.{missing}")), "{message}");
    }
}

#[test]
fn half_a_provider_is_refused() {
    each_is_missed(
        ProviderName::PayPal,
        &[
            ("paypal.client_id", "'client'"),
            ("paypal.client_secret", "'secret'"),
            ("paypal.webhook_id", "'WH-1'"),
        ],
    );
    each_is_missed(
        ProviderName::BtcPay,
        &[
            ("btcpay.base_url", "'https://pay.example/btcpay'"),
            ("btcpay.store_id", "'store'"),
            ("btcpay.api_key", "'key'"),
            ("btcpay.webhook_secret", "'secret'"),
        ],
    );
}

#[test]
fn keys_go_in_the_clear_to_this_machine_only() {
    let with = |production, url: &str| {
        let url = format!("'{url}'");
        open(production, &[&STRIPE[..], &[("stripe.base_url", &url)]].concat())
    };
    for url in
        ["https://api.stripe.com", "http://127.0.0.1:1", "http://[::1]:1/", "http://localhost"]
    {
        assert!(with(true, url).is_ok(), "{url}");
    }
    assert!(with(false, "http://fake.example").is_ok());
    let refused = [
        "http://fake.example",
        "ftp://127.0.0.1",
        "api.stripe.com",
        "",
        "https://a/?b",
        "https://u:p@a/",
    ];
    for url in refused {
        let message = with(true, url).unwrap_err();
        assert!(message.starts_with("payments.stripe.base_url"), "{message}");
    }
    assert!(with(false, "ftp://fake.example").is_err());
}

#[test]
fn a_provider_is_offered_to_its_plans() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let changes = [&STRIPE[..], &[("stripe.plans", "['Pro']")]].concat();
    let providers = settings(&changes).open(true, "https://api.example").unwrap();
    let of = |plan| providers.of_plan(plan).collect::<Vec<_>>();
    assert_eq!(of(PlanName::Pro), [ProviderName::Stripe]);
    assert_eq!(of(PlanName::Free), []);
    assert!(providers.all().any(|provider| provider.name().pulls()));
    assert_eq!(providers.return_url(), "https://api.example");
}
