//! Why there is no answer, in words for the tenant who named the URL. What lies behind it (addresses, the text of
//! libraries' errors) is left out: it may be about our own network.

use std::error::Error;
use std::io;

use domain::destination::Refused;
use rustls::CertificateError;

use crate::look_up::NoneAdmitted;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The operator's policy refuses the URL, or all addresses of its name. Nothing was sent.
    #[error("the address {0}")]
    Refused(Refused),
    /// The name has no address, or the name servers did not say.
    #[error("the name of the host could not be resolved")]
    Dns,
    /// No connection was made.
    #[error("no connection could be made")]
    Connect,
    /// A connection was made, but not a secure one.
    #[error("no secure connection could be made: {0}")]
    Tls(TlsFault),
    /// Look-up, connection or answer took too long. The server may have the request.
    #[error("the answer did not come in time")]
    Timeout,
    /// Not HTTP, or a head that is too large. The server may have the request.
    #[error("the answer is not valid HTTP, or its headers are too large")]
    Protocol,
    /// The connection ended before the answer did. The server may have the request.
    #[error("the connection was closed before the end of the answer")]
    BrokenOff,
}

/// What is wrong with a secure connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TlsFault {
    /// By nobody known, or its chain is incomplete.
    #[error("the certificate's issuer is not trusted; does the server send the whole chain?")]
    Untrusted,
    /// For other names.
    #[error("the certificate is for another name")]
    WrongName,
    /// Of the past or the future.
    #[error("the certificate has expired or is not valid yet")]
    Expired,
    /// Otherwise bad.
    #[error("the certificate is not acceptable")]
    Certificate,
    /// Not TLS, no common version, refused by the server, or broken off.
    #[error("the handshake failed; does the port speak TLS 1.2 or 1.3?")]
    Handshake,
}

impl Failure {
    /// A short word that stays the same for good; it is stored.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused_address",
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls(_) => "tls",
            Self::Timeout => "timeout",
            Self::Protocol => "protocol",
            Self::BrokenOff => "broken_off",
        }
    }

    /// `refused` is why a name is refused that has no admitted address.
    pub(crate) fn of(error: &reqwest::Error, refused: Refused) -> Self {
        let causes = Causes::of(error);
        if causes.none_admitted {
            return Self::Refused(refused);
        }
        // A URL whose host HTTP cannot write is refused by the builder: a name that nobody can have.
        if error.is_dns() || error.is_builder() {
            return Self::Dns;
        }
        if let Some(fault) = causes.tls {
            return Self::Tls(fault);
        }
        if error.is_timeout() {
            return Self::Timeout;
        }
        if error.is_connect() {
            // TCP itself never ends so: the server hung up in the handshake.
            return match causes.io {
                Some(io::ErrorKind::UnexpectedEof) => Self::Tls(TlsFault::Handshake),
                _ => Self::Connect,
            };
        }
        match causes.io {
            // So hyper tells of chunks that are none.
            Some(io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput) => Self::Protocol,
            Some(_) => Self::BrokenOff,
            None if causes.hung_up => Self::BrokenOff,
            None => Self::Protocol,
        }
    }
}

/// What an error's chain of sources tells.
#[derive(Default)]
struct Causes {
    none_admitted: bool,
    tls: Option<TlsFault>,
    io: Option<io::ErrorKind>,
    hung_up: bool,
}

impl Causes {
    fn of(error: &reqwest::Error) -> Self {
        let mut causes = Self::default();
        let mut next = error.source();
        while let Some(cause) = next {
            causes.note(cause);
            // An `io::Error` passes over what it wraps when asked for its source.
            next = match cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
                Some(wrapped) => Some(wrapped),
                None => cause.source(),
            };
        }
        causes
    }

    fn note(&mut self, cause: &(dyn Error + 'static)) {
        self.none_admitted |= cause.is::<NoneAdmitted>();
        if let Some(error) = cause.downcast_ref::<rustls::Error>() {
            self.tls = Some(tls_fault(error));
        }
        if let Some(error) = cause.downcast_ref::<io::Error>() {
            self.io = Some(error.kind());
        }
        // reqwest shows hyper's errors only as text; the tests of this crate hold these two.
        let text = cause.to_string();
        self.hung_up |= text == "connection closed before message completed"
            || text == "operation was canceled";
    }
}

fn tls_fault(error: &rustls::Error) -> TlsFault {
    use CertificateError as Bad;
    match error {
        rustls::Error::InvalidCertificate(bad) => match bad {
            Bad::UnknownIssuer => TlsFault::Untrusted,
            Bad::NotValidForName | Bad::NotValidForNameContext { .. } => TlsFault::WrongName,
            Bad::Expired
            | Bad::ExpiredContext { .. }
            | Bad::NotValidYet
            | Bad::NotValidYetContext { .. } => TlsFault::Expired,
            _ => TlsFault::Certificate,
        },
        rustls::Error::NoCertificatesPresented => TlsFault::Certificate,
        _ => TlsFault::Handshake,
    }
}
