//! `cell.lua` in Rust, for the simulation; a test holds the two against each other, step by step.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use harness::Servers;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use redis::{Client, Script};

use crate::rule::{Drain, Rule};
use crate::shared_cell::{Answer, Ask, Booked, Known};

/// How long an unused cell is kept.
const KEEP_US: u64 = 10_000_000;
/// A record this old of an edge is forgotten.
const FORGET_US: u64 = 600_000_000;

#[derive(Debug, Clone, Copy)]
struct Record {
    since: u64,
    turn: u64,
    booked: Booked,
    until: u64,
}

#[derive(Debug, Clone)]
struct State {
    known: Known,
    limit: u64,
    told: u64,
    /// The former life that this one was healed from, how much of the level that is, and its version.
    former: u64,
    base: u64,
    base_version: u64,
    expires: u64,
}

/// A cell as Redis keeps it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    state: Option<State>,
    records: BTreeMap<u64, Record>,
}

/// What a step does beside answering: tells all edges, if it tells.
pub(crate) type Told = Option<Known>;

impl Model {
    /// One step; `None` if a later question of the same edge came before.
    pub(crate) fn step(
        &mut self,
        edge: u64,
        ask: &Ask,
        edges: u64,
        now: u64,
    ) -> Option<(Answer, Told)> {
        if self.state.as_ref().is_some_and(|state| state.expires <= now) {
            *self = Self::default();
        }
        let mine = self.records.get(&edge).copied();
        if mine.is_some_and(|mine| (ask.since, ask.turn) <= (mine.since, mine.turn)) {
            return None;
        }
        let (rule, unit, limit) = (ask.rule, ask.rule.unit(), ask.rule.permits());
        let before = self.state.clone();
        let mut state = before.clone().unwrap_or_else(|| State::new(limit, now));
        if now < state.known.at {
            state.known.at = now;
            for record in self.records.values_mut() {
                record.until = record.until.min(now + ask.lapse_us());
            }
        }
        state.base = rule.drained(state.base, now - state.known.at);
        let mut held = self.drain(rule, &mut state.known, now);
        let shrunk = before.as_ref().is_some_and(|before| limit < before.limit)
            && matches!(rule.drain(), Drain::Steady(_));
        if shrunk {
            for (name, record) in &mut self.records {
                if *name != edge && record.until > now {
                    held -= record.booked.held;
                    record.until = now;
                }
            }
        }
        let eighths = |level: u64| (8 * level / (limit * unit).max(1)).min(7);
        let told = state.told.min(eighths(state.known.level));

        let never = rule.drain() == Drain::Never;
        let live = |record: &Record| never || record.until > now;
        let mine = self.records.get(&edge);
        let (booked, is_live) = if state.heal(ask, before.is_some(), now) {
            (ask.booked, never)
        } else {
            let mine = mine.filter(|mine| mine.since == ask.since);
            mine.map_or((ask.booked, never), |mine| (mine.booked, live(mine)))
        };
        held -= mine.filter(|mine| live(mine)).map_or(0, |mine| mine.booked.held);
        held += ask.hold;
        state.book(ask, booked, is_live, shrunk);
        state.known.level = state.known.level.max(held * unit);

        let available = rule.available(state.known.level);
        let granted = ask.want.min(available).min((available / (2 * edges)).max(ask.need).max(1));
        state.known.level += granted * unit;
        state.known.version += 1;
        state.known.at = now;

        self.records.retain(|_, record| record.until + FORGET_US >= now);
        let booked = Booked { spent: ask.spent, held: ask.hold + granted };
        let record =
            Record { since: ask.since, turn: ask.turn, booked, until: now + ask.lapse_us() };
        self.records.insert(edge, record);
        state.expires = match rule.drain() {
            Drain::Steady(units) => now + state.known.level.div_ceil(units).max(KEEP_US),
            Drain::AtOnce => now + KEEP_US,
            Drain::Never => u64::MAX,
        };
        state.limit = limit;
        state.told = eighths(state.known.level);
        let (known, tell) = (state.known, state.told > told);
        self.state = Some(state);
        let answer = Answer { granted, available: available - granted, known };
        Some((answer, tell.then_some(known)))
    }

    /// Drains to `now`, lease by lapsing lease; answers what the living leases hold.
    fn drain(&self, rule: Rule, known: &mut Known, now: u64) -> u64 {
        let never = rule.drain() == Drain::Never;
        let mut records: Vec<_> =
            self.records.values().filter(|record| never || record.until > known.at).collect();
        records.sort_by_key(|record| record.until);
        let mut held: u64 = records.iter().map(|record| record.booked.held).sum();
        let lapsing = records.into_iter().filter(|record| !never && record.until <= now);
        for (instant, lapsed) in
            lapsing.map(|record| (record.until, record.booked.held)).chain([(now, 0)])
        {
            let level = rule.drained(known.level, instant - known.at);
            known.level = level.max(held * rule.unit());
            known.at = instant;
            held -= lapsed;
        }
        held
    }
}

impl State {
    const fn new(limit: u64, now: u64) -> Self {
        let known = Known { born: now, at: now, ..Known::NOTHING };
        Self { known, limit, told: 0, former: 0, base: 0, base_version: 0, expires: u64::MAX }
    }

    /// Takes over what the edge knows of a cell that was lost or went back in time; false if it was neither.
    fn heal(&mut self, ask: &Ask, was_there: bool, now: u64) -> bool {
        let (told, rule) = (ask.known, ask.rule);
        let lost = !was_there || self.known.born != told.born || self.known.version < told.version;
        if !lost || told.born == 0 || rule.drain() == Drain::AtOnce {
            return false;
        }
        let hint = rule.drained(told.level, now.saturating_sub(told.at));
        if self.known.born != told.born && (self.former == 0 || self.former == told.born) {
            if told.version > self.base_version {
                self.known.level += hint.saturating_sub(self.base);
                self.former = told.born;
                self.base = self.base.max(hint);
                self.base_version = told.version;
            }
        } else {
            self.known.level = self.known.level.max(hint);
            self.known.version = self.known.version.max(told.version);
        }
        true
    }

    /// Books what the edge did since; only while its lease lives does anything come back.
    fn book(&mut self, ask: &Ask, booked: Booked, is_live: bool, shrunk: bool) {
        let (rule, level) = (ask.rule, &mut self.known.level);
        let used = ask.hold + ask.spent.saturating_sub(booked.spent);
        if let Some(more) = used.checked_sub(booked.held) {
            *level += more * rule.unit();
        } else if is_live {
            *level = level.saturating_sub((booked.held - used) * rule.unit());
        }
        match rule.drain() {
            Drain::Steady(_) => {
                *level = (*level).min(if shrunk { 1 } else { 2 } * rule.permits() * rule.unit());
            }
            Drain::AtOnce => *level = 0,
            Drain::Never => {}
        }
    }
}

/// The script's own clock is the server's, so the model follows it: by the `at` of each answer.
#[tokio::test]
async fn the_script_does_what_the_model_does() {
    let seed = harness::variable("HARNESS_SEED").and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(rand::random);
    println!("HARNESS_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let servers = Servers::shared().await;
    let client = Client::open(servers.redis_url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut listening = client.get_async_pubsub().await.unwrap();
    let script = Script::new(include_str!("../cell.lua"));
    listening.subscribe(format!("model-{seed}")).await.unwrap();
    let mut cells: Vec<_> =
        (0..40).map(|_| (Model::default(), Known::NOTHING, any_rule(&mut random))).collect();
    for step in 0..60 {
        if step == 30 {
            // Leases of rates lapse; those of slots and quotas do not.
            tokio::time::sleep(std::time::Duration::from_millis(2_100)).await;
        }
        for (cell, (model, known, rule)) in cells.iter_mut().enumerate() {
            let key = format!("model-{seed}:limit:{{{cell}}}");
            if random.random_bool(0.03) {
                *rule = same_kind(*rule, &mut random);
            }
            if random.random_bool(0.03) {
                let _: () = redis::cmd("DEL").arg(&key).query_async(&mut connection).await.unwrap();
                *model = Model::default();
            }
            let edge = random.random_range(1..4);
            let ask = any_ask(*rule, *known, step, &mut random);
            let mut question = script.key(&key);
            question.arg(edge).arg(&ask.arguments(2)[..]).arg(format!("model-{seed}"));
            let (granted, available, level, at, born, version) =
                question.invoke_async(&mut connection).await.unwrap();
            let now = if granted < 0 { model_now(model) } else { at };
            let expected = model.step(edge, &ask, 2, now);
            let answer = Answer::read((granted, available, level, at, born, version));
            assert_eq!(answer, expected.map(|(answer, _)| answer), "{cell} {step} {ask:?}");
            let Some((answer, told)) = expected else { continue };
            if random.random_bool(0.7) {
                *known = answer.known;
            }
            if let Some(Known { born, version, level, at }) = told {
                let words = format!("{key} {born} {version} {level} {at}");
                assert_eq!(heard(&mut listening).await, words);
            }
        }
    }
}

async fn heard(listening: &mut redis::aio::PubSub) -> String {
    use futures::StreamExt as _;
    listening.on_message().next().await.unwrap().get_payload().unwrap()
}

fn model_now(model: &Model) -> u64 {
    model.state.as_ref().map_or(0, |state| state.known.at)
}

fn any_rule(random: &mut StdRng) -> Rule {
    let count = [1, 2, 10, 1_000, 50_000_000][random.random_range(0..5)];
    match random.random_range(0..3) {
        0 => Rule::Concurrent(NonZeroU32::new(count).unwrap()),
        1 => Rule::PerPeriod { permits: count.into(), ends_at: 4_000_000_000 },
        _ => Rule::PerMinute(NonZeroU32::new(count).unwrap()),
    }
}

fn same_kind(rule: Rule, random: &mut StdRng) -> Rule {
    let count = random.random_range(1..2_000);
    match rule {
        Rule::PerMinute(_) => Rule::PerMinute(NonZeroU32::new(count).unwrap()),
        Rule::Concurrent(_) => Rule::Concurrent(NonZeroU32::new(count).unwrap()),
        Rule::PerPeriod { ends_at, .. } => Rule::PerPeriod { permits: count.into(), ends_at },
    }
}

/// Not what an edge would ask, but what the script must survive.
fn any_ask(rule: Rule, known: Known, step: u64, random: &mut StdRng) -> Ask {
    let mut some = |most: u64| random.random_range(0..=most);
    let most = rule.permits().min(2_000);
    Ask {
        rule,
        since: some(1) + 1,
        turn: (step + some(2)).saturating_sub(1),
        spent: some(most),
        hold: some(most / 4),
        want: some(most),
        need: some(most / 8),
        known,
        booked: Booked { spent: some(most / 2), held: some(most / 4) },
    }
}
