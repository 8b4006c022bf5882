//! The configuration: fragments as written, merged, and validated into [`Settings`].

mod settings;

pub use settings::*;
