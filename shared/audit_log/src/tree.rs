//! The tree: SHA-256 hashes of leaves and nodes, and the roots of the perfect trees that a list of leaves is made of.

use std::fmt;
use std::str::FromStr;

use ring::digest::{Context, SHA256, SHA256_OUTPUT_LEN, digest};
use serde::{Deserialize, Serialize};

/// Told apart from nodes, so that no node passes for a leaf (RFC 9162, 2.1.1).
const LEAF: &[u8] = &[0];
const NODE: &[u8] = &[1];

/// A SHA-256 hash; in text as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hash([u8; SHA256_OUTPUT_LEN]);

/// The text is no hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 64 hexadecimal digits")]
pub struct HashError;

impl Hash {
    /// Of a leaf with this content.
    #[must_use]
    pub fn leaf(content: &[u8]) -> Self {
        Self::of(&[LEAF, content])
    }

    fn node(left: Self, right: Self) -> Self {
        Self::of(&[NODE, &left.0, &right.0])
    }

    fn of(parts: &[&[u8]]) -> Self {
        let mut context = Context::new(&SHA256);
        parts.iter().for_each(|part| context.update(part));
        Self::from_digest(context.finish().as_ref())
    }

    fn from_digest(bytes: &[u8]) -> Self {
        let mut hash = [0; SHA256_OUTPUT_LEN];
        hash.copy_from_slice(bytes);
        Self(hash)
    }

    /// Its bytes, as they are stored.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; SHA256_OUTPUT_LEN] {
        &self.0
    }

    /// The hash of stored bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Hash {
    type Err = HashError;

    fn from_str(text: &str) -> Result<Self, HashError> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(HashError),
        };
        let mut hash = [0; SHA256_OUTPUT_LEN];
        if text.len() != 2 * hash.len() {
            return Err(HashError);
        }
        for (slot, pair) in hash.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *slot = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Ok(Self(hash))
    }
}

impl TryFrom<String> for Hash {
    type Error = HashError;

    fn try_from(text: String) -> Result<Self, HashError> {
        text.parse()
    }
}

impl From<Hash> for String {
    fn from(hash: Hash) -> Self {
        hash.to_string()
    }
}

/// A tree that grows at its end: how many leaves it has, and the roots of the perfect trees that they make, largest first.
/// To add a leaf takes a hash of nodes on average, and nothing of the leaves before.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    roots: Vec<Hash>,
}

impl Frontier {
    /// As it was stored. `None`: so many leaves make another number of perfect trees.
    #[must_use]
    pub fn of(size: u64, roots: Vec<Hash>) -> Option<Self> {
        let trees = usize::try_from(size.count_ones()).ok()?;
        (roots.len() == trees).then_some(Self { size, roots })
    }

    /// How many leaves it has.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The roots of its perfect trees, largest first.
    #[must_use]
    pub fn roots(&self) -> &[Hash] {
        &self.roots
    }

    /// Adds a leaf.
    pub fn push(&mut self, leaf: Hash) {
        let mut root = leaf;
        // As a binary number counts on: trees of one size make one of twice the size.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.roots.pop() {
                root = Hash::node(left, root);
            }
        }
        self.roots.push(root);
        self.size += 1;
    }

    /// The root of all its leaves (RFC 9162, 2.1.1).
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut roots = self.roots.iter().rev().copied();
        match roots.next() {
            Some(smallest) => roots.fold(smallest, |right, left| Hash::node(left, right)),
            None => Hash::from_digest(digest(&SHA256, &[]).as_ref()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// By the definition, from all leaves at once.
    fn by_definition(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Hash::from_digest(digest(&SHA256, &[]).as_ref()),
            [leaf] => *leaf,
            _ => {
                let split = leaves.len().next_power_of_two() / 2;
                Hash::node(by_definition(&leaves[..split]), by_definition(&leaves[split..]))
            }
        }
    }

    /// The vectors of Certificate Transparency (github.com/google/certificate-transparency, merkletree tests).
    #[test]
    fn the_vectors_of_certificate_transparency() {
        let leaves: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        let roots = [
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let mut tree = Frontier::default();
        assert_eq!(tree.root().to_string(), roots[0]);
        for (leaf, root) in leaves.iter().zip(&roots[1..]) {
            tree.push(Hash::leaf(leaf));
            assert_eq!(tree.root().to_string(), *root, "of {} leaves", tree.size());
        }
    }

    #[test]
    fn a_hash_is_read_as_it_is_written() {
        let hash = Hash::leaf(b"x");
        assert_eq!(hash.to_string().parse(), Ok(hash));
        assert_eq!(Hash::from_bytes(hash.as_bytes()), Some(hash));
        for text in ["", "00", &"g".repeat(64), &"A".repeat(64), &"0".repeat(65)] {
            assert_eq!(text.parse::<Hash>(), Err(HashError), "{text}");
        }
    }

    proptest! {
        #[test]
        fn grown_one_by_one_it_is_what_the_definition_says(
            contents in prop::collection::vec(any::<[u8; 4]>(), 0..70), stored_at: u8
        ) {
            let leaves: Vec<_> = contents.iter().map(|content| Hash::leaf(content)).collect();
            let mut tree = Frontier::default();
            for (place, leaf) in leaves.iter().enumerate() {
                if place == usize::from(stored_at) {
                    tree = Frontier::of(tree.size(), tree.roots().to_vec()).expect("as it was");
                }
                tree.push(*leaf);
            }
            prop_assert_eq!(tree.root(), by_definition(&leaves));
        }
    }
}
