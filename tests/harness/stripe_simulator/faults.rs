//! What goes wrong with a call.

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Too many calls.
    Limited,
    /// Another call holds the object.
    Locked,
    /// It fails, and nothing was done.
    FailsBefore,
    /// It fails, and all was done.
    FailsAfter,
    /// It is done, and the connection ends.
    HangsUp,
    /// It is done, and nothing is said.
    Silent,
    /// It takes its time.
    Slow,
    /// It takes longer than anybody waits for, and is done then.
    Late,
}

impl Fault {
    /// By a throw of a die; most calls go well.
    pub(super) const fn thrown(dice: u32) -> Option<Self> {
        Some(match dice {
            0..3 => Self::Limited,
            3..6 => Self::Locked,
            6..9 => Self::FailsBefore,
            9..13 => Self::FailsAfter,
            13..17 => Self::HangsUp,
            17..19 => Self::Silent,
            19..25 => Self::Slow,
            25..28 => Self::Late,
            _ => return None,
        })
    }
}

/// Where a new charge is held up, until it is let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// Nothing of it is done.
    Before,
    /// It is done, and nothing is said.
    After,
}
