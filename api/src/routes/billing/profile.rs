//! To whom a tenant's invoices are made out, and so how they are taxed.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use billing::{Country, Recipient, TaxId};
use domain::email::EmailAddress;
use domain::event::Action;
use domain::faults::Faults;
use http::header::ETAG;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::billing::account;
use store::billing_profiles;
use utoipa::ToSchema;

use crate::app::App;
use crate::authorized::{Authorized, needs};
use crate::extract::{Body, IfMatch, Wire, etag};
use crate::problem::Problem;
use crate::routes::sign_up::free_text;

const NAME_CHARS_MAX: usize = 200;
const ADDRESS_LINES_MAX: usize = 4;
const ADDRESS_LINE_CHARS_MAX: usize = 200;
const POSTAL_CODE_CHARS_MAX: usize = 20;
const CITY_CHARS_MAX: usize = 100;
const REGION_CHARS_MAX: usize = 10;

/// To whom invoices are made out.
#[derive(Serialize, ToSchema)]
pub(crate) struct ProfileBody {
    /// The legal name; the tenant's until another is set.
    #[schema(example = "Acme GmbH")]
    name: String,
    /// Where invoices go beside the owners.
    email: Option<String>,
    /// Street and the like, a line each.
    #[schema(example = json!(["Musterstraße 1"]))]
    address: Vec<String>,
    #[schema(example = "10115")]
    postal_code: Option<String>,
    #[schema(example = "Berlin")]
    city: Option<String>,
    /// ISO 3166-1 alpha-2.
    #[schema(example = "DE")]
    country: Option<String>,
    /// The state, where taxes go by states: `NY`.
    region: Option<String>,
    #[schema(example = "DE136695976")]
    tax_id: Option<String>,
    /// Whether an operator has seen that the tenant pays no tax.
    tax_exempt: bool,
    /// What looks wrong, though it was stored.
    warnings: Vec<String>,
}

impl ProfileBody {
    fn new(profile: Recipient) -> Self {
        let warnings = warning(&profile).into_iter().collect();
        Self {
            name: profile.name,
            email: profile.email,
            address: profile.address,
            postal_code: profile.postal_code,
            city: profile.city,
            country: profile.country.map(|country| country.to_string()),
            region: profile.region,
            tax_id: profile.tax_id.map(|id| id.as_str().to_owned()),
            tax_exempt: profile.tax_exempt,
            warnings,
        }
    }

    fn respond(profile: Recipient, version: i64) -> Response {
        ([(ETAG, etag(version))], Json(Self::new(profile))).into_response()
    }
}

/// A VAT id of another country than the one where the customer is says nothing of a business there.
fn warning(profile: &Recipient) -> Option<String> {
    let of = profile.tax_id.as_ref().and_then(TaxId::vat_country)?;
    match profile.country {
        Some(country) if country == of => None,
        Some(country) => Some(format!(
            "The tax id is one of {of}, and the country is {country}: tax is charged as to a consumer."
        )),
        None => Some(format!("The tax id is one of {of}; say in which country the customer is.")),
    }
}

/// Show the billing profile
///
/// The `ETag` is the version to send as `If-Match` when changing it; `"v0"` before the first.
#[utoipa::path(
    get,
    path = "/api/v1/tenants/{tenant_id}/billing/profile",
    tag = "Billing",
    params(("tenant_id" = String, Path)),
    responses((status = 200, body = ProfileBody)),
    extensions(("x-permission" = json!("ViewBilling"))),
)]
pub(crate) async fn show(
    State(app): State<App>,
    auth: Authorized<needs::ViewBilling>,
) -> Result<Response, Problem> {
    let mut tx = auth.begin(&app).await?;

    let version = billing_profiles::version(&mut tx).await?;
    let profile = account::recipient(&mut tx).await?;

    Ok(ProfileBody::respond(profile, version))
}

/// To whom invoices are to be made out.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PutProfile {
    /// The legal name.
    #[schema(example = "Acme GmbH")]
    name: String,
    /// Where invoices go beside the owners.
    email: Option<String>,
    /// Street and the like, at most four lines.
    #[serde(default)]
    #[schema(example = json!(["Musterstraße 1"]))]
    address: Vec<String>,
    #[schema(example = "10115")]
    postal_code: Option<String>,
    #[schema(example = "Berlin")]
    city: Option<String>,
    /// ISO 3166-1 alpha-2.
    #[schema(example = "DE")]
    country: Option<String>,
    /// The state, where taxes go by states: `NY`.
    region: Option<String>,
    /// A VAT id of the EU or the United Kingdom is checked for its form; others are taken as they are.
    #[schema(example = "DE136695976")]
    tax_id: Option<String>,
}

impl Wire for PutProfile {
    type Parsed = Recipient;

    fn parse(self) -> Result<Recipient, Faults> {
        let mut faults = Faults::new();
        let name = line(&mut faults, "/name", Some(self.name), NAME_CHARS_MAX);
        let email = self.email.and_then(|text| faults.check("/email", text.parse()));
        let country: Option<Country> =
            self.country.and_then(|text| faults.check("/country", text.parse()));
        let tax_id = self.tax_id.and_then(|text| faults.check("/tax_id", text.parse()));
        let postal_code =
            line(&mut faults, "/postal_code", self.postal_code, POSTAL_CODE_CHARS_MAX);
        let city = line(&mut faults, "/city", self.city, CITY_CHARS_MAX);
        let region = self.region.map(|text| text.trim().to_ascii_uppercase());
        let region = line(&mut faults, "/region", region, REGION_CHARS_MAX);
        if self.address.len() > ADDRESS_LINES_MAX {
            faults.push("/address", format!("must have at most {ADDRESS_LINES_MAX} lines"));
        }
        let lines = self.address.into_iter().take(ADDRESS_LINES_MAX).enumerate();
        let address = lines.filter_map(|(index, text)| {
            let pointer = format!("/address/{index}");
            line(&mut faults, &pointer, Some(text), ADDRESS_LINE_CHARS_MAX)
        });
        let address = address.collect();
        faults.finish(name.map(|name| Recipient {
            name,
            email: email.map(|email: EmailAddress| email.as_str().to_owned()),
            address,
            postal_code,
            city,
            country,
            region,
            tax_id,
            tax_exempt: false,
        }))
    }
}

/// A line of 1 to `max` characters, where one is given.
fn line(faults: &mut Faults, pointer: &str, text: Option<String>, max: usize) -> Option<String> {
    let text = free_text(faults, pointer, text, max)?.trim().to_owned();
    if text.is_empty() {
        faults.push(pointer, "must not be empty");
    }
    Some(text)
}

/// Set the billing profile
///
/// As a whole: what is left out is not known any more. Invoices from now on are made out to it, and taxed by its country;
/// those that were finalised keep what they say. With `If-Match`, refused when somebody else changed it meanwhile.
#[utoipa::path(
    put,
    path = "/api/v1/tenants/{tenant_id}/billing/profile",
    tag = "Billing",
    params(("tenant_id" = String, Path), ("If-Match" = Option<String>, Header)),
    request_body = PutProfile,
    responses((status = 200, body = ProfileBody)),
    extensions(
        ("x-permission" = json!("ManageBilling")),
        ("x-problems" = json!(["precondition-failed"])),
    ),
)]
pub(crate) async fn put(
    State(app): State<App>,
    auth: Authorized<needs::ManageBilling>,
    if_match: IfMatch,
    body: Body<PutProfile>,
) -> Result<Response, Problem> {
    let mut tx = auth.begin(&app).await?;
    let version = billing_profiles::version(&mut tx).await?;
    if_match.check(version)?;
    let before = account::recipient(&mut tx).await?;

    let now = app.tenant_now(&mut tx).await?;
    billing_profiles::put(&mut tx, &body.value, version, now).await?;
    let after = account::recipient(&mut tx).await?;
    let changes = json!({ "before": audited(&before), "after": audited(&after) });
    let target = auth.tenant_id;
    auth.caller.audit(&app, &mut tx, Action::BillingProfileUpdated, target, changes).await?;

    auth.caller.commit(tx).await?;
    Ok(ProfileBody::respond(after, version + 1))
}

/// What the audit trail says: what decides on tax, and which fields there are; addresses of people stay out of it.
fn audited(profile: &Recipient) -> Value {
    json!({
        "name": profile.name,
        "country": profile.country,
        "region": profile.region,
        "tax_id": profile.tax_id,
        "tax_exempt": profile.tax_exempt,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(country: Option<&str>, tax_id: &str) -> PutProfile {
        PutProfile {
            name: " Acme GmbH ".to_owned(),
            email: None,
            address: Vec::new(),
            postal_code: None,
            city: None,
            country: country.map(str::to_owned),
            region: Some("ny".to_owned()),
            tax_id: Some(tax_id.to_owned()),
        }
    }

    #[test]
    fn a_tax_id_of_another_country_is_stored_with_a_warning() {
        let warned = |country, tax_id| warning(&profile(country, tax_id).parse().unwrap());
        assert_eq!(warned(Some("DE"), "DE136695976"), None);
        assert!(warned(Some("DE"), "FR40303265045").is_some());
        assert!(warned(None, "DE136695976").is_some());
        assert_eq!(warned(Some("US"), "12-3456789"), None);
    }

    #[test]
    fn texts_are_trimmed_and_states_are_capitals() {
        let parsed = profile(Some("US"), "12-3456789").parse().unwrap();
        assert_eq!((parsed.name.as_str(), parsed.region.as_deref()), ("Acme GmbH", Some("NY")));
    }
}
