//! The limits of a request: which cells it takes of, and how the outcome reads in headers
//! (draft-ietf-httpapi-ratelimit-headers-10).

use std::net::IpAddr;
use std::time::Duration;

use http::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use limits::gcra::WINDOW_SECS;
use limits::{CellKey, Demand, Demands, Verdict};
use policy::{Limit, LimitRule, LimitScope, Limits};

use crate::headers::{LIMIT, LIMIT_POLICY};

/// What one limit takes up in a header, about.
const ITEM_LEN: usize = 40;

/// The demands for a granted request's limits by the minute that are in force.
pub(crate) fn demands(limits: &Limits) -> Demands {
    [limits.address, limits.api_key, limits.tenant].map(|limit| limit.and_then(demand))
}

fn demand(limit: Limit) -> Option<Demand> {
    let LimitRule::PerMinute(per_minute) = limit.rule else { return None };
    let (key, policy) = match limit.scope {
        _ if limit.shadow => return None,
        LimitScope::Concurrency(_) | LimitScope::Quota(_) => return None,
        LimitScope::Tenant(id) => {
            (CellKey { space: "tenant", id: id.as_uuid().as_u128(), part: 0 }, "plan")
        }
        LimitScope::ApiKey(id) => {
            (CellKey { space: "key", id: id.as_uuid().as_u128(), part: 0 }, "key")
        }
        LimitScope::Address(route, address) => {
            (CellKey { space: "address", id: bits(address), part: route }, "address")
        }
    };
    Some(Demand { key, per_minute, policy })
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// Says in the headers of an answer how every limit stands, and after a refusal when to come back.
pub(crate) fn write_headers(headers: &mut HeaderMap, verdict: &Verdict) {
    let mut policies = String::with_capacity(ITEM_LEN);
    let mut limits = String::with_capacity(ITEM_LEN);
    for standing in verdict.standings.iter().flatten() {
        let separator = if policies.is_empty() { "\"" } else { ", \"" };
        for text in [&mut policies, &mut limits] {
            text.push_str(separator);
            text.push_str(standing.policy);
        }
        push_parameter(&mut policies, "\";q=", standing.quota);
        push_parameter(&mut policies, ";w=", WINDOW_SECS);
        push_parameter(&mut limits, "\";r=", standing.remaining);
        push_parameter(&mut limits, ";t=", ceil_secs(standing.reset));
    }
    for (name, text) in [(&LIMIT_POLICY, policies), (&LIMIT, limits)] {
        // Names of limits, digits and punctuation: always a value.
        if !text.is_empty()
            && let Ok(value) = HeaderValue::try_from(text)
        {
            headers.insert(name, value);
        }
    }
    if let Some(refusal) = verdict.refusal {
        let secs = ceil_secs(refusal.retry_after).max(1);
        headers.insert(RETRY_AFTER, HeaderValue::from(secs));
    }
}

fn push_parameter(text: &mut String, name: &str, value: u64) {
    text.push_str(name);
    text.push_str(itoa::Buffer::new().format(value));
}

/// What the refused caller reads.
pub(crate) fn refusal_detail(refusal: &limits::Refusal) -> String {
    let whose = match refusal.policy {
        "plan" => "The tenant's plan allows",
        "key" => "The API key allows",
        _ => "One address may make",
    };
    let (quota, secs) = (refusal.quota, ceil_secs(refusal.retry_after).max(1));
    format!("{whose} {quota} calls a minute here; try again in {secs} s.")
}

/// Whole seconds, rounded up: waiting as told must suffice.
fn ceil_secs(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use limits::{Refusal, Standing};

    #[test]
    fn headers_are_structured_fields() {
        let standing = |policy, quota, remaining| {
            Some(Standing { policy, quota, remaining, reset: Duration::from_millis(5_001) })
        };
        let retry_after = Duration::from_millis(5_001);
        let verdict = Verdict {
            standings: [standing("key", 3, 2), standing("plan", 10, 0), None],
            refusal: Some(Refusal { policy: "plan", quota: 10, retry_after }),
        };
        let mut headers = HeaderMap::new();
        write_headers(&mut headers, &verdict);
        let header = |name: &str| headers[name].to_str().unwrap();
        assert_eq!(header("ratelimit-policy"), r#""key";q=3;w=60, "plan";q=10;w=60"#);
        assert_eq!(header("ratelimit"), r#""key";r=2;t=6, "plan";r=0;t=6"#);
        assert_eq!(header("retry-after"), "6");
    }
}
