//! Many edges and a Redis in one thread, on virtual clocks, over a network that delays and loses, with a Redis
//! that stalls, stops, forgets and fails over. The real leases, shares and decisions run in it, and `model.rs`
//! for the script; what they admit is held against the promised bound, request by request.

mod world;

use std::num::NonZeroU32;

use harness::variable;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use self::world::{Faults, Outcome, Plan, World};
use crate::rule::Rule;

fn per_minute(count: u32) -> Rule {
    Rule::PerMinute(NonZeroU32::new(count).unwrap())
}

/// Simulations of a test, each with a seed of its own that a failure names.
fn for_seeds(runs: u64, simulate: impl Fn(&mut StdRng)) {
    if let Some(seed) = variable("HARNESS_SEED").and_then(|text| text.parse().ok()) {
        return simulate(&mut StdRng::seed_from_u64(seed));
    }
    let runs = if variable("HARNESS_SOAK").is_some() { runs * 50 } else { runs };
    let first: u64 = rand::random();
    for seed in (0..runs).map(|run| first.wrapping_add(run)) {
        println!("HARNESS_SEED={seed}");
        simulate(&mut StdRng::seed_from_u64(seed));
    }
}

/// A fleet, a limit and a load, as they come.
fn any_plan(random: &mut StdRng, faults: Faults) -> Plan {
    let limit = [1, 3, 10, 100, 1_000, 10_000][random.random_range(0..6)];
    Plan {
        edges: random.random_range(1..6),
        rule: per_minute(limit),
        key_rule: random.random_bool(0.5).then(|| per_minute(limit.div_ceil(2))),
        offered: [0.5, 1.0, 2.0, 10.0][random.random_range(0..4)],
        steps: 20_000,
        faults,
    }
}

#[test]
fn no_window_admits_more_than_the_limit_while_redis_answers() {
    for_seeds(8, |random| {
        let plan = any_plan(random, Faults::NONE);
        let outcome = World::run(&plan, random);
        assert_eq!(outcome.excess, 0, "{plan:?} {outcome:?}");
    });
}

#[test]
fn killed_edges_take_nothing_with_them_that_others_would_get_twice() {
    for_seeds(8, |random| {
        let plan = any_plan(random, Faults { kills: true, ..Faults::NONE });
        let outcome = World::run(&plan, random);
        assert_eq!(outcome.excess, 0, "{plan:?} {outcome:?}");
    });
}

/// What a limit may be exceeded by while Redis is slow, loses, stops, forgets or fails over: three permits an edge,
/// and an eighth of the limit, as edges are told of each eighth.
fn tolerance(plan: &Plan) -> u64 {
    3 * plan.edges as u64 + plan.rule.permits() / 8
}

#[test]
fn one_misfortune_at_a_time_costs_little() {
    let misfortunes = [
        Faults { losses: true, ..Faults::NONE },
        Faults { slowness: true, ..Faults::NONE },
        Faults { stops: true, ..Faults::NONE },
        Faults { flushes: true, ..Faults::NONE },
        Faults { failovers: true, ..Faults::NONE },
    ];
    for_seeds(5, |random| {
        for faults in misfortunes {
            let plan = any_plan(random, faults);
            let outcome = World::run(&plan, random);
            assert!(outcome.excess <= tolerance(&plan), "{plan:?} {outcome:?}");
        }
    });
}

#[test]
fn all_misfortunes_together_hardly_double_a_limit() {
    for_seeds(16, |random| {
        let plan = any_plan(random, Faults { kills: false, ..Faults::ALL });
        let outcome = World::run(&plan, random);
        let most = plan.rule.permits() + plan.edges as u64;
        assert!(outcome.excess <= most, "{plan:?} {outcome:?}");
    });
}

#[test]
fn an_edge_that_is_killed_without_redis_adds_no_more_than_its_share() {
    for_seeds(16, |random| {
        let plan = any_plan(random, Faults::ALL);
        let outcome = World::run(&plan, random);
        let share = plan.rule.permits().div_ceil(plan.edges as u64);
        // Once more, and what it alone knew of a cell that Redis forgets.
        let most = plan.rule.permits() + plan.edges as u64 + 2 * outcome.kills * share;
        assert!(outcome.excess <= most, "{plan:?} {outcome:?}");
    });
}

#[test]
fn a_lone_edge_admits_all_of_the_limit() {
    for_seeds(8, |random| {
        let plan = Plan { edges: 1, key_rule: None, ..any_plan(random, Faults::NONE) };
        let Outcome { admitted, ideal, .. } = World::run(&plan, random);
        // A request that comes a moment before its permit does waits for the next; the bucket beside has no way to go.
        assert!((admitted + 3) * 1_000 >= ideal * 995, "{plan:?}: {admitted} of {ideal}");
    });
}
