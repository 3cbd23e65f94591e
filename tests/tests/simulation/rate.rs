//! The invoice that the bench composes is the one that it says it is.

use billing::{Posting, compose};
use harness::billing_world::five_line_draft;

#[test]
fn the_benchs_invoice_has_five_lines_one_coupon_and_one_tax_group() {
    let (draft, facts) = five_line_draft().unwrap();
    let invoice = compose(&draft, &facts).unwrap().unwrap();
    assert_eq!((invoice.lines.len(), invoice.tax_groups.len()), (5, 1));
    assert!(invoice.lines.iter().all(|line| line.amount_minor > 0 && line.discount_minor > 0));
    let entries =
        Posting::invoice(&invoice).entries().iter().map(|(_, amount)| amount).sum::<i64>();
    assert_eq!(entries, 0);
}
