//! Labels: texts that slots name by number. Each is a line in a file before any request can be counted under
//! it, so whoever adopts the counts can read what they mean.
//!
//! A line is a checksum and JSON with the number inside: a damaged line costs its own label and no other.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::batch::LabelText;
use crate::error::SpoolError;
use crate::subject::Label;

/// Labels of one spool at most: a batch numbers its own by 16 bits, and one is kept for what is unknown.
pub const LABELS_MAX: u32 = 65_535;

/// What a line says after its checksum.
#[derive(Serialize, Deserialize)]
struct Line {
    number: u32,
    #[serde(flatten)]
    text: LabelText,
}

/// The labels of this boot, and the file that they are written to.
#[derive(Debug)]
pub(crate) struct Labels {
    path: PathBuf,
    file: File,
    /// Bytes of whole lines; a torn one after it is written over.
    length: u64,
    texts: Vec<LabelText>,
    numbers: HashMap<LabelText, u32>,
}

impl Labels {
    /// Makes the file.
    pub(crate) fn create(path: &Path) -> Result<Self, SpoolError> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        Ok(Self {
            path: path.to_owned(),
            file: file.map_err(SpoolError::io(path))?,
            length: 0,
            texts: Vec::new(),
            numbers: HashMap::new(),
        })
    }

    /// The label of a text: the one it was given before, or another, once it is written.
    pub(crate) fn label(&mut self, text: LabelText) -> Result<Label, SpoolError> {
        if let Some(number) = self.numbers.get(&text) {
            return Ok(Label(*number));
        }
        let number = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
        if number >= LABELS_MAX {
            return Err(SpoolError::Labels);
        }
        let line = encode(&Line { number, text: text.clone() })
            .and_then(|line| self.file.write_all_at(&line, self.length).map(|()| line.len()))
            .map_err(SpoolError::io(&self.path))?;
        self.length += line as u64;
        self.texts.push(text.clone());
        self.numbers.insert(text, number);
        Ok(Label(number))
    }

    /// The text of a number.
    pub(crate) fn text(&self, number: u32) -> Option<&LabelText> {
        self.texts.get(usize::try_from(number).ok()?)
    }
}

fn encode(line: &Line) -> io::Result<Vec<u8>> {
    let json = serde_json::to_string(line)?;
    Ok(format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes())).into_bytes())
}

fn decode(line: &[u8]) -> Option<Line> {
    let (crc, json) = line.split_first_chunk::<8>()?;
    let json = json.strip_prefix(b" ")?;
    let crc = u32::from_str_radix(std::str::from_utf8(crc).ok()?, 16).ok()?;
    if crc == crc32fast::hash(json) { serde_json::from_slice(json).ok() } else { None }
}

/// The labels of a file by number, as far as they can be read. A file that is gone has none.
pub(crate) fn read(path: &Path) -> Result<BTreeMap<u32, LabelText>, SpoolError> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        read => read.map_err(SpoolError::io(path))?,
    };
    let lines = bytes.split(|byte| *byte == b'\n').filter_map(decode);
    Ok(lines.map(|line| (line.number, line.text)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(route: &str, meter: Option<(&str, u32)>) -> LabelText {
        let meter = meter.map(|(name, weight)| (name.to_owned(), weight));
        LabelText { route: route.to_owned(), meter }
    }

    #[test]
    fn the_same_text_has_the_same_label_and_one_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("labels");
        let mut labels = Labels::create(&path).unwrap();
        let texts = [
            text("list", None),
            text("list", Some(("calls", 1))),
            text("list", Some(("calls", 2))),
            text("a \"route\"\nof two lines", None),
        ];
        let given: Vec<_> = texts.iter().map(|t| labels.label(t.clone()).unwrap()).collect();
        let again: Vec<_> = texts.iter().map(|t| labels.label(t.clone()).unwrap()).collect();
        assert_eq!(given, [Label(0), Label(1), Label(2), Label(3)]);
        assert_eq!(given, again);
        let read = read(&path).unwrap();
        assert_eq!(read.into_values().collect::<Vec<_>>(), texts);
        assert_eq!(fs::read(&path).unwrap().iter().filter(|byte| **byte == b'\n').count(), 4);
    }

    #[test]
    fn a_damaged_line_costs_its_own_label_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("labels");
        let mut labels = Labels::create(&path).unwrap();
        for route in ["one", "two", "three"] {
            labels.label(text(route, None)).unwrap();
        }
        let whole = fs::read(&path).unwrap();
        for byte in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[byte] ^= 1;
            fs::write(&path, &bytes).unwrap();
            let read = read(&path).unwrap();
            // A line's end joins two lines.
            assert!(!read.is_empty(), "byte {byte}");
            for (number, text) in read {
                assert_eq!(Some(&text), labels.text(number), "byte {byte}");
            }
        }
    }

    #[test]
    fn there_is_an_end_to_labels() {
        let dir = tempfile::tempdir().unwrap();
        let mut labels = Labels::create(&dir.path().join("labels")).unwrap();
        labels.texts = vec![LabelText::unknown(); LABELS_MAX as usize];
        assert!(matches!(labels.label(text("more", None)), Err(SpoolError::Labels)));
    }
}
