//! E-mail addresses, as far as they can be judged without sending one.

use std::fmt;
use std::str::FromStr;

/// An address that could receive mail: one `@`, a plausible local part, a DNS name with a dot.
/// Kept lower-case, because people write their address in any case and mean one mailbox.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct EmailAddress(String);

/// Not an address that mail could be sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be an e-mail address such as `name@example.com`, at most {} characters",
    EmailAddress::LEN_MAX
)]
pub struct EmailError;

impl EmailAddress {
    /// Longest address that fits an SMTP path (RFC 5321, 4.5.3.1.3, less the angle brackets).
    pub const LEN_MAX: usize = 254;

    const LOCAL_MAX: usize = 64;

    /// The address, lower-case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn plausible_local(local: &str) -> bool {
    // RFC 5322 dot-atom; quoted local parts exist in the standard and nowhere else.
    let atom = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
    !local.is_empty()
        && local.len() <= EmailAddress::LOCAL_MAX
        && local.split('.').all(|part| !part.is_empty() && part.chars().all(atom))
}

fn plausible_domain(domain: &str) -> bool {
    domain.contains('.') && domain.split('.').all(crate::host::is_dns_label)
}

impl FromStr for EmailAddress {
    type Err = EmailError;

    fn from_str(text: &str) -> Result<Self, EmailError> {
        let text = text.trim().to_ascii_lowercase();
        let (local, domain) = text.rsplit_once('@').ok_or(EmailError)?;
        if text.len() <= Self::LEN_MAX && plausible_local(local) && plausible_domain(domain) {
            Ok(Self(text))
        } else {
            Err(EmailError)
        }
    }
}

impl TryFrom<String> for EmailAddress {
    type Error = EmailError;

    fn try_from(text: String) -> Result<Self, EmailError> {
        text.parse()
    }
}

impl From<EmailAddress> for String {
    fn from(email: EmailAddress) -> Self {
        email.0
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_and_refuses() {
        for good in ["owner@acme.com", "A.B+tag@Sub.Example.org", "o'hara@example.ie"] {
            assert!(good.parse::<EmailAddress>().is_ok(), "{good}");
        }
        for bad in
            ["", "@", "a@b", "a b@c.de", "a@-b.de", "a@b..de", ".a@b.de", "a\r\nBcc: x@y.z@b.de"]
        {
            assert!(bad.parse::<EmailAddress>().is_err(), "{bad}");
        }
    }

    #[test]
    fn case_is_folded() {
        assert_eq!("Owner@ACME.com".parse::<EmailAddress>().unwrap().as_str(), "owner@acme.com");
    }
}
