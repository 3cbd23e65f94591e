use domain::id::{ApiKeyId, UserId};
use proptest::prelude::*;

use super::*;
use crate::key::Key;
use crate::subject::{Label, Subject};

const HEAD: Head = Head {
    stripes: 1,
    slots: 4,
    number: 3,
    edge_id: Uuid::from_u128(0xe),
    boot_id: Uuid::from_u128(0xb),
    minute: 29_000_000,
    total_before: None,
};

fn tenant(n: u128) -> TenantId {
    TenantId::from_uuid(Uuid::from_u128(n))
}

fn text(number: u32) -> Option<LabelText> {
    match number {
        0 => Some(LabelText { route: "write".into(), meter: Some(("calls".into(), 2)) }),
        1 => Some(LabelText { route: "read".into(), meter: Some(("calls".into(), 1)) }),
        _ => None,
    }
}

fn tally(counts: &[(u128, Principal, u32, u64)]) -> Tally {
    let by_key: BTreeMap<_, _> = counts
        .iter()
        .map(|(of, principal, label, requests)| {
            let subject = Subject {
                tenant: tenant(*of),
                principal: *principal,
                label: Label(*label),
                outcome: Outcome::Success,
            };
            (Key::of(&subject), *requests)
        })
        .collect();
    Tally { requests: by_key.values().sum(), by_key }
}

fn sample() -> Batch {
    let key = Principal::ApiKey(ApiKeyId::from_uuid(Uuid::from_u128(5)));
    let counts = [(2, key, 0, 10), (1, Principal::None, 1, 20), (2, key, 1, 30)];
    Batch::of_segment(&HEAD, 7, &tally(&counts), text).unwrap()
}

#[test]
fn labels_and_rows_are_sorted_and_name_each_other() {
    let batch = sample();
    let routes: Vec<_> = batch.labels.iter().map(|label| label.route.as_str()).collect();
    assert_eq!(routes, ["read", "write"]);
    let rows: Vec<_> = batch.rows.iter().map(|r| (r.tenant, r.label, r.requests)).collect();
    assert_eq!(rows, [(tenant(1), 0, 20), (tenant(2), 0, 30), (tenant(2), 1, 10)]);
    assert_eq!((batch.requests(), batch.total_before, batch.total_after()), (60, 7, 67));
    assert_eq!(batch.minute, 29_000_000);
}

#[test]
fn labels_without_a_text_are_one_unknown_label() {
    let counts =
        [(1, Principal::None, 8, 1), (1, Principal::None, 9, 2), (1, Principal::None, 0, 4)];
    let batch = Batch::of_segment(&HEAD, 0, &tally(&counts), text).unwrap();
    let unknown = batch.labels.iter().position(|label| *label == LabelText::unknown()).unwrap();
    let row = batch.rows.iter().find(|row| usize::from(row.label) == unknown).unwrap();
    assert_eq!((batch.rows.len(), row.requests), (2, 3));
}

#[test]
fn a_segment_that_says_what_cannot_be_is_damaged() {
    let one = tally(&[(1, Principal::None, 0, 1)]);
    assert_eq!(Batch::of_segment(&HEAD, u64::MAX, &one, text), Err(Damage));
    let never = Head { minute: u64::MAX, ..HEAD };
    assert_eq!(Batch::of_segment(&never, 0, &one, text), Err(Damage));
}

/// Files outlive releases: what this one writes, the next must read.
#[test]
fn the_compact_form_is_part_of_the_format() {
    let hex: String = sample().encode().unwrap().iter().map(|b| format!("{b:02x}")).collect();
    let expected = [
        "707974616b6520626174636820310a",               // the line
        "100000000000000000000000000000000e",           // edge
        "100000000000000000000000000000000b",           // boot
        "038085d41b07",                                 // number, minute, total before
        "020472656164010563616c6c7301",                 // two labels: read, calls × 1
        "057772697465010563616c6c7302",                 // write, calls × 2
        "03100000000000000000000000000000000100000014", // three rows: tenant 1, nobody, read, success, 20
        "100000000000000000000000000000000201100000000000000000000000000000000500001e", // tenant 2, a key, read, success, 30
        "100000000000000000000000000000000201100000000000000000000000000000000501000a", // the same, write, 10
        "94c79b17",                                                                     // CRC-32
    ];
    assert_eq!(hex, expected.concat());
}

#[test]
fn another_form_is_damage_though_its_checksum_is_right() {
    let encode = |body: &[u8]| [body, &crc32fast::hash(body).to_le_bytes()].concat();
    let bytes = sample().encode().unwrap();
    let body = &bytes[..bytes.len() - CRC_BYTES];
    assert_eq!(Batch::decode(&encode(body)), Ok(sample()));
    assert_eq!(Batch::decode(&encode(&[body, b"x"].concat())), Err(Damage), "more");
    assert_eq!(Batch::decode(&encode(&body[..body.len() - 1])), Err(Damage), "less");
    assert_eq!(Batch::decode(&encode(&body[1..])), Err(Damage), "another first line");
    assert_eq!(Batch::decode(&encode(b"")), Err(Damage));
    let unlabelled = Batch { labels: Vec::new(), ..sample() };
    assert_eq!(Batch::decode(&unlabelled.encode().unwrap()), Err(Damage), "rows without labels");
}

fn principals() -> impl Strategy<Value = Principal> {
    let id = || any::<u128>().prop_map(Uuid::from_u128);
    prop_oneof![
        Just(Principal::None),
        id().prop_map(|id| Principal::ApiKey(ApiKeyId::from_uuid(id))),
        id().prop_map(|id| Principal::User(UserId::from_uuid(id))),
    ]
}

proptest! {
    #[test]
    fn a_batch_comes_back_from_its_compact_form(
        counts in prop::collection::vec((any::<u128>(), principals(), 0..4_u32, 1..1_000_u64), 0..40),
        total in 0..1_000_000_u64,
    ) {
        let tally = tally(&counts);
        let batch = Batch::of_segment(&HEAD, total, &tally, text).unwrap();
        prop_assert_eq!(batch.requests(), tally.requests);
        prop_assert_eq!(Batch::decode(&batch.encode().unwrap()), Ok(batch));
    }

    #[test]
    fn any_changed_byte_is_noticed(place in any::<prop::sample::Index>(), flip in 1..=255_u8) {
        let mut bytes = sample().encode().unwrap();
        *place.get_mut(&mut bytes) ^= flip;
        prop_assert_eq!(Batch::decode(&bytes), Err(Damage));
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Batch::decode(&bytes).is_err());
        bytes.splice(0..0, FORM.iter().copied());
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        let _ = Batch::decode(&bytes);
    }
}
