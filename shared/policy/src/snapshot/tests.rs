use std::collections::BTreeMap;

use domain::host::HostName;
use domain::standing::Standing;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;

/// Small numbers, so that changes meet.
const NUMBERS: std::ops::Range<u8> = 0..4;

fn site() -> Arc<Site> {
    let base: HostName = "api.localhost".parse().unwrap();
    let routes = RouteTable::parse("t", "routes = []\nupstreams = {}").unwrap();
    Arc::new(Site {
        hosts: PlatformHosts::new(base, []),
        routes,
        peppers: Vec::new(),
        token_issuer: String::new(),
        token_audience: String::new(),
    })
}

fn uuid(number: u8) -> Uuid {
    Uuid::from_u128(u128::from(number))
}

fn hash(number: u8) -> ApiKeyHash {
    ApiKeyHash::from_slice(&[number; 32]).unwrap()
}

/// The database, as far as a policy shows it: which state each entity is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Entity {
    Tenant(u8),
    Domain(u8),
    Member(u8, u8),
    ApiKey(u8),
    Session(u8),
    SigningKeys,
}

type Database = BTreeMap<Entity, u8>;

/// The entity's present state, as the feed reads it.
fn read(database: &Database, entity: Entity) -> Change {
    let state = database.get(&entity).copied();
    match entity {
        Entity::Tenant(number) => {
            let tenant = |state: u8| Tenant {
                // Labels change hands.
                subdomain: format!("label-{}", state % 5).into(),
                status: TenantStatus::ALL[usize::from(state) % 3],
                access: Standing::ALL[usize::from(state) % 4].access(),
                plan: PlanName::Pro,
                calls_per_minute: NonZeroU32::MIN.saturating_add(u32::from(state)),
                concurrent_requests: NonZeroU32::new(u32::from(state % 3)),
                quotas: [(MeterName::messages(), u64::from(state))].into(),
                period: Period { start: at(state), end: at(state.saturating_add(1)) },
                require_two_factor: state.is_multiple_of(2),
                networks: AddressList::new([std::net::IpAddr::from([10, 0, 0, state]).into()]),
            };
            Change::Tenant(TenantId::from_uuid(uuid(number)), state.map(tenant))
        }
        Entity::Domain(number) => {
            let host = format!("domain-{number}.example").parse().unwrap();
            Change::Domain(host, state.map(|state| TenantId::from_uuid(uuid(state % 4))))
        }
        Entity::Member(tenant, user) => {
            let member = |state: u8| {
                let role = [Role::Owner, Role::User][usize::from(state) % 2];
                Member {
                    id: MembershipId::from_uuid(uuid(state)),
                    role,
                    permissions: role.permissions(),
                }
            };
            let (tenant, user) = (TenantId::from_uuid(uuid(tenant)), UserId::from_uuid(uuid(user)));
            Change::Member(tenant, user, state.map(member))
        }
        Entity::ApiKey(number) => {
            let api_key = |state: u8| ApiKey {
                id: ApiKeyId::from_uuid(uuid(number)),
                tenant_id: TenantId::from_uuid(uuid(number % 2)),
                permissions: Role::User.permissions(),
                calls_per_minute: NonZeroU32::new(u32::from(state)),
                networks: AddressList::default(),
                expires_at: (state > 100).then(|| at(state)),
                revoked: state.is_multiple_of(3),
            };
            Change::ApiKey(hash(number), state.map(api_key))
        }
        Entity::Session(number) => {
            Change::RevokedSession(SessionId::from_uuid(uuid(number)), state.map(at))
        }
        Entity::SigningKeys => {
            let jwk = |kid: u8| PublicJwk {
                kty: "OKP".into(),
                crv: "Ed25519".into(),
                x: String::new(),
                y: None,
                kid: kid.to_string(),
                usage: "sig".into(),
                alg: "EdDSA".into(),
            };
            Change::SigningKeys(state.into_iter().map(jwk).collect())
        }
    }
}

fn at(second: u8) -> Timestamp {
    Timestamp::from_second(i64::from(second)).unwrap()
}

fn fresh(database: &Database) -> Policy {
    let mut policy = Policy::new(site());
    database.keys().for_each(|entity| policy.apply(read(database, *entity)));
    policy
}

fn entities() -> impl Strategy<Value = Entity> {
    prop_oneof![
        NUMBERS.prop_map(Entity::Tenant),
        NUMBERS.prop_map(Entity::Domain),
        (NUMBERS, NUMBERS).prop_map(|(tenant, user)| Entity::Member(tenant, user)),
        NUMBERS.prop_map(Entity::ApiKey),
        NUMBERS.prop_map(Entity::Session),
        Just(Entity::SigningKeys),
    ]
}

/// One label at a time, as the database has it.
fn write(database: &mut Database, entity: Entity, state: Option<u8>) {
    if let (Entity::Tenant(_), Some(state)) = (entity, state) {
        let taken = |(other, held): (&Entity, &u8)| {
            *other != entity && matches!(other, Entity::Tenant(_)) && held % 5 == state % 5
        };
        if database.iter().any(taken) {
            return;
        }
    }
    match state {
        Some(state) => database.insert(entity, state),
        None => database.remove(&entity),
    };
}

proptest! {
    /// Whenever the feed looks, in whatever order it learns of changes, and however often of the same one.
    #[test]
    fn any_interleaving_of_changes_ends_in_the_policy_of_a_fresh_load(
        steps in proptest::collection::vec((entities(), proptest::option::of(any::<u8>()), any::<bool>()), 0..60),
        order in any::<u64>(),
    ) {
        let (mut database, mut policy) = (Database::new(), Policy::new(site()));
        let mut unseen = Vec::new();
        for (entity, state, looks) in steps {
            write(&mut database, entity, state);
            unseen.push(entity);
            if looks {
                let middle = usize::try_from(order % 64).unwrap() % (unseen.len() + 1);
                unseen.rotate_left(middle);
                // What was seen may be named again by a later look.
                for entity in unseen.split_off(unseen.len() / 3) {
                    policy.apply(read(&database, entity));
                }
            }
        }
        for entity in unseen.iter().chain(&unseen) {
            policy.apply(read(&database, *entity));
        }
        prop_assert!(policy.knows_as_much_as(&fresh(&database)));
    }

    #[test]
    fn the_changes_of_a_policy_make_it_again(
        states in proptest::collection::vec((entities(), any::<u8>()), 0..40),
    ) {
        let mut database = Database::new();
        for (entity, state) in states {
            write(&mut database, entity, Some(state));
        }
        let policy = fresh(&database);
        let mut again = Policy::new(site());
        policy.changes().for_each(|change| again.apply(change));
        prop_assert!(again.knows_as_much_as(&policy));
        prop_assert!(policy.at(site()).knows_as_much_as(&policy));
    }
}

#[test]
fn a_copy_stands_still() {
    let database = Database::from([(Entity::ApiKey(1), 1)]);
    let policy = fresh(&database);
    let mut next = policy.clone();
    next.apply(read(&Database::new(), Entity::ApiKey(1)));
    assert!(policy.api_key(&hash(1)).is_some());
    assert!(next.api_key(&hash(1)).is_none());
}

#[test]
fn old_revocations_are_forgotten() {
    let database = Database::from([(Entity::Session(1), 10), (Entity::Session(2), 20)]);
    let mut policy = fresh(&database);
    policy.forget_sessions(at(20));
    assert!(!policy.session_revoked(SessionId::from_uuid(uuid(1))));
    assert!(policy.session_revoked(SessionId::from_uuid(uuid(2))));
}
