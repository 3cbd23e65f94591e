//! Who moves money, behind one trait: [`Provider`]. Each provider is a thin HTTP client with its official semantics;
//! nothing here knows of invoices, dunning or the ledger.
//!
//! A charge is made once however often it is asked for: under the key of its attempt, and looked up before it is asked
//! for again. What a webhook says is a hint, and what happened is read again from the provider.

pub mod bank;
mod bank_transfer;
mod btcpay;
mod call;
mod decimal;
mod error;
mod paypal;
mod provider;
pub mod sandbox;
mod settings;
mod signature;
mod stripe;

pub use error::{PaymentError, WebhookError};
pub use provider::{
    About, ChargeOrder, Fact, Incoming, MethodState, NewMethod, Notice, Provider, RefundOrder,
    SavedMethod, Settled, SettledKind,
};
pub use settings::{PaymentSettings, Providers, ProvidersError};
