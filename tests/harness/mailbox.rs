//! Reads the mail that the workers put into files.

use std::path::PathBuf;
use std::time::Duration;

use crate::actor::Canaries;
use crate::wait::poll_async;

/// How long a message may take from commit to file.
const DELIVERED_WITHIN: Duration = Duration::from_secs(15);

/// The folder into which mail is delivered.
#[derive(Debug, Clone)]
pub struct Mailbox {
    folder: PathBuf,
    canaries: Canaries,
}

/// One message.
#[derive(Debug, Clone)]
pub struct Mail {
    /// As it was written, transfer encoding undone.
    pub text: String,
}

impl Mailbox {
    /// A mailbox over a folder of `.eml` files.
    #[must_use]
    pub fn over(folder: PathBuf) -> Self {
        Self { folder, canaries: Canaries::default() }
    }

    pub(crate) const fn planting(folder: PathBuf, canaries: Canaries) -> Self {
        Self { folder, canaries }
    }

    /// All messages to `address`, oldest first.
    #[must_use]
    pub fn all_to(&self, address: &str) -> Vec<Mail> {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let paths = entries.map(|entry| entry.path());
        let mut found: Vec<_> = paths
            .filter(|path| path.extension().is_some_and(|extension| extension == "eml"))
            .filter_map(|path| {
                let at = path.metadata().and_then(|metadata| metadata.modified()).ok()?;
                let text = std::fs::read_to_string(&path).ok()?;
                is_to(&text, address).then(|| (at, Mail { text: decode(&text) }))
            })
            .collect();
        found.sort_by_key(|(at, _)| *at);
        let mails: Vec<_> = found.into_iter().map(|(_, mail)| mail).collect();
        for token in mails.iter().filter_map(Mail::find_token) {
            self.canaries.plant(&token);
        }
        mails
    }

    /// The first message to `address` whose text holds `phrase`, once it is there.
    ///
    /// # Panics
    /// When none comes in time.
    pub async fn wait_for(&self, address: &str, phrase: &str) -> Mail {
        let found = poll_async(DELIVERED_WITHIN, async || self.find(address, phrase)).await;
        found.unwrap_or_else(|| panic!("no mail to {address} with {phrase:?} came in time"))
    }

    fn find(&self, address: &str, phrase: &str) -> Option<Mail> {
        self.all_to(address).into_iter().find(|mail| mail.text.contains(phrase))
    }
}

impl Mail {
    /// The token in the mailed link.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn token(&self) -> String {
        self.find_token().unwrap_or_else(|| panic!("no link with a token in:\n{}", self.text))
    }

    fn find_token(&self) -> Option<String> {
        let rest = self.text.split_once("token=")?.1;
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        (end > 0).then(|| rest[..end].to_owned())
    }
}

fn is_to(text: &str, address: &str) -> bool {
    let headers = text.split("\r\n\r\n").next().unwrap_or_default();
    headers.lines().any(|line| {
        line.get(..3).is_some_and(|name| name.eq_ignore_ascii_case("to:")) && line.contains(address)
    })
}

/// Undoes quoted-printable (RFC 2045, 6.7): soft line breaks and `=XX`. Text without it stays as it is,
/// except for a `=` that two hexadecimal digits follow, which no link of ours has.
fn decode(text: &str) -> String {
    if !text.to_ascii_lowercase().contains("quoted-printable") {
        return text.to_owned();
    }
    let text = text.replace("=\r\n", "").replace("=\n", "");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match escaped {
            Some(byte) if *first == b'=' => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_broken_by_quoted_printable_is_whole_again() {
        let text = "Content-Transfer-Encoding: quoted-printable\r\n\r\nhttp://localhost/x?token=3Dabc=\r\ndef\r\n";
        assert_eq!(Mail { text: decode(text) }.token(), "abcdef");
    }
}
