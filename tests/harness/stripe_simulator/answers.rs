//! Calls: which there are, what their keys mean, and how they go wrong.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::world::{Answered, Kept, World, metadata, missing, refuse};
use super::{Fault, Hold, SECRET_KEY, Shared};
use crate::fake::{Reply, Request};

/// How often it is looked whether charges are let go.
const HELD_UP: Duration = Duration::from_millis(20);
/// Within what a caller waits.
const SLOW: Duration = Duration::from_millis(300);
/// Longer than a caller waits that gives it a second.
const LATE: Duration = Duration::from_millis(1500);

pub(super) async fn answer(shared: &Arc<Shared>, request: Request) -> Reply {
    if request.header("authorization") != format!("Bearer {SECRET_KEY}") {
        return reply(refuse(401, "api_key_invalid", ""));
    }
    // Of moving money most goes wrong; a tenant that never gets a card on file would pay nothing.
    let moves = request.path.contains("/payment_intents") || request.path.contains("/refunds");
    let fault = throw(shared, if moves { 100 } else { 500 });
    match fault {
        Some(Fault::Limited) => {
            let (_, body) = refuse(429, "rate_limit", "");
            let after = ("retry-after".to_owned(), "1".to_owned());
            return Reply::Answer(429, vec![after], body.to_string().into_bytes());
        }
        Some(Fault::Locked) => return reply(refuse(409, "lock_timeout", "")),
        _ => {}
    }
    let key = Some(request.header("idempotency-key")).filter(|key| !key.is_empty());
    if let Some(key) = key {
        match shared.world().keys.get(key) {
            Some(Kept::UnderWay) => return reply(refuse(409, "idempotency_key_in_use", "")),
            Some(Kept::Answer(status, body)) => return Reply::json(*status, body),
            None => {}
        }
        shared.world().keys.insert(key.to_owned(), Kept::UnderWay);
    }
    let charges = request.method == "POST" && request.path == "/v1/payment_intents";
    if charges {
        held_up(shared, Hold::Before).await;
    }
    match fault {
        Some(Fault::Slow) => tokio::time::sleep(SLOW).await,
        Some(Fault::Late) => tokio::time::sleep(LATE).await,
        _ => {}
    }
    let slow = shared.world().faulty && shared.below(3) == 0;
    let failure = (500, json!({ "error": { "type": "api_error", "message": "simulated" } }));
    let mut answered = match fault {
        Some(Fault::FailsBefore) => failure.clone(),
        _ => handle(&mut shared.world(), &request, slow),
    };
    if fault == Some(Fault::FailsAfter) {
        answered = failure;
    }
    if let Some(key) = key {
        let kept = Kept::Answer(answered.0, answered.1.clone());
        shared.world().keys.insert(key.to_owned(), kept);
    }
    shared.tell();
    if charges {
        held_up(shared, Hold::After).await;
    }
    match fault {
        Some(Fault::HangsUp) => Reply::HangUp,
        Some(Fault::Silent) => Reply::Silence,
        _ => reply(answered),
    }
}

/// Waits here while charges are held up so.
async fn held_up(shared: &Shared, hold: Hold) {
    let is_held = || shared.world().hold == Some(hold);
    if is_held() {
        shared.world().held += 1;
    }
    while is_held() {
        tokio::time::sleep(HELD_UP).await;
    }
}

fn reply((status, body): Answered) -> Reply {
    Reply::json(status, &body)
}

fn throw(shared: &Shared, sides: u32) -> Option<Fault> {
    let dice = shared.below(sides);
    let mut world = shared.world();
    let fault = if world.faulty { Fault::thrown(dice) } else { None };
    world.faults += u64::from(fault.is_some());
    fault
}

fn handle(world: &mut World, request: &Request, slow: bool) -> Answered {
    let path: Vec<_> = request.path.trim_start_matches("/v1/").split('/').collect();
    let form: BTreeMap<_, _> = request.form().into_iter().collect();
    let query: BTreeMap<_, _> = request.query.iter().cloned().collect();
    match request.method.as_str() {
        "POST" => post(world, &path, &form, slow),
        _ => get(world, &path, &query),
    }
}

fn post(world: &mut World, path: &[&str], form: &BTreeMap<String, String>, slow: bool) -> Answered {
    let text = |name: &str| form.get(name).cloned().unwrap_or_default();
    match path {
        ["customers"] => {
            let id = world.new_id("cus");
            world.customers.insert(id.clone(), metadata(form));
            (200, customer(&id, &world.customers[&id]))
        }
        ["payment_methods", id] => match world.methods.get_mut(*id) {
            Some(method) => {
                method.metadata.extend(metadata(form));
                (200, method.shown(id))
            }
            None => missing("payment_method"),
        },
        ["payment_methods", id, "detach"] => match world.methods.get_mut(*id) {
            Some(method) => match method.customer.take() {
                Some(_) => (200, method.shown(id)),
                None => refuse(400, "payment_method_unexpected_state", ""),
            },
            None => missing("payment_method"),
        },
        ["setup_intents"] => {
            let (whose, id) = (text("customer"), text("payment_method"));
            let Some(method) = world.methods.get_mut(&id) else { return missing("payment_method") };
            method.customer = Some(whose);
            let setup = world.new_id("seti");
            world.setups.push((setup.clone(), id));
            (200, json!({ "object": "setup_intent", "id": setup, "status": "succeeded" }))
        }
        ["payment_intents"] => world.new_intent(form),
        ["payment_intents", id, "confirm"] => match world.place(id) {
            Some(place) => {
                let off_session = text("off_session") == "true";
                world.confirm(place, &text("payment_method"), off_session)
            }
            None => missing("intent"),
        },
        ["payment_intents", id, "cancel"] => match world.place(id) {
            Some(place) => world.cancel(place),
            None => missing("intent"),
        },
        ["refunds"] => world.new_refund(form, slow),
        _ => refuse(404, "url_unknown", ""),
    }
}

fn customer(id: &str, metadata: &super::objects::Metadata) -> Value {
    json!({ "object": "customer", "id": id, "metadata": metadata })
}

fn get(world: &World, path: &[&str], query: &BTreeMap<String, String>) -> Answered {
    let is = |name: &str, value: &str| query.get(name).is_none_or(|asked| asked == value);
    let charge = |id: &str| world.place(id).map(|place| world.intents[place].shown());
    let found = match path {
        ["customers", id] => world.customers.get(*id).map(|metadata| customer(id, metadata)),
        ["payment_methods", id] => world.methods.get(*id).map(|method| method.shown(id)),
        ["payment_intents", id] => charge(id),
        ["refunds", id] => world.refunds.iter().find(|one| one.id == *id).map(|one| one.shown()),
        ["disputes", id] => {
            let found = world.disputes.iter().find(|one| one.id == *id);
            found.map(|one| one.shown(charge(&one.intent)))
        }
        ["setup_intents"] => {
            let setups = world.setups.iter().filter(|(_, id)| is("payment_method", id));
            let shown = setups.map(|(id, _)| (0, json!({ "id": id, "status": "succeeded" })));
            Some(page(shown.collect(), query))
        }
        ["payment_intents"] => {
            let all = world.intents.iter().filter(|one| is("customer", &one.customer));
            Some(page(all.map(|one| (one.created, one.shown())).collect(), query))
        }
        ["refunds"] => {
            let all = world.refunds.iter().filter(|one| is("payment_intent", &one.intent));
            Some(page(all.map(|one| (one.created, one.shown())).collect(), query))
        }
        ["disputes"] => {
            let all = world.disputes.iter();
            let shown = all.map(|one| (one.created, one.shown(charge(&one.intent))));
            Some(page(shown.collect(), query))
        }
        _ => None,
    };
    found.map_or_else(|| missing("id"), |shown| (200, shown))
}

/// A page of a list, newest first.
fn page(all: Vec<(i64, Value)>, query: &BTreeMap<String, String>) -> Value {
    let number = |name: &str| query.get(name).and_then(|text| text.parse::<i64>().ok());
    let from = number("created[gte]").unwrap_or(i64::MIN);
    let to = number("created[lte]").unwrap_or(i64::MAX);
    let mut all: Vec<_> =
        all.into_iter().filter(|(at, _)| (from..=to).contains(at)).map(|(_, one)| one).collect();
    all.reverse();
    if let Some(after) = query.get("starting_after") {
        let place = all.iter().position(|one| one["id"] == after.as_str());
        all.drain(..place.map_or(all.len(), |place| place + 1));
    }
    let limit = usize::try_from(number("limit").unwrap_or(10)).unwrap_or(10);
    let has_more = all.len() > limit;
    all.truncate(limit);
    json!({ "object": "list", "data": all, "has_more": has_more })
}
