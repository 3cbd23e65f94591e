//! Holds events and heads against each other, in one pass.

use domain::id::{AuditEventId, TenantId};

use crate::head::{HeadKey, SignedHead};
use crate::tree::{Frontier, Hash};

/// What is wrong with a trail. Positions count from 0.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// An event is not what it was.
    #[error("the event at {position} is not what it was when its place was fixed")]
    Changed {
        /// Its place.
        position: u64,
    },
    /// An event is gone.
    #[error("the event at {position} is gone")]
    Removed {
        /// Its place.
        position: u64,
    },
    /// The events up to here are not those that a head was signed of: one was changed, removed, added or put elsewhere.
    #[error("the first {size} events are not those that the head of {size} was signed of")]
    OtherThanSigned {
        /// How many events the head is of.
        size: u64,
    },
    /// A head tells of more events than there are: the end is cut off.
    #[error("there are {found} events, and a head was signed of {size}: the end is cut off")]
    CutOff {
        /// How many the head is of.
        size: u64,
        /// How many there are.
        found: u64,
    },
    /// Events have places of which no head was signed: heads are gone.
    #[error("{found} events have places, and the newest head is of {size}: heads are gone")]
    HeadsGone {
        /// How many the newest head is of.
        size: u64,
        /// How many there are.
        found: u64,
    },
    /// A head is not signed by a published key, or is another tenant's.
    #[error("the head of {size} is not signed by a key of this installation for this tenant")]
    Forged {
        /// How many events it is of.
        size: u64,
    },
    /// An event has no place in the tree although it has stood there for long: it was written past it.
    #[error("the event {event_id} has no place in the trail")]
    Unlisted {
        /// Which.
        event_id: AuditEventId,
    },
}

/// A trail that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// How many events were looked at.
    pub size: u64,
    /// The root of their tree. Kept elsewhere, it shows later that nothing of them has changed.
    pub root: Hash,
    /// How many signed heads they were held against.
    pub heads: u64,
    /// How many of the events the newest of them is of.
    pub signed: u64,
}

/// Goes over a trail: its events in their order, and each head after the last event that it is of.
#[derive(Debug)]
pub struct Verifier {
    tenant_id: TenantId,
    keys: Vec<HeadKey>,
    remembered: Option<(u64, Hash)>,
    tree: Frontier,
    heads: u64,
    signed: u64,
}

impl Verifier {
    /// For a tenant's trail, whose heads are signed by one of `keys`. `remembered`: size and root of a head that whoever
    /// verifies has kept.
    #[must_use]
    pub fn new(tenant_id: TenantId, keys: Vec<HeadKey>, remembered: Option<(u64, Hash)>) -> Self {
        Self { tenant_id, keys, remembered, tree: Frontier::default(), heads: 0, signed: 0 }
    }

    /// How many events it has seen.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.tree.size()
    }

    /// The next event, by the line that is hashed of it.
    ///
    /// # Errors
    /// When the events up to it are not those of the head that was kept.
    pub fn event(&mut self, line: &str) -> Result<(), Fault> {
        self.push(Hash::leaf(line.as_bytes()))
    }

    fn push(&mut self, leaf: Hash) -> Result<(), Fault> {
        self.tree.push(leaf);
        match self.remembered {
            Some((size, root)) if size == self.size() => self.agrees(size, root),
            _ => Ok(()),
        }
    }

    /// The next event, whose hash is on record, too: one that was changed is named.
    ///
    /// # Errors
    /// When it is not of this hash; as [`Self::event`].
    pub fn event_of(&mut self, line: &str, recorded: Hash) -> Result<(), Fault> {
        if Hash::leaf(line.as_bytes()) != recorded {
            return Err(Fault::Changed { position: self.size() });
        }
        self.push(recorded)
    }

    /// A head of all events that it has seen.
    ///
    /// # Errors
    /// When it is forged, or of other events, or of more.
    pub fn head(&mut self, signed: &SignedHead) -> Result<(), Fault> {
        let size = signed.head.size;
        let genuine = signed.head.tenant_id == self.tenant_id
            && self.keys.iter().any(|key| key.has_signed(signed));
        if !genuine {
            return Err(Fault::Forged { size });
        }
        self.agrees(size, signed.head.root)?;
        self.heads += 1;
        self.signed = size;
        Ok(())
    }

    /// Whether a root is that of all events that it has seen.
    fn agrees(&self, size: u64, root: Hash) -> Result<(), Fault> {
        if size > self.size() {
            return Err(Fault::CutOff { size, found: self.size() });
        }
        if size != self.size() || root != self.tree.root() {
            return Err(Fault::OtherThanSigned { size });
        }
        Ok(())
    }

    /// That was all.
    ///
    /// # Errors
    /// When the head that was kept is of more events.
    pub fn finish(self) -> Result<Report, Fault> {
        // Of as many it was held against when they were seen.
        if let Some((size, root)) =
            self.remembered.filter(|(size, _)| !(1..=self.size()).contains(size))
        {
            self.agrees(size, root)?;
        }
        let (heads, signed) = (self.heads, self.signed);
        Ok(Report { size: self.size(), root: self.tree.root(), heads, signed })
    }
}
