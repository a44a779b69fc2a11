//! How does dockerd talk to the switch?
#![forbid(unsafe_code)]
