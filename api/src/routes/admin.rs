//! For operators, on their own listener.

pub(crate) mod bank;
pub(crate) mod billing;
pub(crate) mod invoices;
pub(crate) mod jobs;
pub(crate) mod queues;
pub(crate) mod receivables;
pub(crate) mod reconciliation;
pub(crate) mod refunds;
pub(crate) mod revenue;
