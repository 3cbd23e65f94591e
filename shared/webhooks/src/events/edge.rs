//! Events of custom domains and of security.

use serde::Serialize;
use utoipa::ToSchema;

use crate::events::{events, example_id};

/// A custom domain.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DomainData {
    /// The host name.
    pub domain: String,
    /// What is wrong, and what to do.
    pub problem: Option<String>,
}

/// The networks that may call.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct IpAllowlistData {
    /// The tenant.
    #[schema(example = "tenant_01h455vb4pex5vsknk084sn02q")]
    pub tenant_id: String,
    /// Networks in CIDR form; empty: every address may call.
    pub networks: Vec<String>,
}

/// A credential that somebody may be guessing or abusing.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CredentialAbuseData {
    /// The key's or the session's id; the address where it is none of ours.
    pub subject: String,
    /// Requests that were refused.
    pub refused: u64,
    /// In so many seconds.
    pub window_seconds: u64,
}

/// Who owns the tenant.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct OwnershipData {
    /// The tenant.
    #[schema(example = "tenant_01h455vb4pex5vsknk084sn02q")]
    pub tenant_id: String,
    /// The membership that became an owner, or is one no more.
    #[schema(example = "member_01h455vb4pex5vsknk084sn02q")]
    pub user_id: String,
    /// Its role now.
    #[schema(example = "Owner")]
    pub role: String,
}

fn domain(problem: Option<&str>) -> DomainData {
    DomainData { domain: "api.example.com".to_owned(), problem: problem.map(str::to_owned) }
}

events! {
    /// A custom domain points here.
    DomainVerified = "domain.verified", "A custom domain was verified, and is served.", DomainData { key: domain, example: domain(None) };
    /// A custom domain points here no more.
    DomainFailed = "domain.failed", "A custom domain could not be verified, or its certificate not be had.", DomainData { key: domain, example: domain(Some("its CNAME record names another host")) };
    /// A custom domain has a new certificate.
    DomainCertificateRenewed = "domain.certificate_renewed", "A custom domain has a new certificate.", DomainData { key: domain, example: domain(None) };
    /// The address allowlist changed.
    IpAllowlistUpdated = "security.ip_allowlist_updated", "The networks that may call for the tenant changed.", IpAllowlistData {
        key: tenant_id, example: IpAllowlistData { tenant_id: example_id("tenant"), networks: vec!["203.0.113.0/24".to_owned()] }
    };
    /// A burst of refusals.
    CredentialAbuseSuspected = "security.credential_abuse_suspected", "Requests under a credential, or from an address, were refused unusually often.", CredentialAbuseData {
        key: subject, example: CredentialAbuseData { subject: example_id("key"), refused: 500, window_seconds: 300 }
    };
    /// The tenant has another owner.
    OwnershipChanged = "security.ownership_changed", "Somebody became an owner of the tenant, or is one no more.", OwnershipData {
        key: tenant_id,
        example: OwnershipData { tenant_id: example_id("tenant"), user_id: example_id("member"), role: "Owner".to_owned() }
    };
}
