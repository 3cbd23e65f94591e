//! Processes that deliver webhooks, on a database of their own, with what is needed to publish: tenants, endpoints, events.
//!
//! Dropped: the processes are killed.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use domain::clock::{Clock as _, SystemClock};
use domain::id::{TenantId, WebhookEndpointId, WebhookMessageId};
use domain::secret::Secret;
use store::sealer::Sealer;
use store::webhook_endpoints::{self, Endpoint, EndpointSettings, Health, Ordering};
use store::webhook_messages::{self, Audience, NewMessage};
use store::webhook_secrets::{SealedSecret, secret_place};
use store::{Store, TenantTx};
use uuid::Uuid;
use vault::{FileKeyProvider, Purpose};
use webhooks::event_type::EventType;
use webhooks::signature::{SignatureKind, SigningSecret};

use crate::wait::poll_async;
use crate::worker_fleet::{FleetOptions, WorkerFleet};

const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// What differs from the usual.
#[derive(Debug, Clone, Default)]
pub struct CourierOptions {
    /// Processes.
    pub processes: usize,
    /// Their settings.
    pub settings: Vec<(&'static str, String)>,
    /// A Postgres of its own that keeps what was committed, because the test restarts it.
    pub own_postgres: bool,
}

/// The processes, a fleet like any other, and what publishes.
#[derive(Debug)]
pub struct Couriers {
    /// The vault's keys of tenants.
    pub sealer: Arc<Sealer>,
    publisher: Publisher,
    fleet: WorkerFleet,
}

impl Deref for Couriers {
    type Target = WorkerFleet;

    fn deref(&self) -> &WorkerFleet {
        &self.fleet
    }
}

impl DerefMut for Couriers {
    fn deref_mut(&mut self) -> &mut WorkerFleet {
        &mut self.fleet
    }
}

/// What publishes.
#[derive(Debug, Clone)]
pub struct Publisher {
    store: Store,
    sealer: Arc<Sealer>,
}

/// What an endpoint wants beyond the usual.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// In which order.
    pub ordering: Ordering,
    /// Deliveries a minute.
    pub rate_limit: Option<u32>,
    /// Deliveries at the same time.
    pub in_flight_max: u8,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { ordering: Ordering::None, rate_limit: None, in_flight_max: 20 }
    }
}

impl Couriers {
    /// Starts as many processes as are asked for; ready.
    ///
    /// # Panics
    /// When one does not become ready; the message holds the end of its log.
    pub async fn start(options: CourierOptions) -> Self {
        let mut settings = vec![
            ("PYTAKE_WORKERS__GRACE_PERIOD_SECONDS", "5".to_owned()),
            ("PYTAKE_WEBHOOKS__ALLOWED_NETWORKS", "[\"127.0.0.0/8\"]".to_owned()),
        ];
        settings.extend(options.settings);
        let fleet = WorkerFleet::start(FleetOptions {
            program: "pytake-workers",
            processes: options.processes,
            arguments: vec!["--queues", "webhooks"],
            settings,
            own_postgres: options.own_postgres,
        })
        .await;
        let keys = fleet.servers().secrets().key_encryption_keys().expect("keys");
        let sealer = Arc::new(Sealer::new(Box::new(FileKeyProvider::new(keys))));
        let publisher = Publisher { store: fleet.store().clone(), sealer: sealer.clone() };
        Self { sealer, publisher, fleet }
    }

    /// What publishes, to be handed to a task.
    #[must_use]
    pub fn publisher(&self) -> Publisher {
        self.publisher.clone()
    }

    /// The workers' view of the database.
    ///
    /// # Panics
    /// When its URL is malformed.
    #[must_use]
    pub fn worker_store(&self) -> Store {
        let url = Secret::new(self.database().url_as("pytake_worker"));
        Store::connect_lazy(&url, 4, ACQUIRE_TIMEOUT).expect("a store")
    }

    /// A tenant, without people and plan.
    ///
    /// # Panics
    /// When it cannot be made.
    pub async fn tenant(&self) -> TenantId {
        let id = TenantId::new(SystemClock.now(), rand::random());
        let sql = "INSERT INTO tenants (id, name, subdomain, status, created_at, updated_at)
            VALUES ($1, 'T', right($1::text, 20), 'Active', now(), now())";
        sqlx::query(sql)
            .bind(id.as_uuid())
            .execute(&mut self.admin().await)
            .await
            .expect("a tenant");
        id
    }

    /// An endpoint that wants all events at `url`; and what verifies its messages.
    ///
    /// # Panics
    /// When it cannot be made.
    pub async fn endpoint(
        &self,
        tenant_id: TenantId,
        url: &str,
        wanted: Wanted,
    ) -> (WebhookEndpointId, String) {
        let now = SystemClock.now();
        let id = WebhookEndpointId::new(now, rand::random());
        let mut tx = self.store().begin(tenant_id).await.expect("a transaction");
        let keys = self.sealer.keys(&mut tx, Purpose::Webhooks, now).await.expect("keys");
        let secret = SigningSecret::new(SignatureKind::Hmac, rand::random());
        let secret_id = Uuid::from_u128(rand::random());
        let place = secret_place(tenant_id, secret_id);
        let bytes = secret.stored().expose();
        let sealed = SealedSecret {
            id: secret_id,
            kind: SignatureKind::Hmac,
            sealed: keys.seal(place, bytes, self.sealer.entropy()).expect("a sealed secret"),
            public_key: None,
            expires_at: None,
        };
        let endpoint = Endpoint {
            id,
            settings: EndpointSettings {
                url: url.parse().expect("a URL"),
                description: String::new(),
                event_types: vec!["*".parse().expect("a pattern")],
                filter: None,
                header_names: Vec::new(),
                headers_sealed: None,
                ordering: wanted.ordering,
                rate_limit: wanted.rate_limit.and_then(std::num::NonZeroU32::new),
                in_flight_max: wanted.in_flight_max,
            },
            signature: SignatureKind::Hmac,
            public_key: None,
            disabled: None,
            version: 1,
            created_at: now,
            health: Health::default(),
        };
        webhook_endpoints::insert(&mut tx, &endpoint, &sealed).await.expect("an endpoint");
        tx.commit().await.expect("a commit");
        (id, secret.verifier().expect("a secret").expose().clone())
    }

    /// Publishes an event about `key` in a transaction of its own.
    ///
    /// # Panics
    /// When it cannot.
    pub async fn publish(&self, tenant_id: TenantId, number: usize, key: &str) -> WebhookMessageId {
        let mut tx = self.publisher.begin(tenant_id).await;
        let id = self.publish_in(&mut tx, number, key).await;
        tx.commit().await.expect("a commit");
        id
    }

    /// The same in a transaction of the caller's.
    ///
    /// # Panics
    /// When it cannot.
    pub async fn publish_in(
        &self,
        tx: &mut TenantTx,
        number: usize,
        key: &str,
    ) -> WebhookMessageId {
        self.publisher.publish_in(tx, number, key).await
    }

    /// Publishes very many events that are held back from an endpoint, which is disabled: by the thousand, as a bench
    /// needs them.
    ///
    /// # Panics
    /// When it cannot.
    pub async fn hold_back(
        &self,
        tenant_id: TenantId,
        endpoint_id: WebhookEndpointId,
        count: usize,
    ) {
        let mut tx = self.store().begin(tenant_id).await.expect("a transaction");
        let now = SystemClock.now();
        let keys = self.sealer.keys(&mut tx, Purpose::Webhooks, now).await.expect("keys");
        let admin = &mut self.admin().await;
        let mut left = count;
        while left > 0 {
            let batch = left.min(10_000);
            left -= batch;
            let (mut ids, mut payloads) = (Vec::new(), Vec::new());
            for number in 0..batch {
                let (id, _, body) = event(number, "a");
                let place = webhook_messages::payload_place(tenant_id, id);
                ids.push(id.as_uuid());
                payloads.push(keys.seal(place, &body, self.sealer.entropy()).expect("sealed"));
            }
            let sql = "WITH messages AS (
                    INSERT INTO webhook_messages (tenant_id, id, event_type, occurred_at, payload_sealed)
                    SELECT $1, id, 'message.sent', now(), payload FROM unnest($3::uuid[], $4::bytea[]) AS one (id, payload)
                    RETURNING id)
                INSERT INTO webhook_deliveries (tenant_id, endpoint_id, message_id, status, created_at, ended_at)
                SELECT $1, $2, id, 'Held', now(), now() FROM messages";
            sqlx::query(sql)
                .bind(tenant_id.as_uuid())
                .bind(endpoint_id.as_uuid())
                .bind(&ids)
                .bind(&payloads)
                .execute(&mut *admin)
                .await
                .expect("messages");
        }
    }

    /// How many deliveries there are, by status.
    ///
    /// # Panics
    /// When the database does not answer.
    pub async fn standing(&self) -> Vec<(String, i64)> {
        let sql = "SELECT status, count(*) FROM webhook_deliveries GROUP BY 1 ORDER BY 1";
        sqlx::query_as(sql).fetch_all(&mut self.admin().await).await.expect("counts")
    }

    /// Waits until every delivery is in one of these states.
    ///
    /// # Panics
    /// When it is not in a fair time.
    pub async fn wait_until_all(&self, within: Duration, statuses: &[&str]) {
        let settled = poll_async(within, async || {
            let standing = self.standing().await;
            standing.iter().all(|(status, _)| statuses.contains(&status.as_str())).then_some(())
        });
        let settled = settled.await;
        assert!(settled.is_some(), "deliveries stand like this: {:?}", self.standing().await);
    }
}

impl Publisher {
    /// A transaction of a tenant.
    ///
    /// # Panics
    /// When there is none.
    pub async fn begin(&self, tenant_id: TenantId) -> TenantTx {
        self.store.begin(tenant_id).await.expect("a transaction")
    }

    /// Publishes an event about `key`.
    ///
    /// # Panics
    /// When it cannot.
    pub async fn publish_in(
        &self,
        tx: &mut TenantTx,
        number: usize,
        key: &str,
    ) -> WebhookMessageId {
        let (id, event_type, body) = event(number, key);
        let now = SystemClock.now();
        let message = NewMessage {
            id,
            body,
            event_type,
            occurred_at: now,
            uid: None,
            ordering_key: Some(key.to_owned()),
        };
        let audience = Audience::Subscribers;
        webhook_messages::publish(tx, &self.sealer, &message, audience, now)
            .await
            .expect("published");
        id
    }
}

fn event(number: usize, key: &str) -> (WebhookMessageId, EventType, Vec<u8>) {
    let now = SystemClock.now();
    let event_type: EventType = "message.sent".parse().expect("an event type");
    let data = serde_json::json!({"message_id": key, "channel": "trial", "number": number});
    let body = webhooks::body(&event_type, now, &data).expect("a body");
    (WebhookMessageId::new(now, rand::random()), event_type, body)
}
