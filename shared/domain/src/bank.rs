//! What a bank tells of an account: statements and the money on them. Read by `payments`, kept by `store`.

use jiff::civil::Date;

use crate::money::Money;
use crate::plan::spelled_enum;

/// What was booked on an account in a while. One whose sums do not add up never becomes one of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The bank's name of it; one page of several is told apart by its number.
    pub id: String,
    /// The account.
    pub iban: String,
    /// Which in the row of the account's statements, where the bank counts them. None is to be missing.
    pub sequence: Option<u32>,
    /// The day of its closing balance; of a notice of single entries there is none.
    pub closing_on: Option<Date>,
    /// Money that came in, and money that was taken back; other debits are only summed.
    pub entries: Vec<Entry>,
}

/// One movement of money. A batch is several of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// By which it is known among all of its account: it is taken once, from whichever statement.
    pub key: String,
    /// Whether the key is made of what the entry says, because the bank has no reference for it: two payments that look
    /// alike on two statements cannot be told from one that was stated twice.
    pub key_of_content: bool,
    /// What kind of movement.
    pub kind: EntryKind,
    /// How much; always more than nothing.
    pub amount: Money,
    /// The day it was booked.
    pub booked_on: Option<Date>,
    /// The payer's own reference.
    pub end_to_end_id: Option<String>,
    /// Who paid.
    pub payer_name: Option<String>,
    /// From which account.
    pub payer_iban: Option<String>,
    /// The creditor reference, where the payer's bank passed it on as such.
    pub reference: Option<String>,
    /// What the payer wrote.
    pub text: String,
}

spelled_enum! {
    /// What kind of movement.
    EntryKind {
        /// Somebody paid.
        Credit,
        /// Several payments in one, which the bank does not tell apart.
        Lump,
        /// Money that came in before was taken back.
        Reversal,
        /// Money that we sent came back.
        Return,
    }
}

spelled_enum! {
    /// What has become of an entry.
    EntryState {
        /// It is a payment of an invoice.
        Matched,
        /// It waits for an operator.
        Unmatched,
        /// An operator says that it is no payment of an invoice.
        Ignored,
    }
}

spelled_enum! {
    /// By what it was found which invoice an entry pays.
    MatchedBy {
        /// Its creditor reference.
        Reference,
        /// A creditor reference in the payer's text.
        Text,
        /// The payer's account has paid for the tenant before, and one open invoice is of this amount.
        Payer,
        /// An operator said so.
        Operator,
    }
}
