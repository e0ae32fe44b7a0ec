//! `FileOpening`: where the end of a call meets the thread that opens the file of its response.

/// See the module's documentation. `T` is the outcome of a call.
#[derive(Default)]
pub(super) enum FileOpening<T> {
    /// No thread opens a file.
    #[default]
    None,
    Running,
    /// The application has ended meanwhile.
    Ended(T),
}

impl<T> FileOpening<T> {
    /// Keeps `outcome` until the file is open, or gives it back if there is none.
    pub(super) fn keep(&mut self, outcome: T) -> Option<T> {
        match self {
            Self::None => Some(outcome),
            Self::Running | Self::Ended(_) => {
                *self = Self::Ended(outcome);
                None
            }
        }
    }
}
