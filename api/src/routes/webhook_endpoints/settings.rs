//! What a tenant says of an endpoint: checked, its headers sealed.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use domain::destination::Destination;
use domain::faults::Faults;
use domain::id::{TenantId, WebhookEndpointId};
use http::{HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::{Value, json};
use store::webhook_endpoints::{EndpointSettings, Ordering, headers_place};
use utoipa::ToSchema;
use vault::DataKeys;
use webhooks::event_type::EventPattern;
use webhooks::filter::Filter;
use webhooks::signature::SignatureKind;

use crate::app::App;
use crate::extract::Wire;
use crate::problem::Problem;

/// Most patterns of an endpoint.
const EVENT_TYPES_MAX: usize = 50;
/// Most headers of its own.
const HEADERS_MAX: usize = 10;
/// Longest value of one, in characters.
const HEADER_CHARS_MAX: usize = 1000;
/// Longest description, in characters.
const DESCRIPTION_CHARS_MAX: usize = 500;
/// Largest rate limit, in deliveries a minute.
const RATE_LIMIT_MAX: u32 = 1_000_000;
/// Most deliveries at the same time, and how many unless something is said.
const IN_FLIGHT_MAX: u8 = 100;
const IN_FLIGHT_DEFAULT: u8 = 20;

/// Headers that are ours, or that say how a message is framed and routed.
const RESERVED: [&str; 16] = [
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "x-forwarded-for",
];
const RESERVED_PREFIXES: [&str; 2] = ["webhook-", "proxy-"];

/// Headers of a tenant's own, by name.
pub(super) type Headers = Vec<(String, String)>;

/// A new endpoint.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateEndpoint {
    #[schema(example = "https://example.com/hooks")]
    url: String,
    description: Option<String>,
    /// Which events: names, `invoice.*` for all that begin so, `*` for all (the default).
    #[schema(example = json!(["invoice.*", "user.joined"]))]
    event_types: Option<Vec<String>>,
    /// Conditions on fields of the message, which must all hold; each with one test: `equals`, `not_equals`, `one_of`,
    /// `at_least`, `at_most` or `exists`.
    #[schema(example = json!([{"field": "/data/total/amount_minor", "at_least": 10_000}]))]
    filter: Option<Value>,
    /// Headers of your own; not those that PyTake sets.
    #[serde(default)]
    #[schema(example = json!({"authorization": "Bearer …"}))]
    headers: BTreeMap<String, String>,
    /// `Hmac` (the default) or `Ed25519`.
    #[schema(example = "Hmac")]
    signature: Option<String>,
    /// `None` (the default): in any order; `ByKey`: one at a time of those about the same thing; `Strict`: one at a time.
    #[schema(example = "None")]
    ordering: Option<String>,
    /// Deliveries a minute.
    #[schema(example = 600)]
    rate_limit: Option<u32>,
    /// Deliveries at the same time, 1 to 100.
    #[schema(example = 20)]
    max_in_flight: Option<u8>,
}

/// A checked [`CreateEndpoint`].
pub(crate) struct NewEndpoint {
    pub(super) settings: EndpointSettings,
    pub(super) signature: SignatureKind,
    pub(super) headers: Headers,
}

impl Wire for CreateEndpoint {
    type Parsed = NewEndpoint;

    fn parse(self) -> Result<NewEndpoint, Faults> {
        let mut faults = Faults::new();
        let url = faults.check("/url", self.url.parse());
        let event_types = self.event_types.unwrap_or_else(|| vec!["*".to_owned()]);
        let event_types = patterns(&mut faults, &event_types);
        let filter = self.filter.and_then(|filter| filter_of(&mut faults, &filter));
        let headers = headers_of(&mut faults, self.headers);
        let description = self.description.unwrap_or_default();
        check_description(&mut faults, &description);
        let signature = self.signature.as_deref().unwrap_or(SignatureKind::Hmac.as_str());
        let signature = faults.check("/signature", signature.parse());
        let ordering = self.ordering.as_deref().unwrap_or(Ordering::None.as_str());
        let ordering = ordering_of(&mut faults, ordering);
        let rate_limit = self.rate_limit.and_then(|limit| rate_limit_of(&mut faults, limit));
        let in_flight_max = self.max_in_flight.unwrap_or(IN_FLIGHT_DEFAULT);
        check_in_flight(&mut faults, in_flight_max);
        let parsed = || {
            let settings = EndpointSettings {
                url: url?,
                description,
                event_types,
                filter,
                header_names: headers.iter().map(|(name, _)| name.clone()).collect(),
                headers_sealed: None,
                ordering: ordering?,
                rate_limit,
                in_flight_max,
            };
            Some(NewEndpoint { settings, signature: signature?, headers })
        };
        let parsed = parsed();
        faults.finish(parsed)
    }
}

/// What to change of an endpoint; what is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateEndpoint {
    url: Option<String>,
    description: Option<String>,
    #[schema(example = json!(["*"]))]
    event_types: Option<Vec<String>>,
    /// Replaces the conditions; `[]` takes them away.
    filter: Option<Value>,
    /// Replaces all headers of your own.
    headers: Option<BTreeMap<String, String>>,
    /// `None`, `ByKey` or `Strict`; for messages from now on.
    ordering: Option<String>,
    /// Deliveries a minute; 0 takes the limit away.
    rate_limit: Option<u32>,
    max_in_flight: Option<u8>,
    /// `false`: gets nothing; `true`: gets messages again, as if it had never failed.
    enabled: Option<bool>,
}

/// A checked [`UpdateEndpoint`].
pub(crate) struct EndpointChange {
    pub(super) url: Option<Destination>,
    description: Option<String>,
    event_types: Option<Vec<EventPattern>>,
    filter: Option<Option<Filter>>,
    pub(super) headers: Option<Headers>,
    ordering: Option<Ordering>,
    rate_limit: Option<Option<NonZeroU32>>,
    in_flight_max: Option<u8>,
    pub(super) enabled: Option<bool>,
}

impl Wire for UpdateEndpoint {
    type Parsed = EndpointChange;

    fn parse(self) -> Result<EndpointChange, Faults> {
        let mut faults = Faults::new();
        if let Some(description) = &self.description {
            check_description(&mut faults, description);
        }
        if let Some(most) = self.max_in_flight {
            check_in_flight(&mut faults, most);
        }
        let change = EndpointChange {
            url: self.url.and_then(|url| faults.check("/url", url.parse())),
            description: self.description,
            event_types: self.event_types.map(|texts| patterns(&mut faults, &texts)),
            filter: self.filter.map(|filter| {
                if filter == json!([]) { None } else { filter_of(&mut faults, &filter) }
            }),
            headers: self.headers.map(|headers| headers_of(&mut faults, headers)),
            ordering: self.ordering.and_then(|text| ordering_of(&mut faults, &text)),
            rate_limit: self
                .rate_limit
                .map(|limit| if limit == 0 { None } else { rate_limit_of(&mut faults, limit) }),
            in_flight_max: self.max_in_flight,
            enabled: self.enabled,
        };
        faults.finish(Some(change))
    }
}

impl EndpointChange {
    /// The settings after the change; headers are sealed by the caller.
    pub(super) fn applied_to(&self, mut settings: EndpointSettings) -> EndpointSettings {
        fn replace<T: Clone>(kept: &mut T, new: Option<&T>) {
            if let Some(new) = new {
                kept.clone_from(new);
            }
        }
        replace(&mut settings.url, self.url.as_ref());
        replace(&mut settings.description, self.description.as_ref());
        replace(&mut settings.event_types, self.event_types.as_ref());
        replace(&mut settings.filter, self.filter.as_ref());
        replace(&mut settings.ordering, self.ordering.as_ref());
        replace(&mut settings.rate_limit, self.rate_limit.as_ref());
        replace(&mut settings.in_flight_max, self.in_flight_max.as_ref());
        if let Some(headers) = &self.headers {
            settings.header_names = headers.iter().map(|(name, _)| name.clone()).collect();
        }
        settings
    }
}

fn check_description(faults: &mut Faults, text: &str) {
    if text.chars().count() > DESCRIPTION_CHARS_MAX {
        faults
            .push("/description", format!("must have at most {DESCRIPTION_CHARS_MAX} characters"));
    }
}

fn check_in_flight(faults: &mut Faults, most: u8) {
    if most == 0 || most > IN_FLIGHT_MAX {
        faults.push("/max_in_flight", format!("must be 1 to {IN_FLIGHT_MAX}"));
    }
}

fn ordering_of(faults: &mut Faults, text: &str) -> Option<Ordering> {
    let expected = "must be `None`, `ByKey` or `Strict`";
    faults.check("/ordering", Ordering::parse(text).ok_or(expected))
}

fn rate_limit_of(faults: &mut Faults, limit: u32) -> Option<NonZeroU32> {
    let within = NonZeroU32::new(limit).filter(|limit| limit.get() <= RATE_LIMIT_MAX);
    let expected = format!("must be 1 to {RATE_LIMIT_MAX} deliveries a minute");
    faults.check("/rate_limit", within.ok_or(expected))
}

fn filter_of(faults: &mut Faults, filter: &Value) -> Option<Filter> {
    Filter::parse(filter, "/filter", faults)
}

fn patterns(faults: &mut Faults, texts: &[String]) -> Vec<EventPattern> {
    patterns_at(faults, "/event_types", texts)
}

/// Patterns of events, each once.
pub(super) fn patterns_at(
    faults: &mut Faults,
    pointer: &str,
    texts: &[String],
) -> Vec<EventPattern> {
    if texts.is_empty() || texts.len() > EVENT_TYPES_MAX {
        faults.push(pointer, format!("must have 1 to {EVENT_TYPES_MAX} entries"));
        return Vec::new();
    }
    let mut patterns = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        let pattern = faults.check(&format!("{pointer}/{index}"), text.parse::<EventPattern>());
        patterns.extend(pattern.filter(|pattern| !patterns.contains(pattern)));
    }
    patterns
}

fn headers_of(faults: &mut Faults, headers: BTreeMap<String, String>) -> Headers {
    if headers.len() > HEADERS_MAX {
        faults.push("/headers", format!("must have at most {HEADERS_MAX} entries"));
        return Vec::new();
    }
    let mut checked = Headers::new();
    for (name, value) in headers {
        let pointer = format!("/headers/{}", name.replace('~', "~0").replace('/', "~1"));
        let name = faults.check(&pointer, header_name(&name));
        let value = faults.check(&pointer, header_value(value));
        let (Some(name), Some(value)) = (name, value) else { continue };
        if checked.iter().any(|(known, _)| *known == name) {
            faults.push(&pointer, "comes twice; the case of letters does not matter");
        }
        checked.push((name, value));
    }
    checked
}

fn header_name(text: &str) -> Result<String, &'static str> {
    let name: HeaderName = text.parse().map_err(|_| "must be the name of an HTTP header")?;
    let name = name.as_str();
    let reserved =
        RESERVED.contains(&name) || RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    if reserved { Err("is set by PyTake; choose another name") } else { Ok(name.to_owned()) }
}

fn header_value(text: String) -> Result<String, &'static str> {
    let visible = HeaderValue::from_str(&text).is_ok_and(|value| value.to_str().is_ok());
    if visible && text.len() <= HEADER_CHARS_MAX {
        Ok(text)
    } else {
        Err("must have a value of at most 1000 visible ASCII characters")
    }
}

/// Refuses an address that would not be called.
pub(super) fn check_destination(app: &App, url: &Destination) -> Result<(), Problem> {
    app.destinations.check(url).map_err(|refused| {
        let mut faults = Faults::new();
        faults.push("/url", refused);
        faults.into()
    })
}

/// The headers in their stored form; `None`: there are none.
pub(super) fn seal_headers(
    app: &App,
    keys: &DataKeys,
    tenant_id: TenantId,
    id: WebhookEndpointId,
    headers: &Headers,
) -> Result<Option<Vec<u8>>, Problem> {
    if headers.is_empty() {
        return Ok(None);
    }
    let text = serde_json::to_vec(headers).map_err(Problem::internal)?;
    let place = headers_place(tenant_id, id);
    Ok(Some(keys.seal(place, &text, app.keys.sealer.entropy())?))
}
