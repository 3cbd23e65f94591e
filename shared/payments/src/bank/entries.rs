//! The entries of a statement: what was booked, batches taken apart, and the key by which each is known.

use std::collections::BTreeMap;

use domain::bank::{Entry, EntryKind};
use domain::money::Money;
use jiff::civil::Date;

use super::StatementError;
use super::element::Element;

/// What banks write where they have no reference.
const NO_REFERENCE: [&str; 5] = ["NONREF", "NOREF", "NONE", "NOTPROVIDED", "NOT PROVIDED"];
/// Hexadecimal digits of a hash that stands for what an entry says.
const HASH_CHARS: usize = 32;
/// Longest text that is kept of an entry.
const TEXT_CHARS_MAX: usize = 2_000;

/// Which way money went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Credit,
    Debit,
}

/// What was booked, as one sum or as one of a batch.
#[derive(Debug)]
pub(super) struct Booked<'a> {
    entry: Element<'a>,
    direction: Direction,
    amount: Money,
    /// Its parts that are told apart; empty: it is one movement.
    parts: Vec<Part<'a>>,
}

/// One movement of a batch.
#[derive(Debug)]
struct Part<'a> {
    details: Element<'a>,
    direction: Direction,
    amount: Money,
}

impl Direction {
    pub(super) fn of(element: Element<'_>) -> Option<Self> {
        match element.text_at(&["CdtDbtInd"])?.as_str() {
            "CRDT" => Some(Self::Credit),
            "DBIT" => Some(Self::Debit),
            _ => None,
        }
    }

    pub(super) fn signed(self, amount: Money) -> Money {
        match self {
            Self::Credit => amount,
            Self::Debit => Money { amount_minor: -amount.amount_minor, ..amount },
        }
    }
}

impl Booked<'_> {
    /// What it adds to the account.
    pub(super) fn signed(&self) -> Money {
        self.direction.signed(self.amount)
    }
}

/// What is booked on a statement. What is pending or for information comes again once it is.
pub(super) fn booked<'a>(
    statement: Element<'a>,
    at: &str,
) -> Result<Vec<Booked<'a>>, StatementError> {
    let mut all = Vec::new();
    for (index, entry) in statement.children("Ntry").enumerate() {
        let malformed =
            |what| StatementError::Malformed { at: format!("{at}, entry {}", index + 1), what };
        // From version 7 on the code is an element of its own.
        let status = entry.text_at(&["Sts"]).or_else(|| entry.text_at(&["Sts", "Cd"]));
        if status.ok_or_else(|| malformed("Sts"))? != "BOOK" {
            continue;
        }
        let amount = entry.at(&["Amt"]).and_then(Element::money).ok_or_else(|| malformed("Amt"))?;
        let direction = Direction::of(entry).ok_or_else(|| malformed("CdtDbtInd"))?;
        let parts = parts(entry, direction, amount);
        all.push(Booked { entry, direction, amount, parts });
    }
    Ok(all)
}

fn details(entry: Element<'_>) -> Vec<Element<'_>> {
    entry.children("NtryDtls").flat_map(|details| details.children("TxDtls")).collect()
}

/// A batch taken apart, if its parts add up to it. An entry of one movement is what reached the account, whatever the
/// payer had sent.
fn parts(entry: Element<'_>, direction: Direction, amount: Money) -> Vec<Part<'_>> {
    let details = details(entry);
    if details.len() < 2 {
        return Vec::new();
    }
    let part = |details: Element<'_>| {
        let stated = details.at(&["Amt"]).or_else(|| details.at(&["AmtDtls", "TxAmt", "Amt"]))?;
        let direction = Direction::of(details).unwrap_or(direction);
        Some((direction, stated.money()?))
    };
    let mut parts = Vec::new();
    let mut sum = Money { amount_minor: 0, ..amount };
    for details in details {
        let Some((direction, amount)) = part(details) else { return Vec::new() };
        let Ok(next) = sum.checked_add(direction.signed(amount)) else { return Vec::new() };
        sum = next;
        parts.push(Part { details, direction, amount });
    }
    if sum == direction.signed(amount) { parts } else { Vec::new() }
}

/// All that concerns customers: money in, and what takes it back. Each with a key that is the same whenever the statement
/// is read, and of any two different.
pub(super) fn keyed(booked: &[Booked<'_>]) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for one in booked {
        let entry = one.entry;
        if one.parts.is_empty() {
            let details = details(entry);
            let lump = details.len() > 1;
            let first = details.first().copied().filter(|_| !lump);
            entries.extend(read(entry, first, (one.direction, one.amount), lump));
        } else {
            for (index, part) in one.parts.iter().enumerate() {
                let mut read =
                    read(entry, Some(part.details), (part.direction, part.amount), false);
                if let Some(read) = &mut read {
                    read.key = format!("{}/{index}", read.key);
                }
                entries.extend(read);
            }
        }
    }
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for entry in &mut entries {
        let before = seen.entry(entry.key.clone()).or_default();
        *before += 1;
        if *before > 1 {
            entry.key = format!("{}~{before}", entry.key);
        }
    }
    entries
}

/// `None`: a debit that is nobody's payment, or nothing at all.
fn read(
    entry: Element<'_>,
    details: Option<Element<'_>>,
    (direction, amount): (Direction, Money),
    lump: bool,
) -> Option<Entry> {
    let reversed = entry.text_at(&["RvslInd"]).is_some_and(|text| text == "true" || text == "1");
    let returned = details.is_some_and(|details| details.at(&["RtrInf"]).is_some());
    let kind = match direction {
        Direction::Credit if reversed || returned => EntryKind::Return,
        Direction::Credit if lump => EntryKind::Lump,
        Direction::Credit => EntryKind::Credit,
        Direction::Debit if reversed || returned => EntryKind::Reversal,
        Direction::Debit => return None,
    };
    if amount.amount_minor == 0 {
        return None;
    }
    let in_details = |path: &[&str]| details.and_then(|details| details.text_at(path));
    let booked_on = entry.at(&["BookgDt"]).and_then(Element::day);
    let end_to_end_id = in_details(&["Refs", "EndToEndId"]).filter(|id| !says_nothing(id));
    let payer_name = in_details(&["RltdPties", "Dbtr", "Nm"])
        // From version 7 on.
        .or_else(|| in_details(&["RltdPties", "Dbtr", "Pty", "Nm"]));
    let payer_iban = in_details(&["RltdPties", "DbtrAcct", "Id", "IBAN"]);
    let (reference, text) = remittance(entry, details);
    let own = in_details(&["Refs", "AcctSvcrRef"]).filter(|own| !says_nothing(own));
    let bank_reference =
        own.or_else(|| entry.text_at(&["AcctSvcrRef"]).filter(|own| !says_nothing(own)));
    let known = bank_reference.as_deref();
    let content = [&end_to_end_id, &payer_name, &payer_iban, &reference];
    let told = content.map(|text| text.as_deref().unwrap_or_default());
    let key = key(kind, booked_on, amount, known, &[&told[..], &[text.as_str()]].concat());
    Some(Entry {
        key,
        key_of_content: bank_reference.is_none(),
        kind,
        amount,
        booked_on,
        end_to_end_id,
        payer_name,
        payer_iban: payer_iban.map(|iban| compact(&iban)),
        reference,
        text,
    })
}

fn says_nothing(reference: &str) -> bool {
    NO_REFERENCE.contains(&reference.to_ascii_uppercase().as_str())
}

/// By the bank's reference, or else by all that is said. The day is in it, because banks begin to count anew.
fn key(
    kind: EntryKind,
    booked_on: Option<Date>,
    amount: Money,
    bank_reference: Option<&str>,
    content: &[&str],
) -> String {
    let day = booked_on.map(|day| day.to_string()).unwrap_or_default();
    let what = match bank_reference {
        Some(reference) => reference.to_owned(),
        None => {
            let said = format!("{amount}\u{1f}{}", content.join("\u{1f}"));
            let hash = blake3::hash(said.as_bytes()).to_hex();
            format!("#{}", &hash[..HASH_CHARS])
        }
    };
    format!("{kind} {day} {what}")
}

/// The creditor reference as the payer's bank passed it on, and all that the payer wrote.
fn remittance(entry: Element<'_>, details: Option<Element<'_>>) -> (Option<String>, String) {
    let informed = || details.into_iter().flat_map(|details| details.children("RmtInf"));
    let structured = informed().flat_map(|informed| informed.children("Strd"));
    let mut references: Vec<String> = structured
        .filter_map(|structured| structured.text_at(&["CdtrRefInf", "Ref"]))
        .map(|reference| compact(&reference))
        .collect();
    references.dedup();
    let written = informed().flat_map(|informed| informed.children("Ustrd"));
    let mut lines: Vec<String> = written.filter_map(Element::text).collect();
    if lines.is_empty() {
        let said = details.and_then(|details| details.text_at(&["AddtlTxInf"]));
        lines.extend(said.or_else(|| entry.text_at(&["AddtlNtryInf"])));
    }
    // Of two references neither is the one.
    let reference = if references.len() == 1 { references.pop() } else { None };
    lines.extend(references);
    (reference, lines.join(" ").chars().take(TEXT_CHARS_MAX).collect())
}

fn compact(text: &str) -> String {
    let bare: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    bare.to_ascii_uppercase()
}
