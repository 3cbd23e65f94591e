//! Every job: its queue, its limits, its payload. Payloads hold ids only, never a secret or personal data.

use std::time::Duration;

use domain::id::{
    ChargeId, CreditNoteId, DifferenceId, InvitationId, InvoiceId, MembershipId, PaymentMethodId,
    RefundId, SessionId, SubscriptionId, TenantId, UserId, WebhookEndpointId, WebhookReplayId,
};
use domain::meter::MeterName;
use domain::payment::ProviderName;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::queue_form::QueueForm;

/// A kind of job.
pub trait Job: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Where it waits. Stable: jobs of earlier releases wait under this name.
    const QUEUE: &'static str;
    /// Form of the payload. Raised when an older worker would misread it; fields that may be absent do not.
    const VERSION: u16;
    /// How often it is tried before it is a dead letter.
    const ATTEMPTS_MAX: u16;
    /// How long one attempt may take.
    const TIMEOUT: Duration;
}

/// Every queue, for whoever looks at the jobs without doing them.
pub const QUEUES: [QueueForm; 7] = [
    QueueForm::of::<SendEmail>(),
    QueueForm::of::<Usage>(),
    QueueForm::of::<Webhooks>(),
    QueueForm::of::<Billing>(),
    QueueForm::of::<Payments>(),
    QueueForm::of::<Documents>(),
    QueueForm::of::<Audit>(),
];

/// Works on what was counted. Each step may run twice, and beside itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Usage {
    /// Batches that came in → hours → days → billing periods → quotas. Enqueued with each batch, too.
    RollUp,
    /// Compares every stage with the one before.
    Check,
    /// Partitions ahead, and what is too old.
    KeepUp,
}

impl Job for Usage {
    const QUEUE: &'static str = "usage";
    const VERSION: u16 = 1;
    const ATTEMPTS_MAX: u16 = 25;
    const TIMEOUT: Duration = Duration::from_secs(300);
}

/// Works on webhooks beside their delivery, which has a queue of its own (`webhook_deliveries`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Webhooks {
    /// Sends messages to an endpoint again.
    Replay {
        /// The tenant.
        tenant_id: TenantId,
        /// Which, and to where.
        replay_id: WebhookReplayId,
    },
    /// Tells tenants of endpoints through which nothing gets, and disables them in the end.
    Judge,
    /// Forgets what is older than a tenant's plan keeps.
    KeepUp,
}

impl Job for Webhooks {
    const QUEUE: &'static str = "webhooks";
    const VERSION: u16 = 1;
    const ATTEMPTS_MAX: u16 = 25;
    const TIMEOUT: Duration = Duration::from_secs(600);
}

/// From a period's end to a paid invoice. Each step may run twice, and beside itself: what it makes has a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Billing {
    /// Trials that end soon → notices; periods that ended → drafts; drafts whose grace is over → invoices.
    Run,
    /// Pay-as-you-go use that has come to much → an invoice within its period.
    Thresholds,
    /// Owners are reminded of invoices that are open.
    Remind,
    /// Those who do not pay are chased.
    Dun,
    /// Files of bank statements that have come in → payments.
    ImportStatements,
    /// What `Run` does, for one tenant that lives on a time of its own, up to where its clock is to go.
    Advance {
        /// The tenant.
        tenant_id: TenantId,
    },
    /// An invoice was finalised: endpoints are told, and what is due is collected.
    Collect {
        /// The tenant.
        tenant_id: TenantId,
        /// The invoice.
        invoice_id: InvoiceId,
    },
}

impl Job for Billing {
    const QUEUE: &'static str = "billing";
    const VERSION: u16 = 1;
    const ATTEMPTS_MAX: u16 = 25;
    const TIMEOUT: Duration = Duration::from_secs(900);
}

/// Moves money, and hears what became of it. Each step may run twice, and beside itself: what is asked of a provider has a
/// key, and is looked up before it is asked again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Payments {
    /// An attempt to collect an invoice is carried out, or what became of it is looked up.
    Charge {
        /// The tenant.
        tenant_id: TenantId,
        /// The attempt.
        charge_id: ChargeId,
    },
    /// Money is given back, or what became of it is looked up.
    Refund {
        /// The tenant.
        tenant_id: TenantId,
        /// The refund.
        refund_id: RefundId,
    },
    /// A provider told of something.
    Event {
        /// Who.
        provider: ProviderName,
        /// Under which id it is kept.
        event_id: String,
    },
    /// How a dispute ended is looked up, in case nobody tells.
    Dispute {
        /// With whom.
        provider: ProviderName,
        /// The provider's id of it.
        reference: String,
    },
    /// A provider is to forget a way to pay that was taken off the file.
    Forget {
        /// The tenant.
        tenant_id: TenantId,
        /// Which.
        payment_method_id: PaymentMethodId,
    },
    /// What providers say moved is compared with what is on record.
    Reconcile,
    /// The books are made to follow what a provider says of a difference.
    Repair {
        /// Which.
        difference_id: DifferenceId,
    },
    /// What has no end for long is looked up, whether or not a provider tells of it.
    Poll,
    /// Owners are told of ways to pay that run out.
    Expiries,
}

impl Job for Payments {
    const QUEUE: &'static str = "payments";
    const VERSION: u16 = 1;
    const ATTEMPTS_MAX: u16 = 25;
    const TIMEOUT: Duration = Duration::from_secs(300);
}

/// Renders a document once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "document", rename_all = "snake_case")]
pub enum Documents {
    /// An invoice.
    Invoice {
        /// The tenant.
        tenant_id: TenantId,
        /// The invoice.
        invoice_id: InvoiceId,
    },
    /// A credit note.
    CreditNote {
        /// The tenant.
        tenant_id: TenantId,
        /// The credit note.
        credit_note_id: CreditNoteId,
    },
}

impl Job for Documents {
    const QUEUE: &'static str = "documents";
    const VERSION: u16 = 1;
    const ATTEMPTS_MAX: u16 = 25;
    const TIMEOUT: Duration = Duration::from_secs(60);
}

/// Works on audit trails. Each step may run twice, and beside itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Audit {
    /// Gives events that were written their places in their tenants' trees, and signs the heads.
    Place,
}

impl Job for Audit {
    const QUEUE: &'static str = "audit";
    const VERSION: u16 = 1;
    const ATTEMPTS_MAX: u16 = 25;
    const TIMEOUT: Duration = Duration::from_secs(600);
}

/// Renders and sends one message. What is mailed is looked up when it is sent; what has changed since
/// (withdrawn, sent anew, used) is not sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "message", rename_all = "snake_case")]
pub enum SendEmail {
    /// To someone who is invited into a tenant.
    Invitation {
        /// The tenant.
        tenant_id: TenantId,
        /// The invitation.
        invitation_id: InvitationId,
        /// Which of its links.
        generation: u32,
    },
    /// To someone who signed up.
    VerifyEmail {
        /// The person.
        user_id: UserId,
        /// Which of their links.
        generation: u32,
    },
    /// To someone who forgot their password.
    ResetPassword {
        /// The person.
        user_id: UserId,
        /// Which of their links.
        generation: u32,
    },
    /// To someone whose account was signed in to from elsewhere than lately.
    SignInAlert {
        /// The session that began.
        session_id: SessionId,
    },
    /// To an owner, before a trial becomes a subscription that costs.
    TrialEnding {
        /// To whom.
        owner: Owner,
        /// The subscription.
        subscription_id: SubscriptionId,
    },
    /// To who pays: an invoice was paid.
    Receipt {
        /// To whom.
        #[serde(rename = "owner")]
        payer: Payer,
        /// The invoice.
        invoice_id: InvoiceId,
    },
    /// To who pays: an invoice is open, and due soon or since some time.
    InvoiceReminder {
        /// To whom.
        #[serde(rename = "owner")]
        payer: Payer,
        /// The invoice.
        invoice_id: InvoiceId,
        /// Days after the one on which it is due, on which this was to be sent.
        days: i16,
    },
    /// To who pays: an invoice could not be collected.
    PaymentFailed {
        /// To whom.
        #[serde(rename = "owner")]
        payer: Payer,
        /// The invoice.
        invoice_id: InvoiceId,
    },
    /// To who pays: a payment waits for them to confirm it, or to make it.
    PaymentAction {
        /// To whom.
        payer: Payer,
        /// The attempt.
        charge_id: ChargeId,
    },
    /// To who pays: the service is restricted, will end, or has ended, because an invoice is not paid.
    Dunning {
        /// To whom.
        payer: Payer,
        /// The invoice.
        invoice_id: InvoiceId,
        /// What has happened, or will.
        stage: DunningStage,
    },
    /// To who pays: the way to pay runs out.
    PaymentMethodExpiring {
        /// To whom.
        payer: Payer,
        /// Which.
        payment_method_id: PaymentMethodId,
    },
    /// To an owner: so much of what the plan allows of a meter is used.
    UsageAlert {
        /// To whom.
        owner: Owner,
        /// The meter.
        meter: MeterName,
        /// The threshold that was reached.
        percent: u16,
        /// The billing period in which it was.
        period_start: Timestamp,
    },
    /// To an owner: nothing gets through to a webhook endpoint, or it was disabled for that.
    WebhookTrouble {
        /// To whom.
        owner: Owner,
        /// The endpoint.
        endpoint_id: WebhookEndpointId,
    },
}

/// How far it has come with a tenant that does not pay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DunningStage {
    /// Nothing can be changed any more.
    ReadOnly,
    /// Nothing can be done any more but pay.
    BillingOnly,
    /// The end is near.
    FinalNotice,
    /// The subscription has ended.
    Ended,
}

/// An owner of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The tenant.
    pub tenant_id: TenantId,
    /// Their membership in it.
    pub membership_id: MembershipId,
}

/// Whom mail about invoices goes to. An owner's stored form is that of [`Owner`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Payer {
    /// An owner of the tenant.
    Owner(Owner),
    /// The address in its billing profile.
    Contact {
        /// The tenant.
        tenant_id: TenantId,
    },
}

impl Job for SendEmail {
    const QUEUE: &'static str = "email";
    const VERSION: u16 = 1;
    /// With the pauses between (1 s, doubling to an hour) about fourteen hours.
    const ATTEMPTS_MAX: u16 = 25;
    const TIMEOUT: Duration = Duration::from_secs(60);
}
