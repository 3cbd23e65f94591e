//! Double entry: what each event posts. Debits are positive, credits negative; each posting adds up to zero.

use domain::money::Currency;

use crate::credit_note::CreditNote;
use crate::invoice::Invoice;

/// What an entry is booked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LedgerAccount {
    /// What customers owe.
    Receivable,
    /// What was earned.
    Revenue,
    /// Tax that is owed to the state.
    Tax,
    /// What customers have in credit.
    Credit,
    /// Money that came in by card, as the local sandbox says.
    CashSandbox,
    /// Money that came in by card.
    CashStripe,
    /// Money that came in by PayPal.
    CashPayPal,
    /// Money that came in on the bank account.
    CashBankTransfer,
    /// Money that came in as crypto currency.
    CashBtcPay,
    /// Money that came in otherwise, as an operator says.
    CashManual,
    /// Money that is on its way back to customers.
    Refunding,
    /// Money that providers hold back while its payer disputes it.
    Disputed,
    /// What will not be paid any more.
    BadDebt,
}

impl LedgerAccount {
    /// Every account.
    pub const ALL: [Self; 13] = [
        Self::Receivable,
        Self::Revenue,
        Self::Tax,
        Self::Credit,
        Self::CashSandbox,
        Self::CashStripe,
        Self::CashPayPal,
        Self::CashBankTransfer,
        Self::CashBtcPay,
        Self::CashManual,
        Self::Refunding,
        Self::Disputed,
        Self::BadDebt,
    ];

    /// The stored spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Receivable => "Receivable",
            Self::Revenue => "Revenue",
            Self::Tax => "Tax",
            Self::Credit => "Credit",
            Self::CashSandbox => "CashSandbox",
            Self::CashStripe => "CashStripe",
            Self::CashPayPal => "CashPayPal",
            Self::CashBankTransfer => "CashBankTransfer",
            Self::CashBtcPay => "CashBtcPay",
            Self::CashManual => "CashManual",
            Self::Refunding => "Refunding",
            Self::Disputed => "Disputed",
            Self::BadDebt => "BadDebt",
        }
    }
}

/// What one event posts, in one currency. Its entries add up to zero, by construction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posting {
    /// The currency of every entry.
    pub currency: Currency,
    entries: Vec<(LedgerAccount, i64)>,
}

impl Posting {
    /// The entries, none of them zero: account, and minor units.
    #[must_use]
    pub fn entries(&self) -> &[(LedgerAccount, i64)] {
        &self.entries
    }

    /// Moves amounts from accounts to accounts: `(debit, credit, amount)`. So there is no posting that is not
    /// balanced.
    fn of(currency: Currency, moves: &[(LedgerAccount, LedgerAccount, i64)]) -> Self {
        let mut entries: Vec<(LedgerAccount, i64)> = Vec::with_capacity(moves.len() * 2);
        for (debit, credit, amount) in moves.iter().copied() {
            for (account, amount) in [(debit, amount), (credit, -amount)] {
                match entries.iter_mut().find(|(known, _)| *known == account) {
                    Some((_, sum)) => *sum += amount,
                    None => entries.push((account, amount)),
                }
            }
        }
        entries.retain(|(_, amount)| *amount != 0);
        Self { currency, entries }
    }

    /// An invoice was finalised: it is owed, less what was taken from the balance.
    #[must_use]
    pub fn invoice(invoice: &Invoice) -> Self {
        use LedgerAccount::{Credit, Receivable, Revenue, Tax};
        Self::of(
            invoice.currency,
            &[
                (Receivable, Revenue, invoice.net_minor),
                (Receivable, Tax, invoice.tax_minor),
                (Credit, Receivable, invoice.credit_applied_minor),
            ],
        )
    }

    /// Money came in: for an invoice, and what is more than due goes to the balance.
    #[must_use]
    pub fn payment(currency: Currency, cash: LedgerAccount, payment: Allocation) -> Self {
        use LedgerAccount::{Credit, Receivable};
        let moves = [(cash, Receivable, payment.paid_minor), (cash, Credit, payment.excess_minor)];
        Self::of(currency, &moves)
    }

    /// A credit note: what was earned is less, what is owed too, and the rest goes to the balance. `from` as of
    /// [`Self::void`].
    #[must_use]
    pub fn credit_note(currency: Currency, from: LedgerAccount, note: &CreditNote) -> Self {
        use LedgerAccount::{Credit, Revenue, Tax};
        Self::of(
            currency,
            &[
                (Revenue, from, note.net_minor),
                (Tax, from, note.tax_minor),
                (from, Credit, note.balance_minor),
            ],
        )
    }

    /// An invoice was withdrawn, with nothing paid or credited; what it took from the balance goes back there. `from`:
    /// where what is due of it stands, which is `Receivable`, or `BadDebt` once it was given up.
    #[must_use]
    pub fn void(
        currency: Currency,
        from: LedgerAccount,
        net_minor: i64,
        tax_minor: i64,
        credit_applied_minor: i64,
    ) -> Self {
        use LedgerAccount::{Credit, Revenue, Tax};
        Self::of(
            currency,
            &[
                (Revenue, from, net_minor),
                (Tax, from, tax_minor),
                (from, Credit, credit_applied_minor),
            ],
        )
    }

    /// An amount goes from one account to another: what is given up, and what is paid after all.
    #[must_use]
    pub fn moved(
        currency: Currency,
        debit: LedgerAccount,
        credit: LedgerAccount,
        amount_minor: i64,
    ) -> Self {
        Self::of(currency, &[(debit, credit, amount_minor)])
    }
}

/// How a payment is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allocation {
    /// On the invoice.
    pub paid_minor: i64,
    /// To the customer's balance.
    pub excess_minor: i64,
}

impl Allocation {
    /// Spends `amount_minor` on what is due; what is more goes to the balance (§2.13).
    #[must_use]
    pub fn of(amount_minor: i64, due_minor: i64) -> Self {
        let paid_minor = amount_minor.min(due_minor.max(0));
        Self { paid_minor, excess_minor: amount_minor - paid_minor }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_overpayment_goes_to_the_balance() {
        let spent = Allocation::of(10_500, 9_900);
        assert_eq!(spent, Allocation { paid_minor: 9_900, excess_minor: 600 });
        let posting = Posting::payment(Currency::USD, LedgerAccount::CashManual, spent);
        use LedgerAccount::{CashManual, Credit, Receivable};
        let entries = [(CashManual, 10_500), (Receivable, -9_900), (Credit, -600)];
        assert_eq!(posting.entries(), entries);
        // Paid twice: all of the second goes there.
        assert_eq!(Allocation::of(9_900, 0).excess_minor, 9_900);
    }

    proptest! {
        #[test]
        fn every_posting_adds_up_to_zero(
            amounts in proptest::collection::vec(-1_000_000_i64..1_000_000, 3),
        ) {
            use LedgerAccount::{Credit, Receivable, Revenue, Tax};
            let moves = [
                (Receivable, Revenue, amounts[0]),
                (Receivable, Tax, amounts[1]),
                (Credit, Receivable, amounts[2]),
            ];
            let posting = Posting::of(Currency::USD, &moves);
            prop_assert_eq!(posting.entries().iter().map(|(_, amount)| amount).sum::<i64>(), 0);
            prop_assert!(posting.entries().iter().all(|(_, amount)| *amount != 0));
        }
    }
}
