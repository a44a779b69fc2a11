//! Where frames enter and leave: TAP, veth, memory; and the kernel's links, addresses and namespaces that they hang on.
//!
//! The only crate with unsafe code; every block has its SAFETY reason.
//!
//! | module | the question |
//! | --- | --- |
//! | [`port`] | what is a port to the engine? |

pub mod port;

pub use port::Port;
