//! Payloads pass the job library undecoded: a decoding error there ends the worker, and the next one, and
//! the next, for one bad row.

use std::convert::Infallible;

use apalis_core::backend::codec::Codec;

/// The stored bytes.
#[derive(Debug, Clone)]
pub(crate) struct Payload(pub(crate) Vec<u8>);

/// Changes nothing and cannot fail.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Untouched;

impl Codec<Payload> for Untouched {
    type Error = Infallible;
    type Compact = Vec<u8>;

    fn encode(&self, payload: &Payload) -> Result<Vec<u8>, Infallible> {
        Ok(payload.0.clone())
    }

    fn decode(&self, bytes: &Vec<u8>) -> Result<Payload, Infallible> {
        Ok(Payload(bytes.clone()))
    }
}
