//! Notices: what the metadata service says of a Spot interruption, and by when all must be done.
//!
//! Knows the shape of the metadata service's answers. Knows nothing of HTTP, and of time only what it is given.
