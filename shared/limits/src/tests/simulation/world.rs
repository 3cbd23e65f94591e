//! The simulated world: events in the order of virtual time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;

use crate::decide::{
    Alone, CellState, DEMANDS_MAX, Held, Part, Step, Verdict, from_leases, from_shares,
};
use crate::link::{Link, Mode, WAIT_MAX};
use crate::rule::{Drain, Rule};
use crate::share::Place;
use crate::shared_cell::{Answer, Ask, Known};
use crate::tests::model::Model;

const ANSWER_TIMEOUT_US: u64 = 500_000;
const RECONNECT_US: u64 = 100_000;
const SWEEP_US: u64 = 250_000;
const HEARTBEAT_US: u64 = 1_000_000;
/// How far the clocks of edges and Redis are apart.
const REDIS_EPOCH_US: u64 = 1_790_000_000_000_000;

/// What goes wrong.
#[derive(Debug, Clone, Copy)]
pub(super) struct Faults {
    pub(super) losses: bool,
    pub(super) slowness: bool,
    pub(super) stops: bool,
    pub(super) flushes: bool,
    pub(super) failovers: bool,
    pub(super) kills: bool,
}

impl Faults {
    pub(super) const NONE: Self = Self {
        losses: false,
        slowness: false,
        stops: false,
        flushes: false,
        failovers: false,
        kills: false,
    };
    pub(super) const ALL: Self = Self {
        losses: true,
        slowness: true,
        stops: true,
        flushes: true,
        failovers: true,
        kills: true,
    };
}

/// What is simulated.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) edges: usize,
    /// The limit that is watched.
    pub(super) rule: Rule,
    /// Another limit of some requests.
    pub(super) key_rule: Option<Rule>,
    /// Requests, as a multiple of the limit.
    pub(super) offered: f64,
    pub(super) steps: usize,
    pub(super) faults: Faults,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) admitted: u64,
    /// What one bucket would have admitted of the same requests.
    pub(super) ideal: u64,
    /// Permits by which the worst window exceeded N + N·W/60 s.
    pub(super) excess: u64,
    /// Permits that came from shares.
    pub(super) shared: u64,
    /// Questions asked of Redis.
    pub(super) questions: u64,
    /// Edges killed.
    pub(super) kills: u64,
}

#[derive(Debug)]
enum Event {
    Request {
        edge: usize,
    },
    Deadline {
        edge: usize,
        request: u64,
    },
    Question {
        edge: usize,
        connection: u64,
        cell: usize,
        ask: Box<Ask>,
        asked_us: u64,
    },
    Answer {
        edge: usize,
        connection: u64,
        cell: usize,
        ask: Box<Ask>,
        answer: Option<Answer>,
        asked_us: u64,
    },
    Timeout {
        edge: usize,
        connection: u64,
        cell: usize,
        turn: u64,
    },
    Word {
        edge: usize,
        cell: usize,
        known: Known,
    },
    Reconnect {
        edge: usize,
    },
    Sweep {
        edge: usize,
    },
    Heartbeat {
        edge: usize,
    },
    Weather,
    Replicate,
}

/// How the way to Redis is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weather {
    Fine,
    Slow,
    Stalled,
    Down,
}

struct Edge {
    name: u64,
    cells: Vec<CellState>,
    link: Link,
    connection: u64,
    connected: bool,
    /// Requests that wait for Redis, with their cells.
    waiting: Vec<(u64, usize)>,
    in_flight: Vec<Option<u64>>,
}

/// A bucket that is only watched.
#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    level: u64,
    at: u64,
}

impl Bucket {
    fn drain(&mut self, rule: Rule, now: u64) -> u64 {
        self.level = rule.drained(self.level, now - self.at);
        self.at = now;
        self.level
    }
}

pub(super) struct World<'p> {
    plan: &'p Plan,
    random: &'p mut StdRng,
    now: u64,
    sequence: u64,
    events: BinaryHeap<Reverse<(u64, u64)>>,
    bodies: std::collections::HashMap<u64, Event>,
    redis: Vec<Model>,
    replica: Vec<Model>,
    weather: Weather,
    edges: Vec<Edge>,
    names: u64,
    requests: u64,
    watched: Bucket,
    ideal_bucket: Bucket,
    outcome: Outcome,
}

impl<'p> World<'p> {
    pub(super) fn run(plan: &'p Plan, random: &'p mut StdRng) -> Outcome {
        let cells = 1 + usize::from(plan.key_rule.is_some());
        let mut world = Self {
            plan,
            random,
            now: 1_000_000,
            sequence: 0,
            events: BinaryHeap::new(),
            bodies: std::collections::HashMap::new(),
            redis: vec![Model::default(); cells],
            replica: vec![Model::default(); cells],
            weather: Weather::Fine,
            edges: Vec::new(),
            names: 0,
            requests: 0,
            watched: Bucket::default(),
            ideal_bucket: Bucket::default(),
            outcome: Outcome {
                admitted: 0,
                ideal: 0,
                excess: 0,
                shared: 0,
                questions: 0,
                kills: 0,
            },
        };
        for edge in 0..plan.edges {
            let fresh = world.fresh_edge();
            world.edges.push(fresh);
            world.after(1, Event::Request { edge });
            world.after(SWEEP_US, Event::Sweep { edge });
            world.after(HEARTBEAT_US, Event::Heartbeat { edge });
        }
        world.after(1_000_000, Event::Weather);
        world.after(100_000, Event::Replicate);
        for _ in 0..plan.steps {
            let Some(Reverse((at, id))) = world.events.pop() else { break };
            world.now = at;
            if let Some(event) = world.bodies.remove(&id) {
                world.happen(event);
            }
        }
        world.outcome
    }

    fn fresh_edge(&mut self) -> Edge {
        self.names += 1;
        let rules = [Some(self.plan.rule), self.plan.key_rule];
        let cells: Vec<_> =
            rules.into_iter().flatten().map(|rule| CellState::new(rule, self.now)).collect();
        let link = Link::new();
        link.connected();
        Edge {
            name: self.names,
            in_flight: vec![None; cells.len()],
            cells,
            link,
            connection: self.names << 32,
            connected: true,
            waiting: Vec::new(),
        }
    }

    fn after(&mut self, delay_us: u64, event: Event) {
        self.sequence += 1;
        self.events.push(Reverse((self.now + delay_us, self.sequence)));
        self.bodies.insert(self.sequence, event);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Request { edge } => {
                self.next_request(edge);
                self.request(edge);
            }
            Event::Deadline { edge, request } => self.deadline(edge, request),
            Event::Question { edge, connection, cell, ask, asked_us } => {
                self.question(edge, connection, cell, ask, asked_us);
            }
            Event::Answer { edge, connection, cell, ask, answer, asked_us } => {
                if self.edges[edge].connection == connection && self.edges[edge].connected {
                    self.answer(edge, cell, &ask, answer, asked_us);
                }
            }
            Event::Timeout { edge, connection, cell, turn } => {
                let there = &self.edges[edge];
                if there.connection == connection && there.in_flight[cell] == Some(turn) {
                    self.lose_connection(edge);
                }
            }
            Event::Word { edge, cell, known } => {
                let now = self.now;
                self.edges[edge].cells[cell].lease.heard(known, now);
            }
            Event::Reconnect { edge } => {
                if self.weather == Weather::Down || self.weather == Weather::Stalled {
                    self.after(RECONNECT_US, Event::Reconnect { edge });
                } else {
                    self.edges[edge].connected = true;
                    self.edges[edge].link.connected();
                }
            }
            Event::Sweep { edge } => {
                self.after(SWEEP_US, Event::Sweep { edge });
                for cell in 0..self.redis.len() {
                    let now = self.now;
                    if self.edges[edge].connected
                        && let Some(ask) = self.edges[edge].cells[cell].settle(now)
                    {
                        self.send(edge, cell, ask);
                    }
                }
            }
            Event::Heartbeat { edge } => {
                self.after(HEARTBEAT_US, Event::Heartbeat { edge });
                let (now, way) = (self.now, self.way() + self.way());
                let there = &self.edges[edge];
                match self.weather {
                    Weather::Down if there.connected => self.lose_connection(edge),
                    Weather::Fine | Weather::Slow if there.connected => {
                        there.link.answered(Duration::from_micros(way), now);
                    }
                    _ => {}
                }
            }
            Event::Weather => self.change_weather(),
            Event::Replicate => {
                self.after(100_000, Event::Replicate);
                self.replica.clone_from(&self.redis);
            }
        }
    }

    fn change_weather(&mut self) {
        let faults = self.plan.faults;
        let until = self.random.random_range(200_000..30_000_000);
        self.after(until, Event::Weather);
        self.weather = match self.random.random_range(0..6) {
            0 if faults.slowness => Weather::Slow,
            1 if faults.stops => Weather::Stalled,
            2 if faults.stops => Weather::Down,
            _ => Weather::Fine,
        };
        match self.random.random_range(0..6) {
            0 if faults.flushes => self.redis.fill(Model::default()),
            1 if faults.failovers => self.redis.clone_from(&self.replica),
            2 if faults.kills => {
                let edge = self.random.random_range(0..self.edges.len());
                self.edges[edge] = self.fresh_edge();
                self.outcome.kills += 1;
            }
            _ => {}
        }
        if self.weather == Weather::Down {
            for edge in 0..self.edges.len() {
                self.lose_connection(edge);
            }
        }
    }

    /// One way over the network.
    fn way(&mut self) -> u64 {
        match self.weather {
            Weather::Slow => self.random.random_range(1_000..150_000),
            _ => self.random.random_range(50..500),
        }
    }

    fn is_lost(&mut self) -> bool {
        self.plan.faults.losses && self.random.random_bool(0.01)
    }

    // --- requests ---

    fn next_request(&mut self, edge: usize) {
        let per_minute = (self.plan.rule.permits() as f64 * self.plan.offered).max(1.0);
        let mean = 60.0 / per_minute * self.edges.len() as f64;
        // Some come in bursts, the others after pauses of any length.
        let burst = self.random.random_bool(0.2);
        let waited = -self.random.random::<f64>().max(1e-9).ln();
        let gap = Duration::from_secs_f64(if burst { 0.0 } else { mean * 1.25 * waited });
        self.after(u64::try_from(gap.as_micros()).unwrap(), Event::Request { edge });
    }

    fn request(&mut self, edge: usize) {
        let now = self.now;
        let rule = self.plan.rule;
        if rule.available(self.ideal_bucket.drain(rule, now)) > 0 {
            self.ideal_bucket.level += rule.unit();
            self.outcome.ideal += 1;
        }
        let with_key = self.plan.key_rule.is_some() && self.random.random_bool(0.5);
        let cells = 1 + usize::from(with_key);
        if self.try_request(edge, cells) {
            return;
        }
        match self.edges[edge].link.mode() {
            Mode::Away => self.alone(edge, cells),
            Mode::Slow => {
                self.ask_dry(edge, cells);
                self.alone(edge, cells);
            }
            Mode::Leasing => {
                self.ask_dry(edge, cells);
                self.requests += 1;
                let request = self.requests;
                self.edges[edge].waiting.push((request, cells));
                let wait_us = u64::try_from(WAIT_MAX.as_micros()).unwrap();
                self.after(wait_us, Event::Deadline { edge, request });
            }
        }
    }

    /// Whether the request was settled from leases.
    fn try_request(&mut self, edge: usize, cells: usize) -> bool {
        let now = self.now;
        let mut refill = [false; DEMANDS_MAX];
        let step = from_leases(&mut self.edges[edge].held(cells), &mut refill, now);
        let Step::Settled(verdict) = step else { return false };
        for (cell, refill) in refill.into_iter().enumerate() {
            if refill {
                self.ask(edge, cell);
            }
        }
        self.count(&verdict);
        true
    }

    fn alone(&mut self, edge: usize, cells: usize) {
        let now_us = self.now;
        let edges = self.edges.len() as u64;
        let place = Place { edges, rank: edge as u64 };
        let there = &mut self.edges[edge];
        let alone = Alone { outage: there.link.outage(), place, now_us };
        let before = there.cells[0].lease.debt();
        let verdict = from_shares(&mut there.held(cells), [7; DEMANDS_MAX], alone);
        self.outcome.shared += u64::from(self.edges[edge].cells[0].lease.debt() > before);
        self.count(&verdict);
    }

    fn count(&mut self, verdict: &Verdict) {
        if verdict.refusal.is_some() {
            return;
        }
        let rule = self.plan.rule;
        self.outcome.admitted += 1;
        self.watched.drain(rule, self.now);
        self.watched.level += rule.unit();
        let full = rule.permits() * rule.unit();
        let excess = self.watched.level.saturating_sub(full).div_ceil(rule.unit());
        self.outcome.excess = self.outcome.excess.max(excess);
    }

    fn deadline(&mut self, edge: usize, request: u64) {
        let there = &mut self.edges[edge];
        let Some(place) = there.waiting.iter().position(|(number, _)| *number == request) else {
            return;
        };
        let (_, cells) = there.waiting.remove(place);
        there.link.slow(self.now);
        self.alone(edge, cells);
    }

    // --- the way to Redis ---

    fn ask_dry(&mut self, edge: usize, cells: usize) {
        for cell in 0..cells {
            let now = self.now;
            if self.edges[edge].cells[cell].is_dry(1, now) {
                self.ask(edge, cell);
            }
        }
    }

    fn ask(&mut self, edge: usize, cell: usize) {
        let now = self.now;
        let there = &mut self.edges[edge];
        if there.connected && !there.cells[cell].asked {
            let ask = there.cells[cell].ask(now);
            self.send(edge, cell, ask);
        }
    }

    fn send(&mut self, edge: usize, cell: usize, ask: Ask) {
        self.outcome.questions += 1;
        let there = &mut self.edges[edge];
        there.in_flight[cell] = Some(ask.turn);
        let (connection, turn, asked_us) = (there.connection, ask.turn, self.now);
        self.after(ANSWER_TIMEOUT_US, Event::Timeout { edge, connection, cell, turn });
        if !self.is_lost() {
            let way = self.way();
            let ask = Box::new(ask);
            self.after(way, Event::Question { edge, connection, cell, ask, asked_us });
        }
    }

    fn question(
        &mut self,
        edge: usize,
        connection: u64,
        cell: usize,
        ask: Box<Ask>,
        asked_us: u64,
    ) {
        // A question of a connection that is gone may still be served; its answer is for nobody.
        match self.weather {
            Weather::Down => return,
            Weather::Stalled => {
                let later = self.random.random_range(10_000..2_000_000);
                return self
                    .after(later, Event::Question { edge, connection, cell, ask, asked_us });
            }
            Weather::Fine | Weather::Slow => {}
        }
        if connection >> 32 != self.edges[edge].name {
            return;
        }
        let (name, edges) = (self.edges[edge].name, self.edges.len() as u64);
        let stepped = self.redis[cell].step(name, &ask, edges, REDIS_EPOCH_US + self.now);
        let answer = stepped.map(|(answer, _)| answer);
        if let Some(known) = stepped.and_then(|(_, told)| told) {
            for edge in 0..self.edges.len() {
                let way = self.way();
                if !self.is_lost() {
                    self.after(way, Event::Word { edge, cell, known });
                }
            }
        }
        if !self.is_lost() {
            let way = self.way();
            self.after(way, Event::Answer { edge, connection, cell, ask, answer, asked_us });
        }
    }

    fn answer(
        &mut self,
        edge: usize,
        cell: usize,
        ask: &Ask,
        answer: Option<Answer>,
        asked_us: u64,
    ) {
        let now = self.now;
        let there = &mut self.edges[edge];
        there.in_flight[cell] = None;
        there.cells[cell].asked = false;
        if let Some(answer) = answer {
            there.cells[cell].lease.answered(ask, &answer, asked_us, now);
        }
        there.link.answered(Duration::from_micros(now - asked_us), now);
        for (request, cells) in std::mem::take(&mut there.waiting) {
            if self.try_request(edge, cells) {
                continue;
            }
            self.ask_dry(edge, cells);
            self.edges[edge].waiting.push((request, cells));
        }
    }

    fn lose_connection(&mut self, edge: usize) {
        let there = &mut self.edges[edge];
        if !there.connected {
            return;
        }
        there.link.lost(&"simulated");
        there.connected = false;
        there.connection += 1;
        for cell in &mut there.cells {
            cell.asked = false;
        }
        there.in_flight.fill(None);
        for (_, cells) in std::mem::take(&mut there.waiting) {
            self.alone(edge, cells);
        }
        self.after(RECONNECT_US, Event::Reconnect { edge });
    }
}

impl Edge {
    fn held(&mut self, cells: usize) -> Held<&mut CellState> {
        let mut held = [const { None }; DEMANDS_MAX];
        for (slot, state) in held.iter_mut().zip(self.cells.iter_mut().take(cells)) {
            debug_assert!(matches!(state.rule.drain(), Drain::Steady(_)));
            let part = Part { rule: state.rule, cost: 1, shadow: false };
            *slot = Some((part, state));
        }
        held
    }
}
