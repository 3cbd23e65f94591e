//! The bytes of a context, as docs/context.md specifies them. Every byte is accounted for: what is unknown,
//! missing or too much is no context.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use domain::id::{ApiKeyId, MembershipId, RequestId, SessionId, TenantId, UserId};
use domain::permission::{PermissionSet, Role};
use domain::plan::PlanName;
use uuid::Uuid;

use super::{EdgeContext, Membership, Principal};

/// The first byte. Another form gets another number.
const VERSION: u8 = 1;
/// Most bytes that a context takes: the fixed ones, an IPv6 address, a tenant, a plan, and a member.
pub(super) const LEN_MAX: usize = 3 + 8 + 8 + 16 + 16 + 16 + 1 + (16 + 16) + (16 + 1 + 8);

// The third byte: which parts follow.
const ADDRESS_V6: u8 = 1 << 0;
const TENANT: u8 = 1 << 1;
const PLAN: u8 = 1 << 2;
const USER: u8 = 1 << 3;
const MEMBERSHIP: u8 = 1 << 4;
const API_KEY: u8 = 1 << 5;

/// A context's bytes, on the stack, with room for the mac behind them.
pub(super) struct Payload<const CAPACITY: usize> {
    bytes: [u8; CAPACITY],
    len: usize,
}

impl<const CAPACITY: usize> Payload<CAPACITY> {
    /// `context` under the key named `key_id`, good until `expires` (Unix seconds).
    pub(super) fn write(context: &EdgeContext, key_id: u8, expires: i64) -> Self {
        const { assert!(CAPACITY >= LEN_MAX, "every context must fit") };
        let mut payload = Self { bytes: [0; CAPACITY], len: 0 };
        payload.push(&[VERSION, key_id, flags(context)]);
        payload.push(&expires.to_be_bytes());
        payload.push(&context.nonce.to_be_bytes());
        payload.push(context.request_id.as_uuid().as_bytes());
        match context.client_address {
            IpAddr::V4(address) => payload.push(&address.octets()),
            IpAddr::V6(address) => payload.push(&address.octets()),
        }
        if let Some(tenant_id) = context.tenant_id {
            payload.push(tenant_id.as_uuid().as_bytes());
        }
        if let Some(plan) = context.plan {
            payload.push(&[plan_number(plan)]);
        }
        payload.push_principal(&context.principal);
        payload
    }

    fn push_principal(&mut self, principal: &Principal) {
        match principal {
            Principal::Anonymous => {}
            Principal::User { user_id, session_id, membership } => {
                self.push(user_id.as_uuid().as_bytes());
                self.push(session_id.as_uuid().as_bytes());
                if let Some(membership) = membership {
                    self.push(membership.id.as_uuid().as_bytes());
                    self.push(&[role_number(membership.role)]);
                    self.push(&membership.permissions.bits().to_be_bytes());
                }
            }
            Principal::ApiKey { api_key_id, permissions } => {
                self.push(api_key_id.as_uuid().as_bytes());
                self.push(&permissions.bits().to_be_bytes());
            }
        }
    }

    /// Puts `part` behind what is there; the capacity is the sum of all that is ever put.
    pub(super) fn push<const N: usize>(&mut self, part: &[u8; N]) {
        self.bytes[self.len..self.len + N].copy_from_slice(part);
        self.len += N;
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// The key id of something that may be a context.
pub(super) fn key_id(payload: &[u8]) -> Option<u8> {
    match payload {
        [VERSION, key_id, ..] => Some(*key_id),
        _ => None,
    }
}

/// The context in `payload` and when it expires (Unix seconds).
pub(super) fn read(payload: &[u8]) -> Option<(EdgeContext, i64)> {
    let mut rest = Reader(payload);
    let [VERSION, _key_id, flags] = rest.take()? else { return None };
    let has = |flag| flags & flag != 0;
    let expires = i64::from_be_bytes(rest.take()?);
    let context = EdgeContext {
        nonce: u64::from_be_bytes(rest.take()?),
        request_id: RequestId::from_uuid(rest.uuid()?),
        client_address: if has(ADDRESS_V6) {
            IpAddr::V6(Ipv6Addr::from_octets(rest.take()?))
        } else {
            IpAddr::V4(Ipv4Addr::from_octets(rest.take()?))
        },
        tenant_id: if has(TENANT) { Some(TenantId::from_uuid(rest.uuid()?)) } else { None },
        plan: if has(PLAN) { Some(rest.plan()?) } else { None },
        principal: match flags & !(ADDRESS_V6 | TENANT | PLAN) {
            0 => Principal::Anonymous,
            USER => rest.user(false)?,
            parts if parts == USER | MEMBERSHIP => rest.user(true)?,
            API_KEY => rest.api_key()?,
            _ => return None,
        },
    };
    rest.0.is_empty().then_some((context, expires))
}

fn flags(context: &EdgeContext) -> u8 {
    let when = |present: bool, flag: u8| if present { flag } else { 0 };
    let principal = match context.principal {
        Principal::Anonymous => 0,
        Principal::User { membership: None, .. } => USER,
        Principal::User { membership: Some(_), .. } => USER | MEMBERSHIP,
        Principal::ApiKey { .. } => API_KEY,
    };
    when(context.client_address.is_ipv6(), ADDRESS_V6)
        | when(context.tenant_id.is_some(), TENANT)
        | when(context.plan.is_some(), PLAN)
        | principal
}

/// A plan's number. Never changed, never given to another: programs of other releases read it.
pub(super) const fn plan_number(plan: PlanName) -> u8 {
    match plan {
        PlanName::Free => 1,
        PlanName::Starter => 2,
        PlanName::Pro => 3,
        PlanName::Enterprise => 4,
    }
}

/// A role's number, under the same rule.
pub(super) const fn role_number(role: Role) -> u8 {
    match role {
        Role::Owner => 1,
        Role::Admin => 2,
        Role::Manager => 3,
        Role::User => 4,
        Role::ReadOnly => 5,
    }
}

/// What is still to be read.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (part, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*part)
    }

    fn uuid(&mut self) -> Option<Uuid> {
        self.take().map(Uuid::from_bytes)
    }

    fn permissions(&mut self) -> Option<PermissionSet> {
        self.take().map(|bytes| PermissionSet::from_bits(u64::from_be_bytes(bytes)))
    }

    fn plan(&mut self) -> Option<PlanName> {
        let [number] = self.take()?;
        PlanName::ALL.iter().copied().find(|plan| plan_number(*plan) == number)
    }

    fn role(&mut self) -> Option<Role> {
        let [number] = self.take()?;
        Role::ALL.iter().copied().find(|role| role_number(*role) == number)
    }

    fn user(&mut self, with_membership: bool) -> Option<Principal> {
        Some(Principal::User {
            user_id: UserId::from_uuid(self.uuid()?),
            session_id: SessionId::from_uuid(self.uuid()?),
            membership: if with_membership { Some(self.membership()?) } else { None },
        })
    }

    fn membership(&mut self) -> Option<Membership> {
        Some(Membership {
            id: MembershipId::from_uuid(self.uuid()?),
            role: self.role()?,
            permissions: self.permissions()?,
        })
    }

    fn api_key(&mut self) -> Option<Principal> {
        Some(Principal::ApiKey {
            api_key_id: ApiKeyId::from_uuid(self.uuid()?),
            permissions: self.permissions()?,
        })
    }
}
