//! What is judged of all tenants together: at each month's end, and at the end of all.

use std::collections::BTreeMap;

use anyhow::Result;
use billing::Rule;

use super::documents::{Issued, Status};
use super::draws::{fold, fold_minor};
use super::invariants;
use super::world::World;

impl World {
    /// All that must hold of all, at a month's end.
    pub(super) fn judge_all(&mut self) -> Result<()> {
        let mut documents = Vec::new();
        let mut faults = Vec::new();
        for (tenant, looked_at) in self.tenants.iter().zip(&mut self.looked_at) {
            let invoices = tenant.invoices.iter().skip(looked_at.0);
            documents.extend(invoices.map(|invoice| (invoice.number, invoice.at)));
            let notes = tenant.notes.iter().skip(looked_at.1);
            documents.extend(notes.map(|note| (note.number, note.at)));
            let mut found = invariants::prints(tenant, looked_at.0);
            found.extend(invariants::metered(tenant, &self.catalogue)?);
            *looked_at = (tenant.invoices.len(), tenant.notes.len());
            faults
                .extend(found.into_iter().map(|fault| format!("tenant {}: {fault}", tenant.place)));
        }
        faults.extend(invariants::numbers(&mut self.seen, documents));
        faults.extend(invariants::shared(&self.books, &self.tenants, &self.catalogue)?);
        faults.iter().for_each(|fault| self.violate(fault));
        Ok(())
    }

    /// What is judged once, of whole lives; answers how many could be.
    pub(super) fn judge_lives(&mut self) -> usize {
        let mut lives = 0;
        let mut faults = Vec::new();
        for tenant in &self.tenants {
            faults.extend(invariants::prints(tenant, 0));
            match invariants::life(tenant, &self.catalogue) {
                Ok(Some(found)) => {
                    lives += 1;
                    faults.extend(
                        found.into_iter().map(|one| format!("tenant {}: {one}", tenant.place)),
                    );
                }
                Ok(None) => {}
                Err(error) => faults.push(format!("{error:#}")),
            }
        }
        faults.iter().for_each(|fault| self.violate(fault));
        lives
    }

    /// How often there was what, so that a world in which nothing happens does not pass for a good one.
    pub(super) fn tally(&self) -> BTreeMap<&'static str, usize> {
        let mut tally = BTreeMap::new();
        for invoice in self.tenants.iter().flat_map(|tenant| &tenant.invoices) {
            *tally.entry(invoice.invoice.kind.as_str()).or_default() += 1;
            for name in happened(invoice) {
                *tally.entry(name).or_default() += 1;
            }
        }
        tally
    }

    /// The state as a number.
    pub(super) fn digest(&self) -> u64 {
        self.tenants.iter().fold(self.steps, |digest, tenant| {
            let digest = fold_minor(digest, tenant.balance_minor);
            let digest = fold_minor(digest, tenant.cash_minor);
            let digest = fold_minor(digest, tenant.subscription.period.end.as_second());
            let accepted = tenant.metered.accepted.iter();
            let digest = accepted.fold(digest, |digest, count| fold(digest, *count));
            tenant.invoices.iter().fold(digest, |digest, invoice| {
                let digest = fold(digest, invoice.print);
                fold_minor(fold(digest, invoice.number.sequence.into()), invoice.due_minor())
            })
        })
    }
}

fn happened(invoice: &Issued) -> Vec<&'static str> {
    let whole = &invoice.invoice;
    let mut names = Vec::new();
    let status = match invoice.status {
        Status::Open => "open",
        Status::Paid => "paid",
        Status::Uncollectible => "uncollectible",
        Status::Void => "void",
    };
    names.push(status);
    names.extend((whole.total_minor < 0).then_some("given back"));
    names.extend((whole.credit_applied_minor > 0).then_some("paid from the balance"));
    names.extend((invoice.noted_minor > 0).then_some("credited"));
    for line in &whole.lines {
        names.push(match line.rule {
            Rule::Fee(_) => "fees",
            Rule::Credit { .. } => "unused fees",
            Rule::Usage { .. } => "use",
            Rule::LateUsage { .. } => "late use",
            Rule::SpendingCap { .. } => "beyond a cap",
            Rule::AlreadyInvoiced | Rule::Manual => "other lines",
        });
        names.extend((line.discount_minor > 0).then_some("discounts"));
    }
    names
}
