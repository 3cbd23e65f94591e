//! `Audit`: events get their places in their tenant's tree, after they were committed, and a head is signed of each batch.

use anyhow::Context;
use audit_log::{Hash, Head, HeadSigner};
use domain::id::TenantId;
use jiff::Timestamp;
use jobs::catalog::Audit;
use store::{audit_keys, audit_tree};
use vault::{Owner, Place, Purpose};

use crate::app::App;
use crate::runtime::Perform;
use crate::runtime::attempt::Attempt;
use crate::runtime::outcome::Outcome;

/// Tenants of one page.
const TENANTS: i64 = 200;
/// Events of one transaction.
const BATCH: usize = 1000;

impl Perform for Audit {
    async fn perform(self, app: &App, _attempt: &Attempt) -> anyhow::Result<Outcome> {
        match self {
            Self::Place => place_all(app).await?,
        }
        Ok(Outcome::Done)
    }
}

async fn place_all(app: &App) -> anyhow::Result<()> {
    let signer = signer(app).await?;
    loop {
        let mut tx = app.store.control().await?;
        let tenants = audit_tree::tenants_with_unplaced(&mut tx, TENANTS).await?;
        drop(tx);
        if tenants.is_empty() {
            return Ok(());
        }
        for tenant in tenants {
            while place(app, &signer, tenant).await? == BATCH {}
        }
    }
}

async fn signer(app: &App) -> anyhow::Result<HeadSigner> {
    let mut tx = app.store.control().await?;
    let key = audit_keys::newest(&mut tx).await?;
    let key = key.context("the table audit_keys is empty; run `pytake-api migrate`")?;
    let keys = app.sealer.platform_keys_there(&mut tx, Purpose::AuditKeys).await?;
    let place = Place { owner: Owner::Platform, column: audit_keys::COLUMN, row: key.id.as_uuid() };
    Ok(HeadSigner::new(key.id, &keys.open(place, &key.private_sealed)?)?)
}

/// Places a batch of a tenant's events; how many.
async fn place(app: &App, signer: &HeadSigner, tenant_id: TenantId) -> anyhow::Result<usize> {
    let mut tx = app.store.begin(tenant_id).await?;
    let mut tree = audit_tree::lock_tree(&mut tx).await?;
    let events = audit_tree::take_unplaced(&mut tx, i64::try_from(BATCH)?).await?;
    if events.is_empty() {
        return Ok(0);
    }
    let first = tree.size();
    let mut leaves = Vec::with_capacity(events.len());
    for (id, event) in &events {
        let hash = match event {
            Some(event) => event.entry().hash()?,
            // Removed before it had a place: the place says so for ever.
            None => Hash::leaf(&[]),
        };
        tree.push(hash);
        leaves.push((*id, hash));
    }
    // As precise as it is stored, because it is signed.
    let at = Timestamp::from_microsecond(app.clock.now().as_microsecond())?;
    let head = Head { tenant_id, size: tree.size(), root: tree.root(), at };
    audit_tree::append(&mut tx, first, &leaves, &tree, &signer.sign(head)).await?;
    tx.commit().await?;
    Ok(events.len())
}
