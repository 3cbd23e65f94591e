//! A typical invoice, for measuring how many the engine composes in a second.

use anyhow::{Context, Result};
use billing::{
    Coupon, Discount, Draft, Duration, Facts, FeeTerm, InvoiceKind, TaxCategory, TaxTerms,
    UsageTerm, Used,
};
use domain::id::SubscriptionId;
use domain::money::Currency;
use domain::period::Period;
use domain::plan::{BillingCycle, PlanName};
use uuid::Uuid;

use super::catalogue::Catalogue;

/// Five lines: a fee and the use of four meters, with one coupon and one tax group.
///
/// # Errors
/// When the catalogue cannot be made; a test finds out.
pub fn five_line_draft() -> Result<(Draft, Facts)> {
    let catalogue = Catalogue::new()?;
    let (plan, cycle, currency) = (PlanName::Enterprise, BillingCycle::Monthly, Currency::USD);
    let offer = catalogue.offer(catalogue.newest(plan, cycle, currency)?)?;
    let ended =
        Period { start: "2026-03-01T00:00:00Z".parse()?, end: "2026-04-01T00:00:00Z".parse()? };
    let coming = Period { start: ended.end, end: "2026-05-01T00:00:00Z".parse()? };
    let fee = FeeTerm {
        plan,
        version: offer.version,
        cycle,
        price_minor: offer.fee_minor,
        whole: coming,
        service: coming,
    };
    let usage = UsageTerm { plan, version: offer.version, cycle, period: ended };
    let quantities = [23_457, 7_200, 1_300, 777];
    let used = offer.charges.iter().zip(quantities).map(|(charge, quantity)| Used {
        charge: charge.clone(),
        title: "Messages sent".to_owned(),
        unit: "message".to_owned(),
        quantity,
    });
    let draft = Draft {
        subscription_id: SubscriptionId::from_uuid(Uuid::from_u128(1)),
        kind: InvoiceKind::Period,
        period: coming,
        credit: None,
        fee: Some(fee),
        usage: Some(usage),
    };
    let discount = Discount::Percent(1_000.try_into().context("a tenth is a part")?);
    let facts = Facts {
        currency,
        used: used.collect(),
        late: Vec::new(),
        invoiced_minor: 0,
        cap_minor: None,
        coupons: vec![Coupon { code: "TENTH".to_owned(), discount, duration: Duration::Forever }],
        tax: TaxTerms {
            category: TaxCategory::Standard,
            rate: "19".parse()?,
            inclusive: false,
            jurisdiction: Some("DE".to_owned()),
            note: None,
        },
        balance_minor: 0,
    };
    Ok((draft, facts))
}
