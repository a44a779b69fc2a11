//! What is Lanyard compared with? Ways to join containers, each built in namespaces of this process's own: Lanyard itself, the
//! kernel's bridge as it is and as Docker leaves it, Open vSwitch, VDE.
//!
//! | file | the question |
//! | --- | --- |
//! | [`subjects`] | what is compared, and how is it built? |
//! | [`place`] | where does it happen? |
//! | [`program`] | how are other people's programs run? |
//! | [`sockets`] | what does the network stack of a namespace say of itself? |
//! | [`threads`] | which threads does a process have, and how long were they on a CPU? |
//!
//! However the process ends, nothing is left.
#![forbid(unsafe_code)]

pub mod place;
pub mod program;
pub mod sockets;
pub mod subjects;
pub mod threads;
