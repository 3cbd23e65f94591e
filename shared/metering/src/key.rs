//! A subject as five machine words, the form in which slots hold it, and the tag by which it is found.
//!
//! The tag is stored beside the words and computed again when they are read, so it is part of the file format:
//! that is why the hash is written out here and not taken from a library that may change it.

use domain::id::{ApiKeyId, TenantId, UserId};
use uuid::Uuid;

use crate::subject::{Label, Outcome, Principal, Subject};

/// Words of a key.
pub(crate) const KEY_WORDS: usize = 5;

/// Set in every tag, so that none is [`EMPTY`](crate::layout::EMPTY) or [`CLAIMED`](crate::layout::CLAIMED).
const TAG_BIT: u64 = 2;

/// Digits of π after the point: arbitrary, and nobody's choice.
const SALTS: [u64; 5] = [
    0x243f_6a88_85a3_08d3,
    0x1319_8a2e_0370_7344,
    0xa409_3822_299f_31d0,
    0x082e_fa98_ec4e_6c89,
    0x4528_21e6_38d0_1377,
];

/// Tenant (2 words), principal (2), and label, outcome and kind of principal (1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key(pub(crate) [u64; KEY_WORDS]);

impl Key {
    pub(crate) fn of(subject: &Subject) -> Self {
        let (kind, principal) = match subject.principal {
            Principal::None => (0, Uuid::nil()),
            Principal::ApiKey(id) => (1, id.as_uuid()),
            Principal::User(id) => (2, id.as_uuid()),
        };
        let tenant = subject.tenant.as_uuid().as_u64_pair();
        let principal = principal.as_u64_pair();
        let outcome = u64::from(subject.outcome as u8);
        let rest = u64::from(subject.label.0) << 32 | outcome << 8 | kind;
        Self([tenant.0, tenant.1, principal.0, principal.1, rest])
    }

    /// The subject again; `None` if these words were never made from one.
    pub(crate) fn subject(&self) -> Option<Subject> {
        let [tenant_high, tenant_low, principal_high, principal_low, rest] = self.0;
        let principal = Uuid::from_u64_pair(principal_high, principal_low);
        let subject = Subject {
            tenant: TenantId::from_uuid(Uuid::from_u64_pair(tenant_high, tenant_low)),
            principal: match rest & 0xff {
                0 => Principal::None,
                1 => Principal::ApiKey(ApiKeyId::from_uuid(principal)),
                2 => Principal::User(UserId::from_uuid(principal)),
                _ => return None,
            },
            label: Label(u32::try_from(rest >> 32).ok()?),
            outcome: *Outcome::ALL.get(usize::try_from(rest >> 8 & 0xff).ok()?)?,
        };
        (Self::of(&subject) == *self).then_some(subject)
    }

    /// The hash, marked as one. Ids are ours and no client's choice, so it need not resist an attacker.
    #[inline]
    pub(crate) fn tag(&self) -> u64 {
        let [a, b, c, d, e] = self.0;
        let tenant = fold(a ^ SALTS[0], b ^ SALTS[1]);
        let principal = fold(c ^ SALTS[2], d ^ SALTS[3]);
        fold(tenant ^ e, principal ^ SALTS[4]) | TAG_BIT
    }
}

/// Both halves of the product, added without carry: each bit of the result depends on all bits given.
#[inline]
fn fold(left: u64, right: u64) -> u64 {
    let (low, high) = left.carrying_mul(right, 0);
    low ^ high
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_subject_comes_back_from_its_words() {
        let id = Uuid::from_u128(0x0190_1234_5678_7abc_8def_0123_4567_89ab);
        let principals = [
            Principal::None,
            Principal::ApiKey(ApiKeyId::from_uuid(id)),
            Principal::User(UserId::from_uuid(id)),
        ];
        for principal in principals {
            for outcome in Outcome::ALL {
                let tenant = TenantId::from_uuid(Uuid::from_u128(7));
                let subject = Subject { tenant, principal, label: Label(u32::MAX), outcome };
                assert_eq!(Key::of(&subject).subject(), Some(subject));
            }
        }
    }

    #[test]
    fn words_that_no_subject_makes_are_refused() {
        for rest in [3, 5 << 8, 1 << 16] {
            assert_eq!(Key([0, 7, 0, 0, rest]).subject(), None, "{rest:x}");
        }
        assert_eq!(Key([0, 7, 0, 1, 0]).subject(), None, "nobody, with an id");
    }

    #[test]
    fn neighbouring_keys_have_other_tags_and_other_places() {
        let keys = (0..64).flat_map(|bit| (0..KEY_WORDS).map(move |word| (word, 1 << bit)));
        let tags: HashSet<_> = keys
            .map(|(word, flip)| {
                let mut words = [0x0190_0000_0000_7000; KEY_WORDS];
                words[word] ^= flip;
                Key(words).tag()
            })
            .collect();
        assert_eq!(tags.len(), 64 * KEY_WORDS);
        let places: HashSet<_> = tags.iter().map(|tag| tag >> 32 & 0xfff).collect();
        assert!(places.len() > 250, "{} places of 4096 for 320 keys", places.len());
    }

    /// Files outlive releases: another tag would declare every file of the release before damaged.
    #[test]
    fn the_tag_is_part_of_the_format() {
        assert_eq!(Key([1, 2, 3, 4, 5]).tag(), 0xde70_a9a6_77ae_e36b);
    }
}
