//! spot-guard makes an EC2 Spot interruption harmless.
//!
//! The story, and the way that dependencies point:
//!
//! ```text
//! cli ─► driver (response::driver) ─► imds · kubernetes · hooks · record · systemd
//!                    │                          │
//!                    ▼                          ▼
//!        response::guard, the machine ─► moment · notice · objects · config::Settings (plain types)
//! ```
//!
//! The machine decides and does no I/O; everything around it does I/O and decides nothing.
#![forbid(unsafe_code)]

pub mod check;
pub mod cli;
pub mod config;
pub mod control;
pub mod hooks;
pub mod https;
pub mod imds;
pub mod instance;
pub mod kubernetes;
pub mod moment;
pub mod notice;
pub mod objects;
pub mod observe;
pub mod process;
pub mod record;
pub mod rehearsal;
pub mod report;
pub mod response;
pub mod secret;
pub mod signals;
pub mod systemd;
pub mod terminal;
pub mod trouble;
pub mod webhook;
