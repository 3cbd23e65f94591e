//! The spool as a whole. What all of these tests use is here: a spool in a directory of its own, subjects by
//! number, and the sums of what was shipped.

mod adoption;
mod concurrency;
mod damage;
mod hot_path;
mod room;
mod sealing;

use std::collections::BTreeMap;
use std::path::Path;

use domain::id::{ApiKeyId, TenantId, UserId};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    Batch, Boot, Label, LabelText, Outcome, Principal, Spool, SpoolError, SpoolLimits, Subject,
};

/// Large enough for every test that is not about being full.
const LIMITS: SpoolLimits = SpoolLimits { bytes_max: 1 << 30, stripes: 4, slots_per_stripe: 1_024 };

const EDGE: Uuid = Uuid::from_u128(0xed6e);

/// A spool as the `boot`th start of a process opens it.
fn open(dir: &Path, boot: u128, limits: SpoolLimits) -> Spool {
    Spool::open(dir, Uuid::from_u128(boot), EDGE, limits, minute(0)).unwrap()
}

/// The first second of the `n`th minute of these tests.
fn minute(n: i64) -> Timestamp {
    Timestamp::from_second((MINUTE_0 + n) * 60).unwrap()
}

/// Unix minute in which the tests begin.
const MINUTE_0: i64 = 29_000_000;

/// The `n`th of many subjects, all different.
fn subject(n: u64, label: Label) -> Subject {
    let id = Uuid::from_u64_pair(0x0190_0000_0000_7000, n / 2);
    Subject {
        tenant: TenantId::from_uuid(Uuid::from_u64_pair(0x0190_0000_0000_7000, n)),
        principal: match n % 3 {
            0 => Principal::None,
            1 => Principal::ApiKey(ApiKeyId::from_uuid(id)),
            _ => Principal::User(UserId::from_uuid(id)),
        },
        label,
        outcome: Outcome::ALL[usize::try_from(n % 5).unwrap()],
    }
}

/// What a row is the number of, without the batch it is in.
type Kind = (TenantId, Principal, String, Outcome);

/// Requests by kind over many batches.
fn sums<'a>(batches: impl IntoIterator<Item = &'a Batch>) -> BTreeMap<Kind, u64> {
    let mut sums = BTreeMap::new();
    for batch in batches {
        for row in &batch.rows {
            let route = batch.labels[usize::from(row.label)].route.clone();
            *sums.entry((row.tenant, row.principal, route, row.outcome)).or_default() +=
                row.requests;
        }
    }
    sums
}

/// What a subject's requests should be found as.
fn kind(subject: &Subject, route: &str) -> Kind {
    (subject.tenant, subject.principal, route.to_owned(), subject.outcome)
}

/// Reads and forgets all that a boot has, and removes it if it is no more.
fn ship(boot: Boot) -> Vec<Batch> {
    let mut shipped = Vec::new();
    for pending in boot.batches {
        match pending.read() {
            Ok(batch) => {
                assert_eq!(batch.number, pending.number());
                shipped.push(batch);
                pending.forget().unwrap();
            }
            Err(error) => assert!(matches!(error, SpoolError::Damaged { .. }), "{error:?}"),
        }
    }
    if let Some(predecessor) = boot.predecessor {
        predecessor.remove().unwrap();
    }
    shipped
}

/// Ships all that is pending.
fn ship_all(spool: &Spool) -> Vec<Batch> {
    spool.pending().unwrap().into_iter().flat_map(ship).collect()
}

/// Each boot's batches follow each other without a gap or an overlap, from its first request on.
fn assert_chained(batches: &[Batch]) {
    let mut totals = BTreeMap::new();
    for batch in batches {
        let total = totals.entry(batch.boot_id).or_default();
        assert_eq!(batch.total_before, *total, "batch {}", batch.number);
        *total = batch.total_after();
    }
}
