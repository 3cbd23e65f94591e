//! Pages of a list: a bound, and the row after which to go on.

use uuid::Uuid;

/// Which part of a list is wanted. Lists are ordered by id, newest first, so that no row is skipped or
/// repeated while rows are inserted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Rows at most.
    pub limit: PageLimit,
    /// The last row of the page before.
    pub after: Option<Uuid>,
}

/// Rows a page, 1 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageLimit(u8);

impl PageLimit {
    /// The most rows of one page.
    pub const MAX: u8 = 100;
    /// Rows of a page that names no limit.
    pub const DEFAULT: Self = Self(20);

    /// A limit within bounds.
    #[must_use]
    pub const fn new(limit: u8) -> Option<Self> {
        if limit == 0 || limit > Self::MAX { None } else { Some(Self(limit)) }
    }

    /// One row more than the page: whether it is there tells whether there is another page.
    #[must_use]
    pub fn probe(self) -> i64 {
        i64::from(self.0) + 1
    }

    const fn rows(self) -> usize {
        self.0 as usize
    }
}

/// Rows, and where the next page starts.
#[derive(Debug, Clone)]
pub struct Rows<T> {
    /// The rows of this page.
    pub rows: Vec<T>,
    /// The `after` of the next page, `None` on the last.
    pub next: Option<Uuid>,
}

impl<T> Rows<T> {
    /// Cuts the probe row off.
    #[must_use]
    pub fn cut(mut rows: Vec<T>, limit: PageLimit, id: impl Fn(&T) -> Uuid) -> Self {
        let more = rows.len() > limit.rows();
        rows.truncate(limit.rows());
        let next = if more { rows.last().map(id) } else { None };
        Self { rows, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probe_row_is_cut_and_announced() {
        let limit = PageLimit::new(2).unwrap();
        let ids = |count: u128| (1..=count).map(Uuid::from_u128).collect::<Vec<_>>();
        let full = Rows::cut(ids(3), limit, |id| *id);
        assert_eq!((full.rows.len(), full.next), (2, Some(Uuid::from_u128(2))));
        let last = Rows::cut(ids(2), limit, |id| *id);
        assert_eq!((last.rows.len(), last.next), (2, None));
        assert!(PageLimit::new(0).is_none() && PageLimit::new(101).is_none());
    }
}
