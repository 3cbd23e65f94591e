//! What a message says about people and tenants, read when it is sent: jobs carry ids only.

use std::net::IpAddr;

use domain::id::{
    InvitationId, InvoiceId, MembershipId, SessionId, SubscriptionId, UserId, WebhookEndpointId,
};
use domain::meter::MeterName;
use domain::money::Money;
use domain::period::Period;
use domain::plan::{BillingCycle, PlanName};
use domain::time_zone::NamedTimeZone;
use ipnet::IpNet;
use jiff::Timestamp;
use jiff::civil::Date;

use crate::error::Error;
use crate::tenant_tx::{ControlTx, TenantTx, Tx};
use crate::{catalogue, meters, subscriptions, usage, webhook_endpoints};

/// What an invitation's message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvitationFacts {
    /// The tenant's name.
    pub tenant: String,
    /// Who invites, where that was a member.
    pub inviter: Option<String>,
    /// The address that is invited.
    pub email: String,
    /// The name of who is invited.
    pub name: String,
}

/// What a message to a person says, and whether its link is still the newest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonFacts {
    /// Their address.
    pub email: String,
    /// What they call themselves.
    pub name: String,
    /// Whether the address is known to be theirs.
    pub verified: bool,
    /// Generation of their verification links.
    pub email_generation: u32,
    /// Generation of their password links.
    pub password_generation: u32,
}

/// What the invitation's message says.
///
/// # Errors
/// `NotFound` when there is no such invitation in this tenant, its membership is not waiting for it, or the
/// tenant is not in force.
pub async fn invitation(tx: &mut TenantTx, id: InvitationId) -> Result<InvitationFacts, Error> {
    let facts = sqlx::query_as!(
        InvitationFacts,
        r#"SELECT tenants.name AS tenant, inviters.name AS "inviter?", memberships.email, memberships.name
        FROM invitations
        JOIN tenants ON tenants.id = invitations.tenant_id AND tenants.status = 'Active'
        JOIN memberships ON memberships.tenant_id = invitations.tenant_id
            AND memberships.id = invitations.membership_id
            AND memberships.status = 'Invited'
        LEFT JOIN memberships AS inviters ON inviters.tenant_id = invitations.tenant_id
            AND inviters.id = invitations.invited_by
        WHERE invitations.tenant_id = $1 AND invitations.id = $2"#,
        tx.tenant_id() as _,
        id as _
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(facts)
}

/// What a message to the person says.
///
/// # Errors
/// `NotFound` when there is no such person.
pub async fn person(tx: &mut impl Tx, id: UserId) -> Result<PersonFacts, Error> {
    let row = sqlx::query!(
        r#"SELECT email, name, email_verified_at IS NOT NULL AS "verified!", email_generation,
            password_generation
        FROM users
        WHERE id = $1"#,
        id as _
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(PersonFacts {
        email: row.email,
        name: row.name,
        verified: row.verified,
        email_generation: row.email_generation.unsigned_abs(),
        password_generation: row.password_generation.unsigned_abs(),
    })
}

/// How somebody signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignInFacts {
    /// Who.
    pub user_id: UserId,
    /// When.
    pub at: Timestamp,
    /// From where.
    pub address: Option<IpAddr>,
    /// By which program, as it named itself.
    pub user_agent: Option<String>,
}

/// Whom a message to a member is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberFacts {
    /// Their address.
    pub email: String,
    /// What they are called.
    pub name: String,
    /// The tenant's name.
    pub tenant: String,
    /// The tenant's time zone.
    pub time_zone: NamedTimeZone,
}

/// A trial that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrialFacts {
    /// The plan.
    pub plan: PlanName,
    /// When the trial ends.
    pub ends_at: Timestamp,
    /// What it costs then.
    pub price: Money,
    /// How often.
    pub cycle: BillingCycle,
}

/// An invoice that was sent out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvoiceFacts {
    /// Its number.
    pub number: String,
    /// `Open`, `Paid`, `Uncollectible` or `Void`.
    pub status: String,
    /// What it comes to.
    pub total: Money,
    /// What is still to be paid.
    pub due: Money,
    /// The day by which it is to be paid.
    pub due_on: Date,
    /// What it bills.
    pub period: Period,
}

/// How much of what a plan allows is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageFacts {
    /// What the meter is called.
    pub title: String,
    /// How much is used.
    pub used: u64,
    /// How much the plan allows.
    pub limit: u64,
    /// In which period.
    pub period: Period,
    /// Whether requests are refused at the limit.
    pub stops: bool,
}

/// How a session began.
///
/// # Errors
/// `NotFound` when there is no such session, or it was ended.
pub async fn sign_in(tx: &mut ControlTx, id: SessionId) -> Result<SignInFacts, Error> {
    let row = sqlx::query!(
        r#"SELECT user_id, created_at, address AS "address: IpNet", user_agent
        FROM sessions
        WHERE id = $1 AND revoked_at IS NULL"#,
        id as _
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(SignInFacts {
        user_id: row.user_id,
        at: row.created_at.to_jiff(),
        address: row.address.map(|network| network.addr()),
        user_agent: row.user_agent,
    })
}

/// An owner of the tenant, to whom messages about money go.
///
/// # Errors
/// `NotFound` when they are no owner any more, or the tenant is closed.
pub async fn owner(tx: &mut TenantTx, id: MembershipId) -> Result<MemberFacts, Error> {
    let row = sqlx::query!(
        "SELECT memberships.email, memberships.name, tenants.name AS tenant, tenants.time_zone
        FROM memberships
        JOIN tenants ON tenants.id = memberships.tenant_id AND tenants.status <> 'Closed'
        WHERE memberships.tenant_id = $1 AND memberships.id = $2
            AND memberships.status = 'Active' AND memberships.role = 'Owner'",
        tx.tenant_id() as _,
        id as _
    )
    .fetch_one(tx.connection())
    .await?;
    let time_zone = row.time_zone.parse().map_err(|_| Error::Foreign("tenants.time_zone"))?;
    Ok(MemberFacts { email: row.email, name: row.name, tenant: row.tenant, time_zone })
}

/// The address in the tenant's billing profile, beside the owners, who have their own mail.
///
/// # Errors
/// `NotFound` when there is none, it is an owner's, or the tenant was closed.
pub async fn billing_contact(tx: &mut TenantTx) -> Result<MemberFacts, Error> {
    let row = sqlx::query!(
        r#"SELECT profiles.email AS "email!", profiles.name, tenants.name AS tenant, tenants.time_zone
        FROM billing_profiles AS profiles
        JOIN tenants ON tenants.id = profiles.tenant_id AND tenants.status <> 'Closed'
        WHERE profiles.tenant_id = $1 AND profiles.email IS NOT NULL
            AND NOT EXISTS (
                SELECT FROM memberships AS owners
                WHERE owners.tenant_id = $1 AND owners.status = 'Active' AND owners.role = 'Owner'
                    AND owners.email = profiles.email)"#,
        tx.tenant_id() as _
    )
    .fetch_one(tx.connection())
    .await?;
    let time_zone = row.time_zone.parse().map_err(|_| Error::Foreign("tenants.time_zone"))?;
    Ok(MemberFacts { email: row.email, name: row.name, tenant: row.tenant, time_zone })
}

/// The trial of a subscription.
///
/// # Errors
/// `NotFound` when it is not in its trial any more, or is not the tenant's running one.
pub async fn trial(tx: &mut TenantTx, id: SubscriptionId) -> Result<TrialFacts, Error> {
    let subscription = subscriptions::get(tx).await?;
    let billing::SubscriptionStatus::Trialing { ends_at } = subscription.status else {
        return Err(Error::NotFound);
    };
    if subscription.id != id {
        return Err(Error::NotFound);
    }
    let (plan, cycle) = (subscription.plan, subscription.cycle);
    let version = catalogue::get(tx, plan, subscription.plan_version).await?;
    let price = version.terms.price(cycle, subscription.currency).ok_or(Error::NotFound)?;
    Ok(TrialFacts { plan, ends_at, price, cycle })
}

/// An invoice.
///
/// # Errors
/// `NotFound` when there is none, or it is still a draft.
pub async fn invoice(tx: &mut TenantTx, id: InvoiceId) -> Result<InvoiceFacts, Error> {
    let row = sqlx::query!(
        r#"SELECT number AS "number!", status, currency, total_minor, due_minor,
            due_on AS "due_on!: jiff_sqlx::Date", period_start, period_end
        FROM invoices
        WHERE tenant_id = $1 AND id = $2 AND number IS NOT NULL AND status <> 'Draft'"#,
        tx.tenant_id() as _,
        id as _
    )
    .fetch_one(tx.connection())
    .await?;
    let currency = row.currency.parse().map_err(|_| Error::Foreign("invoices.currency"))?;
    Ok(InvoiceFacts {
        number: row.number,
        status: row.status,
        total: Money { amount_minor: row.total_minor, currency },
        due: Money { amount_minor: row.due_minor, currency },
        due_on: row.due_on.to_jiff(),
        period: Period { start: row.period_start.to_jiff(), end: row.period_end.to_jiff() },
    })
}

/// A webhook endpoint with which something is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookFacts {
    /// Where it is.
    pub url: String,
    /// Since when nothing has got through, where that is so.
    pub failing_since: Option<Timestamp>,
    /// Why it was disabled, if it was: `Gone` or `Failing`.
    pub disabled: Option<String>,
}

/// A webhook endpoint with which something is wrong.
///
/// # Errors
/// `NotFound` when there is none of this id, or nothing is wrong with it.
pub async fn webhook(tx: &mut TenantTx, id: WebhookEndpointId) -> Result<WebhookFacts, Error> {
    let endpoint = webhook_endpoints::get(tx, id).await?;
    let disabled = endpoint.disabled.map(|(reason, _)| reason);
    let failing_since = endpoint.health.failing_since;
    // Whoever disabled it knows.
    if disabled.as_deref() == Some("ByUser") || (disabled.is_none() && failing_since.is_none()) {
        return Err(Error::NotFound);
    }
    Ok(WebhookFacts { url: endpoint.settings.url.to_string(), failing_since, disabled })
}

/// How much of a meter is used in the running period, if that is the one which began at `period_start`.
///
/// # Errors
/// `NotFound` when another period runs, or the plan sets no limit for the meter.
pub async fn usage(
    tx: &mut TenantTx,
    meter: &MeterName,
    period_start: Timestamp,
) -> Result<UsageFacts, Error> {
    let subscription = subscriptions::get(tx).await?;
    if subscription.period.start != period_start {
        return Err(Error::NotFound);
    }
    let terms = catalogue::get(tx, subscription.plan, subscription.plan_version).await?.terms;
    let limit = terms.allowance(meter, subscription.cycle).bound().ok_or(Error::NotFound)?;
    let known = meters::list(tx).await?.into_iter().find(|(name, _)| name == meter);
    let (_, known) = known.ok_or(Error::NotFound)?;
    let totals = usage::totals(tx, period_start).await?;
    Ok(UsageFacts {
        title: known.title,
        used: totals.get(meter.as_str()).copied().unwrap_or(0),
        limit,
        period: subscription.period,
        stops: terms.hard_stops(subscription.cycle).any(|(stopping, _)| stopping == *meter),
    })
}
