//! The proof of delivery: messages to receivers on this machine, while the processes that deliver are killed again and
//! again and Postgres once; and what arrived in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use sqlx::Row as _;

use crate::wait::poll_async;
use crate::{CourierOptions, Couriers, Manner, Receiver, Wanted};

/// Longest time for what the killed had leased to be sent by others.
const DONE_WITHIN: Duration = Duration::from_secs(300);

/// How much, and how often.
#[derive(Debug, Clone, Copy)]
pub struct WebhookKills {
    /// Tenants, each with an endpoint.
    tenants: usize,
    /// Messages of each.
    messages: usize,
    /// Processes that deliver.
    processes: usize,
    /// Kills of one of them.
    kills: u32,
    /// Time between two.
    pause: Duration,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookKillsOutcome {
    /// Messages that did not arrive.
    pub lost: usize,
    /// Messages that arrived with another body than before, or that were never published.
    pub strange: usize,
    /// Messages that arrived more than once: a kill between the answer and its being written down.
    pub repeated: usize,
    /// Deliveries that are not told as such.
    pub not_delivered: Vec<String>,
}

impl WebhookKills {
    /// At every run of the tests.
    pub const SMALL: Self = Self {
        tenants: 4,
        messages: 1_000,
        processes: 2,
        kills: 4,
        pause: Duration::from_millis(500),
    };
    /// The whole of it.
    pub const FULL: Self = Self {
        tenants: 20,
        messages: 5_000,
        processes: 4,
        kills: 25,
        pause: Duration::from_secs(2),
    };

    /// Does it, on real processes and a Postgres of its own; `seed` chooses whom and when.
    ///
    /// # Panics
    /// When the servers do not come back.
    pub async fn run(self, seed: u64) -> WebhookKillsOutcome {
        let mut couriers = Couriers::start(CourierOptions {
            processes: self.processes,
            own_postgres: true,
            ..CourierOptions::default()
        })
        .await;
        let receiver = Receiver::slow(Duration::from_millis(60)).await;
        // One that was answered well and reported lost sees the same id: so does one that was answered badly.
        receiver.next((0..5).map(|_| Manner::Answer(500, "", "")));
        let mut published = BTreeSet::new();
        for _ in 0..self.tenants {
            let tenant = couriers.tenant().await;
            couriers.endpoint(tenant, &receiver.url(), Wanted::default()).await;
            let mut tx = couriers.store().begin(tenant).await.expect("a transaction");
            for number in 0..self.messages {
                let id = couriers.publish_in(&mut tx, number, "a").await;
                published.insert(id.to_string());
            }
            tx.commit().await.expect("a commit");
        }
        self.kill(&mut couriers, seed).await;
        self.outcome(&couriers, &receiver, &published).await
    }

    async fn kill(self, couriers: &mut Couriers, seed: u64) {
        let mut dice = StdRng::seed_from_u64(seed);
        let of_postgres = self.kills / 2;
        for kill in 0..self.kills {
            tokio::time::sleep(self.pause.mul_f64(dice.random_range(0.75..1.25))).await;
            let victim = dice.random_range(0..self.processes);
            couriers.process(victim).kill();
            if kill == of_postgres {
                couriers.restart_postgres(Duration::from_millis(dice.random_range(0..500))).await;
            }
            couriers.start_again(victim);
        }
    }

    async fn outcome(
        self,
        couriers: &Couriers,
        receiver: &Receiver,
        published: &BTreeSet<String>,
    ) -> WebhookKillsOutcome {
        let connection = tokio::sync::Mutex::new(couriers.admin().await);
        let open = "SELECT EXISTS (SELECT FROM webhook_deliveries WHERE status <> 'Delivered')";
        let done = poll_async(DONE_WITHIN, async || {
            let open: bool =
                sqlx::query_scalar(open).fetch_one(&mut *connection.lock().await).await.ok()?;
            (!open).then_some(())
        });
        // What is not done then is in the outcome.
        let _ = done.await;
        let sql = "SELECT message_id, status, attempts FROM webhook_deliveries WHERE status <> 'Delivered' LIMIT 10";
        let rows = sqlx::query(sql).fetch_all(&mut *connection.lock().await).await.expect("rows");
        let not_delivered = rows
            .iter()
            .map(|row| {
                let (id, status, attempts): (uuid::Uuid, String, i32) =
                    (row.get(0), row.get(1), row.get(2));
                format!("{id} {status} {attempts}")
            })
            .collect();
        let mut bodies: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
        for one in receiver.received() {
            bodies.entry(one.id().to_owned()).or_default().push(one.body);
        }
        let strange = bodies
            .iter()
            .filter(|(id, bodies)| {
                !published.contains(*id) || bodies.windows(2).any(|pair| pair[0] != pair[1])
            })
            .count();
        WebhookKillsOutcome {
            lost: published.iter().filter(|id| !bodies.contains_key(*id)).count(),
            strange,
            repeated: bodies.values().filter(|bodies| bodies.len() > 1).count(),
            not_delivered,
        }
    }
}
