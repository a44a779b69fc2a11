//! How does a network reach the host and the world outside?
#![forbid(unsafe_code)]
