//! Events a second that applications may tell of: calls with 1,000 each, through the edge and the API, until
//! the periods say all of them.

use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use harness::Actor;
use http::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{installation, rollup};
use crate::bench::figures::{Bar, Figure};
use crate::bench::{Length, tenants};
use crate::say;

const CALLERS: u64 = 4;
const EVENTS_A_CALL: u64 = 1_000;
const TENANTS: u32 = 100;

pub(super) async fn measure(length: Length) -> Result<Vec<Figure>> {
    let calls = if length == Length::Quick { 80 } else { 800 };
    let app = installation(TENANTS.into()).await?;
    let (_, application) = app.application();
    // Made before, so that the callers' own work is not what is measured.
    let bodies: Vec<Vec<Vec<u8>>> = (0..CALLERS)
        .map(|caller| (0..calls / CALLERS).map(|call| body(caller, call)).collect())
        .collect();
    let began = Instant::now();
    let mut callers = JoinSet::new();
    for bodies in bodies {
        callers.spawn(tell(application.clone(), bodies));
    }
    while let Some(outcome) = callers.join_next().await {
        outcome??;
    }
    let accepted = began.elapsed();
    rollup::wait_until_rolled_up(&app).await?;
    let took = began.elapsed();

    let events = calls / CALLERS * CALLERS * EVENTS_A_CALL;
    let counted = rollup::counted(&app, "automation_runs").await?;
    if counted != events {
        bail!("{counted} events are counted of {events}");
    }
    say::note(&format!("{events} events were accepted in {accepted:?}, rolled up in {took:?}"));
    Ok(vec![Figure {
        name: "events_api_per_s",
        value: events as f64 / accepted.as_secs_f64(),
        bar: Bar::AtLeast(10_000.0),
    }])
}

async fn tell(application: Actor, bodies: Vec<Vec<u8>>) -> Result<()> {
    for body in bodies {
        let body = Some(("application/cloudevents-batch+json", body));
        let answer = application.send(Method::POST, "/api/v1/usage/events", body).await;
        let accepted = answer.expect(200).json()["accepted"].as_u64().context("no count")?;
        if accepted != EVENTS_A_CALL {
            bail!("{accepted} of {EVENTS_A_CALL} events are accepted");
        }
    }
    Ok(())
}

fn body(caller: u64, call: u64) -> Vec<u8> {
    let event = |number: u64| {
        json!({
            "specversion": "1.0",
            "id": format!("{caller}-{call}-{number}"),
            "source": "/bench",
            "type": "automation_runs",
            "subject": tenants::tenant(u128::from(number) % u128::from(TENANTS)).to_string(),
            "data": { "quantity": 1 },
        })
    };
    Value::from_iter((0..EVENTS_A_CALL).map(event)).to_string().into_bytes()
}
