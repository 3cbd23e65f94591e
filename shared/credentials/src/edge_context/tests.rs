use std::process::Command;

use domain::permission::Permission;
use domain::secret::Secret;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::SymmetricKey;

/// What applications in other languages are written after.
const DOCUMENT: &str = include_str!("../../../../docs/context.md");

const BINDING: Binding<'static> =
    Binding { audience: "api", method: "GET", path_and_query: "/api/v1/dashboard?x=1" };

fn key(audience: &str) -> ContextKey {
    key_of_installation(5, audience)
}

fn key_of_installation(byte: u8, audience: &str) -> ContextKey {
    ContextKey::new(&PoolKey::derive(&SymmetricKey::new(Secret::new([byte; 32])), audience))
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn uuid(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn context(principal: Principal) -> EdgeContext {
    EdgeContext {
        request_id: RequestId::from_uuid(uuid(1)),
        nonce: 7,
        tenant_id: Some(TenantId::from_uuid(uuid(2))),
        plan: Some(PlanName::Pro),
        principal,
        client_address: "192.0.2.1".parse().unwrap(),
    }
}

fn member() -> Principal {
    Principal::User {
        user_id: UserId::from_uuid(uuid(3)),
        session_id: SessionId::from_uuid(uuid(4)),
        membership: Some(Membership {
            id: MembershipId::from_uuid(uuid(5)),
            role: Role::User,
            permissions: Role::User.permissions(),
        }),
    }
}

fn program() -> Principal {
    Principal::ApiKey {
        api_key_id: ApiKeyId::from_uuid(uuid(6)),
        permissions: Role::User.permissions(),
    }
}

/// A value whose mac is right, whatever its payload says.
fn sealed_as_is(payload: &[u8]) -> String {
    let mac = key("api").mac(payload, BINDING);
    URL_SAFE_NO_PAD.encode([payload, &mac[..]].concat())
}

fn payload_of(context: &EdgeContext, expires: i64) -> Vec<u8> {
    Payload::<SEALED_MAX>::write(context, key("api").id, expires).as_bytes().to_vec()
}

fn opened(value: &str) -> Result<EdgeContext, ContextError> {
    key("api").open(value, BINDING, at(1000))
}

fn any_uuid() -> impl Strategy<Value = Uuid> {
    any::<u128>().prop_map(Uuid::from_u128)
}

fn any_permissions() -> impl Strategy<Value = PermissionSet> {
    any::<u64>().prop_map(PermissionSet::from_bits)
}

fn any_principal() -> impl Strategy<Value = Principal> {
    let role = prop::sample::select(Role::ALL);
    let membership = (any_uuid(), role, any_permissions()).prop_map(|(id, role, permissions)| {
        Membership { id: MembershipId::from_uuid(id), role, permissions }
    });
    let user = (any_uuid(), any_uuid(), prop::option::of(membership)).prop_map(
        |(user_id, session_id, membership)| Principal::User {
            user_id: UserId::from_uuid(user_id),
            session_id: SessionId::from_uuid(session_id),
            membership,
        },
    );
    let api_key = (any_uuid(), any_permissions()).prop_map(|(id, permissions)| Principal::ApiKey {
        api_key_id: ApiKeyId::from_uuid(id),
        permissions,
    });
    prop_oneof![Just(Principal::Anonymous), user, api_key]
}

fn any_context() -> impl Strategy<Value = EdgeContext> {
    let plan = prop::option::of(prop::sample::select(PlanName::ALL));
    let tenant = prop::option::of(any_uuid());
    (any_uuid(), any::<u64>(), tenant, plan, any_principal(), any::<IpAddr>()).prop_map(
        |(request_id, nonce, tenant_id, plan, principal, client_address)| EdgeContext {
            request_id: RequestId::from_uuid(request_id),
            nonce,
            tenant_id: tenant_id.map(TenantId::from_uuid),
            plan,
            principal,
            client_address,
        },
    )
}

#[test]
fn good_for_one_request_one_audience_and_seconds_only() {
    let value = key("api").seal(&context(member()), BINDING, at(1000));
    let refused = |binding, key: ContextKey| key.open(&value, binding, at(1000)).unwrap_err();
    let other = [
        Binding { method: "POST", ..BINDING },
        Binding { path_and_query: "/api/v1/dashboard", ..BINDING },
        Binding { audience: "app", ..BINDING },
        // The same bytes in a row, cut elsewhere.
        Binding { audience: "apiG", method: "ET", ..BINDING },
    ];
    for binding in other {
        assert_eq!(refused(binding, key("api")), ContextError::Forged);
    }
    assert_eq!(refused(BINDING, key("app")), ContextError::Forged);
    for (now, outcome) in [
        (994, Some(ContextError::Expired)),
        (995, None),
        (1035, None),
        (1036, Some(ContextError::Expired)),
    ] {
        assert_eq!(key("api").open(&value, BINDING, at(now)).err(), outcome, "at {now}");
    }
}

#[test]
fn an_application_cannot_speak_for_the_edge_to_the_api() {
    // All that it has is its own pool's key, and the header says what it likes.
    let own = key("whatsapp");
    let value = own.seal(&context(member()), BINDING, at(1000));
    assert_eq!(opened(&value), Err(ContextError::Forged));
}

#[test]
fn what_has_the_right_mac_and_another_form_is_refused() {
    let good = payload_of(&context(member()), 1030);
    assert!(opened(&sealed_as_is(&good)).is_ok());
    let refused = |payload: &[u8], what: &str| {
        assert_eq!(opened(&sealed_as_is(payload)), Err(ContextError::Forged), "{what}");
    };
    for len in 0..good.len() {
        refused(&good[..len], &format!("only {len} bytes"));
    }
    refused(&[&good[..], &[0]].concat(), "a byte too many");
    let changed = |at: usize, to: u8| {
        let mut payload = good.clone();
        payload[at] = to;
        payload
    };
    (0..=255).filter(|version| *version != 1).for_each(|version| {
        refused(&changed(0, version), &format!("version {version}"));
    });
    refused(&changed(1, key("api").id.wrapping_add(1)), "another key's id");
    (0..=255).filter(|flags| *flags != good[2]).for_each(|flags| {
        refused(&changed(2, flags), &format!("flags {flags:#b}"));
    });
    let plan = 35 + 4 + 16;
    assert_eq!(good[plan], payload::plan_number(PlanName::Pro));
    [0, 5, 255].iter().for_each(|number| refused(&changed(plan, *number), "an unknown plan"));
    let role = plan + 1 + 16 * 3;
    assert_eq!(good[role], payload::role_number(Role::User));
    [0, 6, 255].iter().for_each(|number| refused(&changed(role, *number), "an unknown role"));
}

#[test]
fn a_permission_of_a_later_release_is_passed_over() {
    let mut payload = payload_of(&context(program()), 1030);
    let highest = payload.len() - 8;
    payload[highest] |= 0x80;
    assert_eq!(opened(&sealed_as_is(&payload)), Ok(context(program())));
}

#[test]
fn any_configured_key_opens_and_no_other() {
    let (old, new) = (key_of_installation(1, "api"), key_of_installation(2, "api"));
    let value = new.seal(&context(member()), BINDING, at(1000));
    let open_with = |keys: &[ContextKey]| open(&value, keys, BINDING, at(1000)).is_ok();
    assert!(open_with(&[old.clone(), new.clone()]) && open_with(&[new.clone(), old.clone()]));
    assert!(!open_with(&[old]) && !open_with(&[]));
    // One byte names no key for certain: one with the same is no obstacle, and none with the same opens it.
    let same_id = (3..=255).map(|byte| key_of_installation(byte, "api"));
    let namesake = (3..=255)
        .flat_map(|byte| ["a", "b", "c", "d"].map(|pool| key_of_installation(byte, pool)))
        .chain(same_id)
        .find(|other| other.id == new.id)
        .expect("among a thousand keys");
    assert!(open_with(&[namesake.clone(), new]));
    assert!(!open_with(&[namesake]));
}

#[test]
fn the_longest_context_fits_exactly() {
    let client_address = "2001:db8::1".parse().unwrap();
    let longest = EdgeContext { client_address, ..context(member()) };
    let value = key("api").seal(&longest, BINDING, at(1000));
    assert_eq!((value.len(), value.capacity()), (LEN_MAX, LEN_MAX));
    assert!(DOCUMENT.contains(&format!("at most {LEN_MAX} characters")));
    assert_eq!(opened(&value), Ok(longest));
    assert_eq!(opened(&format!("{value}A")), Err(ContextError::Forged));
}

#[test]
fn numbers_on_the_wire_are_the_documents() {
    let list = |rows: Vec<String>| rows.join(", ");
    let plans =
        PlanName::ALL.iter().map(|plan| format!("`{plan}` {}", payload::plan_number(*plan)));
    let roles = Role::ALL.iter().map(|role| format!("`{role}` {}", payload::role_number(*role)));
    let permissions = Permission::ALL.iter().map(|permission| {
        let alone: PermissionSet = [*permission].into_iter().collect();
        assert_eq!(alone.bits().count_ones(), 1);
        format!("`{permission}` {}", alone.bits().trailing_zeros())
    });
    for numbers in [list(plans.collect()), list(roles.collect()), list(permissions.collect())] {
        assert!(
            DOCUMENT.contains(&format!(": {numbers}.")),
            "applications rely on docs/context.md; add numbers, never change one:\n{numbers}"
        );
    }
}

const VECTOR_BINDING: Binding<'static> = Binding {
    audience: "whatsapp",
    method: "POST",
    path_and_query: "/api/v1/whatsapp/send?urgent=1",
};
const VECTOR_KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const VECTOR_AT: i64 = 1_800_000_000;

#[test]
fn the_documents_vector_is_what_is_sealed() {
    let key = ContextKey::new(&VECTOR_KEY.parse().unwrap());
    let value = key.seal(&context(member()), VECTOR_BINDING, at(VECTOR_AT));
    assert!(DOCUMENT.contains(VECTOR_KEY));
    assert!(DOCUMENT.contains(&format!("```\n{value}\n```")), "docs/context.md lacks:\n{value}");
}

/// The document's Python, run by the machine's, if it has one.
#[test]
fn the_documents_python_verifies_what_is_sealed_and_refuses_the_rest() {
    let fence = DOCUMENT.split("```python\n").nth(1).expect("a fence");
    let verifier = fence.split("```").next().expect("its end");
    let key = ContextKey::new(&VECTOR_KEY.parse().unwrap());
    let sealed = |context| key.seal(&context, VECTOR_BINDING, at(VECTOR_AT));
    let person = Principal::User {
        user_id: UserId::from_uuid(uuid(3)),
        session_id: SessionId::from_uuid(uuid(4)),
        membership: None,
    };
    let nobody = EdgeContext {
        tenant_id: None,
        plan: None,
        client_address: "2001:db8::1".parse().unwrap(),
        ..context(Principal::Anonymous)
    };
    let unknown_flag = {
        let mut payload =
            Payload::<SEALED_MAX>::write(&nobody, key.id, VECTOR_AT).as_bytes().to_vec();
        payload[2] |= 64;
        let mac = key.mac(&payload, VECTOR_BINDING);
        URL_SAFE_NO_PAD.encode([&payload[..], &mac[..]].concat())
    };
    let script = format!(
        r#"
{verifier}
KEY, NOW = bytes.fromhex("{VECTOR_KEY}"), {VECTOR_AT}
GOOD = dict(keys=[bytes(32), KEY], audience="whatsapp", method="POST",
            path_and_query="/api/v1/whatsapp/send?urgent=1", now=NOW)
def shown(value):
    found = verify(value, **GOOD)
    print(*(f"{{name}}={{int(part) if isinstance(part, uuid.UUID) else part}}" for name, part in sorted(found.items())))
for value in {values:?}:
    shown(value)
value = "{member}"
changes = [dict(keys=[bytes(32)]), dict(keys=[]), dict(audience="api"), dict(method="GET"),
           dict(path_and_query="/api/v1/whatsapp/send"), dict(now=NOW - 6), dict(now=NOW + 36)]
attempts = [(value, {{**GOOD, **change}}) for change in changes]
attempts += [(value[:i] + ("A" if value[i] != "A" else "B") + value[i + 1:], GOOD) for i in range(len(value) - 1)]
attempts += [(text, GOOD) for text in ("", "A", "AAAA", value[:-1], value + "A", "é", "{unknown_flag}")]
for value, how in attempts:
    try:
        verify(value, **how)
    except ValueError:
        continue
    raise SystemExit(f"taken: {{value}} {{how}}")
"#,
        member = sealed(context(member())),
        values = [
            sealed(context(member())),
            sealed(context(program())),
            sealed(context(person)),
            sealed(nobody),
        ],
    );
    let Ok(output) = Command::new("python3").args(["-c", &script]).output() else {
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let bits = Role::User.permissions().bits();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        format!(
            "\
address=192.0.2.1 key=None member=5 nonce=7 permissions={bits} plan=3 request=1 role=4 session=4 tenant=2 user=3
address=192.0.2.1 key=6 member=None nonce=7 permissions={bits} plan=3 request=1 role=None session=None tenant=2 user=None
address=192.0.2.1 key=None member=None nonce=7 permissions=0 plan=3 request=1 role=None session=4 tenant=2 user=3
address=2001:db8::1 key=None member=None nonce=7 permissions=0 plan=None request=1 role=None session=None tenant=None user=None
"
        )
    );
}

proptest! {
    #[test]
    fn every_context_round_trips(context in any_context(), path in "/\\PC{0,40}") {
        let binding = Binding { path_and_query: &path, ..BINDING };
        let value = key("api").seal(&context, binding, at(1000));
        prop_assert!(value.len() <= LEN_MAX);
        prop_assert_eq!(key("api").open(&value, binding, at(1000)), Ok(context));
    }

    #[test]
    fn any_changed_byte_is_noticed(
        context in any_context(),
        at_byte in any::<prop::sample::Index>(),
        to in "[A-Za-z0-9_.=-]",
    ) {
        let value = key("api").seal(&context, BINDING, at(1000));
        let at_byte = at_byte.index(value.len());
        let mut changed = value.clone();
        changed.replace_range(at_byte..=at_byte, &to);
        // The last character of base64 has bits that carry nothing; the decoder refuses them unless zero.
        prop_assert_eq!(opened(&changed).is_ok(), changed == value);
    }

    #[test]
    fn any_text_is_refused_without_panic(text in "\\PC{0,300}") {
        prop_assert!(opened(&text).is_err());
    }

    #[test]
    fn any_base64_is_refused_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(opened(&URL_SAFE_NO_PAD.encode(bytes)).is_err());
    }

    /// Whatever is read is written again as the same bytes: none is passed over but unknown permissions.
    #[test]
    fn no_two_payloads_mean_the_same(
        context in any_context(),
        at_byte in any::<prop::sample::Index>(),
        to in any::<u8>(),
    ) {
        let mut payload = payload_of(&context, 1030);
        let at_byte = at_byte.index(payload.len());
        payload[at_byte] = to;
        if let Some((context, expires)) = payload::read(&payload) {
            let again = Payload::<SEALED_MAX>::write(&context, payload[1], expires);
            let may_do_something = !matches!(
                context.principal,
                Principal::Anonymous | Principal::User { membership: None, .. }
            );
            let told = payload.len() - if may_do_something { 8 } else { 0 };
            prop_assert_eq!(&again.as_bytes()[..told], &payload[..told]);
            prop_assert_eq!(again.as_bytes().len(), payload.len());
        }
    }

    /// What is behind the mac may still be anything: an edge of another release.
    #[test]
    fn any_payload_with_the_right_mac_is_read_without_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..payload::LEN_MAX),
        flags in 0_u8..64,
        expires in any::<i64>(),
    ) {
        let start = [&[1, key("api").id, flags], &expires.to_be_bytes()[..]].concat();
        let payload = [start, bytes].concat();
        let _ = opened(&sealed_as_is(&payload[..payload.len().min(payload::LEN_MAX)]));
    }
}
