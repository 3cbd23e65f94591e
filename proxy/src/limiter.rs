//! The limits of a request: which cells it takes of, and how the outcome reads in headers
//! (draft-ietf-httpapi-ratelimit-headers-10).

use std::time::Duration;

use domain::problem::ProblemKind;
use http::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use jiff::Timestamp;
use limits::{
    CellKey, DEMANDS_MAX, Demand, Demands, InProgress, Limiter, Rule, Verdict, WINDOW_SECS,
};
use policy::{Grant, Limit, LimitRule, LimitScope, Limits};

use crate::headers::{LIMIT, LIMIT_POLICY};
use crate::metrics::LimitMetrics;
use crate::problem::Problem;

/// What one limit takes up in a header, about.
const ITEM_LEN: usize = 40;

/// What a request took, and how its limits stood then. Kept until its answer has ended: a request in progress
/// counts as such for as long.
#[derive(Debug)]
pub(crate) struct Taken {
    limits: [Option<Limit>; DEMANDS_MAX],
    verdict: Verdict,
    _in_progress: Option<InProgress>,
}

/// Takes what the granted request counts against, or nothing and says why.
pub(crate) async fn take(
    limiter: &Limiter,
    metrics: &LimitMetrics,
    grant: &Grant,
    now: Timestamp,
) -> (Taken, Option<Problem>) {
    let Limits { address, api_key, tenant, concurrency, quota } = grant.limits;
    let limits = [address, api_key, tenant, concurrency, quota];
    let demands: Demands = limits.map(|limit| limit.map(|limit| demand(limit, grant)));
    let (verdict, in_progress) = limits::take(limiter, &demands).await;
    let taken = Taken { limits, verdict, _in_progress: in_progress };
    let meter = meter(grant);
    for (limit, shadowed) in limits.into_iter().zip(verdict.shadowed) {
        if let Some(limit) = limit.filter(|_| shadowed) {
            metrics.count_refusal(name(limit, meter), "shadow");
        }
    }
    let problem = taken.refusal().map(|(limit, retry_after)| {
        metrics.count_refusal(name(limit, meter), "enforced");
        refused(limit, meter, retry_after, now)
    });
    (taken, problem)
}

fn demand(limit: Limit, grant: &Grant) -> Demand {
    let (rule, cost) = match limit.rule {
        LimitRule::PerMinute(count) => (Rule::PerMinute(count), None),
        LimitRule::Concurrent(count) => (Rule::Concurrent(count), None),
        LimitRule::PerPeriod { permits, cost, period_end, .. } => {
            let ends_at = u64::try_from(period_end.as_second()).unwrap_or(0);
            (Rule::PerPeriod { permits, ends_at }, Some(cost))
        }
    };
    let key = match (limit.scope, limit.rule) {
        (LimitScope::Tenant(id), _) => CellKey::tenant(id.as_uuid().as_u128()),
        (LimitScope::ApiKey(id), _) => CellKey::api_key(id.as_uuid().as_u128()),
        (LimitScope::Address(route, address), _) => CellKey::address(address, route),
        (LimitScope::Concurrency(id), _) => CellKey::concurrency(id.as_uuid().as_u128()),
        (LimitScope::Quota(id), rule) => {
            let begins_at = match rule {
                LimitRule::PerPeriod { period_start, .. } => period_start.as_second(),
                LimitRule::PerMinute(_) | LimitRule::Concurrent(_) => 0,
            };
            CellKey::quota(id.as_uuid().as_u128(), meter(grant), begins_at)
        }
    };
    Demand { key, rule, cost: cost.unwrap_or(std::num::NonZeroU32::MIN), shadow: limit.shadow }
}

/// The name of what the route counts.
fn meter(grant: &Grant) -> &str {
    grant.route.meter.as_ref().map_or("", |meter| meter.name.as_str())
}

/// A limit's name, as callers and operators read it.
const fn name(limit: Limit, meter: &str) -> &str {
    match limit.scope {
        LimitScope::Tenant(_) => "plan",
        LimitScope::ApiKey(_) => "key",
        LimitScope::Address(..) => "address",
        LimitScope::Concurrency(_) => "concurrency",
        LimitScope::Quota(_) => meter,
    }
}

impl Taken {
    /// The limit that refuses, and after which time it will not; `None` for the period's end.
    fn refusal(&self) -> Option<(Limit, Option<Duration>)> {
        let refusal = self.verdict.refusal?;
        let limit = self.limits.get(refusal.demand).copied().flatten()?;
        Some((limit, refusal.retry_after))
    }

    /// Says in the headers of an answer how every limit stands, and after a refusal when to come back. Limits
    /// in shadow mode are nobody's business yet.
    pub(crate) fn write_headers(&self, headers: &mut HeaderMap, grant: &Grant, now: Timestamp) {
        let mut policies = String::with_capacity(2 * ITEM_LEN);
        let mut limits = String::with_capacity(2 * ITEM_LEN);
        for (limit, standing) in self.limits.iter().zip(&self.verdict.standings) {
            let (Some(limit), Some(standing)) = (limit.filter(|limit| !limit.shadow), standing)
            else {
                continue;
            };
            let separator = if policies.is_empty() { "\"" } else { ", \"" };
            for text in [&mut policies, &mut limits] {
                text.push_str(separator);
                text.push_str(name(limit, meter(grant)));
            }
            push_parameter(&mut policies, "\";q=", standing.quota);
            push_parameter(&mut limits, "\";r=", standing.remaining);
            match limit.rule {
                LimitRule::PerMinute(_) => push_parameter(&mut policies, ";w=", WINDOW_SECS),
                LimitRule::Concurrent(_) => policies.push_str(";qu=\"concurrent-requests\""),
                LimitRule::PerPeriod { period_start, period_end, .. } => {
                    push_parameter(&mut policies, ";w=", secs_between(period_start, period_end));
                }
            }
            if !matches!(limit.rule, LimitRule::Concurrent(_)) {
                push_parameter(&mut limits, ";t=", wait_secs(limit, standing.reset, now));
            }
        }
        for (name, text) in [(&LIMIT_POLICY, policies), (&LIMIT, limits)] {
            // Names of limits, digits and punctuation: always a value.
            if !text.is_empty()
                && let Ok(value) = HeaderValue::try_from(text)
            {
                headers.insert(name, value);
            }
        }
        if let Some((limit, retry_after)) = self.refusal() {
            let secs = wait_secs(limit, retry_after, now).max(1);
            headers.insert(RETRY_AFTER, HeaderValue::from(secs));
        }
    }
}

fn push_parameter(text: &mut String, name: &str, value: u64) {
    text.push_str(name);
    text.push_str(itoa::Buffer::new().format(value));
}

/// What the refused caller reads.
fn refused(limit: Limit, meter: &str, retry_after: Option<Duration>, now: Timestamp) -> Problem {
    let whose = match limit.scope {
        LimitScope::ApiKey(_) => "The API key allows",
        LimitScope::Address(..) => "One address may make",
        LimitScope::Tenant(_) | LimitScope::Concurrency(_) | LimitScope::Quota(_) => {
            "The tenant's plan allows"
        }
    };
    let secs = wait_secs(limit, retry_after, now).max(1);
    let (kind, detail) = match limit.rule {
        LimitRule::PerMinute(count) => (
            ProblemKind::RateLimitExceeded,
            format!("{whose} {count} calls a minute here; try again in {secs} s."),
        ),
        LimitRule::Concurrent(count) => (
            ProblemKind::RateLimitExceeded,
            format!("{whose} {count} calls in progress at the same time; wait for one to end."),
        ),
        LimitRule::PerPeriod { permits, period_end, .. } => (
            ProblemKind::QuotaExceeded,
            format!("{whose} {permits} {meter} until {period_end}; upgrade the plan, or wait."),
        ),
    };
    Problem { violated_policies: vec![name(limit, meter).to_owned()], ..Problem::new(kind, detail) }
}

/// Whole seconds to wait, rounded up: waiting as told must suffice.
fn wait_secs(limit: Limit, wait: Option<Duration>, now: Timestamp) -> u64 {
    match (wait, limit.rule) {
        (Some(wait), _) => wait.as_secs() + u64::from(wait.subsec_nanos() > 0),
        (None, LimitRule::PerPeriod { period_end, .. }) => secs_between(now, period_end),
        (None, LimitRule::PerMinute(_) | LimitRule::Concurrent(_)) => 1,
    }
}

/// At least one.
fn secs_between(start: Timestamp, end: Timestamp) -> u64 {
    u64::try_from(end.as_second() - start.as_second()).unwrap_or(0).max(1)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use domain::id::{ApiKeyId, TenantId};
    use limits::{Refusal, Standing};
    use policy::routes::{Auth, Meter, Route, TenantNeed};

    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn limit(scope: LimitScope, rule: LimitRule) -> Option<Limit> {
        Some(Limit { scope, rule, shadow: false })
    }

    fn count(count: u32) -> NonZeroU32 {
        NonZeroU32::new(count).unwrap()
    }

    fn grant() -> Grant {
        let meter = Meter { name: "messages".parse().unwrap(), weight: NonZeroU32::MIN };
        let route = Route {
            template: "/".to_owned(),
            place: 0,
            number: 0,
            upstream: "app".into(),
            auth: Auth::Any,
            tenant: TenantNeed::Required,
            permission: None,
            without_two_factor: false,
            open_when_suspended: false,
            address_limit: None,
            address_limit_shadow: false,
            meter: Some(meter),
            body_bytes_max: 0,
            read_timeout: None,
        };
        Grant {
            route: route.into(),
            tenant: None,
            principal: credentials::edge_context::Principal::Anonymous,
            limits: Limits::default(),
            verified: None,
        }
    }

    fn taken() -> Taken {
        let tenant = TenantId::new(NOW, [1; 10]);
        let period = LimitRule::PerPeriod {
            permits: 1_000,
            cost: count(1),
            period_start: NOW,
            period_end: "1970-02-01T00:00:00Z".parse().unwrap(),
        };
        let standing = |quota, remaining, reset| Some(Standing { quota, remaining, reset });
        let wait = Duration::from_millis(5_001);
        let verdict = Verdict {
            standings: [
                None,
                standing(3, 2, Some(wait)),
                standing(10, 0, Some(wait)),
                standing(5, 4, Some(Duration::ZERO)),
                standing(1_000, 999, None),
            ],
            refusal: Some(Refusal { demand: 2, retry_after: Some(wait) }),
            ..Verdict::default()
        };
        let limits = [
            None,
            limit(LimitScope::ApiKey(ApiKeyId::new(NOW, [1; 10])), LimitRule::PerMinute(count(3))),
            limit(LimitScope::Tenant(tenant), LimitRule::PerMinute(count(10))),
            limit(LimitScope::Concurrency(tenant), LimitRule::Concurrent(count(5))),
            limit(LimitScope::Quota(tenant), period),
        ];
        Taken { limits, verdict, _in_progress: None }
    }

    #[test]
    fn headers_are_structured_fields() {
        let mut headers = HeaderMap::new();
        taken().write_headers(&mut headers, &grant(), NOW);
        let header = |name: &str| headers[name].to_str().unwrap();
        assert_eq!(
            header("ratelimit-policy"),
            r#""key";q=3;w=60, "plan";q=10;w=60, "concurrency";q=5;qu="concurrent-requests", "messages";q=1000;w=2678400"#
        );
        assert_eq!(
            header("ratelimit"),
            r#""key";r=2;t=6, "plan";r=0;t=6, "concurrency";r=4, "messages";r=999;t=2678400"#
        );
        assert_eq!(header("retry-after"), "6");
    }

    #[test]
    fn a_spent_quota_comes_back_with_the_period() {
        let mut taken = taken();
        taken.verdict.refusal = Some(Refusal { demand: 4, retry_after: None });
        let mut headers = HeaderMap::new();
        taken.write_headers(&mut headers, &grant(), NOW);
        assert_eq!(headers[RETRY_AFTER], "2678400");
        let (limit, retry_after) = taken.refusal().unwrap();
        let problem = refused(limit, "messages", retry_after, NOW);
        assert_eq!(problem.kind, ProblemKind::QuotaExceeded);
        assert_eq!(problem.violated_policies, ["messages"]);
        assert!(problem.detail.contains("1000 messages until 1970-02-01T00:00:00Z"), "{problem:?}");
    }

    #[test]
    fn limits_in_shadow_are_not_told() {
        let mut taken = taken();
        taken.verdict.refusal = None;
        for limit in taken.limits.iter_mut().flatten() {
            limit.shadow = true;
        }
        let mut headers = HeaderMap::new();
        taken.write_headers(&mut headers, &grant(), NOW);
        assert!(headers.is_empty(), "{headers:?}");
    }
}
