//! Every job: its queue, its limits, its payload. Payloads hold ids only, never a secret or personal data.

use std::time::Duration;

use domain::id::{InvitationId, TenantId, UserId};
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
pub const QUEUES: [QueueForm; 2] = [QueueForm::of::<SendEmail>(), QueueForm::of::<Usage>()];

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
}

impl Job for SendEmail {
    const QUEUE: &'static str = "email";
    const VERSION: u16 = 1;
    /// With the pauses between (1 s, doubling to an hour) about fourteen hours.
    const ATTEMPTS_MAX: u16 = 25;
    const TIMEOUT: Duration = Duration::from_secs(60);
}
