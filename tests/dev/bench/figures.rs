//! Figures, their bars, and how they are shown. A missed bar is shown as missed; it is no failure.

use serde_json::{Value, json};

/// Which way is good.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Bar {
    /// Must be lower than this.
    Below(f64),
    /// Must be this or lower.
    AtMost(f64),
    /// Must be this or higher.
    AtLeast(f64),
    /// Measured to explain another figure.
    None,
}

/// One measured value.
#[derive(Debug)]
pub(super) struct Figure {
    /// Ends in its unit.
    pub(super) name: &'static str,
    pub(super) value: f64,
    pub(super) bar: Bar,
}

impl Figure {
    fn holds(&self) -> Option<bool> {
        match self.bar {
            Bar::Below(bar) => Some(self.value < bar),
            Bar::AtMost(bar) => Some(self.value <= bar),
            Bar::AtLeast(bar) => Some(self.value >= bar),
            Bar::None => None,
        }
    }

    fn json(&self) -> Value {
        let bar = match self.bar {
            Bar::Below(bar) | Bar::AtMost(bar) | Bar::AtLeast(bar) => Some(bar),
            Bar::None => None,
        };
        json!({
            "name": self.name,
            "value": self.value,
            "bar": bar,
            "better": if matches!(self.bar, Bar::AtLeast(_)) { "higher" } else { "lower" },
            "holds": self.holds(),
        })
    }

    fn row(&self) -> String {
        let bar = match self.bar {
            Bar::Below(bar) => format!("< {bar}"),
            Bar::AtMost(bar) => format!("≤ {bar}"),
            Bar::AtLeast(bar) => format!("≥ {bar}"),
            Bar::None => String::new(),
        };
        let holds = match self.holds() {
            Some(true) => "holds",
            Some(false) => "MISSED",
            None => "",
        };
        format!(
            "| {:<40} | {:>12.3} | {:>8} | {holds:<6} |",
            format!("`{}`", self.name),
            self.value,
            bar
        )
    }
}

/// All figures of one bench, with the machine they came from.
#[derive(Debug)]
pub(super) struct Report {
    bench: String,
    figures: Vec<Figure>,
}

impl Report {
    pub(super) const fn new(bench: String, figures: Vec<Figure>) -> Self {
        Self { bench, figures }
    }

    pub(super) fn json(&self) -> String {
        let figures: Vec<_> = self.figures.iter().map(Figure::json).collect();
        json!({"bench": self.bench, "machine": machine(), "figures": figures}).to_string()
    }

    pub(super) fn table(&self) -> String {
        let machine = machine();
        let rows: Vec<_> = self.figures.iter().map(Figure::row).collect();
        format!(
            "bench {} on {} × {}, Linux {}\n\n| {:<40} | {:>12} | {:>8} | {:<6} |\n| {} | {}: | {}: | {} |\n{}",
            self.bench,
            machine["cores"],
            machine["cpu"].as_str().unwrap_or_default(),
            machine["kernel"].as_str().unwrap_or_default(),
            "figure",
            "value",
            "bar",
            "",
            "-".repeat(40),
            "-".repeat(11),
            "-".repeat(7),
            "-".repeat(6),
            rows.join("\n"),
        )
    }
}

/// What the figures depend on most.
fn machine() -> Value {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let memory = read("/proc/meminfo");
    let memory = memory.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok());
    json!({
        "cores": std::thread::available_parallelism().map_or(1, usize::from),
        "cpu": model.map_or("unknown", |(_, name)| name),
        "memory_mb": memory.map_or(0, |kib| kib / 1024),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
    })
}

/// The middle value.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}
