//! What becomes of invoices: payments, credit notes, and those that are withdrawn or given up.

use anyhow::{Context, Result, ensure};
use billing::{Allocation, Creditable, LedgerAccount, Posting, Rule, credit_note};

use super::books::Series;
use super::documents::{Noted, Status};
use super::steps::Step;
use super::tenant::Tenant;

/// How much is paid of what is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Amount {
    All,
    /// So many per cent.
    Part(i64),
    /// So much more.
    Over(i64),
}

impl Step<'_, '_> {
    /// Money comes in for an invoice, in time or after it was given up; for one that was paid already, too.
    pub(super) fn pay(&mut self, tenant: &mut Tenant, place: usize, amount: Amount) -> Result<()> {
        let currency = tenant.currency();
        let invoice = tenant.invoices.get(place).context("no such invoice")?;
        let (due_minor, status) = (invoice.due_minor(), invoice.status);
        let amount_minor = match amount {
            Amount::All => due_minor,
            Amount::Part(per_cent) => due_minor * per_cent / 100,
            Amount::Over(more) => due_minor + more,
        };
        if amount_minor <= 0 || status == Status::Void {
            return Ok(());
        }
        let spent = Allocation::of(amount_minor, due_minor);
        if status == Status::Uncollectible {
            use LedgerAccount::{BadDebt, Receivable};
            let back = Posting::moved(currency, Receivable, BadDebt, due_minor);
            tenant.post(self.transaction, back);
        }
        let cash = match amount {
            Amount::All => LedgerAccount::CashSandbox,
            _ => LedgerAccount::CashManual,
        };
        tenant.post(self.transaction, Posting::payment(currency, cash, spent));
        tenant.balance_minor += spent.excess_minor;
        tenant.cash_minor += amount_minor;
        let invoice = tenant.invoices.get_mut(place).context("no such invoice")?;
        invoice.paid_minor += spent.paid_minor;
        invoice.status = if invoice.due_minor() == 0 { Status::Paid } else { Status::Open };
        Ok(())
    }

    /// Nobody expects an invoice to be paid any more.
    pub(super) fn give_up(&mut self, tenant: &mut Tenant, place: usize) -> Result<()> {
        use LedgerAccount::{BadDebt, Receivable};
        let currency = tenant.currency();
        let invoice = tenant.invoices.get_mut(place).context("no such invoice")?;
        if invoice.status != Status::Open {
            return Ok(());
        }
        invoice.status = Status::Uncollectible;
        let due_minor = invoice.due_minor();
        tenant.post(self.transaction, Posting::moved(currency, BadDebt, Receivable, due_minor));
        Ok(())
    }

    /// Withdraws an invoice of which nothing was paid or given back. One that gives a fee back stays: what it gave
    /// may be spent.
    pub(super) fn void(&mut self, tenant: &mut Tenant, place: usize) -> Result<()> {
        let currency = tenant.currency();
        let invoice = tenant.invoices.get_mut(place).context("no such invoice")?;
        let touched = invoice.paid_minor != 0
            || invoice.noted_minor != 0
            || invoice.back.iter().any(|back| back.net_minor() != 0 || back.tax_minor() != 0)
            || invoice.gives_back();
        if invoice.status != Status::Open || touched {
            return Ok(());
        }
        invoice.status = Status::Void;
        let whole = invoice.invoice.clone();
        let applied_minor = whole.credit_applied_minor;
        let owed = LedgerAccount::Receivable;
        let posting =
            Posting::void(currency, owed, whole.net_minor, whole.tax_minor, applied_minor);
        tenant.post(self.transaction, posting);
        tenant.balance_minor += applied_minor;
        for line in &whole.lines {
            let Rule::Fee(term) = &line.rule else { continue };
            tenant.covered.retain(|covered| covered.start != term.service.start);
            tenant.forgiven = tenant.forgiven.max(Some(term.service.end));
            tenant.plain = false;
        }
        Ok(())
    }

    /// Gives `per_cent` of what is left of a line back.
    pub(super) fn note(
        &mut self,
        tenant: &mut Tenant,
        place: usize,
        line: u32,
        per_cent: i64,
    ) -> Result<()> {
        let currency = tenant.currency();
        let invoice = tenant.invoices.get(place).context("no such invoice")?;
        let lines = invoice.creditables();
        let Some(wished) = lines.iter().find(|one| one.line == line) else { return Ok(()) };
        // Of all lines together no more can go back than they come to.
        let whole_left: i64 = lines.iter().map(Creditable::left_minor).sum();
        let net_minor = wished.left_minor().min(whole_left) * per_cent / 100;
        if net_minor <= 0 || invoice.status == Status::Void {
            return Ok(());
        }
        let given_up = invoice.status == Status::Uncollectible;
        let from = if given_up { LedgerAccount::BadDebt } else { LedgerAccount::Receivable };
        let is_fee = invoice.fee(line).is_some();
        let note = credit_note(&lines, &[(line, net_minor)], invoice.due_minor())?;
        ensure!(
            note.total_minor <= invoice.invoice.total_minor - invoice.noted_minor,
            "more goes back than was billed"
        );
        ensure!(note.offset_minor + note.balance_minor == note.total_minor);
        let number = self.transaction.number(Series::CreditNotes, self.now);
        tenant.post(self.transaction, Posting::credit_note(currency, from, &note));
        tenant.balance_minor += note.balance_minor;
        let total_minor = note.total_minor;
        tenant.notes.push(Noted { number, at: self.now, total_minor });
        tenant.plain &= !is_fee;
        let invoice = tenant.invoices.get_mut(place).context("no such invoice")?;
        invoice.offset_minor += note.offset_minor;
        invoice.noted_minor += note.total_minor;
        let back = invoice.back_of(line).context("no such line")?;
        back.noted.net_minor += note.net_minor;
        back.noted.tax_minor += note.tax_minor;
        if invoice.due_minor() == 0 {
            invoice.status = Status::Paid;
        }
        Ok(())
    }
}
