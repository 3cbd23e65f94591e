//! Sends messages to an endpoint again, some in each transaction, from where the one before got to.

use domain::id::{TenantId, WebhookReplayId};
use store::webhook_replays;

use crate::app::App;
use crate::runtime::outcome::Outcome;

pub(super) async fn replay(
    app: &App,
    tenant_id: TenantId,
    replay_id: WebhookReplayId,
) -> anyhow::Result<Outcome> {
    loop {
        let mut tx = app.store.begin(tenant_id).await?;
        let step = webhook_replays::step(&mut tx, &app.sealer, replay_id, app.clock.now()).await;
        let more = match step {
            Err(store::Error::NotFound) => {
                return Ok(Outcome::Discard("the replay is forgotten".to_owned()));
            }
            other => other?,
        };
        tx.commit().await?;
        if !more {
            return Ok(Outcome::Done);
        }
    }
}
