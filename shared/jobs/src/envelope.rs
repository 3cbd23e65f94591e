//! What is stored of a job: its payload, and in which version of its form.

use serde::{Deserialize, Serialize};

use crate::catalog::Job;

#[derive(Serialize, Deserialize)]
pub(crate) struct Envelope<T> {
    version: u16,
    job: T,
}

#[derive(Deserialize)]
struct Version {
    version: u16,
}

/// A stored payload cannot be read. Trying again would not help.
#[derive(Debug, thiserror::Error)]
pub enum Undecodable {
    /// Not the job's form.
    #[error("the payload cannot be read: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Written by another release.
    #[error("the payload has version {found}, this release reads {known}")]
    Version {
        /// Of the payload.
        found: u16,
        /// Of this release.
        known: u16,
    },
}

impl<'a, J: Job> Envelope<&'a J> {
    pub(crate) const fn around(job: &'a J) -> Self {
        Self { version: J::VERSION, job }
    }
}

/// The job in a stored payload.
///
/// # Errors
/// When it is malformed or of another version.
pub fn decode<J: Job>(payload: &[u8]) -> Result<J, Undecodable> {
    let Version { version } = serde_json::from_slice(payload)?;
    if version != J::VERSION {
        return Err(Undecodable::Version { found: version, known: J::VERSION });
    }
    Ok(serde_json::from_slice::<Envelope<J>>(payload)?.job)
}

#[cfg(test)]
mod tests {
    use domain::id::{
        InvitationId, InvoiceId, MembershipId, SessionId, SubscriptionId, TenantId, UserId,
        WebhookEndpointId,
    };
    use expect_test::expect;
    use uuid::Uuid;

    use super::*;
    use crate::catalog::{Owner, Payer, SendEmail};

    /// The golden file of every payload: a change here needs a new version, or must be read by both releases.
    #[test]
    fn stored_forms_do_not_change() {
        let user_id = UserId::from_uuid(Uuid::from_u128(3));
        let invitation = SendEmail::Invitation {
            tenant_id: TenantId::from_uuid(Uuid::from_u128(1)),
            invitation_id: InvitationId::from_uuid(Uuid::from_u128(2)),
            generation: 1,
        };
        let owner = Owner {
            tenant_id: TenantId::from_uuid(Uuid::from_u128(1)),
            membership_id: MembershipId::from_uuid(Uuid::from_u128(4)),
        };
        let invoice_id = InvoiceId::from_uuid(Uuid::from_u128(5));
        let jobs = [
            invitation,
            SendEmail::VerifyEmail { user_id, generation: 1 },
            SendEmail::ResetPassword { user_id, generation: 2 },
            SendEmail::SignInAlert { session_id: SessionId::from_uuid(Uuid::from_u128(6)) },
            SendEmail::TrialEnding {
                owner,
                subscription_id: SubscriptionId::from_uuid(Uuid::from_u128(7)),
            },
            SendEmail::Receipt { payer: Payer::Owner(owner), invoice_id },
            SendEmail::InvoiceReminder {
                payer: Payer::Contact { tenant_id: owner.tenant_id },
                invoice_id,
                days: -3,
            },
            SendEmail::PaymentFailed { payer: Payer::Owner(owner), invoice_id },
            SendEmail::UsageAlert {
                owner,
                meter: "messages".parse().unwrap(),
                percent: 80,
                period_start: jiff::Timestamp::UNIX_EPOCH,
            },
            SendEmail::WebhookTrouble {
                owner,
                endpoint_id: WebhookEndpointId::from_uuid(Uuid::from_u128(8)),
            },
        ];
        let stored = jobs.map(|job| {
            let payload = serde_json::to_string(&Envelope::around(&job)).unwrap();
            assert_eq!(decode::<SendEmail>(payload.as_bytes()).unwrap(), job);
            payload
        });
        expect![[r#"
            {"version":1,"job":{"message":"invitation","tenant_id":"tenant_00000000000000000000000001","invitation_id":"invitation_00000000000000000000000002","generation":1}}
            {"version":1,"job":{"message":"verify_email","user_id":"user_00000000000000000000000003","generation":1}}
            {"version":1,"job":{"message":"reset_password","user_id":"user_00000000000000000000000003","generation":2}}
            {"version":1,"job":{"message":"sign_in_alert","session_id":"session_00000000000000000000000006"}}
            {"version":1,"job":{"message":"trial_ending","owner":{"tenant_id":"tenant_00000000000000000000000001","membership_id":"member_00000000000000000000000004"},"subscription_id":"sub_00000000000000000000000007"}}
            {"version":1,"job":{"message":"receipt","owner":{"tenant_id":"tenant_00000000000000000000000001","membership_id":"member_00000000000000000000000004"},"invoice_id":"inv_00000000000000000000000005"}}
            {"version":1,"job":{"message":"invoice_reminder","owner":{"tenant_id":"tenant_00000000000000000000000001"},"invoice_id":"inv_00000000000000000000000005","days":-3}}
            {"version":1,"job":{"message":"payment_failed","owner":{"tenant_id":"tenant_00000000000000000000000001","membership_id":"member_00000000000000000000000004"},"invoice_id":"inv_00000000000000000000000005"}}
            {"version":1,"job":{"message":"usage_alert","owner":{"tenant_id":"tenant_00000000000000000000000001","membership_id":"member_00000000000000000000000004"},"meter":"messages","percent":80,"period_start":"1970-01-01T00:00:00Z"}}
            {"version":1,"job":{"message":"webhook_trouble","owner":{"tenant_id":"tenant_00000000000000000000000001","membership_id":"member_00000000000000000000000004"},"endpoint_id":"endpoint_00000000000000000000000008"}}"#]].assert_eq(&stored.join("\n"));
    }

    /// A kind of job, as a later release has it.
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Grown {
        user_id: UserId,
        /// Since the later release.
        #[serde(default)]
        locale: Option<String>,
    }

    impl Job for Grown {
        const QUEUE: &'static str = "grown";
        const VERSION: u16 = 1;
        const ATTEMPTS_MAX: u16 = 1;
        const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(1);
    }

    #[test]
    fn what_an_earlier_release_stored_is_read_after_a_field_was_added() {
        let stored = br#"{"version":1,"job":{"user_id":"user_00000000000000000000000003"}}"#;
        let user_id = UserId::from_uuid(Uuid::from_u128(3));
        assert_eq!(decode::<Grown>(stored).unwrap(), Grown { user_id, locale: None });
        // And what a later one stored, by an earlier one: while both run.
        let stored = br#"{"version":1,"job":{"message":"verify_email","user_id":"user_00000000000000000000000003","generation":1,"locale":"de"}}"#;
        assert_eq!(
            decode::<SendEmail>(stored).unwrap(),
            SendEmail::VerifyEmail { user_id, generation: 1 }
        );
    }

    #[test]
    fn what_is_not_the_jobs_is_refused() {
        for payload in
            ["", "{", "null", "{}", r#"{"version":1}"#, r#"{"version":1,"job":{"message":"x"}}"#]
        {
            let error = decode::<SendEmail>(payload.as_bytes()).unwrap_err();
            assert!(matches!(error, Undecodable::Malformed(_)), "{payload}");
        }
        let error = decode::<SendEmail>(br#"{"version":2,"job":{}}"#).unwrap_err();
        assert_eq!(error.to_string(), "the payload has version 2, this release reads 1");
    }
}
