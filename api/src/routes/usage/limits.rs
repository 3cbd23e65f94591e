//! How each limit of a tenant stands, as the edges keep it.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use domain::id::TenantId;
use limits::{CellKey, Rule, WINDOW_SECS};
use serde::Serialize;
use store::billing::turn;
use store::catalogue::PlanVersion;
use store::subscriptions::Running;
use store::{TenantTx, api_keys};
use utoipa::ToSchema;

use crate::app::App;
use crate::problem::Problem;

/// API keys with a limit of their own that are shown.
const KEYS_MAX: u32 = 100;

/// One limit.
#[derive(Serialize, ToSchema)]
pub(crate) struct LimitBody {
    /// `plan`, `key`, `concurrency`, or a meter: as in the `RateLimit` headers.
    #[schema(example = "plan")]
    policy: String,
    /// The key whose limit it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    api_key_id: Option<String>,
    /// What may be had in the window, at the same time, or in the billing period.
    #[schema(example = 1000)]
    quota: u64,
    /// Seconds that a call counts for; `null` for calls in progress and for the billing period.
    #[schema(example = 60)]
    window_seconds: Option<u64>,
    /// What is taken of it now, including what edges hold ready; `null` while Redis does not say.
    #[schema(example = 17)]
    used: Option<u64>,
    /// What is left; `null` while Redis does not say.
    #[schema(example = 983)]
    remaining: Option<u64>,
}

/// A limit and the cell that it is kept in.
pub(super) struct Limit {
    policy: String,
    api_key_id: Option<String>,
    key: CellKey,
    rule: Rule,
}

/// The limits of the tenant of `tx`.
pub(super) async fn of_tenant(
    tx: &mut TenantTx,
    running: &Running,
    plan: &PlanVersion,
) -> Result<Vec<Limit>, Problem> {
    let id = bits(tx.tenant_id());
    let terms = &plan.terms;
    let limit =
        |policy: &str, key, rule| Limit { policy: policy.to_owned(), api_key_id: None, key, rule };
    let calls = Rule::PerMinute(terms.limits.api_calls_per_minute);
    let mut found = vec![limit("plan", CellKey::tenant(id), calls)];
    if let Some(slots) = terms.limits.concurrent_requests {
        found.push(limit("concurrency", CellKey::concurrency(id), Rule::Concurrent(slots)));
    }
    let begins_at = running.period.start.as_second();
    let ends_at = u64::try_from(running.period.end.as_second()).unwrap_or(0);
    for (meter, permits) in quotas(running, plan)? {
        let key = CellKey::quota(id, meter.as_str(), begins_at);
        found.push(limit(meter.as_str(), key, Rule::PerPeriod { permits, ends_at }));
    }
    for (api_key, per_minute) in api_keys::limited(tx, KEYS_MAX).await? {
        let Some(per_minute) = NonZeroU32::new(per_minute) else { continue };
        found.push(Limit {
            api_key_id: Some(api_key.to_string()),
            ..limit(
                "key",
                CellKey::api_key(api_key.as_uuid().as_u128()),
                Rule::PerMinute(per_minute),
            )
        });
    }
    Ok(found)
}

/// The counts at which meters stop: the plan's, or what the tenant's cap affords in their place.
fn quotas(running: &Running, plan: &PlanVersion) -> Result<BTreeMap<String, u64>, Problem> {
    let stops =
        plan.terms.hard_stops(running.cycle).map(|(meter, count)| (meter.to_string(), count));
    let mut quotas: BTreeMap<_, _> = stops.collect();
    let Some(offer) = plan.offer(running.cycle, running.currency) else { return Ok(quotas) };
    let overage = turn::overage(&offer, running.overage_allowed, running.spending_cap_minor)?;
    for (meter, quota) in overage.quotas {
        match quota {
            Some(count) => quotas.insert(meter, count),
            None => quotas.remove(&meter),
        };
    }
    Ok(quotas)
}

/// How they stand. Without Redis: not known, and no failure.
pub(super) async fn standing(app: &App, limits: Vec<Limit>) -> Vec<LimitBody> {
    let cells: Vec<_> = limits.iter().map(|limit| (limit.key, limit.rule)).collect();
    let taken = match app.limits.taken(&cells).await {
        Ok(taken) => taken.into_iter().map(Some).collect(),
        Err(error) => {
            tracing::warn!(%error, "usage is shown without limits: {error}");
            vec![None; limits.len()]
        }
    };
    let body = |(limit, used): (Limit, Option<u64>)| {
        let quota = limit.rule.permits();
        let window_seconds = matches!(limit.rule, Rule::PerMinute(_)).then_some(WINDOW_SECS);
        LimitBody {
            policy: limit.policy,
            api_key_id: limit.api_key_id,
            quota,
            window_seconds,
            used,
            remaining: used.map(|used| quota.saturating_sub(used)),
        }
    };
    limits.into_iter().zip(taken).map(body).collect()
}

const fn bits(id: TenantId) -> u128 {
    id.as_uuid().as_u128()
}
