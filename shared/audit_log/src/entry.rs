//! An event in the form that is hashed: one line of JSON, its members in a fixed order.

use domain::id::AuditEventId;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::tree::Hash;

/// An event as it is on record.
#[derive(Debug, Clone, Serialize)]
pub struct Entry<'a> {
    /// Its id.
    pub id: AuditEventId,
    /// When.
    pub at: Timestamp,
    /// What kind of actor.
    pub actor_kind: &'a str,
    /// The actor's id.
    pub actor_id: Option<&'a str>,
    /// What was done.
    pub action: &'a str,
    /// The id of what it was done to.
    pub target: &'a str,
    /// Before and after. Its members are written in the order of their names.
    pub changes: &'a Value,
    /// The caller's address.
    pub address: Option<std::net::IpAddr>,
    /// The request.
    pub request_id: Option<&'a str>,
}

impl Entry<'_> {
    /// The line that is hashed, and exported.
    ///
    /// # Errors
    /// Never, for what was read from JSON.
    pub fn line(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// The hash of its leaf.
    ///
    /// # Errors
    /// As [`Self::line`].
    pub fn hash(&self) -> Result<Hash, serde_json::Error> {
        Ok(Hash::leaf(self.line()?.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    /// What is hashed must never change: the heads of before would not hold any more.
    #[test]
    fn the_line_is_this_for_ever() {
        let changes = json!({ "z": 1, "a": { "c": [1.5, null], "b": "ü\n" } });
        let entry = Entry {
            id: AuditEventId::from_uuid(Uuid::from_u128(7)),
            at: "2026-11-30T12:00:00.123456Z".parse().unwrap(),
            actor_kind: "User",
            actor_id: Some("membership_1"),
            action: "tenant.updated",
            target: "tenant_1",
            changes: &changes,
            address: Some("192.0.2.1".parse().unwrap()),
            request_id: None,
        };
        assert_eq!(
            entry.line().unwrap(),
            "{\"id\":\"audit_00000000000000000000000007\",\"at\":\"2026-11-30T12:00:00.123456Z\",\"actor_kind\":\"User\",\
            \"actor_id\":\"membership_1\",\"action\":\"tenant.updated\",\"target\":\"tenant_1\",\
            \"changes\":{\"a\":{\"b\":\"ü\\n\",\"c\":[1.5,null]},\"z\":1},\"address\":\"192.0.2.1\",\"request_id\":null}"
        );
    }
}
