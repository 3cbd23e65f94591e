//! Names of what happened: the audit trail's actions.

use crate::plan::spelled_enum;

spelled_enum! {
    /// Who did something.
    ActorKind {
        /// A signed-in person.
        User,
        /// An API key.
        ApiKey,
        /// Nobody signed in (sign-up, login, a mailed link).
        Anonymous,
        /// The platform itself: a job or a schedule.
        System,
    }
}

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// What was done, as `noun.past_participle`. Stored; never renamed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Action { $($(#[$doc])* $name,)* }

        impl Action {
            /// Every action.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The stored spelling.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

actions! {
    /// A tenant signed up.
    TenantCreated = "tenant.created",
    /// A tenant's settings changed.
    TenantUpdated = "tenant.updated",
    /// A tenant was closed by its owner.
    TenantClosed = "tenant.closed",
    /// An invitation was made.
    UserInvited = "user.invited",
    /// An invitation was sent again, under a new token.
    InvitationResent = "invitation.resent",
    /// An invitation was withdrawn.
    InvitationRevoked = "invitation.revoked",
    /// An invited person joined.
    UserJoined = "user.joined",
    /// A member's role or permissions changed.
    UserUpdated = "user.updated",
    /// A member was removed.
    UserRemoved = "user.removed",
    /// Somebody signed in.
    SessionStarted = "session.started",
    /// Somebody signed out, or a session was revoked.
    SessionEnded = "session.ended",
    /// A rotated refresh token was presented again, after its grace: the family was revoked.
    RefreshTokenReused = "refresh_token.reused",
    /// An e-mail address was verified.
    EmailVerified = "email.verified",
    /// What an unverified sign-up had left behind was ended by the address's holder.
    UnverifiedAccessEnded = "unverified_access.ended",
    /// A password was set or changed.
    PasswordChanged = "password.changed",
    /// An API key was created.
    ApiKeyCreated = "api_key.created",
    /// An API key was replaced by a new one, and ends.
    ApiKeyRotated = "api_key.rotated",
    /// An API key was deleted.
    ApiKeyRevoked = "api_key.revoked",
    /// The tenant's address allowlist changed.
    IpAllowlistUpdated = "ip_allowlist.updated",
    /// The subscription's plan or cycle changed, or will.
    SubscriptionChanged = "subscription.changed",
    /// A way to pay was set.
    PaymentMethodSet = "payment_method.set",
    /// The way to pay was removed.
    PaymentMethodRemoved = "payment_method.removed",
    /// Nothing more is owed: what was restricted for it works again.
    SubscriptionRecovered = "subscription.recovered",
    /// An invoice could not be collected, or is overdue.
    SubscriptionPastDue = "subscription.past_due",
    /// The service is restricted, because an invoice is not paid.
    SubscriptionSuspended = "subscription.suspended",
    /// Whom invoices are made out to changed.
    BillingProfileUpdated = "billing_profile.updated",
    /// A coupon was redeemed.
    CouponRedeemed = "coupon.redeemed",
    /// What use past the plan may cost was set.
    OverageSet = "overage.set",
    /// A tenant's own time moves on.
    TestClockAdvanced = "test_clock.advanced",
    /// Money came in for an invoice.
    PaymentRecorded = "payment.recorded",
    /// An attempt to collect an invoice was refused.
    PaymentFailed = "payment.failed",
    /// Money went back.
    PaymentRefunded = "payment.refunded",
    /// A payer disputes a payment.
    PaymentDisputed = "payment.disputed",
    /// The books were made to follow what a provider says.
    LedgerRepaired = "ledger.repaired",
    /// A dispute was decided.
    DisputeClosed = "dispute.closed",
    /// A webhook endpoint was created.
    WebhookEndpointCreated = "webhook_endpoint.created",
    /// A webhook endpoint was changed, enabled or disabled.
    WebhookEndpointUpdated = "webhook_endpoint.updated",
    /// A webhook endpoint was deleted.
    WebhookEndpointDeleted = "webhook_endpoint.deleted",
    /// A webhook endpoint was sent a test event.
    WebhookEndpointTested = "webhook_endpoint.tested",
    /// A webhook endpoint's messages are signed with a new secret.
    WebhookSecretRotated = "webhook_secret.rotated",
    /// A message was sent to a webhook endpoint again.
    WebhookResent = "webhook_message.resent",
    /// Messages are sent to a webhook endpoint again.
    WebhookReplayStarted = "webhook_replay.started",
    /// A replay was ended before it was done.
    WebhookReplayCanceled = "webhook_replay.canceled",
}
