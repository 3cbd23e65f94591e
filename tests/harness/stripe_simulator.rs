//! A Stripe that keeps state, and misbehaves: the part of its API that our client speaks, with real idempotency keys,
//! cards that decline, ask their owner or take days, faults before and after what was asked for is done, and webhooks
//! that come late, twice, out of order or never. It keeps its own book of the money.

mod answers;
mod book;
mod faults;
mod hooks;
mod moves;
mod objects;
mod world;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

pub use book::Booked;
pub use faults::Hold;
pub use hooks::stripe_signature;
pub use moves::Move;
pub use objects::Card;

use crate::fake;
use faults::Fault;
use hooks::Hooks;
use world::{Kept, World};

/// The key that it is called with.
pub const SECRET_KEY: &str = "sk_test_simulated_4eC39HqLyjWDarjtT1zdp7dc";
/// What it signs webhooks with.
pub const WEBHOOK_SECRET: &str = "whsec_simulated_9f1c2b";

#[derive(Debug)]
struct Shared {
    world: Mutex<World>,
    dice: Mutex<StdRng>,
    hooks: Hooks,
}

impl Shared {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn below(&self, end: u32) -> u32 {
        self.dice.lock().unwrap_or_else(PoisonError::into_inner).random_range(0..end.max(1))
    }

    /// What happened is told, sooner or later.
    fn tell(self: &Arc<Self>) {
        let events = std::mem::take(&mut self.world().events);
        for event in events {
            hooks::tell(self.clone(), event);
        }
    }
}

/// The simulator. Ends with the runtime.
#[derive(Debug, Clone)]
pub struct StripeSimulator {
    url: String,
    shared: Arc<Shared>,
}

impl StripeSimulator {
    /// One without faults, whose choices are all of a seed.
    ///
    /// # Panics
    /// When there is no port to be had.
    pub async fn start(seed: u64) -> Self {
        // Fails the second time in a process, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let shared = Arc::new(Shared {
            world: Mutex::default(),
            dice: Mutex::new(StdRng::seed_from_u64(seed)),
            hooks: Hooks::default(),
        });
        let serving = shared.clone();
        let address = fake::serve(move |request| {
            let shared = serving.clone();
            Box::pin(async move { answers::answer(&shared, request).await })
        });
        Self { url: format!("http://{}", address.await), shared }
    }

    /// Where it is called.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// From now on events are told to the edge at this address.
    pub fn tells(&self, edge: &str) {
        self.shared.hooks.tells(edge);
    }

    /// Whether calls and webhooks go wrong.
    pub fn misbehaves(&self, faulty: bool) {
        self.shared.world().faulty = faulty;
    }

    /// Holds new charges up, or lets them go.
    pub fn holds(&self, hold: Option<Hold>) {
        self.shared.world().hold = hold;
    }

    /// How many were held up.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.shared.world().held
    }

    /// What the script in the browser gives for a new card.
    #[must_use]
    pub fn card(&self, card: Card) -> String {
        self.shared.world().card(card)
    }

    /// The money of every charge.
    #[must_use]
    pub fn book(&self) -> Vec<Booked> {
        self.shared.world().book()
    }

    /// When each refund and dispute began, in seconds since 1970.
    #[must_use]
    pub fn beginnings(&self) -> Vec<(String, i64)> {
        self.shared.world().beginnings()
    }

    /// How many faults there were.
    #[must_use]
    pub fn faults(&self) -> u64 {
        self.shared.world().faults
    }

    /// A day and more has passed: keys are forgotten, but not those of calls that are under way.
    pub fn forgets_keys(&self) {
        self.shared.world().keys.retain(|_, kept| matches!(kept, Kept::UnderWay));
    }

    /// All that there is becomes older.
    pub fn ages(&self, seconds: i64) {
        self.shared.world().age(seconds);
    }

    /// What a tenant's bank or the tenant itself does next: by `choice`, something that is waited for is decided.
    pub fn moves(&self, tenant: &str, choice: u32) {
        self.shared.world().moves(tenant, choice);
        self.shared.tell();
    }

    /// Something happens to a tenant's newest money, and is told of.
    pub fn happens(&self, tenant: &str, what: Move) {
        self.shared.world().happens(tenant, what);
        self.shared.tell();
    }

    /// Everything that is waited for is decided.
    pub fn settles_all(&self) {
        let choice = self.shared.below(u32::MAX);
        self.shared.world().settles_all(choice);
        self.shared.tell();
    }

    /// Tells again, twice and in any order, of everything that is not lost.
    ///
    /// # Panics
    /// When one is not taken.
    pub async fn tells_all_again(&self) {
        hooks::tells_all_again(&self.shared).await;
    }
}
