//! A batch: what was counted in one segment, in the form in which it is shipped and kept compact on disk.

use std::collections::BTreeMap;

use domain::id::TenantId;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::Damage;
use crate::layout::Head;
use crate::subject::{Outcome, Principal};
use crate::tally::Tally;

/// What a compact batch starts with. Another form gets another line.
const FORM: &[u8] = b"pytake batch 1\n";
const CRC_BYTES: usize = 4;

/// The requests of one segment. `(edge_id, boot_id, number)` is it for ever: shipped twice, it is the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// The edge that counted, over all its restarts.
    pub edge_id: Uuid,
    /// The start of the process that counted.
    pub boot_id: Uuid,
    /// From 1 on, without gaps as long as no file was damaged.
    pub number: u64,
    /// When the requests were, in unix minutes.
    pub minute: i64,
    /// Requests of the boot in all batches before this one.
    pub total_before: u64,
    /// The labels that rows use, sorted.
    pub labels: Vec<LabelText>,
    /// One for each distinct key, sorted.
    pub rows: Vec<Row>,
}

/// What a label stands for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LabelText {
    /// The route's name in the route table.
    pub route: String,
    /// The meter it counts for, and how much a request of it weighs.
    pub meter: Option<(String, u32)>,
}

impl LabelText {
    /// In place of a text that the disk lost: the requests were made, but what for is not known.
    pub(crate) fn unknown() -> Self {
        Self { route: "unknown".to_owned(), meter: None }
    }
}

/// The number of requests of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Row {
    /// Whose requests they were.
    pub tenant: TenantId,
    /// Who made them.
    pub principal: Principal,
    /// Index into [`Batch::labels`].
    pub label: u16,
    /// How they ended.
    pub outcome: Outcome,
    /// How many; never 0.
    pub requests: u64,
}

impl Batch {
    /// Requests in this batch.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.rows.iter().fold(0, |sum, row| sum.saturating_add(row.requests))
    }

    /// Requests of the boot up to and with this batch: the next one's `total_before`.
    #[must_use]
    pub fn total_after(&self) -> u64 {
        self.total_before.saturating_add(self.requests())
    }

    /// The batch that a segment is. `text` knows the labels.
    pub(crate) fn of_segment(
        head: &Head,
        total_before: u64,
        tally: &Tally,
        text: impl Fn(u32) -> Option<LabelText>,
    ) -> Result<Self, Damage> {
        let mut sums = BTreeMap::new();
        for (key, requests) in &tally.by_key {
            let subject = key.subject().ok_or(Damage)?;
            let label = text(subject.label.0).unwrap_or_else(LabelText::unknown);
            let row = (subject.tenant, subject.principal, label, subject.outcome);
            // Two labels that are both unknown are one.
            *sums.entry(row).or_default() += requests;
        }
        let mut numbers: BTreeMap<LabelText, u16> =
            sums.keys().map(|(_, _, label, _)| (label.clone(), 0)).collect();
        for (index, number) in numbers.values_mut().enumerate() {
            *number = u16::try_from(index).map_err(|_| Damage)?;
        }
        let rows = sums.into_iter().map(|((tenant, principal, label, outcome), requests)| {
            let label = numbers.get(&label).copied().unwrap_or_default();
            Row { tenant, principal, label, outcome, requests }
        });
        let batch = Self {
            edge_id: head.edge_id,
            boot_id: head.boot_id,
            number: head.number,
            minute: i64::try_from(head.minute).map_err(|_| Damage)?,
            total_before,
            rows: rows.collect(),
            labels: numbers.into_keys().collect(),
        };
        batch.is_sound().then_some(batch).ok_or(Damage)
    }

    /// The compact form: a line, postcard, and the CRC-32 of both.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, Damage> {
        let mut bytes = postcard::to_extend(self, FORM.to_vec()).map_err(|_| Damage)?;
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        Ok(bytes)
    }

    /// A batch from its compact form.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Damage> {
        let (covered, crc) = bytes.split_last_chunk::<CRC_BYTES>().ok_or(Damage)?;
        if crc32fast::hash(covered) != u32::from_le_bytes(*crc) {
            return Err(Damage);
        }
        let body = covered.strip_prefix(FORM).ok_or(Damage)?;
        let (batch, rest) = postcard::take_from_bytes::<Self>(body).map_err(|_| Damage)?;
        if rest.is_empty() && batch.is_sound() { Ok(batch) } else { Err(Damage) }
    }

    /// What every reader may rely on: labels that exist, and a total that is a number.
    fn is_sound(&self) -> bool {
        let total =
            self.rows.iter().try_fold(self.total_before, |sum, row| sum.checked_add(row.requests));
        let labelled = self.rows.iter().all(|row| usize::from(row.label) < self.labels.len());
        total.is_some() && labelled
    }
}

#[cfg(test)]
mod tests;
