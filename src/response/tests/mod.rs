//! The machine, event by event, in a made-up world with a clock of its own.

mod kinds;
mod promises;
mod restarts;
mod world;
