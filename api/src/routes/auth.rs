//! Signing in and out, and proving an address.

pub(crate) mod email;
pub(crate) mod jwks;
pub(crate) mod login;
pub(crate) mod password;
pub(crate) mod refresh;
pub(crate) mod sessions;
