//! `Windows`: how many bytes of an exchange wait in memory before it pushes back.

/// See the module's documentation.
#[derive(Clone, Copy, Debug)]
pub struct Windows {
    /// Of a response, and of a body at first.
    pub first: usize,
    /// Of a body at most: its window doubles when the application has taken half of one at once. So what nobody reads
    /// stays within `first`.
    pub most: usize,
}

impl Windows {
    /// The same both ways.
    #[cfg(test)]
    pub(crate) fn even(window: usize) -> Self {
        Self {
            first: window,
            most: window,
        }
    }

    /// True for an application on another thread than the connection, which goes on while that one works.
    pub fn is_apart(self) -> bool {
        self.most > self.first
    }
}
