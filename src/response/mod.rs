//! The response to a notice: the machine that decides, and the driver that does what it says.
//!
//! [`Guard`] is all that is decided. It has one way in, [`Guard::on`], and one question, [`Guard::next_wake`]; it never
//! waits, reads a clock, or touches a file or a socket. [`driver`] is its hands.

mod action;
mod annotation;
mod board;
pub mod driver;
mod event;
mod guard;
mod hook_runs;
mod line;
mod node_undo;
mod node_work;
pub mod plan;
mod pod_work;
mod revisions;
mod running;
mod slots;
mod tell;
mod turn;
mod volumes;
mod way_back;
mod webhook;
mod written;

#[cfg(test)]
mod tests;

pub use action::{Action, HookOrder, NodeChange, Request, Restoration, Told};
pub use event::{Answered, Event, PodNews};
pub use guard::{Guard, State};
pub use running::Running;
pub use written::deadline;
