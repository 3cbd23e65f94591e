//! What every provider is asked for, in one trait.

use async_trait::async_trait;
use domain::id::TenantId;
use domain::money::{Currency, Money};
use domain::payment::{Charge, ChargeKey, Dispute, MethodLabel, ProviderName, Refund, RefundKey};
use domain::secret::Secret;
use http::HeaderMap;
use jiff::Timestamp;

use crate::error::{PaymentError, WebhookError};

/// Someone who moves money.
#[async_trait]
pub trait Provider: std::fmt::Debug + Send + Sync {
    /// Who.
    fn name(&self) -> ProviderName;

    /// The least that can be charged, in minor units; what is below is carried forward to a later charge.
    fn charge_min(&self, currency: Currency) -> i64;

    /// What a charge must be a multiple of, in minor units. 1 mostly; 10 of a dinar's thousandths.
    fn charge_step(&self, currency: Currency) -> i64;

    /// Keeps a way to pay, to be charged later without its owner. A second time, the same is kept.
    async fn save_method(&self, wish: &NewMethod<'_>) -> Result<SavedMethod, PaymentError>;

    /// Looks whether its owner has confirmed a way to pay that [needed it](MethodState::NeedsConfirmation).
    async fn confirm_method(&self, token: &Secret<String>) -> Result<SavedMethod, PaymentError>;

    /// Forgets a way to pay. One that is gone already is forgotten.
    async fn forget_method(&self, token: &Secret<String>) -> Result<(), PaymentError>;

    /// Charges a way to pay, under its key: a second call with the same order makes no second charge.
    async fn charge(&self, order: &ChargeOrder<'_>) -> Result<Charge, PaymentError>;

    /// What became of an order that was, or may have been, given before. `None`: it never arrived.
    async fn look_up(&self, order: &ChargeOrder<'_>) -> Result<Option<Charge>, PaymentError>;

    /// Withdraws a charge that waits for its customer. One that got through meanwhile is answered as it is.
    async fn cancel(&self, reference: &str) -> Result<Charge, PaymentError>;

    /// Gives money back, under its key.
    async fn refund(&self, order: &RefundOrder<'_>) -> Result<Refund, PaymentError>;

    /// What became of a refund that was, or may have been, asked for before. `None`: it never arrived.
    async fn look_up_refund(&self, order: &RefundOrder<'_>)
    -> Result<Option<Refund>, PaymentError>;

    /// Checks that a webhook is genuine and recent, on its raw bytes, and reads what it is about.
    async fn parse_webhook(&self, incoming: Incoming<'_>) -> Result<Notice, WebhookError>;

    /// Reads again what a webhook is about, so that the order in which webhooks come does not matter. `None`: it is not
    /// of ours, or gone.
    async fn read(&self, about: &About) -> Result<Option<Fact>, PaymentError>;

    /// All money that moved by what was begun in `[from, to)`, for reconciliation.
    async fn settled(&self, from: Timestamp, to: Timestamp) -> Result<Vec<Settled>, PaymentError>;
}

/// A way to pay to be kept.
#[derive(Debug, Clone, Copy)]
pub struct NewMethod<'a> {
    /// Whose.
    pub tenant_id: TenantId,
    /// Whom the provider shall write to; shown to its operators.
    pub email: Option<&'a str>,
    /// What the provider's page or script in the customer's browser gave: `pm_…`, `card_…`. `None` where its owner is
    /// to be sent to the provider first.
    pub token: Option<&'a Secret<String>>,
    /// A way of the same tenant with the same provider, so that both belong to one customer there.
    pub beside: Option<&'a Secret<String>>,
    /// Where its owner comes back to.
    pub return_url: &'a str,
}

/// A way to pay that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedMethod {
    /// What the provider knows it by; only the provider's client reads it.
    pub token: Secret<String>,
    /// What may be shown of it.
    pub label: MethodLabel,
    /// Whether it can be charged.
    pub state: MethodState,
}

/// Whether a way to pay can be charged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MethodState {
    /// It can.
    Usable,
    /// Its owner has to confirm it there.
    NeedsConfirmation {
        /// Where.
        url: String,
    },
}

/// A charge to be made.
#[derive(Debug, Clone, Copy)]
pub struct ChargeOrder<'a> {
    /// Which attempt of which invoice.
    pub key: ChargeKey,
    /// How much; at least [`Provider::charge_min`], in whole [`Provider::charge_step`]s.
    pub amount: Money,
    /// The way to pay, as it was saved.
    pub method: &'a Secret<String>,
    /// The invoice's number: what the customer reads.
    pub description: &'a str,
    /// The provider's id of the charge, where it is known already.
    pub reference: Option<&'a str>,
    /// When the attempt began: it is looked for from then on.
    pub begun_at: Timestamp,
    /// Where the customer comes back to who had to confirm.
    pub return_url: &'a str,
}

/// A refund to be made.
#[derive(Debug, Clone, Copy)]
pub struct RefundOrder<'a> {
    /// Which.
    pub key: RefundKey,
    /// How much.
    pub amount: Money,
    /// The charge of which it is, by the provider's id.
    pub charge_reference: &'a str,
    /// The provider's id of the refund, where it is known already.
    pub reference: Option<&'a str>,
    /// When it was asked for.
    pub begun_at: Timestamp,
}

/// A call of a provider, as it came in.
#[derive(Debug, Clone, Copy)]
pub struct Incoming<'a> {
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its body, byte for byte.
    pub body: &'a [u8],
    /// When.
    pub now: Timestamp,
}

/// A genuine event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// By which it is known as the same when it comes again.
    pub event_id: String,
    /// The provider's word for it.
    pub kind: String,
    /// What it is about.
    pub about: About,
}

/// What an event is about, by the provider's ids.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "about", content = "reference", rename_all = "snake_case")]
pub enum About {
    /// A charge.
    Charge(String),
    /// A refund.
    Refund(String),
    /// A dispute.
    Dispute(String),
    /// A way to pay, by the [token](SavedMethod::token)'s part that events name.
    Method(String),
    /// Nothing that concerns us. It is kept.
    Nothing,
}

/// What a provider says of something now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// Of a charge.
    Charge(ChargeKey, Charge),
    /// Of a refund.
    Refund(RefundKey, Refund),
    /// Of a dispute about one of our charges.
    Dispute(ChargeKey, Dispute),
    /// Of a way to pay of this tenant: as it is now, or gone.
    Method(TenantId, Secret<String>, Option<MethodLabel>),
}

/// Money that moved, for reconciliation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// What moved it.
    pub kind: SettledKind,
    /// The provider's id of it.
    pub reference: String,
    /// What it was for, where it is one of ours: [`ChargeKey`] of a payment or dispute, [`RefundKey`] of a refund.
    pub key: Option<String>,
    /// How much, always positive.
    pub amount: Money,
    /// When it was begun.
    pub at: Timestamp,
}

/// What moves money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SettledKind {
    /// A payment: it came in.
    Payment,
    /// A refund: it went back.
    Refund,
    /// A dispute that is open or lost: it is held back.
    Dispute,
}
