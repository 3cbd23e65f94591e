//! Names become addresses here, and only those that the policy admits go on.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use domain::destination::{DestinationPolicy, is_public};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// The most addresses of one name that are tried, so that one call is not made a scan of other people's machines.
const ADDRESSES_MAX: usize = 8;

/// Looks names up. Tests lie by it.
#[async_trait]
pub trait LookUp: Send + Sync + 'static {
    /// All addresses of `name`.
    ///
    /// # Errors
    /// When it has none, or nobody could be asked.
    async fn look_up(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The system's way: hosts file and name servers.
#[derive(Debug, Clone, Copy)]
pub struct System;

#[async_trait]
impl LookUp for System {
    async fn look_up(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        // The port is the URL's business.
        Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// Which addresses a connection may be made to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The public internet's, and those in the allowed networks.
    Public,
    /// Those in the allowed networks.
    AllowedNetworks,
}

/// A name has addresses, but none that may be called.
#[derive(Debug, thiserror::Error)]
#[error("no address of the name is admitted")]
pub(crate) struct NoneAdmitted;

/// The resolver of one HTTP client.
pub(crate) struct Resolver {
    pub(crate) look_up: Arc<dyn LookUp>,
    pub(crate) policy: Arc<DestinationPolicy>,
    pub(crate) reach: Reach,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (look_up, policy, reach) = (self.look_up.clone(), self.policy.clone(), self.reach);
        Box::pin(async move {
            let found = look_up.look_up(name.as_str()).await?;
            if found.is_empty() {
                return Err(io::Error::from(io::ErrorKind::NotFound).into());
            }
            let admitted: Vec<SocketAddr> = found
                .into_iter()
                .map(|address| address.to_canonical())
                .filter(|address| admits(&policy, reach, *address))
                .take(ADDRESSES_MAX)
                // Port 0 stands for the URL's.
                .map(|address| SocketAddr::new(address, 0))
                .collect();
            if admitted.is_empty() {
                return Err(NoneAdmitted.into());
            }
            Ok(Box::new(admitted.into_iter()) as Addrs)
        })
    }
}

/// `DestinationPolicy::check_address`, but for a name alone: scheme and port are in `reach`.
fn admits(policy: &DestinationPolicy, reach: Reach, address: IpAddr) -> bool {
    policy.is_allowed(address) || (reach == Reach::Public && is_public(address))
}
