//! A tenant's trail in the order of its places, its heads among its events: what is verified, and what is exported.

use std::collections::VecDeque;

use audit_log::SignedHead;
use store::TenantTx;
use store::audit_tree::{self, Leaf};

use crate::problem::Problem;

/// Places, and heads, of one page.
const PAGE: i64 = 500;

/// What comes next in a trail.
pub(super) enum Step {
    /// A place, with its event if that is there.
    Leaf(Box<Leaf>),
    /// A head of all events before.
    Head(SignedHead),
}

/// Goes over a trail, up to a head.
pub(super) struct Trail {
    /// Of how many events that head is.
    until: u64,
    position: u64,
    leaves: VecDeque<Leaf>,
    heads: VecDeque<SignedHead>,
    last_head: u64,
}

impl Trail {
    pub(super) const fn until(size: u64) -> Self {
        Self {
            until: size,
            position: 0,
            leaves: VecDeque::new(),
            heads: VecDeque::new(),
            last_head: 0,
        }
    }

    /// What comes next; `None` at its end.
    pub(super) async fn next(&mut self, tx: &mut TenantTx) -> Result<Option<Step>, Problem> {
        if self.heads.is_empty() && self.last_head < self.until {
            self.heads = audit_tree::heads(tx, self.last_head, PAGE).await?.into();
            self.last_head = self.heads.back().map_or(self.until, |signed| signed.head.size);
        }
        let is_due = |signed: &SignedHead| signed.head.size <= self.position;
        if self.heads.front().is_some_and(is_due) {
            return Ok(self.heads.pop_front().map(Step::Head));
        }
        if self.leaves.is_empty() && self.position < self.until {
            self.leaves = audit_tree::leaves(tx, self.position, PAGE).await?.into();
        }
        // Beyond is what came meanwhile.
        let leaf = self.leaves.pop_front().filter(|leaf| leaf.position < self.until);
        let Some(leaf) = leaf else {
            // A head of more than there is.
            let head = self.heads.pop_front().filter(|signed| signed.head.size <= self.until);
            return Ok(head.map(Step::Head));
        };
        self.position = leaf.position + 1;
        Ok(Some(Step::Leaf(Box::new(leaf))))
    }
}
