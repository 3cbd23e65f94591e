//! Names of cells: equal keys share a limit in every process.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Space {
    Tenant,
    ApiKey,
    Address,
    Concurrency,
    Quota,
}

impl Space {
    const ALL: [Self; 5] =
        [Self::Tenant, Self::ApiKey, Self::Address, Self::Concurrency, Self::Quota];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::ApiKey => "key",
            Self::Address => "address",
            Self::Concurrency => "concurrency",
            Self::Quota => "quota",
        }
    }
}

/// Names a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CellKey {
    space: Space,
    id: u128,
    /// Which one, where an id has several.
    part: u64,
}

impl CellKey {
    /// A tenant's calls a minute.
    #[must_use]
    pub const fn tenant(tenant: u128) -> Self {
        Self { space: Space::Tenant, id: tenant, part: 0 }
    }

    /// An API key's calls a minute.
    #[must_use]
    pub const fn api_key(api_key: u128) -> Self {
        Self { space: Space::ApiKey, id: api_key, part: 0 }
    }

    /// An address' calls a minute of the route with this number.
    #[must_use]
    pub fn address(address: IpAddr, route: u64) -> Self {
        let id = match address {
            IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
            IpAddr::V6(address) => address.to_bits(),
        };
        Self { space: Space::Address, id, part: route }
    }

    /// A tenant's requests in progress.
    #[must_use]
    pub const fn concurrency(tenant: u128) -> Self {
        Self { space: Space::Concurrency, id: tenant, part: 0 }
    }

    /// What a tenant uses of a meter in the period that begins at `period_start` (seconds of Unix time).
    #[must_use]
    pub fn quota(tenant: u128, meter: &str, period_start: i64) -> Self {
        let text = meter.as_bytes().iter().chain(&[0]).copied();
        Self { space: Space::Quota, id: tenant, part: fnv(text.chain(period_start.to_le_bytes())) }
    }

    /// Whether its level stays for longer than a window.
    pub(crate) const fn is_lasting(self) -> bool {
        matches!(self.space, Space::Quota)
    }

    /// A number that is the same in every process.
    pub(crate) fn number(self) -> u64 {
        fnv(self.id.to_le_bytes().into_iter().chain(self.part.to_le_bytes()))
    }

    /// Braces make the name its own hash tag, so that Redis Cluster may place each cell anywhere.
    pub(crate) fn in_redis(self, prefix: &str) -> String {
        format!("{prefix}limit:{{{self}}}")
    }

    /// The cell that [`Self::in_redis`] named so.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (_, name) = name.rsplit_once('{')?;
        let mut words = name.strip_suffix('}')?.split(':');
        let space = words.next()?;
        let space = Space::ALL.into_iter().find(|known| known.as_str() == space)?;
        let id = u128::from_str_radix(words.next()?, 16).ok()?;
        let part = u64::from_str_radix(words.next()?, 16).ok()?;
        words.next().is_none().then_some(Self { space, id, part })
    }
}

impl fmt::Display for CellKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{:032x}:{:x}", self.space.as_str(), self.id, self.part)
    }
}

impl Hash for CellKey {
    /// One word, made of all: ids are random, so this is cheaper than hashing 32 bytes and no worse.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let high = u64::try_from(self.id >> 64).unwrap_or_default();
        let low = u64::try_from(self.id & u128::from(u64::MAX)).unwrap_or_default();
        state.write_u64(high ^ low.rotate_left(32));
        state.write_u64(self.part ^ ((self.space as u64) << 60));
    }
}

/// FNV-1a, 64 bits.
fn fnv(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_back() {
        let address = "2001:db8::1".parse().unwrap();
        for key in [
            CellKey::tenant(7),
            CellKey::api_key(u128::MAX),
            CellKey::address(address, u64::MAX),
            CellKey::concurrency(7),
            CellKey::quota(7, "messages", 1_790_000_000),
        ] {
            let name = key.in_redis("pytake:{x}:");
            assert_eq!(CellKey::parse(&name), Some(key), "{name}");
        }
        for name in ["", "{", "{}", "{tenant:0}", "{tenant:0:0:0}", "{plan:0:0}", "{tenant:g:0}"] {
            assert_eq!(CellKey::parse(name), None, "{name}");
        }
    }

    #[test]
    fn another_period_or_meter_is_another_cell() {
        let cells = [
            CellKey::quota(7, "messages", 1),
            CellKey::quota(7, "messages", 2),
            CellKey::quota(7, "calls", 1),
            CellKey::tenant(7),
            CellKey::concurrency(7),
        ];
        for (i, one) in cells.iter().enumerate() {
            assert!(cells.iter().skip(i + 1).all(|other| other != one));
        }
    }
}
