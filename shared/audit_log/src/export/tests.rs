use domain::id::AuditKeyId;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::head::{Head, HeadSigner};
use crate::tree::Frontier;

const EVENTS: u64 = 24;

fn tenant(number: u128) -> TenantId {
    TenantId::from_uuid(Uuid::from_u128(number))
}

fn signer(number: u128) -> HeadSigner {
    let private = HeadSigner::generate().unwrap();
    HeadSigner::new(AuditKeyId::from_uuid(Uuid::from_u128(number)), &private).unwrap()
}

fn event(number: u64) -> String {
    format!(r#"{{"id":"audit_{number}","action":"tenant.updated"}}"#)
}

/// A trail with a head after each seventh event, and at its end.
fn trail(signer: &HeadSigner) -> Vec<String> {
    let mut tree = Frontier::default();
    let mut lines = Vec::new();
    for number in 0..EVENTS {
        tree.push(Hash::leaf(event(number).as_bytes()));
        lines.push(format!(r#"{{"event":{}}}"#, event(number)));
        if number % 7 == 6 || number == EVENTS - 1 {
            let at = "2026-11-30T12:00:00Z".parse().unwrap();
            let head = Head { tenant_id: tenant(1), size: tree.size(), root: tree.root(), at };
            lines.push(serde_json::to_string(&Line::Head(signer.sign(head))).unwrap());
        }
    }
    lines
}

fn verify(
    lines: &[String],
    signer: &HeadSigner,
    remembered: Option<(u64, Hash)>,
) -> Result<Report, ExportError> {
    verify_export(lines.join("\n").as_bytes(), tenant(1), vec![signer.key()], remembered)
}

fn is_head(line: &str) -> bool {
    line.starts_with(r#"{"head""#)
}

#[test]
fn what_is_as_it_was_holds_and_says_its_root() {
    let signer = signer(1);
    let lines = trail(&signer);
    let report = verify(&lines, &signer, None).unwrap();
    assert_eq!((report.size, report.heads, report.signed), (EVENTS, 4, EVENTS));
    verify(&lines, &signer, Some((EVENTS, report.root))).unwrap();
    // A head that was kept is one of events before, too.
    let first: Vec<_> = lines[..8].to_vec();
    let before = verify(&first, &signer, None).unwrap();
    verify(&lines, &signer, Some((before.size, before.root))).unwrap();
}

#[test]
fn a_head_of_another_tenant_or_key_is_forged() {
    let (ours, other) = (signer(1), signer(1));
    let lines = trail(&ours);
    let as_tenant =
        |number, key| verify_export(lines.join("\n").as_bytes(), tenant(number), vec![key], None);
    assert!(as_tenant(1, ours.key()).is_ok());
    for result in [as_tenant(2, ours.key()), as_tenant(1, other.key())] {
        assert!(matches!(result, Err(ExportError::Fault(Fault::Forged { size: 7 }))), "{result:?}");
    }
}

#[test]
fn an_end_that_is_cut_off_with_its_heads_is_found_by_a_head_that_was_kept() {
    let signer = signer(1);
    let lines = trail(&signer);
    let kept = verify(&lines, &signer, None).unwrap();
    let shorter = &lines[..8];
    assert!(verify(shorter, &signer, None).is_ok(), "by itself it cannot be told");
    let result = verify(shorter, &signer, Some((kept.size, kept.root)));
    assert!(
        matches!(result, Err(ExportError::Fault(Fault::CutOff { size: EVENTS, found: 7 }))),
        "{result:?}"
    );
}

proptest! {
    #[test]
    fn whatever_is_done_to_an_event_before_the_last_head_is_found(
        place in 0..24_usize, other in 0..24_usize, what in 0..4
    ) {
        let signer = signer(1);
        let mut lines = trail(&signer);
        prop_assert_eq!(EVENTS, 24);
        let events: Vec<_> =
            (0..lines.len()).filter(|at| !is_head(&lines[*at])).collect();
        let (place, other) = (events[place], events[other]);
        match what {
            0 => lines[place] = lines[place].replace("updated", "updatee"),
            1 => drop(lines.remove(place)),
            2 => lines.insert(place, lines[other].clone()),
            _ if place != other => lines.swap(place, other),
            _ => lines[place] = lines[place].replace(":", ": "),
        }
        let changed = verify(&lines, &signer, None);
        prop_assert!(matches!(changed, Err(ExportError::Fault(_))), "{:?}", changed);
    }

    #[test]
    fn whatever_is_done_to_a_head_is_found(at in 0..400_usize, head in 0..4_usize) {
        let signer = signer(1);
        let mut lines = trail(&signer);
        let heads: Vec<_> = (0..lines.len()).filter(|at| is_head(&lines[*at])).collect();
        let line = &mut lines[heads[head]];
        let at = at % line.len();
        // Another digit in place of one.
        let digit = line.as_bytes()[at];
        prop_assume!(digit.is_ascii_digit());
        let other = if digit == b'9' { '0' } else { char::from(digit + 1) };
        line.replace_range(at..=at, &other.to_string());
        prop_assert!(verify(&lines, &signer, None).is_err());
    }

    #[test]
    fn any_bytes_are_refused_without_panic(bytes: Vec<u8>) {
        prop_assume!(!bytes.is_empty());
        prop_assert!(verify_export(bytes.as_slice(), tenant(1), Vec::new(), None).is_err());
    }
}
