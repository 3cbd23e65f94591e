//! `POST /tenants`: sign-up. Makes tenant, subscription or trial, owner, and a session for that tenant only.
//!
//! Nothing in the answer tells whether the address was known. The owner stays an unverified identity until
//! the mailed link is opened, so nobody can pre-empt another's account (design: API, "Resources").

use axum::extract::State;
use axum::response::Response;
use billing::{ChangeKind, Subscription, SubscriptionStatus};
use domain::email::EmailAddress;
use domain::event::Action;
use domain::faults::Faults;
use domain::id::{MembershipId, SubscriptionChangeId, SubscriptionId, TenantId, UserId};
use domain::money::Currency;
use domain::name::PersonName;
use domain::period::Period;
use domain::permission::{PermissionSet, Role};
use domain::plan::{BillingCycle, PlanName};
use domain::standing::Standing;
use http::{HeaderMap, StatusCode};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use jobs::catalog::SendEmail;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::catalogue::{self, PlanVersion};
use store::memberships::{self, Membership, MembershipStatus};
use store::subscriptions::{self, Change};
use store::tenants::{self, NewTenant};
use store::{TenantTx, test_clocks, users};
use utoipa::ToSchema;
use webhooks::events::billing::SubscriptionCreated;

use crate::app::{App, random, stored};
use crate::authorized::Anyone;
use crate::events;
use crate::extract::{Body, Wire};
use crate::idempotency::{Attempt, IdempotencyKey};
use crate::problem::Problem;
use crate::routes::tenants::TenantBody;
use crate::routes::users::UserBody;
use crate::sessions::{self, Device, Earned, Tokens};

/// Most characters of the free texts.
pub(crate) const COMPANY_SIZE_LEN_MAX: usize = 100;
pub(crate) const USE_CASE_LEN_MAX: usize = 500;

/// What a customer says of itself when it signs up.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignUp {
    /// What the organization calls itself.
    #[schema(example = "Acme Corp")]
    name: String,
    /// Where it will be reached: `acme` for `acme.api.pytake.com`.
    #[schema(example = "acme")]
    subdomain: String,
    /// `Free`, `Starter`, `Pro` or `Enterprise`.
    #[schema(example = "Pro")]
    plan: String,
    /// The owner's address.
    #[schema(example = "owner@acme.com")]
    owner_email: String,
    /// The owner's name.
    #[schema(example = "John Doe")]
    owner_name: String,
    /// How many people.
    #[schema(example = "10-50")]
    company_size: Option<String>,
    /// What for.
    #[schema(example = "Customer Support")]
    use_case: Option<String>,
    /// A time from which on the tenant lives, to try its billing out: `POST …/test-clock/advance` moves it on. Only where
    /// the installation allows it.
    #[schema(format = DateTime)]
    test_clock: Option<String>,
}

/// A checked sign-up.
pub(crate) struct NewCustomer {
    tenant: NewTenant,
    plan: PlanName,
    owner_email: EmailAddress,
    owner_name: PersonName,
    test_clock: Option<Timestamp>,
}

impl Wire for SignUp {
    type Parsed = NewCustomer;

    fn parse(self) -> Result<NewCustomer, Faults> {
        let mut faults = Faults::new();
        let name = faults.check("/name", self.name.parse());
        let subdomain = faults.check("/subdomain", self.subdomain.parse());
        let plan = faults.check("/plan", self.plan.parse());
        let owner_email = faults.check("/owner_email", self.owner_email.parse());
        let owner_name = faults.check("/owner_name", self.owner_name.parse());
        let company_size =
            free_text(&mut faults, "/company_size", self.company_size, COMPANY_SIZE_LEN_MAX);
        let use_case = free_text(&mut faults, "/use_case", self.use_case, USE_CASE_LEN_MAX);
        let test_clock = self
            .test_clock
            .and_then(|text| faults.check("/test_clock", clock_time(&text).ok_or(CLOCK_TIME)));
        let customer = (|| {
            let tenant = NewTenant { name: name?, subdomain: subdomain?, company_size, use_case };
            let (owner_email, owner_name) = (owner_email?, owner_name?);
            Some(NewCustomer { tenant, plan: plan?, owner_email, owner_name, test_clock })
        })();
        faults.finish(customer)
    }
}

/// What a test clock's time must be.
const CLOCK_TIME: &str = "must be a time such as `2026-11-01T00:00:00Z`, from 2000 to 2099";

/// A time from which on a tenant can live: with room for years of billing before the end of what can be reckoned.
fn clock_time(text: &str) -> Option<Timestamp> {
    let at: Timestamp = text.parse().ok()?;
    let year = at.to_zoned(TimeZone::UTC).year();
    (2000..2100).contains(&year).then(|| stored(at))
}

/// An optional text of at most `max` characters without control characters.
pub(crate) fn free_text(
    faults: &mut Faults,
    pointer: &str,
    text: Option<String>,
    max: usize,
) -> Option<String> {
    let text = text?;
    if text.chars().count() > max || text.chars().any(char::is_control) {
        faults.push(pointer, format!("must be one line of at most {max} characters"));
    }
    Some(text)
}

/// The new tenant, its owner, and tokens for it.
#[derive(Serialize, ToSchema)]
pub(crate) struct SignedUp {
    tenant: TenantBody,
    owner: UserBody,
    #[serde(flatten)]
    tokens: Option<Tokens>,
}

/// Sign up
///
/// Creates a tenant, its subscription (with a trial where the plan has one) and its owner. The tokens are
/// good for the new tenant only, and the owner is unverified until the mailed link is opened. A repetition
/// under the same `Idempotency-Key` answers without tokens.
#[utoipa::path(
    post,
    path = "/api/v1/tenants",
    tag = "Tenants",
    params(("Idempotency-Key" = Option<String>, Header)),
    request_body = SignUp,
    responses((status = 201, body = SignedUp)),
    extensions(("x-problems" = json!(["conflict"]))),
    security(()),
)]
pub(crate) async fn sign_up(
    State(app): State<App>,
    caller: Anyone,
    headers: HeaderMap,
    key: IdempotencyKey,
    body: Body<SignUp>,
) -> Result<Response, Problem> {
    let now = app.now();
    if body.value.test_clock.is_some() && !app.test_clocks {
        let mut faults = Faults::new();
        faults.push("/test_clock", "is not to be had on this installation");
        return Err(faults.into());
    }
    let tenant_id = TenantId::new(now, random());
    let user_id = UserId::new(now, random());

    let mut tx = app.store.control().await?;
    let first = match key.attempt(&app, &mut tx, body.hash).await? {
        Attempt::Replay(response) => return Ok(response),
        Attempt::First(first) => first,
    };
    let mut tx = tx.enter_tenant(tenant_id).await?;

    let customer = body.value;
    let plan = catalogue::current(&mut tx, customer.plan).await?;
    let (subscription, change) = first_subscription(&plan, customer.test_clock.unwrap_or(now))?;
    let owner = owner(&customer, user_id, now);

    tenants::insert(&mut tx, &customer.tenant, now).await?;
    if let Some(at) = customer.test_clock {
        test_clocks::insert(&mut tx, at).await?;
    }
    subscriptions::insert(&mut tx, &subscription, customer.test_clock.is_some()).await?;
    subscriptions::insert_change(&mut tx, &change).await?;
    users::insert(&mut tx, user_id, &customer.owner_email, &customer.owner_name, now).await?;
    memberships::insert(&mut tx, &owner).await?;
    let device = Device {
        address: caller.context.client_address,
        user_agent: sessions::user_agent(&headers),
    };
    let earned = Earned::BySignUp(tenant_id);
    let tokens = sessions::begin(&app, &mut tx, user_id, earned, device).await?;
    let changes = json!({ "subdomain": customer.tenant.subdomain, "plan": customer.plan });
    caller.audit(&app, &mut tx, Action::TenantCreated, tenant_id, changes).await?;
    events::publish(
        &app,
        &mut tx,
        &SubscriptionCreated(subscriptions::told(&subscription, Standing::Good)),
    )
    .await?;
    enqueue_verification(&mut tx, user_id).await?;

    let tenant = tenants::get(&mut tx).await?;
    let shown = |tokens| SignedUp {
        tenant: TenantBody::new(&tenant, &subscription),
        owner: UserBody::of(&owner, false),
        tokens,
    };
    let response = first
        .answer_storing(&app, &mut tx, StatusCode::CREATED, &shown(Some(tokens)), &shown(None))
        .await?;
    caller.commit(tx).await?;
    Ok(response)
}

fn owner(customer: &NewCustomer, user_id: UserId, now: Timestamp) -> Membership {
    Membership {
        id: MembershipId::new(now, random()),
        user_id: Some(user_id),
        email: customer.owner_email.as_str().to_owned(),
        name: customer.owner_name.as_str().to_owned(),
        role: Role::Owner,
        permissions: PermissionSet::EMPTY,
        status: MembershipStatus::Active,
        created_at: now,
        version: 1,
    }
}

/// A trial where the plan has one, else a running month.
fn first_subscription(
    plan: &PlanVersion,
    now: Timestamp,
) -> Result<(Subscription, Change), Problem> {
    let cycle = BillingCycle::Monthly;
    let month = Period::first(now, cycle, &TimeZone::UTC).map_err(Problem::internal)?;
    let days = i64::from(plan.terms.trial_days);
    let ends_at =
        now.checked_add(SignedDuration::from_hours(24 * days)).map_err(Problem::internal)?;
    let trialing = days > 0;
    let subscription = Subscription {
        id: SubscriptionId::new(now, random()),
        plan: plan.plan,
        plan_version: plan.version,
        cycle,
        currency: Currency::USD,
        status: if trialing {
            SubscriptionStatus::Trialing { ends_at }
        } else {
            SubscriptionStatus::Active
        },
        started_at: now,
        anchor: now,
        period_index: 0,
        period: if trialing { Period { start: now, end: ends_at } } else { month },
        scheduled: None,
    };
    let change = Change {
        id: SubscriptionChangeId::new(now, random()),
        subscription_id: subscription.id,
        kind: ChangeKind::Started,
        from: None,
        to: (plan.plan, plan.version, cycle),
        requested_at: now,
        effective_at: now,
    };
    Ok((subscription, change))
}

async fn enqueue_verification(tx: &mut TenantTx, user_id: UserId) -> Result<(), Problem> {
    let job = SendEmail::VerifyEmail { user_id, generation: 1 };
    jobs::enqueue(tx, &job, jobs::Options::default()).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_faults_are_told_at_once_with_their_places() {
        let sign_up = SignUp {
            name: " ".into(),
            subdomain: "admin".into(),
            plan: "Gold".into(),
            owner_email: "nobody".into(),
            owner_name: String::new(),
            company_size: Some("x".repeat(101)),
            use_case: None,
            test_clock: Some("1999-12-31T23:59:59Z".into()),
        };
        let faults = sign_up.parse().err().unwrap().into_vec();
        let pointers: Vec<_> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!(
            pointers,
            [
                "/name",
                "/subdomain",
                "/plan",
                "/owner_email",
                "/owner_name",
                "/company_size",
                "/test_clock"
            ]
        );
    }
}
