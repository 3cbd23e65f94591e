//! Events of plan, invoices, payments and usage.

use serde::Serialize;
use utoipa::ToSchema;

use crate::events::{Amount, events, example_id, example_instant};

/// A tenant's plan.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SubscriptionData {
    /// The subscription.
    #[schema(example = "sub_01h455vb4pex5vsknk084sn02q")]
    pub subscription_id: String,
    /// The plan.
    pub plan: String,
    /// How often it is billed.
    pub cycle: String,
    /// `Trialing`, `Active`, `PastDue` or `Canceled`.
    pub status: String,
    /// When the billing period ends (RFC 3339).
    #[schema(format = DateTime)]
    pub period_end: String,
    /// When its trial ends or ended (RFC 3339).
    #[schema(format = DateTime)]
    pub trial_ends_at: Option<String>,
    /// The plan that follows at the period's end, where another does.
    pub next_plan: Option<String>,
}

/// An invoice.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct InvoiceData {
    /// The invoice.
    #[schema(example = "inv_01h455vb4pex5vsknk084sn02q")]
    pub invoice_id: String,
    /// Its number.
    pub number: String,
    /// `Open`, `Paid`, `Uncollectible` or `Void`.
    pub status: String,
    /// What it comes to.
    pub total: Amount,
    /// What is still to be paid.
    pub due: Amount,
    /// Where the billed period begins (RFC 3339).
    #[schema(format = DateTime)]
    pub period_start: String,
    /// Where it ends (RFC 3339).
    #[schema(format = DateTime)]
    pub period_end: String,
}

/// A payment.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PaymentData {
    /// The invoice that it is for.
    #[schema(example = "inv_01h455vb4pex5vsknk084sn02q")]
    pub invoice_id: String,
    /// The payment.
    pub payment_id: String,
    /// How much.
    pub amount: Amount,
    /// Why it failed, in a word.
    pub failure: Option<String>,
}

/// How much of a plan's count is used.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct UsageThresholdData {
    /// The meter.
    pub meter: String,
    /// The threshold that was reached, in per cent of what the plan allows.
    pub percent: u16,
    /// What is used.
    pub used: u64,
    /// What the plan allows.
    pub limit: u64,
    /// When the billing period began (RFC 3339).
    #[schema(format = DateTime)]
    pub period_start: String,
}

fn amount(amount_minor: i64) -> Amount {
    Amount { amount_minor, currency: "USD".to_owned() }
}

fn subscription(status: &str) -> SubscriptionData {
    SubscriptionData {
        subscription_id: example_id("sub"),
        plan: "Pro".to_owned(),
        cycle: "Monthly".to_owned(),
        status: status.to_owned(),
        period_end: example_instant(),
        trial_ends_at: None,
        next_plan: None,
    }
}

fn invoice(status: &str, due: i64) -> InvoiceData {
    InvoiceData {
        invoice_id: example_id("inv"),
        number: "2026-000042".to_owned(),
        status: status.to_owned(),
        total: amount(9_900),
        due: amount(due),
        period_start: example_instant(),
        period_end: example_instant(),
    }
}

fn payment(failure: Option<&str>) -> PaymentData {
    PaymentData {
        invoice_id: example_id("inv"),
        payment_id: example_id("pay"),
        amount: amount(9_900),
        failure: failure.map(str::to_owned),
    }
}

fn threshold() -> UsageThresholdData {
    UsageThresholdData {
        meter: "messages".to_owned(),
        percent: 80,
        used: 80_012,
        limit: 100_000,
        period_start: example_instant(),
    }
}

events! {
    /// A subscription began.
    SubscriptionCreated = "subscription.created", "A subscription began.", SubscriptionData { key: subscription_id, example: subscription("Trialing") };
    /// A subscription's plan or cycle changed, or will.
    SubscriptionUpdated = "subscription.updated", "The subscription's plan or cycle changed, or will at the period's end.", SubscriptionData { key: subscription_id, example: subscription("Active") };
    /// A trial ends soon.
    SubscriptionTrialEnding = "subscription.trial_ending", "The trial ends in some days.", SubscriptionData { key: subscription_id, example: subscription("Trialing") };
    /// A subscription ended.
    SubscriptionCanceled = "subscription.canceled", "The subscription ended.", SubscriptionData { key: subscription_id, example: subscription("Canceled") };
    /// An invoice was sent out.
    InvoiceFinalized = "invoice.finalized", "An invoice was given its number, and can be paid.", InvoiceData { key: invoice_id, example: invoice("Open", 9_900) };
    /// An invoice was paid.
    InvoicePaid = "invoice.paid", "An invoice was paid in full.", InvoiceData { key: invoice_id, example: invoice("Paid", 0) };
    /// An invoice could not be collected.
    InvoicePaymentFailed = "invoice.payment_failed", "An invoice could not be collected; it will be tried again.", InvoiceData { key: invoice_id, example: invoice("Open", 9_900) };
    /// An invoice was withdrawn.
    InvoiceVoided = "invoice.voided", "An invoice was withdrawn.", InvoiceData { key: invoice_id, example: invoice("Void", 0) };
    /// Money came in.
    PaymentSucceeded = "payment.succeeded", "A payment got through.", PaymentData { key: invoice_id, example: payment(None) };
    /// Money did not come in.
    PaymentFailed = "payment.failed", "A payment did not get through.", PaymentData { key: invoice_id, example: payment(Some("card_declined")) };
    /// Money went back.
    PaymentRefunded = "payment.refunded", "A payment was given back, in part or in full.", PaymentData { key: invoice_id, example: payment(None) };
    /// So much of a plan's count is used.
    UsageThresholdReached = "usage.threshold_reached", "So much of what the plan allows of a meter is used.", UsageThresholdData { key: meter, example: threshold() };
}
