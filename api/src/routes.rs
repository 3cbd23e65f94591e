//! One resource a file: requests, responses, handlers.

pub(crate) mod admin;
pub(crate) mod api_keys;
pub(crate) mod audit_events;
pub(crate) mod auth;
pub(crate) mod billing;
pub(crate) mod cancellation;
pub(crate) mod credit_notes;
pub(crate) mod dashboard;
pub(crate) mod docs;
pub(crate) mod events;
pub(crate) mod hooks;
pub(crate) mod invitations;
pub(crate) mod invoices;
pub(crate) mod ip_allowlist;
pub(crate) mod payment_methods;
pub(crate) mod plans;
pub(crate) mod sign_up;
pub(crate) mod tenants;
pub(crate) mod test_clock;
pub(crate) mod upgrade;
pub(crate) mod usage;
pub(crate) mod users;
pub(crate) mod webhook_endpoints;
pub(crate) mod webhook_event_types;
pub(crate) mod webhook_messages;

use std::num::NonZeroU32;

use domain::faults::Faults;
use domain::money::Money;
use domain::plan::{Allowance, PlanLimits};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A page of a list.
#[derive(Serialize, ToSchema)]
pub(crate) struct List<T> {
    /// The rows of this page.
    pub(crate) data: Vec<T>,
    /// Send as `?cursor=` for the next page; `null` on the last.
    #[schema(nullable)]
    pub(crate) next_cursor: Option<String>,
}

impl<T> List<T> {
    /// A page of `rows`, each shown as `show` says.
    pub(crate) fn of<R>(rows: store::page::Rows<R>, show: impl FnMut(R) -> T) -> Self {
        let next_cursor = rows.next.map(crate::extract::encode_cursor);
        Self { data: rows.rows.into_iter().map(show).collect(), next_cursor }
    }
}

/// An amount of money.
#[derive(Serialize, ToSchema)]
pub(crate) struct MoneyBody {
    /// Minor units of the currency: cents for USD.
    #[schema(example = 9900)]
    amount_minor: i64,
    /// ISO 4217.
    #[schema(example = "USD")]
    currency: String,
}

/// The greatest amount that is taken, in minor units: very many of them add up to one that can be kept.
const AMOUNT_MAX: i64 = 1_000_000_000_000_000;

/// An amount of money, as it is sent.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MoneyInput {
    /// Minor units of the currency: cents for USD.
    #[schema(example = 9900)]
    amount_minor: i64,
    /// ISO 4217.
    #[schema(example = "USD")]
    currency: String,
}

impl MoneyInput {
    /// The amount, if it is at least `least` minor units, and no more than sums of them can hold.
    pub(crate) fn parse(self, faults: &mut Faults, pointer: &str, least: i64) -> Option<Money> {
        if !(least..=AMOUNT_MAX).contains(&self.amount_minor) {
            let fault = format!("must be at least {least}, and at most {AMOUNT_MAX}");
            faults.push(&format!("{pointer}/amount_minor"), fault);
        }
        let currency = faults.check(&format!("{pointer}/currency"), self.currency.parse())?;
        Some(Money { amount_minor: self.amount_minor, currency })
    }
}

impl From<Money> for MoneyBody {
    fn from(money: Money) -> Self {
        Self { amount_minor: money.amount_minor, currency: money.currency.to_string() }
    }
}

/// What a plan allows; `null` is unlimited.
#[derive(Serialize, ToSchema)]
pub(crate) struct LimitsBody {
    messages_per_month: Option<u64>,
    contacts: Option<u64>,
    users: Option<u64>,
    api_calls_per_minute: u32,
    /// API calls in progress at the same time.
    concurrent_requests: Option<u32>,
    webhook_endpoints: Option<u64>,
    /// Days for which messages to webhook endpoints are kept.
    webhook_retention_days: u16,
    storage_mb: Option<u64>,
    automations: Option<u64>,
}

impl From<PlanLimits> for LimitsBody {
    fn from(limits: PlanLimits) -> Self {
        Self {
            messages_per_month: Allowance::bound(limits.messages_per_month),
            contacts: limits.contacts.bound(),
            users: limits.users.bound(),
            api_calls_per_minute: limits.api_calls_per_minute.get(),
            concurrent_requests: limits.concurrent_requests.map(NonZeroU32::get),
            webhook_endpoints: limits.webhook_endpoints.bound(),
            webhook_retention_days: limits.webhook_retention_days.get(),
            storage_mb: limits.storage_mb.bound(),
            automations: limits.automations.bound(),
        }
    }
}
