//! A real SMTP server, in a process of its own: aiosmtpd, with TLS by an authority of the test's own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use crate::leash::{Leash, Spawn, tail};
use crate::ports::{Port, reserve};
use crate::wait::poll;
use crate::workspace::root;

const READY_WITHIN: Duration = Duration::from_secs(30);
const HOST: &str = "localhost";

/// How the server wants to be spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// In the clear.
    Plain,
    /// In the clear first, then by TLS, and nothing else before.
    StartTls,
    /// By TLS from the first byte.
    Smtps,
}

impl Security {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::StartTls => "starttls",
            Self::Smtps => "smtps",
        }
    }
}

/// The server. Dropped: killed.
#[derive(Debug)]
pub struct SmtpServer {
    folder: TempDir,
    security: Security,
    login: Option<(&'static str, &'static str)>,
    port: Port,
    leash: Leash,
}

impl SmtpServer {
    /// Starts it; with `login` it takes mail from that account only.
    ///
    /// # Panics
    /// When it does not start; `deploy/test` sees to aiosmtpd.
    #[must_use]
    pub fn start(security: Security, login: Option<(&'static str, &'static str)>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        certify(folder.path());
        let port = reserve().expect("a port");
        let leash = run(folder.path(), &port, security, login);
        Self { folder, security, login, port, leash }
    }

    /// Kills it.
    pub fn kill(&mut self) {
        self.leash.kill();
    }

    /// Starts it again, on the same port.
    pub fn start_again(&mut self) {
        self.leash = run(self.folder.path(), &self.port, self.security, self.login);
    }

    /// Settings of programs that send by it, with this password if it wants one.
    #[must_use]
    pub fn settings(&self, password: &str) -> Vec<(&'static str, String)> {
        let login = self.login.map(|(user, _)| format!("{user}:{password}@")).unwrap_or_default();
        let port = self.port.address().port();
        let url = match self.security {
            Security::Plain => format!("smtp://{login}{HOST}:{port}"),
            Security::StartTls => format!("smtp://{login}{HOST}:{port}?tls=required"),
            Security::Smtps => format!("smtps://{login}{HOST}:{port}"),
        };
        vec![
            ("PYTAKE_MAIL__TRANSPORT", "smtp".to_owned()),
            ("PYTAKE_MAIL__SMTP_URL", url),
            (
                "SSL_CERT_FILE",
                self.folder.path().join("authority.pem").to_string_lossy().into_owned(),
            ),
        ]
    }

    /// The messages that it has taken, as they came.
    #[must_use]
    pub fn messages(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path().join("mail/new")).into_iter().flatten();
        let read = |path: PathBuf| String::from_utf8(std::fs::read(path).ok()?).ok();
        entries.flatten().filter_map(|entry| read(entry.path())).collect()
    }

    /// How often it was connected to.
    #[must_use]
    pub fn connections(&self) -> usize {
        let noted =
            std::fs::read_to_string(self.folder.path().join("connections")).unwrap_or_default();
        noted.lines().count()
    }
}

fn run(
    folder: &Path,
    port: &Port,
    security: Security,
    login: Option<(&'static str, &'static str)>,
) -> Leash {
    let log = folder.join(format!("smtp-{:x}.log", rand::random::<u32>()));
    let mut leash = Spawn::new("python3", &log)
        .args([root().join("tests/harness/smtp_server.py"), folder.to_owned()])
        .args([port.address().port().to_string(), security.as_str().to_owned()])
        .args(login.into_iter().flat_map(|(user, password)| [user, password]))
        .variables([("PYTHONPATH", root().join(".dev/wheels/python"))])
        .start()
        .expect("python3 starts");
    let ready = poll(READY_WITHIN, || {
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        (said.contains("ready") || leash.ended().is_some()).then(|| said.contains("ready"))
    });
    assert_eq!(ready, Some(true), "no SMTP server; see deploy/prerequisites:\n{}", tail(&log));
    leash
}

/// An authority, and a certificate of its for the server.
fn certify(folder: &Path) {
    let key = || KeyPair::generate().expect("a key");
    let mut authority = CertificateParams::new(Vec::new()).expect("parameters");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = key();
    let root = authority.self_signed(&authority_key).expect("a certificate");
    let issuer = Issuer::new(authority, authority_key);
    let server_key = key();
    let server = CertificateParams::new([HOST.to_owned()]).expect("parameters");
    let server = server.signed_by(&server_key, &issuer).expect("a certificate");
    let files = [
        ("authority.pem", root.pem()),
        ("certificate.pem", server.pem()),
        ("key.pem", server_key.serialize_pem()),
    ];
    for (name, text) in files {
        std::fs::write(folder.join(name), text).expect("a file");
    }
}
