//! Which tenant a host names. Custom domains join here, beside the subdomains.

use std::collections::HashSet;

use domain::host::HostName;

/// The names under which the platform itself is reached.
#[derive(Debug, Clone)]
pub struct PlatformHosts {
    base_domain: HostName,
    names: HashSet<HostName>,
}

/// What a host says by itself, before any tenant is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostKind<'a> {
    /// One of the platform's own names: it names no tenant.
    Platform,
    /// The label in front of the base domain.
    Subdomain(&'a str),
    /// Some other name: a tenant's own domain, or nobody's.
    Other,
}

impl PlatformHosts {
    /// Tenants are reached under `base_domain`; it and `names` belong to the platform.
    #[must_use]
    pub fn new(base_domain: HostName, names: impl IntoIterator<Item = HostName>) -> Self {
        let mut names: HashSet<_> = names.into_iter().collect();
        names.insert(base_domain.clone());
        Self { base_domain, names }
    }

    /// What `host` says by itself.
    #[must_use]
    pub fn kind<'a>(&self, host: &'a HostName) -> HostKind<'a> {
        if self.names.contains(host) {
            return HostKind::Platform;
        }
        host.label_under(&self.base_domain).map_or(HostKind::Other, HostKind::Subdomain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platform_subdomain_other() {
        let host = |text: &str| text.parse::<HostName>().unwrap();
        let hosts = PlatformHosts::new(host("api.localhost"), [host("localhost"), host("[::1]")]);
        assert_eq!(hosts.kind(&host("API.localhost.:8080")), HostKind::Platform);
        assert_eq!(hosts.kind(&host("[::1]:8080")), HostKind::Platform);
        assert_eq!(hosts.kind(&host("acme.api.localhost")), HostKind::Subdomain("acme"));
        assert_eq!(hosts.kind(&host("a.b.api.localhost")), HostKind::Other);
        assert_eq!(hosts.kind(&host("acme.localhost")), HostKind::Other);
        assert_eq!(hosts.kind(&host("shop.example")), HostKind::Other);
    }
}
