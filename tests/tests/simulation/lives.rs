//! Random lives.

use harness::billing_world::{Outcome, World};
use harness::variable;

const SEED: u64 = 20_260_401;

fn lived(seed: u64, tenants: usize, months: u32) -> Outcome {
    match World::new(seed, tenants) {
        Ok(world) => world.run(months),
        Err(error) => panic!("no world: {error:#}"),
    }
}

/// A world that must be without a violation. Of a seed that fails, it names the fewest tenants that do.
fn check(seed: u64, tenants: usize, months: u32) -> Outcome {
    let outcome = lived(seed, tenants, months);
    if outcome.violations.is_empty() {
        return outcome;
    }
    let fails = |fewer: &usize| !lived(seed, *fewer, months).violations.is_empty();
    let fewest = (1..tenants).find(fails).unwrap_or(tenants);
    let violations = lived(seed, fewest, months).violations.join("\n");
    panic!("HARNESS_SEED={seed}, {fewest} tenants, {months} months:\n{violations}");
}

fn seed() -> u64 {
    variable("HARNESS_SEED").and_then(|text| text.parse().ok()).unwrap_or(SEED)
}

#[test]
fn forty_tenants_live_three_years_without_a_violation() {
    let seed = seed();
    println!("HARNESS_SEED={seed}");
    let outcome = check(seed, 40, 36);
    // Were it a world in which nothing happens, nothing would be violated.
    assert!(outcome.steps > 8_000 && outcome.invoices > 500, "{outcome:?}");
    assert!(outcome.credit_notes > 10 && outcome.lives > 10, "{outcome:?}");
    for name in [
        "Period",
        "Adjustment",
        "Final",
        "unused fees",
        "use",
        "late use",
        "beyond a cap",
        "discounts",
        "given back",
        "paid from the balance",
        "uncollectible",
        "void",
    ] {
        assert!(outcome.tally.contains_key(name), "no {name}: {:?}", outcome.tally);
    }
}

#[test]
fn many_short_lives_of_three_tenants_each_are_without_a_violation() {
    let seed = seed();
    println!("HARNESS_SEED={seed}, and the seeds after it");
    let invoices: usize = (0..300).map(|more| check(seed.wrapping_add(more), 3, 8).invoices).sum();
    assert!(invoices > 1_500, "{invoices}");
}

#[test]
fn the_same_seed_makes_the_same_world_and_another_another() {
    let digest = |seed| lived(seed, 10, 12).digest;
    assert_eq!(digest(SEED), digest(SEED));
    assert_ne!(digest(SEED), digest(SEED + 1));
}
