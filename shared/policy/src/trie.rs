//! A map that costs little to copy and little to change in a copy: what changed is made anew, the rest is
//! shared (a hash array mapped trie of fixed depth). So a policy of a million keys is replaced as a whole,
//! in microseconds, while requests go on reading the one before.
//!
//! Three levels of branches end in leaves of a few entries each: a look-up touches four places in memory, and
//! an entry costs little beside itself. More branches make for shorter leaves, so faster look-ups, and cost
//! memory while there are few entries.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;

/// Branches of the first level.
const ROOT_BRANCHES: usize = 64;

/// A level: what hangs on each of its branches.
#[derive(Clone)]
struct Level<T, const BRANCHES: usize>([Option<T>; BRANCHES]);

/// A few entries. Most keys that are not among them are told from the filter alone, which lies beside the
/// way here, while the entries are elsewhere in memory.
#[derive(Clone)]
struct Leaf<K, V> {
    /// A bit for each entry, by its hash.
    filter: u64,
    entries: Arc<[(K, V)]>,
}

type Twig<K, V, const N: usize> = Level<Leaf<K, V>, N>;
type Bough<K, V, const N: usize> = Level<Arc<Twig<K, V, N>>, N>;
type Root<K, V, const N: usize> = Level<Arc<Bough<K, V, N>>, ROOT_BRANCHES>;

/// The way to a key.
struct Path {
    /// The branch to take at each level.
    branches: [usize; 3],
    /// Its bit in the filter of its leaf.
    filter: u64,
}

/// The map, with `N` branches on its second and third level. Its hasher is keyed at random, so that nobody can choose keys that meet in one leaf.
#[derive(Clone)]
pub(crate) struct Trie<K, V, const N: usize = 64> {
    root: Arc<Root<K, V, N>>,
    hasher: RandomState,
    len: usize,
}

impl<T, const BRANCHES: usize> Default for Level<T, BRANCHES> {
    fn default() -> Self {
        Self([const { None }; BRANCHES])
    }
}

impl<K, V, const N: usize> Default for Trie<K, V, N> {
    fn default() -> Self {
        Self { root: Arc::default(), hasher: RandomState::new(), len: 0 }
    }
}

impl<K: Hash + Eq + Clone, V: Clone, const N: usize> Trie<K, V, N> {
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let Path { branches: [bough, twig, leaf], filter } = self.path(key);
        let leaf = self.root.0[bough].as_ref()?.0[twig].as_ref()?.0[leaf].as_ref()?;
        if leaf.filter & filter == 0 {
            return None;
        }
        leaf.entries.iter().find(|(known, _)| known.borrow() == key).map(|(_, value)| value)
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        let others = self.others(&key).cloned();
        let entries: Vec<(K, V)> = others.chain([(key.clone(), value)]).collect();
        self.replace(&key, entries);
    }

    pub(crate) fn remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
    {
        if self.get(key).is_some() {
            let entries = self.others(key).cloned().collect();
            self.replace(key, entries);
        }
    }

    /// What is in the leaf for `key` beside it.
    fn others<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> impl Iterator<Item = &(K, V)>
    where
        K: Borrow<Q>,
    {
        let [bough, twig, leaf] = self.path(key).branches;
        let bough = self.root.0[bough].as_ref();
        let twig = bough.and_then(|bough| bough.0[twig].as_ref());
        let leaf = twig.and_then(|twig| twig.0[leaf].as_ref());
        let entries = leaf.into_iter().flat_map(|leaf| leaf.entries.iter());
        entries.filter(move |(known, _)| known.borrow() != key)
    }

    /// Puts `entries` in place of the leaf for `key`. Nothing on the way there is shared with a copy any more.
    fn replace<Q: Hash + ?Sized>(&mut self, key: &Q, entries: Vec<(K, V)>) {
        let filter = entries.iter().fold(0, |bits, (key, _)| bits | self.path(key).filter);
        let [bough, twig, leaf] = self.path(key).branches;
        let bough = Arc::make_mut(&mut self.root).0[bough].get_or_insert_default();
        let twig = Arc::make_mut(bough).0[twig].get_or_insert_default();
        let leaf = &mut Arc::make_mut(twig).0[leaf];
        let before = leaf.as_ref().map_or(0, |leaf| leaf.entries.len());
        self.len = self.len + entries.len() - before;
        *leaf = (!entries.is_empty()).then(|| Leaf { filter, entries: entries.into() });
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let boughs = self.root.0.iter().flatten();
        let twigs = boughs.flat_map(|bough| bough.0.iter().flatten());
        let leaves = twigs.flat_map(|twig| twig.0.iter().flatten());
        leaves.flat_map(|leaf| leaf.entries.iter()).map(|(key, value)| (key, value))
    }

    fn path<Q: Hash + ?Sized>(&self, key: &Q) -> Path {
        let mut hash = self.hasher.hash_one(key);
        let branches = [ROOT_BRANCHES, N, N].map(|branches| {
            let branch = hash % branches as u64;
            hash /= branches as u64;
            // Less than the number of branches always fits.
            usize::try_from(branch).unwrap_or_default()
        });
        Path { branches, filter: 1 << (hash % u64::from(u64::BITS)) }
    }
}

impl<K: Hash + Eq + Clone, V: Clone + PartialEq, const N: usize> PartialEq for Trie<K, V, N> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().all(|(key, value)| other.get(key) == Some(value))
    }
}

impl<K: fmt::Debug + Hash + Eq + Clone, V: fmt::Debug + Clone, const N: usize> fmt::Debug
    for Trie<K, V, N>
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn behaves_as_a_map_and_copies_stay_as_they_were(
            steps in proptest::collection::vec((0u32..200, proptest::option::of(any::<u8>())), 0..300),
            copied_at in 0usize..300,
        ) {
            let (mut trie, mut map) = (Trie::<_, _, 2>::default(), HashMap::new());
            let mut copies = (trie.clone(), map.clone());
            for (index, (key, value)) in steps.into_iter().enumerate() {
                if index == copied_at {
                    copies = (trie.clone(), map.clone());
                }
                match value {
                    Some(value) => {
                        trie.insert(key, value);
                        map.insert(key, value);
                    }
                    None => {
                        trie.remove(&key);
                        map.remove(&key);
                    }
                }
                prop_assert_eq!(trie.get(&key), map.get(&key));
            }
            for (trie, map) in [(trie, map), copies] {
                prop_assert_eq!(trie.len(), map.len());
                let found: HashMap<_, _> = trie.iter().map(|(key, value)| (*key, *value)).collect();
                prop_assert_eq!(found, map);
            }
        }
    }

    #[test]
    fn equal_whatever_the_order_and_the_hasher() {
        let of = |keys: &[u32]| {
            let mut trie = Trie::<_, _>::default();
            keys.iter().for_each(|key| trie.insert(*key, key * 2));
            trie
        };
        assert_eq!(of(&[1, 2, 3]), of(&[3, 1, 2]));
        assert_ne!(of(&[1, 2, 3]), of(&[1, 2]));
        assert_ne!(of(&[1, 2]), of(&[1, 3]));
    }
}
