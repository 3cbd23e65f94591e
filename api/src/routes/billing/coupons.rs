//! Coupons: redeemed once by a tenant, and taken off its invoices from then on.

use axum::extract::State;
use axum::response::Response;
use billing::{Coupon, Discount};
use domain::event::Action;
use domain::faults::Faults;
use domain::money::{Currency, Money};
use domain::problem::ProblemKind;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::coupons::{self, Redeemed};
use store::{TenantTx, subscriptions};
use utoipa::ToSchema;

use crate::app::App;
use crate::authorized::{Authorized, needs};
use crate::extract::{Body, Wire};
use crate::idempotency::{Attempt, IdempotencyKey};
use crate::problem::Problem;
use crate::routes::MoneyBody;

/// Characters of a code.
const CODE_CHARS: std::ops::RangeInclusive<usize> = 3..=40;

/// A coupon that the tenant has.
#[derive(Serialize, ToSchema)]
pub(crate) struct CouponBody {
    #[schema(example = "WELCOME20")]
    code: String,
    /// What it takes off of an invoice, in per cent; `null` where it is an amount.
    #[schema(example = "20 %")]
    percent: Option<String>,
    /// What it takes off of an invoice, at most; `null` where it is a percentage.
    amount: Option<MoneyBody>,
    /// Invoices of periods that it still holds for; `null`: for good.
    #[schema(example = 3)]
    uses_left: Option<u32>,
    redeemed_at: String,
}

impl CouponBody {
    fn new(coupon: Coupon, uses_left: Option<u32>, redeemed_at: String) -> Self {
        let (percent, amount) = match coupon.discount {
            Discount::Percent(percent) => (Some(percent.to_string()), None),
            Discount::Amount { amount_minor, currency } => {
                (None, Some(Money { amount_minor, currency }.into()))
            }
        };
        Self { code: coupon.code, percent, amount, uses_left, redeemed_at }
    }
}

/// The coupons of the tenant of `tx` that still hold.
pub(super) async fn held(tx: &mut TenantTx) -> Result<Vec<CouponBody>, store::Error> {
    let held = coupons::list(tx).await?;
    let held = held.into_iter().filter(|held| held.uses_left != Some(0));
    let body = |held: coupons::Held| {
        CouponBody::new(held.coupon, held.uses_left, held.redeemed_at.to_string())
    };
    Ok(held.map(body).collect())
}

/// A coupon to redeem.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RedeemCoupon {
    #[schema(example = "WELCOME20")]
    code: String,
}

impl Wire for RedeemCoupon {
    type Parsed = String;

    fn parse(self) -> Result<String, Faults> {
        let mut faults = Faults::new();
        let code = self.code.trim().to_ascii_uppercase();
        let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if !CODE_CHARS.contains(&code.len()) || !code.bytes().all(known) {
            faults.push("/code", "must have 3 to 40 letters, digits, `-` and `_`");
        }
        faults.finish(Some(code))
    }
}

/// Redeem a coupon
///
/// Once for each tenant. It is taken off the invoices that are made from now on, before tax.
#[utoipa::path(
    post,
    path = "/api/v1/tenants/{tenant_id}/billing/coupons",
    tag = "Billing",
    params(("tenant_id" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = RedeemCoupon,
    responses((status = 201, body = CouponBody)),
    extensions(("x-permission" = json!("ManageBilling")), ("x-problems" = json!(["conflict"]))),
)]
pub(crate) async fn redeem(
    State(app): State<App>,
    auth: Authorized<needs::ManageBilling>,
    key: IdempotencyKey,
    body: Body<RedeemCoupon>,
) -> Result<Response, Problem> {
    let mut tx = auth.begin(&app).await?;
    let first = match key.attempt(&app, &mut tx, body.hash).await? {
        Attempt::Replay(response) => return Ok(response),
        Attempt::First(first) => first,
    };
    // Locked: of two at once, the second finds the coupon redeemed.
    let running = subscriptions::get_for_update(&mut tx).await?;
    let now = app.tenant_now(&mut tx).await?;

    let coupon = match coupons::redeem(&mut tx, &body.value, now).await? {
        Redeemed::Yes(coupon) => coupon,
        Redeemed::Before => {
            return Err(Problem::new(ProblemKind::Conflict, "The coupon was redeemed already."));
        }
        Redeemed::Unknown => return Err(refused("is not known, or cannot be redeemed any more")),
    };
    if !is_of(&coupon, running.currency) {
        return Err(refused("takes off another currency than the subscription's"));
    }
    let changes = json!({ "code": coupon.code });
    auth.caller.audit(&app, &mut tx, Action::CouponRedeemed, running.id, changes).await?;

    let uses = coupon.duration.uses().map(u32::from);
    let shown = CouponBody::new(coupon, uses, now.to_string());
    let response = first.answer(&app, &mut tx, StatusCode::CREATED, &shown).await?;
    auth.caller.commit(tx).await?;
    Ok(response)
}

fn is_of(coupon: &Coupon, currency: Currency) -> bool {
    match coupon.discount {
        Discount::Percent(_) => true,
        Discount::Amount { currency: other, .. } => other == currency,
    }
}

fn refused(detail: &str) -> Problem {
    let mut faults = Faults::new();
    faults.push("/code", detail);
    faults.into()
}
