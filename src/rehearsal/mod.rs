//! The rehearsal: what a notice now would do, with nothing changed.
//!
//! The machine is the real one, [`crate::response::Guard`], and so are the requests, each a dry run. What cannot be
//! asked is assumed ([`World`]), and the response's clock jumps whenever nothing is under way, so that a window of
//! minutes is over in seconds.

mod budgets;
mod connect;
mod failures;
mod plan;
mod run;
mod verdict;
mod world;

pub use plan::{HookPlan, Plan, PodPlan};
pub use run::{Error, rehearse};
