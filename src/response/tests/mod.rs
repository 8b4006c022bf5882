//! The machine, event by event, in a made-up world with a clock of its own.

mod another;
mod guard;
mod hooks;
mod kinds;
mod local_drain;
mod node;
mod notices;
mod overload;
mod phases;
mod pods;
mod promises;
mod restarts;
mod told;
mod troubles;
mod webhook;
mod world;
