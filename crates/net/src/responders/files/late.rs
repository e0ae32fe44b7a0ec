//! `Late`: the source of a request that the application may get after its look-up.

use std::cell::RefCell;
use std::rc::Rc;

use crate::exchange::app::Source;

/// The source of a request whose file is looked for. It becomes that of the application, if there
/// is no file.
#[derive(Clone, Default)]
pub(super) struct Late(Rc<RefCell<Arrival>>);

#[derive(Default)]
enum Arrival {
    #[default]
    Awaited,
    Arrived(Option<Box<dyn Source>>),
}

impl Late {
    /// `source` makes the rest of the response; without one it is made otherwise.
    pub(super) fn arrive(&self, source: Option<Box<dyn Source>>) {
        *self.0.borrow_mut() = Arrival::Arrived(source);
    }
}

impl Source for Late {
    fn is_ready(&self) -> bool {
        match &*self.0.borrow() {
            Arrival::Awaited => false,
            Arrival::Arrived(source) => source.as_ref().is_none_or(|source| source.is_ready()),
        }
    }

    fn pull(&mut self) -> bool {
        // Outside the borrow: it may run Python code.
        let arrival = self.0.take();
        match arrival {
            Arrival::Awaited => true,
            Arrival::Arrived(None) => false,
            Arrival::Arrived(Some(mut source)) => {
                let more = source.pull();
                if more {
                    self.arrive(Some(source));
                }
                more
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Pieces(u32);

    impl Source for Pieces {
        fn pull(&mut self) -> bool {
            self.0 -= 1;
            self.0 > 0
        }
    }

    #[test]
    fn a_source_that_comes_late_is_pulled_to_its_end() {
        let late = Late::default();
        let mut source: Box<dyn Source> = Box::new(late.clone());
        assert!(!source.is_ready());
        late.arrive(Some(Box::new(Pieces(2))));
        assert!(source.is_ready());
        assert!(source.pull());
        assert!(!source.pull());
    }

    #[test]
    fn without_a_source_there_is_nothing_to_pull() {
        let late = Late::default();
        late.arrive(None);
        let mut source: Box<dyn Source> = Box::new(late);
        assert!(source.is_ready());
        assert!(!source.pull());
    }
}
