//! A map that costs little to copy and little to change in a copy: what changed is made anew, the rest is
//! shared (a hash array mapped trie of fixed depth). So a policy of a million keys is replaced as a whole,
//! in microseconds, while requests go on reading the one before.
//!
//! Three levels of 64 branches end in leaves of a few entries each: a look-up touches four places in memory,
//! and an entry costs little beside itself.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;

const LEVEL_BITS: u32 = 6;
const BRANCHES: usize = 1 << LEVEL_BITS;

/// A level: what hangs on each of its branches.
#[derive(Clone)]
struct Level<T>([Option<T>; BRANCHES]);

type Leaf<K, V> = Arc<[(K, V)]>;
type Twig<K, V> = Level<Leaf<K, V>>;
type Bough<K, V> = Level<Arc<Twig<K, V>>>;
type Root<K, V> = Level<Arc<Bough<K, V>>>;

/// The map. Its hasher is keyed at random, so that nobody can choose keys that meet in one leaf.
#[derive(Clone)]
pub(crate) struct Trie<K, V> {
    root: Arc<Root<K, V>>,
    hasher: RandomState,
    len: usize,
}

impl<T> Default for Level<T> {
    fn default() -> Self {
        Self([const { None }; BRANCHES])
    }
}

impl<K, V> Default for Trie<K, V> {
    fn default() -> Self {
        Self { root: Arc::default(), hasher: RandomState::new(), len: 0 }
    }
}

impl<K: Hash + Eq + Clone, V: Clone> Trie<K, V> {
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let [bough, twig, leaf] = self.path(key);
        let leaf = self.root.0[bough].as_ref()?.0[twig].as_ref()?.0[leaf].as_ref()?;
        leaf.iter().find(|(known, _)| known.borrow() == key).map(|(_, value)| value)
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        let leaf = self.leaf_mut(&key);
        let before: &[(K, V)] = leaf.as_deref().unwrap_or_default();
        let len_before = before.len();
        let others = before.iter().filter(|(known, _)| *known != key).cloned();
        let after: Leaf<K, V> = others.chain([(key.clone(), value)]).collect();
        let grown = after.len() - len_before;
        *leaf = Some(after);
        self.len += grown;
    }

    pub(crate) fn remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
    {
        if self.get(key).is_none() {
            return;
        }
        let leaf = self.leaf_mut(key);
        let before: &[(K, V)] = leaf.as_deref().unwrap_or_default();
        let after: Leaf<K, V> =
            before.iter().filter(|(known, _)| known.borrow() != key).cloned().collect();
        *leaf = (!after.is_empty()).then_some(after);
        self.len -= 1;
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let boughs = self.root.0.iter().flatten();
        let twigs = boughs.flat_map(|bough| bough.0.iter().flatten());
        let leaves = twigs.flat_map(|twig| twig.0.iter().flatten());
        leaves.flat_map(|leaf| leaf.iter()).map(|(key, value)| (key, value))
    }

    /// The leaf for `key`, no longer shared with any copy on the way there.
    fn leaf_mut<Q: Hash + ?Sized>(&mut self, key: &Q) -> &mut Option<Leaf<K, V>> {
        let [bough, twig, leaf] = self.path(key);
        let bough = Arc::make_mut(&mut self.root).0[bough].get_or_insert_default();
        let twig = Arc::make_mut(bough).0[twig].get_or_insert_default();
        &mut Arc::make_mut(twig).0[leaf]
    }

    /// The branch to take at each level.
    fn path<Q: Hash + ?Sized>(&self, key: &Q) -> [usize; 3] {
        let hash = self.hasher.hash_one(key);
        let bits = |level: u32| (hash >> (LEVEL_BITS * level)) % BRANCHES as u64;
        // Six bits always fit.
        [2, 1, 0].map(|level| usize::try_from(bits(level)).unwrap_or_default())
    }
}

impl<K: Hash + Eq + Clone, V: Clone + PartialEq> PartialEq for Trie<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().all(|(key, value)| other.get(key) == Some(value))
    }
}

impl<K: fmt::Debug + Hash + Eq + Clone, V: fmt::Debug + Clone> fmt::Debug for Trie<K, V> {
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
            let (mut trie, mut map) = (Trie::default(), HashMap::new());
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
            let mut trie = Trie::default();
            keys.iter().for_each(|key| trie.insert(*key, key * 2));
            trie
        };
        assert_eq!(of(&[1, 2, 3]), of(&[3, 1, 2]));
        assert_ne!(of(&[1, 2, 3]), of(&[1, 2]));
        assert_ne!(of(&[1, 2]), of(&[1, 3]));
    }
}
