use std::num::NonZeroU32;

use super::*;

fn rule(count: u32) -> Rule {
    Rule::PerMinute(NonZeroU32::new(count).unwrap())
}

fn slots(count: u32) -> Rule {
    Rule::Concurrent(NonZeroU32::new(count).unwrap())
}

/// Redis grants `granted`; all edges together then have taken `taken`.
fn answer(rule: Rule, granted: u64, taken: u64, version: u64) -> Answer {
    let known = Known { born: 1, version, level: taken * rule.unit(), at: 1 };
    Answer { granted, available: rule.permits() - taken, known }
}

fn spend_all(lease: &mut Lease, rule: Rule, now_us: u64) -> u64 {
    let mut spent = 0;
    while lease.supply(1, now_us) == Supply::Ready {
        lease.spend(rule, 1);
        spent += 1;
    }
    spent
}

#[test]
fn it_starts_at_one_permit_and_doubles_under_load() {
    let rule = rule(100_000);
    let mut lease = Lease::new(1);
    let mut wanted = Vec::new();
    for turn in 1..=6 {
        let ask = lease.ask(rule, 0, turn);
        wanted.push(ask.want);
        lease.answered(&ask, &answer(rule, ask.want, 100, turn), turn, turn);
        spend_all(&mut lease, rule, turn);
    }
    assert_eq!(wanted, [1, 2, 4, 8, 16, 32]);
}

#[test]
fn what_is_not_spent_in_time_is_given_back_once_and_the_next_lease_is_smaller() {
    let rule = rule(1_000);
    let mut lease = Lease::new(1);
    let ask = lease.ask(rule, 100, 1);
    lease.answered(&ask, &answer(rule, 100, 100, 1), 1, 1);
    lease.spend(rule, 1);
    lease.spend(rule, 1);
    assert_eq!(lease.supply(1, 1_000_000), Supply::Ready);
    assert_eq!(lease.settle(rule, 1_000_000), None, "its life is not over");
    assert_eq!(lease.supply(1, 1_000_001), Supply::Dry);
    let ask = lease.settle(rule, 1_000_001).unwrap();
    assert_eq!((ask.spent, ask.hold, ask.want), (2, 0, 0));
    lease.answered(&ask, &answer(rule, 0, 2, 2), 1_000_001, 1_000_001);
    assert_eq!(lease.settle(rule, 5_000_000), None);
    assert!(lease.ask(rule, 0, 5_000_000).want <= 4);
}

#[test]
fn a_denial_is_remembered_until_it_ends_and_busy_cells_are_not_asked_for_each_permit() {
    let deny = |rule: Rule| {
        let mut lease = Lease::new(1);
        let ask = lease.ask(rule, 1, 1);
        lease.answered(&ask, &answer(rule, 0, rule.permits(), 1), 1, 1);
        lease
    };
    let slow = deny(rule(10));
    assert_eq!(slow.supply(1, 6_000_000), Supply::Denied);
    assert_eq!(slow.supply(1, 6_000_001), Supply::Dry);
    // A permit comes back each millisecond.
    let busy = deny(rule(60_000));
    assert_eq!(busy.supply(1, DENIAL_MIN_US), Supply::Denied);
    assert_eq!(busy.supply(1, DENIAL_MIN_US + 1), Supply::Dry);
}

#[test]
fn an_answer_after_a_later_question_is_void() {
    let rule = rule(1_000);
    let mut lease = Lease::new(1);
    let (early, late) = (lease.ask(rule, 10, 1), lease.ask(rule, 10, 2));
    lease.answered(&late, &answer(rule, 10, 10, 2), 2, 3);
    lease.answered(&early, &answer(rule, 10, 10, 1), 1, 4);
    assert_eq!(spend_all(&mut lease, rule, 5), 10);
}

#[test]
fn debts_are_told_and_those_that_have_drained_are_not() {
    let rule = rule(60);
    let mut lease = Lease::new(1);
    for _ in 0..30 {
        lease.overspend(rule, 1);
    }
    assert_eq!(lease.debt(), 30);
    lease.forgive_beyond(12);
    let ask = lease.settle(rule, 1).unwrap();
    assert_eq!((ask.spent, ask.hold), (12, 0));
    lease.answered(&ask, &answer(rule, 0, 12, 1), 1, 1);
    assert!(lease.is_settled());
}

#[test]
fn a_smaller_limit_takes_what_was_leased_under_the_greater() {
    let (great, small) = (rule(1_000), rule(10));
    let mut lease = Lease::new(1);
    let ask = lease.ask(great, 500, 1);
    lease.answered(&ask, &answer(great, 500, 500, 1), 1, 1);
    lease.limit_changed(great, small);
    assert_eq!(lease.supply(1, 2), Supply::Dry);
    assert_eq!(lease.settle(small, 2).unwrap().hold, 0);
}

#[test]
fn slots_are_kept_for_as_long_as_they_are_used_and_given_back_when_others_may_want_them() {
    let rule = slots(10);
    let mut lease = Lease::new(1);
    let ask = lease.ask(rule, 2, 1);
    lease.answered(&ask, &answer(rule, 2, 2, 1), 1, 1);
    lease.spend(rule, 1);
    lease.spend(rule, 1);
    assert_eq!(lease.settle(rule, 1_000_000), None);
    let renewal = lease.settle(rule, 5_000_000).unwrap();
    assert_eq!((renewal.hold, renewal.want), (2, 0));
    lease.answered(&renewal, &answer(rule, 0, 2, 2), 5_000_000, 5_000_000);
    assert!(!lease.release(rule, 1), "there are enough for all");
    lease.heard(Known { born: 1, version: 3, level: 9, at: 1 }, 5_000_001);
    assert!(lease.holds_in_vain(rule));
    assert_eq!(lease.ask(rule, 0, 5_000_002).hold, 1);
    assert!(lease.release(rule, 1), "others may be waiting");
}

#[test]
fn what_was_admitted_without_an_answer_is_paid_when_it_comes() {
    let rule = rule(1_000);
    let mut lease = Lease::new(1);
    let ask = lease.ask(rule, 4, 1);
    lease.overspend(rule, 1);
    lease.overspend(rule, 1);
    lease.overspend(rule, 1);
    lease.answered(&ask, &answer(rule, 4, 4, 1), 1, 20_000);
    assert_eq!((lease.debt(), spend_all(&mut lease, rule, 20_000)), (0, 1));
}
