//! What was admitted, held against what a limit allows.

use std::time::Duration;

use anyhow::{Result, bail};

/// Windows looked at, in seconds, beside the whole run.
const WINDOWS: [f64; 5] = [1.0, 5.0, 15.0, 30.0, 60.0];
/// With fewer admissions, a permit more or less is more than is measured.
const STEADY_MIN: usize = 5;

/// A request: when it was sent and answered, since the run began.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) sent: Duration,
    pub(super) answered: Duration,
    pub(super) status: u16,
}

/// All requests of a tenant in one run.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) limit: u32,
    asked: Vec<Asked>,
    steady_from: Duration,
}

impl Run {
    pub(super) fn new(limit: u32, mut asked: Vec<Asked>, steady_from: Duration) -> Self {
        asked.sort_by_key(|asked| asked.sent);
        Self { limit, asked, steady_from }
    }

    fn admitted(&self) -> impl Iterator<Item = &Asked> {
        self.asked.iter().filter(|asked| asked.status == 200)
    }

    /// The most that any window admitted, over what it may. A request counts where it was sent and answered
    /// within the window: wherever in between it was admitted, that was within.
    pub(super) fn worst_window(&self) -> f64 {
        let sent: Vec<_> = self.admitted().map(|asked| asked.sent.as_secs_f64()).collect();
        let mut answered: Vec<_> =
            self.admitted().map(|asked| asked.answered.as_secs_f64()).collect();
        answered.sort_by(f64::total_cmp);
        let whole = answered.last().copied().unwrap_or_default();
        let mut worst: f64 = 0.0;
        for length in WINDOWS.into_iter().chain([whole]) {
            for (before, start) in sent.iter().enumerate() {
                let ended = answered.partition_point(|answered| *answered <= start + length);
                // Sent before the window; one of them that ended after it makes the count only smaller.
                let within = ended.saturating_sub(before);
                worst = worst.max(within as f64 / self.allowed(length));
            }
        }
        worst
    }

    /// Admissions while the limit was the bound, over its rate; `None` where there are too few to say.
    pub(super) fn steady_pace(&self) -> Option<f64> {
        let steady: Vec<_> =
            self.admitted().filter(|asked| asked.sent >= self.steady_from).collect();
        let (first, last) = (steady.first()?, steady.last()?);
        let took = (last.sent - first.sent).as_secs_f64();
        let due = took * f64::from(self.limit) / 60.0;
        (steady.len() >= STEADY_MIN).then(|| (steady.len() - 1) as f64 / due)
    }

    /// All admissions over what the whole run may admit.
    pub(super) fn whole(&self) -> f64 {
        let took = self.asked.iter().map(|asked| asked.answered).max().unwrap_or_default();
        self.admitted().count() as f64 / self.allowed(took.as_secs_f64())
    }

    /// Nothing but admissions and refusals.
    pub(super) fn check(&self) -> Result<()> {
        match self.asked.iter().find(|asked| !matches!(asked.status, 200 | 429)) {
            Some(other) => bail!("{}/min: a request was answered {}", self.limit, other.status),
            None => Ok(()),
        }
    }

    pub(super) fn describe(&self) -> String {
        let longest = self.asked.iter().map(|asked| asked.answered - asked.sent).max();
        format!(
            "{}/min: {} of {} admitted, worst window {:.4}, steady pace {}, longest answer {:?}",
            self.limit,
            self.admitted().count(),
            self.asked.len(),
            self.worst_window(),
            self.steady_pace().map_or("unknown".to_owned(), |pace| format!("{pace:.4}")),
            longest.unwrap_or_default(),
        )
    }

    fn allowed(&self, secs: f64) -> f64 {
        let limit = f64::from(self.limit);
        limit + limit * secs / 60.0
    }
}
