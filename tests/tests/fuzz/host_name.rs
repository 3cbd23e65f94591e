//! The request's host: one canonical form, and the same word of it from everyone who asks.

use domain::host::{HostName, Subdomain};
use policy::hosts::{HostKind, PlatformHosts};

use crate::input::{bounded, text};

const WORDS: [&str; 24] = [
    ".",
    ".",
    "-",
    "_",
    ":",
    ":8080",
    "[",
    "]",
    "[::1]",
    "[::ffff:10.0.0.1]",
    "xn--",
    "XN--",
    "xN--",
    "xn--bcher-kva",
    "ü",
    "ß",
    "İ",
    "\u{200d}",
    "\u{3002}",
    "\u{ff41}",
    "acme",
    "api.localhost",
    ".api.localhost",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
];

fn host(text: &str) -> HostName {
    text.parse().expect("a host")
}

#[test]
fn fuzz() {
    let base = host("api.localhost");
    let platform = PlatformHosts::new(base.clone(), [host("localhost"), host("[::1]")]);
    bounded(bolero::check!().with_max_len(24), 50_000).for_each(|bytes| {
        let text = text(bytes, &WORDS);
        let Ok(host) = text.parse::<HostName>() else { return };
        let canonical = host.as_str();
        assert_eq!(canonical.parse().as_ref(), Ok(&host), "{text:?} has two canonical forms");
        assert_eq!(canonical, canonical.to_ascii_lowercase(), "{text:?}");
        assert!(canonical.len() <= HostName::LEN_MAX, "{text:?}");
        assert!(!canonical.ends_with('.') && !canonical.contains(['/', '@', '%', ' ']), "{text:?}");
        if !canonical.starts_with('[') {
            assert!(!canonical.contains(':'), "{text:?}");
            for other in
                [format!("{canonical}:80"), format!("{canonical}."), canonical.to_ascii_uppercase()]
            {
                assert_eq!(other.parse().as_ref(), Ok(&host), "{other:?}");
            }
        }

        let label = canonical.strip_suffix(".api.localhost").filter(|label| !label.contains('.'));
        let expected = match (canonical, label) {
            ("api.localhost" | "localhost" | "[::1]", _) => HostKind::Platform,
            (_, Some(label)) => HostKind::Subdomain(label),
            (_, None) => HostKind::Other,
        };
        assert_eq!(platform.kind(&host), expected, "{text:?}");
        assert!(label.is_none() || host.is_within(&base), "{text:?}");
        // Whoever has a subdomain is reached by it.
        if let Ok(subdomain) = canonical.parse::<Subdomain>() {
            let own = self::host(&format!("{subdomain}.api.localhost"));
            assert_eq!(platform.kind(&own), HostKind::Subdomain(subdomain.as_str()));
        }
    });
}
