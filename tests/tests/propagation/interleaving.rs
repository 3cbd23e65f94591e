//! Writers that begin, write, commit and give up as chance has it: the feed ends with what a fresh look finds.

use harness::{TestDatabase, variable};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::world::{EACH, Follower, commit, database, execute, id};

const WRITERS: usize = 4;

#[tokio::test]
async fn any_interleaving_of_transactions_ends_in_the_policy_of_a_fresh_load() {
    let seed = variable("HARNESS_SEED").and_then(|text| text.parse().ok());
    let seed: u64 = seed.unwrap_or_else(rand::random);
    println!("HARNESS_SEED={seed}");
    let steps = if variable("HARNESS_SOAK").is_some() { 20_000 } else { 250 };
    let database = database().await;
    let folder = tempfile::tempdir().expect("a folder");
    let follower = Follower::start(database.url_as("pytake_edge"), &folder.path().join("one"));
    follower.first().await;

    let random = StdRng::seed_from_u64(seed);
    write_at_random(&database, random, steps).await;

    let mut admin = database.connect().await;
    let last = commit(&mut admin, "SELECT 1").await;
    let followed = follower.shows(last).await;
    let fresh = Follower::start(database.url_as("pytake_edge"), &folder.path().join("two"));
    let fresh = fresh.shows(last).await;
    assert!(
        followed.knows_as_much_as(&fresh),
        "HARNESS_SEED={seed}\n{followed:?}\n--- fresh\n{fresh:?}"
    );
    // And so does a successor, of what was kept on disk.
    let kept = folder.path().join("one");
    follower.stop().await;
    let successor = Follower::start(database.url_as("pytake_edge"), &kept);
    assert!(successor.shows(last).await.knows_as_much_as(&fresh), "HARNESS_SEED={seed}");
}

/// Each writer has its own rows, so that none waits for another's lock with one thread to drive both.
async fn write_at_random(database: &TestDatabase, mut random: StdRng, steps: usize) {
    let mut writers = Vec::new();
    for _ in 0..WRITERS {
        writers.push((database.connect().await, false));
    }
    for _ in 0..steps {
        let number = random.random_range(0..WRITERS);
        let (connection, open) = &mut writers[number];
        let row = u8::try_from(number).expect("few") % EACH + 1;
        match random.random_range(0..10) {
            0..2 if *open => {
                execute(connection, "COMMIT").await;
                *open = false;
            }
            2 if *open => {
                execute(connection, "ROLLBACK").await;
                *open = false;
            }
            3..5 if !*open => {
                execute(connection, "BEGIN").await;
                *open = true;
            }
            _ => execute(connection, &statement(&mut random, row)).await,
        }
    }
    for (mut connection, open) in writers {
        if open {
            execute(&mut connection, "COMMIT").await;
        }
    }
}

fn statement(random: &mut StdRng, row: u8) -> String {
    let id = id(row);
    let number = random.random_range(1..200);
    let pick =
        |random: &mut StdRng, words: &[&str]| words[random.random_range(0..words.len())].to_owned();
    match random.random_range(0..12) {
        0 => {
            let status = pick(random, &["Active", "Suspended"]);
            format!("UPDATE tenants SET status = '{status}' WHERE id = '{id}'")
        }
        1 => {
            format!("UPDATE tenants SET subdomain = 'tenant-{row}-{number}' WHERE id = '{id}'")
        }
        2 => {
            let plan = pick(random, &["Free", "Starter", "Pro"]);
            format!("UPDATE subscriptions SET plan = '{plan}' WHERE tenant_id = '{id}'")
        }
        3 => {
            let role = pick(random, &["Owner", "User", "ReadOnly"]);
            format!("UPDATE memberships SET role = '{role}' WHERE id = '{id}'")
        }
        4 => {
            let status = pick(random, &["Active", "Removed"]);
            format!("UPDATE memberships SET status = '{status}' WHERE id = '{id}'")
        }
        5 => format!("UPDATE api_keys SET rate_limit = {number} WHERE id = '{id}'"),
        6 => {
            let hash = format!("{row:02x}{number:02x}").repeat(16);
            format!("UPDATE api_keys SET hash = '\\x{hash}' WHERE id = '{id}'")
        }
        7 => format!("DELETE FROM api_keys WHERE id = '{id}'"),
        8 => {
            let hash = format!("{row:02x}").repeat(32);
            format!(
                "INSERT INTO api_keys (tenant_id, id, name, hash, last_four, scopes, created_by, created_at)
                 VALUES ('{id}', '{id}', 'K', '\\x{hash}', 'abcd', '{{usage.read}}', '{id}', now())
                 ON CONFLICT DO NOTHING"
            )
        }
        9 => format!(
            "INSERT INTO ip_allowlists (tenant_id, networks, updated_at)
             VALUES ('{id}', '{{10.0.{number}.0/24}}', now())
             ON CONFLICT (tenant_id) DO UPDATE SET networks = excluded.networks"
        ),
        10 => format!(
            "UPDATE subscriptions SET period_start = period_start + interval '{number} days',
                 period_end = period_end + interval '{number} days'
             WHERE tenant_id = '{id}'"
        ),
        _ => format!("DELETE FROM ip_allowlists WHERE tenant_id = '{id}'"),
    }
}
