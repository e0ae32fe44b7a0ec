//! `Budget`: a bound on bytes that many hold together: what one connection makes of little input, and within that of a
//! worker what all of them make.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// See the module's documentation. Clones are the same budget.
#[derive(Clone)]
pub(crate) struct Budget(Arc<Account>);

struct Account {
    limit: usize,
    /// Loans are given back on whatever thread what they are for ends.
    lent: AtomicUsize,
    /// Bytes lent here are lent there too.
    parent: Option<Budget>,
}

/// Bytes of a budget; its drop gives them back.
pub(crate) struct Loan {
    budget: Budget,
    bytes: usize,
}

impl Budget {
    /// `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self(Arc::new(Account {
            limit,
            lent: AtomicUsize::new(0),
            parent: None,
        }))
    }

    /// `limit` bytes of this one.
    pub(crate) fn part(&self, limit: usize) -> Self {
        Self(Arc::new(Account {
            limit,
            lent: AtomicUsize::new(0),
            parent: Some(self.clone()),
        }))
    }

    /// Bytes that are left.
    pub(crate) fn left(&self) -> usize {
        let own = self.0.limit.saturating_sub(self.lent());
        match &self.0.parent {
            Some(parent) => own.min(parent.left()),
            None => own,
        }
    }

    /// Bytes that are lent.
    pub(crate) fn lent(&self) -> usize {
        self.0.lent.load(Ordering::Relaxed)
    }

    /// Lends so many bytes, whether they are left or not.
    pub(crate) fn lend(&self, bytes: usize) -> Loan {
        let mut loan = Loan {
            budget: self.clone(),
            bytes: 0,
        };
        loan.resize(bytes);
        loan
    }

    fn add(&self, bytes: usize) {
        self.0.lent.fetch_add(bytes, Ordering::Relaxed);
        if let Some(parent) = &self.0.parent {
            parent.add(bytes);
        }
    }

    fn sub(&self, bytes: usize) {
        self.0.lent.fetch_sub(bytes, Ordering::Relaxed);
        if let Some(parent) = &self.0.parent {
            parent.sub(bytes);
        }
    }
}

impl Loan {
    /// Bytes of the loan.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Makes it a loan of so many bytes, whether they are left or not.
    pub(crate) fn resize(&mut self, bytes: usize) {
        if bytes > self.bytes {
            self.budget.add(bytes - self.bytes);
        } else if bytes < self.bytes {
            self.budget.sub(self.bytes - bytes);
        }
        self.bytes = bytes;
    }

    /// The whole loan; nothing is left here.
    #[must_use]
    pub(crate) fn take(&mut self) -> Option<Self> {
        let bytes = std::mem::take(&mut self.bytes);
        (bytes > 0).then(|| Self {
            budget: self.budget.clone(),
            bytes,
        })
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.resize(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loan_counts_in_the_part_and_in_the_whole() {
        let whole = Budget::new(100);
        let (one, other) = (whole.part(80), whole.part(80));
        let mut loan = one.lend(70);
        assert_eq!((one.left(), other.left()), (10, 30));
        let moved = loan.take();
        assert_eq!((loan.bytes(), one.left()), (0, 10));
        loan.resize(20);
        assert_eq!((one.left(), other.left(), whole.lent()), (0, 10, 90));
        drop(moved);
        assert_eq!((one.left(), other.left()), (60, 80));
        drop(loan);
        assert_eq!((one.left(), whole.lent()), (80, 0));
        assert!(loan_of_nothing(&one).take().is_none());
    }

    fn loan_of_nothing(budget: &Budget) -> Loan {
        budget.lend(0)
    }
}
