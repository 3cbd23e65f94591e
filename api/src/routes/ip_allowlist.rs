//! The networks that may call for a tenant. An empty list lets every address call.

use std::net::IpAddr;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use domain::event::Action;
use domain::faults::Faults;
use domain::problem::ProblemKind;
use http::header::ETAG;
use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::ip_allowlists::{self, IpAllowlist};
use utoipa::ToSchema;
use webhooks::events::edge::{IpAllowlistData, IpAllowlistUpdated};

use crate::app::App;
use crate::authorized::{Authorized, needs};
use crate::events;
use crate::extract::{Body, IfMatch, Wire, etag};
use crate::problem::Problem;

/// Most networks of one list.
pub(crate) const NETWORKS_MAX: usize = 500;

/// A tenant's list.
#[derive(Serialize, ToSchema)]
pub(crate) struct IpAllowlistBody {
    /// Networks in CIDR form.
    #[schema(example = json!(["203.0.113.0/24", "2001:db8::/32"]))]
    networks: Vec<String>,
}

fn respond(list: &IpAllowlist) -> Response {
    let networks = list.networks.iter().map(ToString::to_string).collect();
    ([(ETAG, etag(list.version))], Json(IpAllowlistBody { networks })).into_response()
}

/// Show the address allowlist
#[utoipa::path(
    get,
    path = "/api/v1/tenants/{tenant_id}/ip-allowlist",
    tag = "Network",
    params(("tenant_id" = String, Path)),
    responses((status = 200, body = IpAllowlistBody)),
    extensions(("x-permission" = json!("ViewNetwork"))),
)]
pub(crate) async fn show(
    State(app): State<App>,
    auth: Authorized<needs::ViewNetwork>,
) -> Result<Response, Problem> {
    let mut tx = auth.begin(&app).await?;

    Ok(respond(&ip_allowlists::get(&mut tx).await?))
}

/// A new list.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplaceIpAllowlist {
    /// Networks in CIDR form, or single addresses; empty lets every address call.
    #[schema(example = json!(["203.0.113.0/24", "2001:db8::/32"]))]
    networks: Vec<String>,
    /// `true` to store a list that your own address is not on.
    allow_lockout: Option<bool>,
}

/// A checked [`ReplaceIpAllowlist`].
pub(crate) struct NewIpAllowlist {
    networks: Vec<IpNet>,
    allow_lockout: bool,
}

impl Wire for ReplaceIpAllowlist {
    type Parsed = NewIpAllowlist;

    fn parse(self) -> Result<NewIpAllowlist, Faults> {
        let mut faults = Faults::new();
        let networks = parse_networks(&mut faults, "/networks", &self.networks, NETWORKS_MAX);
        let allow_lockout = self.allow_lockout.unwrap_or(false);
        faults.finish(Some(NewIpAllowlist { networks, allow_lockout }))
    }
}

/// Networks in their canonical form: host bits cleared, IPv4-mapped IPv6 as IPv4, each once, in order.
pub(crate) fn parse_networks(
    faults: &mut Faults,
    pointer: &str,
    texts: &[String],
    max: usize,
) -> Vec<IpNet> {
    if texts.len() > max {
        faults.push(pointer, format!("must have at most {max} entries"));
        return Vec::new();
    }
    let mut networks = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        let network = parse_network(text).ok_or(
            "must be a network such as `203.0.113.0/24` or an address such as `2001:db8::1`",
        );
        networks.extend(faults.check(&format!("{pointer}/{index}"), network));
    }
    networks.sort_unstable();
    networks.dedup();
    networks
}

fn parse_network(text: &str) -> Option<IpNet> {
    let text = text.trim();
    let network = match text.parse::<IpNet>() {
        Ok(network) => network.trunc(),
        Err(_) => IpNet::from(text.parse::<IpAddr>().ok()?),
    };
    match network {
        IpNet::V6(v6) if v6.prefix_len() >= 96 => match v6.addr().to_ipv4_mapped() {
            Some(v4) => Ipv4Net::new(v4, v6.prefix_len() - 96).ok().map(IpNet::V4),
            None => Some(network),
        },
        _ => Some(network),
    }
}

/// Replace the address allowlist
///
/// Enforced at every edge within moments. A list without your own address is refused unless you say
/// `allow_lockout`.
#[utoipa::path(
    put,
    path = "/api/v1/tenants/{tenant_id}/ip-allowlist",
    tag = "Network",
    params(("tenant_id" = String, Path), ("If-Match" = Option<String>, Header)),
    request_body = ReplaceIpAllowlist,
    responses((status = 200, body = IpAllowlistBody)),
    extensions(
        ("x-permission" = json!("ManageNetwork")),
        ("x-problems" = json!(["conflict", "precondition-failed"])),
    ),
)]
pub(crate) async fn replace(
    State(app): State<App>,
    auth: Authorized<needs::ManageNetwork>,
    if_match: IfMatch,
    body: Body<ReplaceIpAllowlist>,
) -> Result<Response, Problem> {
    let mut tx = auth.begin(&app).await?;
    let before = ip_allowlists::get(&mut tx).await?;
    if_match.check(before.version)?;

    let NewIpAllowlist { networks, allow_lockout } = body.value;
    let own = auth.caller.context.client_address.to_canonical();
    let locked_out = !networks.is_empty() && !networks.iter().any(|network| network.contains(&own));
    if locked_out && !allow_lockout {
        let detail = format!(
            "The list leaves out your own address {own}; add it, or send `\"allow_lockout\": true`."
        );
        return Err(Problem::new(ProblemKind::Conflict, detail));
    }

    let version = ip_allowlists::replace(&mut tx, before.version, &networks, app.now()).await?;
    let changes = json!({ "before": before.networks, "after": networks });
    let target = auth.tenant_id;
    auth.caller.audit(&app, &mut tx, Action::IpAllowlistUpdated, target, changes).await?;
    let event = IpAllowlistUpdated(IpAllowlistData {
        tenant_id: auth.tenant_id().to_string(),
        networks: networks.iter().map(ToString::to_string).collect(),
    });
    events::publish(&app, &mut tx, &event).await?;

    auth.caller.commit(tx).await?;
    Ok(respond(&IpAllowlist { networks, version }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn canonical(texts: &[&str]) -> Vec<String> {
        let mut faults = Faults::new();
        let texts: Vec<_> = texts.iter().map(|text| (*text).to_owned()).collect();
        let networks = parse_networks(&mut faults, "/networks", &texts, 10);
        assert!(faults.is_empty(), "{faults:?}");
        networks.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn networks_have_one_canonical_form() {
        assert_eq!(canonical(&["203.0.113.9/24", "203.0.113.0/24"]), ["203.0.113.0/24"]);
        assert_eq!(canonical(&["::ffff:192.0.2.1"]), ["192.0.2.1/32"]);
        assert_eq!(canonical(&["2001:DB8::/32", "10.0.0.1"]), ["10.0.0.1/32", "2001:db8::/32"]);
    }

    #[test]
    fn each_bad_network_is_named() {
        let mut faults = Faults::new();
        let texts = ["10.0.0.0/33".to_owned(), "10.0.0.0/8".to_owned(), "example.com".to_owned()];
        parse_networks(&mut faults, "/networks", &texts, 10);
        let pointers: Vec<_> = faults.into_vec().into_iter().map(|fault| fault.pointer).collect();
        assert_eq!(pointers, ["/networks/0", "/networks/2"]);
    }

    proptest! {
        #[test]
        fn a_network_is_taken_in_one_form_that_holds_what_was_sent(
            bits in any::<u128>(),
            mapped in any::<bool>(),
            v4 in any::<bool>(),
            length in any::<u8>(),
            spaces in " {0,2}",
        ) {
            let low = u32::try_from(bits & u128::from(u32::MAX)).unwrap_or_default();
            let address = match (v4, mapped) {
                (true, _) => IpAddr::from(low.to_be_bytes()),
                (false, true) => IpAddr::V6(std::net::Ipv4Addr::from_bits(low).to_ipv6_mapped()),
                (false, false) => IpAddr::from(bits.to_be_bytes()),
            };
            let sent = format!("{spaces}{address}/{length}{spaces}");
            let longest = if v4 { 32 } else { 128 };
            let Some(taken) = parse_network(&sent) else {
                prop_assert!(length > longest, "{sent}");
                return Ok(());
            };
            prop_assert!(length <= longest, "{sent}");
            prop_assert_eq!(taken, taken.trunc());
            prop_assert_eq!(parse_network(&taken.to_string()), Some(taken));
            let held = if matches!(taken, IpNet::V4(_)) { address.to_canonical() } else { address };
            prop_assert!(taken.contains(&held), "{sent}: {taken}");
        }

        #[test]
        fn any_text_is_a_network_or_a_fault(text in "\\PC{0,40}|[0-9a-f:./]{0,40}") {
            if let Some(network) = parse_network(&text) {
                prop_assert_eq!(parse_network(&network.to_string()), Some(network));
            }
        }
    }
}
