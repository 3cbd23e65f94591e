//! Typed, sortable ids: `tenant_01h455vb4pex5vsknk084sn02q` outside, a UUIDv7 inside.
//!
//! The text form is TypeID 0.3 (<https://github.com/jetify-com/typeid>): a fixed prefix, an underscore,
//! and the 128 bits as 26 characters of Crockford base32, lower case. Binary formats carry the UUID alone.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// Length of the part after the prefix.
pub const SUFFIX_LEN: usize = 26;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// The text is not an id of the expected kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an id of the form `{prefix}_` followed by {SUFFIX_LEN} characters")]
pub struct IdError {
    /// The prefix that was expected.
    pub prefix: &'static str,
}

fn encode(uuid: Uuid) -> [u8; SUFFIX_LEN] {
    let mut bits = uuid.as_u128();
    let mut text = [0; SUFFIX_LEN];
    for slot in text.iter_mut().rev() {
        *slot = ALPHABET[(bits & 0x1f) as usize];
        bits >>= 5;
    }
    text
}

fn decode(suffix: &[u8]) -> Option<Uuid> {
    // 26 × 5 = 130 bits: a first character above `7` would overflow 128.
    if suffix.len() != SUFFIX_LEN || suffix[0] > b'7' {
        return None;
    }
    let mut bits: u128 = 0;
    for character in suffix {
        let value = ALPHABET.iter().position(|letter| letter == character)?;
        bits = (bits << 5) | value as u128;
    }
    Some(Uuid::from_u128(bits))
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "sqlx", derive(sqlx::Type))]
        #[cfg_attr(feature = "sqlx", sqlx(transparent))]
        pub struct $name(Uuid);

        impl $name {
            /// What the text form starts with, without the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// A new id at `now`, with the random bits that the caller drew.
            #[must_use]
            pub fn new(now: jiff::Timestamp, random: [u8; 10]) -> Self {
                Self(uuid_v7(now, random))
            }

            /// Wraps a UUID that a database row or a signed statement carried.
            #[must_use]
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID inside.
            #[must_use]
            pub const fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let suffix = encode(self.0);
                f.write_str(concat!($prefix, "_"))?;
                f.write_str(std::str::from_utf8(&suffix).unwrap_or_default())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                text.strip_prefix(concat!($prefix, "_"))
                    .and_then(|suffix| decode(suffix.as_bytes()))
                    .map(Self)
                    .ok_or(IdError { prefix: $prefix })
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    self.0.serialize(serializer)
                }
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if !deserializer.is_human_readable() {
                    return Uuid::deserialize(deserializer).map(Self);
                }
                let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

fn uuid_v7(now: jiff::Timestamp, random: [u8; 10]) -> Uuid {
    let millis = u64::try_from(now.as_millisecond()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

ids! {
    /// A customer organization: the unit of isolation, of limits and of billing.
    TenantId = "tenant";
    /// A person, platform-wide; belongs to tenants through memberships.
    UserId = "user";
    /// A person's place in one tenant: role, extra permissions, status.
    MembershipId = "member";
    /// An offer of membership to an e-mail address.
    InvitationId = "invitation";
    /// A signed-in device of a user.
    SessionId = "session";
    /// A tenant's API key (the record, not the secret).
    ApiKeyId = "key";
    /// A tenant's running plan.
    SubscriptionId = "sub";
    /// One change of a subscription.
    SubscriptionChangeId = "subchange";
    /// An invoice.
    InvoiceId = "inv";
    /// What was taken back of an invoice.
    CreditNoteId = "cn";
    /// Money that came in.
    PaymentId = "pay";
    /// A way to pay that a tenant has on file.
    PaymentMethodId = "paymethod";
    /// An attempt to collect an invoice.
    ChargeId = "charge";
    /// Money that goes back.
    RefundId = "refund";
    /// A payment that its payer disputes.
    DisputeId = "dispute";
    /// The chasing of a tenant that does not pay.
    DunningCaseId = "dunning";
    /// A difference between a provider's money and the books.
    DifferenceId = "difference";
    /// A credit entry of a bank statement.
    BankEntryId = "bankentry";
    /// One entry of a tenant's audit trail.
    AuditEventId = "audit";
    /// A key that signs heads of audit trails.
    AuditKeyId = "auditkey";
    /// One request through the edge.
    RequestId = "req";
    /// A published key that signs access tokens.
    SigningKeyId = "sigkey";
    /// A credential of the platform's own: of an application behind the edge, or of an operator.
    PlatformCredentialId = "credential";
    /// A job of the queue. Inside is a ULID, the runtime's own form, with the same bits in the same order.
    JobId = "job";
    /// One thing that an operator did.
    OperatorEventId = "opevent";
    /// Where a tenant wants to be told of what happens.
    WebhookEndpointId = "endpoint";
    /// One event that tenants are told of: `webhook-id`, the same at each attempt and each endpoint.
    WebhookMessageId = "msg";
    /// One call to send messages to an endpoint again.
    WebhookReplayId = "replay";
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn typeid_specification_example() {
        let uuid: Uuid = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        assert_eq!(TenantId::from_uuid(uuid).to_string(), "tenant_01h455vb4pex5vsknk084sn02q");
    }

    #[test]
    fn another_kinds_prefix_is_refused() {
        let id = UserId::from_uuid(Uuid::from_u128(7)).to_string();
        assert!(id.parse::<TenantId>().is_err());
    }

    #[test]
    fn overflowing_and_upper_case_suffixes_are_refused() {
        assert!("tenant_8zzzzzzzzzzzzzzzzzzzzzzzzz".parse::<TenantId>().is_err());
        assert!("tenant_01H455VB4PEX5VSKNK084SN02Q".parse::<TenantId>().is_err());
    }

    #[test]
    fn ids_sort_by_time() {
        let earlier = TenantId::new(jiff::Timestamp::from_second(1).unwrap(), [255; 10]);
        let later = TenantId::new(jiff::Timestamp::from_second(2).unwrap(), [0; 10]);
        assert!(earlier < later && earlier.to_string() < later.to_string());
    }

    proptest! {
        #[test]
        fn text_form_round_trips(bits: u128) {
            let id = ApiKeyId::from_uuid(Uuid::from_u128(bits));
            prop_assert_eq!(id.to_string().parse::<ApiKeyId>(), Ok(id));
        }

        #[test]
        fn any_text_is_parsed_without_panic(text in ".{0,64}") {
            let _ = text.parse::<TenantId>();
            let _ = format!("tenant_{text}").parse::<TenantId>();
        }
    }
}
