//! What can go wrong around a server, and who can make it go wrong: the one interface of all sources of faults beyond the
//! client's own requests. Trouble with a source is trouble of the harness, never a violation.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use crate::generate::{LinkFault, LinkName};

/// What is done to the server, or to a link between it and something that it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disturbance {
    /// The server is killed; healed, it was started again.
    Crash,
    /// The server is asked to end; healed, it was started again.
    Stop,
    /// The server stands still; healed, it goes on.
    Pause,
    /// A link breaks; healed, it is whole.
    Link(LinkFault),
    /// Something that only its source knows.
    Own(LinkName),
}

/// A source of faults that cannot do what it should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InjectorError(pub String);

/// Something that takes its time.
pub type Eventually<'a, T> = Pin<Box<dyn Future<Output = Result<T, InjectorError>> + Send + 'a>>;

/// A source of faults.
pub trait Injector: fmt::Debug + Send {
    /// Whether it can do this at all.
    fn can(&self, what: Disturbance) -> bool;

    /// How many bytes whoever it does it to has written to its log, where that is known.
    fn written(&self) -> u64 {
        0
    }

    /// The last lines of that log, as far as they were written after these bytes.
    fn wrote_since(&self, _bytes: u64) -> Vec<String> {
        Vec::new()
    }

    /// Does it. It ends by itself after the lease, where it is something that lasts.
    fn inject(&mut self, what: Disturbance, lease: Duration) -> Eventually<'_, ()>;

    /// Ends whatever was done, and returns when all is well again. Whether it had any effect: a link that nothing went
    /// through was not broken for anybody.
    fn heal(&mut self) -> Eventually<'_, bool>;
}
