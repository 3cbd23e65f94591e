use std::num::NonZeroU32;

use credentials::access_token::PublicJwk;
use credentials::api_key::ApiKeyHash;
use domain::id::{ApiKeyId, MembershipId, SessionId, TenantId, UserId};
use domain::meter::MeterName;
use domain::period::Period;
use domain::permission::{PermissionSet, Role};
use domain::plan::PlanName;
use domain::standing::Access;
use domain::tenant::TenantStatus;
use policy::cidr::AddressList;
use policy::hosts::PlatformHosts;
use policy::routes::RouteTable;
use policy::snapshot::{ApiKey, Member, Tenant};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;

fn site() -> Arc<Site> {
    Arc::new(Site {
        hosts: PlatformHosts::new("api.localhost".parse().unwrap(), []),
        routes: RouteTable::parse("t", "routes = []\nupstreams = {}").unwrap(),
        peppers: Vec::new(),
        token_issuer: String::new(),
        token_audience: String::new(),
    })
}

fn position(number: u8) -> Position {
    Position {
        snapshot: format!("{number}:{number}:").parse().unwrap(),
        lineage: "l".to_owned(),
        forgotten: crate::Xid(0),
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn change(number: u8, revoked: bool) -> Change {
    let api_key = ApiKey {
        id: ApiKeyId::from_uuid(Uuid::from_u128(u128::from(number))),
        tenant_id: TenantId::from_uuid(Uuid::nil()),
        permissions: PermissionSet::EMPTY,
        calls_per_minute: None,
        networks: AddressList::new(["10.0.0.0/8".parse().unwrap()]),
        expires_at: Some(at(5)),
        revoked,
    };
    Change::ApiKey(ApiKeyHash::from_slice(&[number; 32]).unwrap(), Some(api_key))
}

fn policy(changes: &[Change]) -> Policy {
    let mut policy = Policy::new(site());
    changes.iter().cloned().for_each(|change| policy.apply(change));
    policy
}

/// A folder with a policy that is being kept.
fn kept(folder: &Path, policy: &Policy) -> Local {
    let mut local = Local::new(folder.join("edge"));
    local.tend(policy, &position(1), at(1));
    while local.journal.is_none() {
        std::thread::yield_now();
        local.tend(policy, &position(1), at(1));
    }
    local
}

fn restore(folder: &Path) -> Result<Restored, LocalError> {
    Local::new(folder.join("edge")).restore(site())
}

#[test]
fn a_process_is_settled_once_its_file_is_there_or_cannot_be() {
    let folder = tempfile::tempdir().unwrap();
    let policy = policy(&[change(1, false)]);
    let mut first = Local::new(folder.path().join("edge"));
    first.tend(&policy, &position(1), at(1));
    assert!(!first.settled());
    while !first.settled() {
        std::thread::yield_now();
        first.tend(&policy, &position(1), at(1));
    }
    assert!(restore(folder.path()).is_ok());
    // Another one's.
    let mut second = Local::new(folder.path().join("edge"));
    second.tend(&policy, &position(1), at(1));
    assert!(second.settled());
    // No folder can be made below a file.
    let mut nowhere = Local::new(folder.path().join("edge").join(FILE).join("edge"));
    nowhere.tend(&policy, &position(1), at(1));
    assert!(nowhere.settled());
}

#[test]
fn what_was_noted_is_there_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let before = policy(&[change(1, false), change(2, false)]);
    let mut local = kept(folder.path(), &before);
    local.append(vec![change(1, true)], &position(2), at(2));
    // Nothing is closed or flushed: as a kill leaves it.
    let restored = restore(folder.path()).unwrap();
    assert!(restored.policy.knows_as_much_as(&policy(&[change(1, true), change(2, false)])));
    assert_eq!((restored.position, restored.current_at), (position(2), at(2)));
    local.append(Vec::new(), &position(3), at(4));
    assert_eq!(restore(folder.path()).unwrap().current_at, at(2), "too soon to be noted");
    local.append(Vec::new(), &position(3), at(8));
    assert_eq!(restore(folder.path()).unwrap().current_at, at(8));
}

/// Formats that do not describe themselves read back only what was written the same way.
#[test]
fn every_kind_of_change_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let tenant_id = TenantId::from_uuid(Uuid::from_u128(1));
    let tenant = |plan| Tenant {
        subdomain: "acme".into(),
        status: TenantStatus::Suspended,
        access: Access::BillingOnly,
        plan,
        calls_per_minute: NonZeroU32::MIN,
        concurrent_requests: NonZeroU32::new(u32::MAX),
        quotas: [("documents".parse().unwrap(), 0), (MeterName::messages(), u64::MAX)].into(),
        period: Period { start: at(1), end: at(2) },
        require_two_factor: true,
        networks: AddressList::new(["2001:db8::/32".parse().unwrap()]),
    };
    let user = UserId::from_uuid(Uuid::from_u128(2));
    let jwk = PublicJwk {
        kty: "OKP".to_owned(),
        crv: "Ed25519".to_owned(),
        x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo".to_owned(),
        y: None,
        kid: "k".to_owned(),
        usage: "sig".to_owned(),
        alg: "EdDSA".to_owned(),
    };
    let mut changes = vec![
        change(1, true),
        Change::Domain("shop.example".parse().unwrap(), Some(tenant_id)),
        Change::RevokedSession(SessionId::from_uuid(Uuid::from_u128(3)), Some(at(7))),
        Change::SigningKeys(vec![jwk]),
    ];
    changes.extend(PlanName::ALL.iter().map(|plan| Change::Tenant(tenant_id, Some(tenant(*plan)))));
    changes.extend(Role::ALL.iter().map(|role| {
        let id = MembershipId::from_uuid(Uuid::from_u128(4));
        Change::Member(
            tenant_id,
            user,
            Some(Member { id, role: *role, permissions: role.permissions() }),
        )
    }));
    let whole = policy(&changes);
    let mut local = kept(folder.path(), &whole);
    assert!(restore(folder.path()).unwrap().policy.knows_as_much_as(&whole));
    let later = [Change::Tenant(tenant_id, None), Change::Member(tenant_id, user, None)];
    local.append(later.to_vec(), &position(2), at(2));
    changes.extend(later);
    assert!(restore(folder.path()).unwrap().policy.knows_as_much_as(&policy(&changes)));
}

/// Of a release that knew less of a tenant: its bytes would be taken for something else.
#[test]
fn a_file_of_another_form_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("edge").join(FILE);
    drop(kept(folder.path(), &policy(&[change(1, false)])));
    let bytes = fs::read(&file).unwrap();
    let frames = bytes.strip_prefix(FORM).unwrap();
    fs::write(&file, [b"pytake policy 2\n", frames].concat()).unwrap();
    assert!(matches!(restore(folder.path()), Err(LocalError::Damaged)));
}

#[test]
fn a_successor_goes_on_where_the_file_was_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("edge").join(FILE);
    let mut local = kept(folder.path(), &policy(&[change(1, false)]));
    local.append(vec![change(2, false)], &position(2), at(2));
    drop(local);
    let len = fs::metadata(&file).unwrap().len();
    OpenOptions::new().write(true).open(&file).unwrap().set_len(len - 1).unwrap();
    let mut successor = Local::new(folder.path().join("edge"));
    assert_eq!(successor.restore(site()).unwrap().position, position(1));
    successor.append(vec![change(3, false)], &position(3), at(3));
    let restored = restore(folder.path()).unwrap();
    assert!(restored.policy.knows_as_much_as(&policy(&[change(1, false), change(3, false)])));
}

#[test]
fn changes_during_a_replacement_are_in_both_files() {
    let folder = tempfile::tempdir().unwrap();
    let now_in_force = policy(&[change(1, false)]);
    let mut local = kept(folder.path(), &now_in_force);
    local.journal.as_mut().unwrap().appended = APPENDED_MIN + 1;
    local.tend(&now_in_force, &position(1), at(1));
    assert!(local.replacement.is_some());
    local.append(vec![change(1, true)], &position(2), at(2));
    let expected = policy(&[change(1, true)]);
    assert!(restore(folder.path()).unwrap().policy.knows_as_much_as(&expected));
    while local.replacement.is_some() {
        std::thread::yield_now();
        local.tend(&expected, &position(2), at(2));
    }
    assert!(restore(folder.path()).unwrap().policy.knows_as_much_as(&expected));
    assert!(local.journal.unwrap().appended < APPENDED_MIN);
}

#[test]
fn one_process_writes_and_what_leads_nowhere_is_discarded() {
    let folder = tempfile::tempdir().unwrap();
    let mut local = kept(folder.path(), &policy(&[]));
    let mut second = Local::new(folder.path().join("edge"));
    assert!(second.restore(site()).is_ok());
    second.discard();
    assert!(restore(folder.path()).is_ok(), "the second may not write");
    local.discard();
    assert!(matches!(restore(folder.path()), Err(LocalError::Io(_))));
}

proptest! {
    /// A policy is restored whole or as it was at an earlier moment, or not at all.
    #[test]
    fn no_damage_goes_unnoticed(at_byte in any::<prop::sample::Index>(), to in any::<u8>(), cut in any::<bool>()) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("edge").join(FILE);
        let before = policy(&[change(1, false)]);
        let after = policy(&[change(1, false), change(2, true)]);
        let mut local = kept(folder.path(), &before);
        local.append(vec![change(2, true)], &position(2), at(2));
        let mut bytes = fs::read(&file).unwrap();
        let at_byte = at_byte.index(bytes.len());
        if cut {
            bytes.truncate(at_byte);
        } else {
            bytes[at_byte] = to;
        }
        fs::write(&file, bytes).unwrap();
        if let Ok(restored) = restore(folder.path()) {
            let policy = restored.policy;
            prop_assert!(policy.knows_as_much_as(&before) || policy.knows_as_much_as(&after));
        }
    }
}
