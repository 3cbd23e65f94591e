//! Which jobs come by the clock, and how often. A new schedule is a line here.

use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::SignedDuration;
use jobs::catalog::{Audit, Billing, Job, Payments, Usage, Webhooks};
use jobs::{Options, enqueue};
use store::{ControlTx, Error};

use crate::runtime::schedule::{CatchUp, Schedule};

/// Every schedule.
pub const SCHEDULES: [Schedule; 14] = [
    Schedule {
        name: "audit.place",
        every: SignedDuration::from_secs(60),
        catch_up: CatchUp::Once,
        add: |tx, _| add(tx, Audit::Place),
    },
    Schedule {
        name: "billing.run",
        every: SignedDuration::from_secs(60),
        catch_up: CatchUp::Once,
        add: |tx, _| add(tx, Billing::Run),
    },
    Schedule {
        name: "billing.thresholds",
        every: SignedDuration::from_hours(1),
        catch_up: CatchUp::Once,
        add: |tx, _| add(tx, Billing::Thresholds),
    },
    Schedule {
        name: "billing.reminders",
        every: SignedDuration::from_hours(1),
        catch_up: CatchUp::Once,
        add: |tx, _| add(tx, Billing::Remind),
    },
    Schedule {
        name: "billing.dun",
        every: SignedDuration::from_secs(60),
        catch_up: CatchUp::Once,
        add: |tx, _| add(tx, Billing::Dun),
    },
    Schedule {
        name: "payments.poll",
        // The net under the providers' webhooks.
        every: SignedDuration::from_secs(600),
        catch_up: CatchUp::Once,
        add: |tx, _| add(tx, Payments::Poll),
    },
    Schedule {
        name: "payments.reconcile",
        every: SignedDuration::from_hours(24),
        catch_up: CatchUp::Once,
        add: |tx, _| add(tx, Payments::Reconcile),
    },
    Schedule {
        name: "payments.expiries",
        every: SignedDuration::from_hours(6),
        catch_up: CatchUp::Once,
        add: |tx, _| add(tx, Payments::Expiries),
    },
    Schedule {
        name: "billing.statements",
        every: SignedDuration::from_secs(60),
        catch_up: CatchUp::Once,
        add: |tx, _| add(tx, Billing::ImportStatements),
    },
    Schedule {
        name: "usage.roll_up",
        // The net under the jobs that come with each batch.
        every: SignedDuration::from_secs(60),
        catch_up: CatchUp::Once,
        add: |tx, _| add(tx, Usage::RollUp),
    },
    Schedule {
        name: "usage.check",
        every: SignedDuration::from_hours(1),
        catch_up: CatchUp::Once,
        add: |tx, _| add(tx, Usage::Check),
    },
    Schedule {
        name: "usage.keep_up",
        every: SignedDuration::from_hours(6),
        catch_up: CatchUp::Once,
        add: |tx, _| add(tx, Usage::KeepUp),
    },
    Schedule {
        name: "webhooks.judge",
        every: SignedDuration::from_secs(60),
        catch_up: CatchUp::Once,
        add: |tx, _| add(tx, Webhooks::Judge),
    },
    Schedule {
        name: "webhooks.keep_up",
        every: SignedDuration::from_hours(1),
        catch_up: CatchUp::Once,
        add: |tx, _| add(tx, Webhooks::KeepUp),
    },
];

fn add(tx: &mut ControlTx, job: impl Job) -> BoxFuture<'_, Result<(), Error>> {
    async move { enqueue(tx, &job, Options::default()).await.map(drop) }.boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_used_once() {
        let mut names = SCHEDULES.map(|schedule| schedule.name);
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
