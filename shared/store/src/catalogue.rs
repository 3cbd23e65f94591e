//! The price catalogue: `config/plans.toml` in, versions in the database, and what they say.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;
use std::num::{NonZeroU16, NonZeroU32};

use billing::{Charge, Discount, Duration, Offer};
use domain::meter::{self, Aggregation, MeterName, MeterSource};
use domain::money::{Currency, Money};
use domain::plan::{Allowance, BillingCycle, PlanLimits, PlanName};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde::Deserialize;
use sqlx::PgConnection;
use sqlx::types::Json;

use crate::error::Error;
use crate::tenant_tx::Tx;
use crate::{coupons, meters};

/// `config/plans.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    plans: BTreeMap<PlanName, PlanTerms>,
    meters: BTreeMap<MeterName, MeterTerms>,
    #[serde(default)]
    coupons: BTreeMap<String, CouponTerms>,
}

/// What the catalogue says of a meter.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeterTerms {
    /// How counts become one figure.
    pub aggregation: Aggregation,
    /// Who counts.
    pub source: MeterSource,
    /// What people call it.
    pub title: String,
    /// What one of it is.
    pub unit: String,
}

/// What the catalogue says of a coupon.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CouponTerms {
    /// How much it takes off.
    pub discount: Discount,
    /// For how long.
    pub duration: Duration,
    /// From when on it cannot be redeemed any more.
    pub expires_at: Option<Timestamp>,
    /// How many may redeem it.
    pub redemptions_max: Option<NonZeroU32>,
}

/// What one version of a plan says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanTerms {
    /// Days of the trial that sign-up starts; 0 for none.
    pub trial_days: u16,
    /// What it allows.
    pub limits: PlanLimits,
    /// Counts of further meters a month; that of `messages` is among the limits.
    #[serde(default)]
    pub quotas: BTreeMap<MeterName, u64>,
    /// Meters that go on past their count.
    #[serde(default)]
    pub overage: BTreeSet<MeterName>,
    /// Price by cycle and currency, in minor units.
    pub prices: BTreeMap<BillingCycle, BTreeMap<Currency, i64>>,
    /// What pay-as-you-go use may come to before it is billed within its period, in minor units.
    #[serde(default)]
    pub thresholds: BTreeMap<Currency, i64>,
    /// What is paid for use, by cycle and currency, in the order of an invoice.
    #[serde(default)]
    pub charges: BTreeMap<BillingCycle, BTreeMap<Currency, Vec<Charge>>>,
}

impl PlanTerms {
    /// The price of one `cycle` in `currency`; `None` where the catalogue has none.
    #[must_use]
    pub fn price(&self, cycle: BillingCycle, currency: Currency) -> Option<Money> {
        let amount_minor = *self.prices.get(&cycle)?.get(&currency)?;
        Some(Money { amount_minor, currency })
    }

    /// What use costs in one `cycle` and `currency`.
    #[must_use]
    pub fn charges(&self, cycle: BillingCycle, currency: Currency) -> &[Charge] {
        let charges = self.charges.get(&cycle).and_then(|charges| charges.get(&currency));
        charges.map_or(&[], Vec::as_slice)
    }

    /// The prices of one `cycle`, in every currency of the catalogue.
    pub fn prices_of(&self, cycle: BillingCycle) -> impl Iterator<Item = Money> {
        let prices = self.prices.get(&cycle).into_iter().flatten();
        prices.map(|(currency, amount)| Money { amount_minor: *amount, currency: *currency })
    }

    /// What the plan allows of a meter in a period of `cycle`: of a year twelve times what it allows of a month.
    #[must_use]
    pub fn allowance(&self, meter: &MeterName, cycle: BillingCycle) -> Allowance {
        let limits = &self.limits;
        match meter.as_str() {
            "messages" => limits.messages_per_month.times(cycle.months()),
            "contacts" => limits.contacts,
            "users" => limits.users,
            "webhook_endpoints" => limits.webhook_endpoints,
            "storage_mb" => limits.storage_mb,
            "automations" => limits.automations,
            _ => {
                let count = self.quotas.get(meter);
                let month = count.map_or(Allowance::UNLIMITED, |count| Allowance::at_most(*count));
                month.times(cycle.months())
            }
        }
    }

    /// The meters that stop at their count, with it, in a period of `cycle`. The view `edge.tenants` says the same.
    pub fn hard_stops(&self, cycle: BillingCycle) -> impl Iterator<Item = (MeterName, u64)> {
        let messages = MeterName::messages();
        let meters = iter::once(&messages).chain(self.quotas.keys()).cloned().collect::<Vec<_>>();
        let stopping = meters.into_iter().filter(|meter| !self.overage.contains(meter));
        stopping.filter_map(move |meter| {
            let count = self.allowance(&meter, cycle).bound()?;
            Some((meter, count))
        })
    }

    /// What keeps the terms from being a plan's.
    fn fault(&self, plan: PlanName) -> Option<CatalogueError> {
        let messages = MeterName::messages();
        if self.price(BillingCycle::Monthly, Currency::USD).is_none() {
            return Some(CatalogueError::Incomplete(plan));
        }
        let free = self.prices.values().flat_map(BTreeMap::values).all(|amount| *amount == 0);
        if !free && self.trial_days == 0 {
            return Some(CatalogueError::NoTrial(plan));
        }
        if self.quotas.contains_key(&messages) {
            return Some(CatalogueError::TwoCounts(plan));
        }
        let has_count = |meter: &MeterName| {
            self.quotas.contains_key(meter)
                || (*meter == messages && self.limits.messages_per_month.bound().is_some())
        };
        let meter = self.overage.iter().find(|meter| !has_count(meter))?;
        Some(CatalogueError::NoCount(plan, meter.clone()))
    }

    /// A charge that no bill could show, or twice.
    fn faulty_charge(&self, known: impl Fn(&MeterName) -> bool) -> Option<MeterName> {
        for (cycle, by_currency) in &self.charges {
            for (currency, charges) in by_currency {
                let mut seen = BTreeSet::new();
                let priced = self.price(*cycle, *currency).is_some();
                let faulty = charges.iter().map(|charge| &charge.meter);
                let mut faulty =
                    faulty.filter(|meter| !priced || !known(meter) || !seen.insert(*meter));
                if let Some(meter) = faulty.next() {
                    return Some(meter.clone());
                }
            }
        }
        None
    }
}

/// Meters that every request counts.
const BUILT_IN: [(&str, Aggregation); 3] = [
    (meter::API_CALLS, Aggregation::Sum),
    (meter::ACTIVE_USERS, Aggregation::Unique),
    ("messages", Aggregation::Sum),
];

/// A price catalogue cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// Not of the form, or a plan, cycle or currency is unknown.
    #[error("config/plans.toml: {0}")]
    Malformed(#[from] Box<toml::de::Error>),
    /// A plan is missing, or has no monthly price in US dollars.
    #[error("config/plans.toml: {0} needs a Monthly price in USD")]
    Incomplete(PlanName),
    /// Nobody has a way to pay when they sign up.
    #[error(
        "config/plans.toml: {0} costs money and needs trial_days: sign-up has no way to pay yet"
    )]
    NoTrial(PlanName),
    /// Messages have a count twice.
    #[error(
        "config/plans.toml: {0} counts `messages` by `messages_per_month`; remove it from `quotas`"
    )]
    TwoCounts(PlanName),
    /// A quota is of a meter that is not there; the name is misspelt, most likely.
    #[error(
        "config/plans.toml: {0} has a count for `{1}`, which is not among the meters; add it there"
    )]
    UnknownMeter(PlanName, MeterName),
    /// What every request counts is not to be counted otherwise.
    #[error("config/plans.toml: the meter `{0}` must be counted by the edge, as \"{1}\"")]
    BuiltIn(&'static str, &'static str),
    /// A level, such as storage, is not used up by months.
    #[error(
        "config/plans.toml: {0} has a count for `{1}`, which is a level and not used up; remove it from `quotas`"
    )]
    Level(PlanName, MeterName),
    /// What has no count does not go on past it; the name is misspelt, most likely.
    #[error(
        "config/plans.toml: {0} has no count for `{1}`; remove it from `overage` or add it to `quotas`"
    )]
    NoCount(PlanName, MeterName),
    /// A charge is for no meter, twice for one, or in a cycle or currency that has no price.
    #[error(
        "config/plans.toml: {0} charges for `{1}` twice, in a cycle or currency without a price, or there is no such meter"
    )]
    Charge(PlanName, MeterName),
}

impl Catalogue {
    /// Reads the catalogue's text.
    ///
    /// # Errors
    /// When it is malformed, a plan is missing, or what one says contradicts itself.
    pub fn parse(text: &str) -> Result<Self, CatalogueError> {
        let catalogue: Self = toml::from_str(text).map_err(Box::new)?;
        for plan in PlanName::ALL {
            let terms = catalogue.plans.get(plan).ok_or(CatalogueError::Incomplete(*plan))?;
            if let Some(fault) = terms.fault(*plan) {
                return Err(fault);
            }
            let unknown = terms.quotas.keys().find(|name| !catalogue.meters.contains_key(*name));
            if let Some(unknown) = unknown {
                return Err(CatalogueError::UnknownMeter(*plan, unknown.clone()));
            }
            let is_level = |name: &&MeterName| {
                let aggregation = catalogue.meters.get(*name).map(|meter| meter.aggregation);
                matches!(aggregation, Some(Aggregation::Latest | Aggregation::Max))
            };
            if let Some(level) = terms.quotas.keys().find(is_level) {
                return Err(CatalogueError::Level(*plan, level.clone()));
            }
            let meters = &catalogue.meters;
            if let Some(meter) = terms.faulty_charge(|meter| meters.contains_key(meter)) {
                return Err(CatalogueError::Charge(*plan, meter));
            }
        }
        for (name, aggregation) in BUILT_IN {
            let built_in = |terms: &MeterTerms| {
                terms.source == MeterSource::Edge && terms.aggregation == aggregation
            };
            if !catalogue.meters.get(name).is_some_and(built_in) {
                return Err(CatalogueError::BuiltIn(name, aggregation.as_str()));
            }
        }
        Ok(catalogue)
    }

    /// What the catalogue says of `plan`.
    #[must_use]
    pub fn terms(&self, plan: PlanName) -> Option<&PlanTerms> {
        self.plans.get(&plan)
    }
}

/// A version of a plan, as the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanVersion {
    /// The plan.
    pub plan: PlanName,
    /// Its version.
    pub version: i32,
    /// What it says.
    pub terms: PlanTerms,
}

impl PlanVersion {
    /// What it offers in a cycle and currency; `None` where it has no price for them.
    #[must_use]
    pub fn offer(&self, cycle: BillingCycle, currency: Currency) -> Option<Offer> {
        Some(Offer {
            plan: self.plan,
            version: self.version,
            cycle,
            currency,
            fee_minor: self.terms.price(cycle, currency)?.amount_minor,
            charges: self.terms.charges(cycle, currency).to_vec(),
        })
    }
}

/// The newest version of every plan, cheapest first.
///
/// # Errors
/// When the database is gone or holds what this release does not know.
pub async fn list(tx: &mut impl Tx) -> Result<Vec<PlanVersion>, Error> {
    let mut versions = Vec::with_capacity(PlanName::ALL.len());
    for plan in PlanName::ALL {
        versions.push(current(tx, *plan).await?);
    }
    Ok(versions)
}

/// The newest version of `plan`.
///
/// # Errors
/// When there is none, or the database is gone.
pub async fn current(tx: &mut impl Tx, plan: PlanName) -> Result<PlanVersion, Error> {
    newest(tx.connection(), plan).await?.ok_or(Error::NotFound)
}

/// One version of `plan`.
///
/// # Errors
/// When there is none, or the database is gone.
pub async fn get(tx: &mut impl Tx, plan: PlanName, version: i32) -> Result<PlanVersion, Error> {
    find(tx.connection(), plan, version).await?.ok_or(Error::NotFound)
}

/// The number of the newest version of `plan`.
///
/// # Errors
/// When there is none, or the database is gone.
pub async fn newest_version(tx: &mut impl Tx, plan: PlanName) -> Result<i32, Error> {
    let version = sqlx::query_scalar!(
        "SELECT max(version) FROM plan_versions WHERE plan = $1",
        plan.as_str()
    )
    .fetch_one(tx.connection())
    .await?;
    version.ok_or(Error::NotFound)
}

async fn newest(
    connection: &mut PgConnection,
    plan: PlanName,
) -> Result<Option<PlanVersion>, Error> {
    let version = sqlx::query_scalar!(
        "SELECT max(version) FROM plan_versions WHERE plan = $1",
        plan.as_str()
    )
    .fetch_one(&mut *connection)
    .await?;
    match version {
        Some(version) => find(connection, plan, version).await,
        None => Ok(None),
    }
}

async fn find(
    connection: &mut PgConnection,
    plan: PlanName,
    version: i32,
) -> Result<Option<PlanVersion>, Error> {
    let row = sqlx::query!(
        "SELECT messages_per_month, contacts, users, api_calls_per_minute, concurrent_requests,
            webhook_endpoints, webhook_retention_days, storage_mb, automations, quotas, overage, thresholds, trial_days
        FROM plan_versions
        WHERE plan = $1 AND version = $2",
        plan.as_str(),
        version
    )
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let prices = sqlx::query!(
        "SELECT cycle, currency, amount_minor FROM plan_prices WHERE plan = $1 AND version = $2",
        plan.as_str(),
        version
    )
    .fetch_all(&mut *connection)
    .await?;
    let charges = sqlx::query!(
        r#"SELECT cycle, currency, charge AS "charge: Json<Charge>" FROM plan_charges
        WHERE plan = $1 AND version = $2
        ORDER BY cycle, currency, position"#,
        plan.as_str(),
        version
    )
    .fetch_all(connection)
    .await?;
    let mut terms = PlanTerms {
        trial_days: known(u16::try_from(row.trial_days))?,
        limits: PlanLimits {
            messages_per_month: allowance(row.messages_per_month)?,
            contacts: allowance(row.contacts)?,
            users: allowance(row.users)?,
            api_calls_per_minute: positive(row.api_calls_per_minute)?,
            concurrent_requests: row.concurrent_requests.map(positive).transpose()?,
            webhook_endpoints: allowance(row.webhook_endpoints)?,
            webhook_retention_days: known(NonZeroU16::try_from(
                row.webhook_retention_days.unsigned_abs(),
            ))?,
            storage_mb: allowance(row.storage_mb)?,
            automations: allowance(row.automations)?,
        },
        quotas: known(serde_json::from_value(row.quotas))?,
        overage: known(row.overage.into_iter().map(MeterName::try_from).collect())?,
        thresholds: known(serde_json::from_value(row.thresholds))?,
        prices: BTreeMap::new(),
        charges: BTreeMap::new(),
    };
    for price in prices {
        let cycle = price.cycle.parse().map_err(|_| Error::Foreign("plan_prices.cycle"))?;
        let currency =
            price.currency.parse().map_err(|_| Error::Foreign("plan_prices.currency"))?;
        terms.prices.entry(cycle).or_default().insert(currency, price.amount_minor);
    }
    for row in charges {
        let cycle = row.cycle.parse().map_err(|_| Error::Foreign("plan_charges.cycle"))?;
        let currency = row.currency.parse().map_err(|_| Error::Foreign("plan_charges.currency"))?;
        terms.charges.entry(cycle).or_default().entry(currency).or_default().push(row.charge.0);
    }
    Ok(Some(PlanVersion { plan, version, terms }))
}

fn allowance(bound: Option<i64>) -> Result<Allowance, Error> {
    match bound {
        None => Ok(Allowance::UNLIMITED),
        Some(bound) => known(u64::try_from(bound)).map(Allowance::at_most),
    }
}

fn positive(count: i32) -> Result<NonZeroU32, Error> {
    known(u32::try_from(count).and_then(NonZeroU32::try_from))
}

fn known<T, E>(result: Result<T, E>) -> Result<T, Error> {
    result.map_err(|_| Error::Foreign("plan_versions"))
}

fn integer(count: NonZeroU32) -> i32 {
    i32::try_from(count.get()).unwrap_or(i32::MAX)
}

fn bound(allowance: Allowance) -> Option<i64> {
    allowance.bound().map(|bound| i64::try_from(bound).unwrap_or(i64::MAX))
}

/// Makes a new version of every plan that differs from its newest one.
pub(crate) async fn load(
    connection: &mut PgConnection,
    catalogue: &Catalogue,
    now: Timestamp,
) -> Result<(), Error> {
    let mut tx = sqlx::Connection::begin(connection).await?;
    // Two migrations at once must not both make version n + 1.
    sqlx::query!("LOCK TABLE plan_versions IN SHARE ROW EXCLUSIVE MODE")
        .execute(tx.as_mut())
        .await?;
    for (plan, terms) in &catalogue.plans {
        let newest = newest(tx.as_mut(), *plan).await?;
        if newest.as_ref().is_some_and(|newest| newest.terms == *terms) {
            continue;
        }
        let version = newest.map_or(1, |newest| newest.version + 1);
        insert(tx.as_mut(), *plan, version, terms, now).await?;
    }
    for (name, terms) in &catalogue.meters {
        meters::put(tx.as_mut(), name, terms, now).await?;
    }
    for (code, terms) in &catalogue.coupons {
        coupons::put(tx.as_mut(), code, terms, now).await?;
    }
    tx.commit().await?;
    Ok(())
}

async fn insert(
    connection: &mut PgConnection,
    plan: PlanName,
    version: i32,
    terms: &PlanTerms,
    now: Timestamp,
) -> Result<(), Error> {
    let limits = terms.limits;
    let overage: Vec<String> = terms.overage.iter().map(MeterName::to_string).collect();
    sqlx::query!(
        "INSERT INTO plan_versions (plan, version, messages_per_month, contacts, users,
            api_calls_per_minute, concurrent_requests, webhook_endpoints, storage_mb, automations, quotas,
            overage, trial_days, created_at, webhook_retention_days, thresholds)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
        plan.as_str(),
        version,
        bound(limits.messages_per_month),
        bound(limits.contacts),
        bound(limits.users),
        integer(limits.api_calls_per_minute),
        limits.concurrent_requests.map(integer),
        bound(limits.webhook_endpoints),
        bound(limits.storage_mb),
        bound(limits.automations),
        Json(&terms.quotas) as _,
        &overage,
        i32::from(terms.trial_days),
        now.to_sqlx() as _,
        i16::try_from(limits.webhook_retention_days.get()).unwrap_or(i16::MAX),
        Json(&terms.thresholds) as _
    )
    .execute(&mut *connection)
    .await?;
    for (cycle, by_currency) in &terms.prices {
        for (currency, amount_minor) in by_currency {
            sqlx::query!(
                "INSERT INTO plan_prices (plan, version, cycle, currency, amount_minor)
                VALUES ($1, $2, $3, $4, $5)",
                plan.as_str(),
                version,
                cycle.as_str(),
                currency.as_str(),
                amount_minor
            )
            .execute(&mut *connection)
            .await?;
        }
    }
    insert_charges(connection, plan, version, terms).await
}

async fn insert_charges(
    connection: &mut PgConnection,
    plan: PlanName,
    version: i32,
    terms: &PlanTerms,
) -> Result<(), Error> {
    for (cycle, by_currency) in &terms.charges {
        for (currency, charges) in by_currency {
            for (position, charge) in (0_i16..).zip(charges) {
                sqlx::query!(
                    "INSERT INTO plan_charges (plan, version, cycle, currency, position, charge)
                    VALUES ($1, $2, $3, $4, $5, $6)",
                    plan.as_str(),
                    version,
                    cycle.as_str(),
                    currency.as_str(),
                    position,
                    Json(charge) as _
                )
                .execute(&mut *connection)
                .await?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
