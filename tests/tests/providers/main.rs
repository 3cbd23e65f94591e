//! Providers of payments, from the outside: one suite that each client passes against documents of its provider's, every
//! call to Stripe held against its own description, and a stateful Stripe of others'.

mod conformance;
mod faults;
mod localstripe;
mod openapi;
mod paypal;
mod replay;
mod stripe;
mod subject;

use harness::fake;
