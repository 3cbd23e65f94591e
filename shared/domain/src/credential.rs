//! Kinds of credentials that belong to no tenant.

use crate::plan::spelled_enum;

spelled_enum! {
    /// Whose credential of the platform's own it is.
    PlatformCredentialKind {
        /// An application's behind the edge: it may tell of usage.
        Service,
        /// Of whoever operates the installation: it may repair.
        Operator,
    }
}
