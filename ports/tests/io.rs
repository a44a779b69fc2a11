//! Do the ports do with a real kernel what they say? Every test makes network namespaces of its own and leaves nothing
//! behind. Where that is not allowed it says SKIPPED, and fails under `LANYARD_REQUIRE=all`.

#[path = "io/world.rs"]
mod world;

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use frame::offload::GsoKind;
use frame::{Batch, OffloadHeader};
use nix::sys::epoll::EpollFlags;
use pnet::datalink::{self, Channel, DataLinkReceiver, DataLinkSender};
use ports::tap::{self, TapQueue};
use ports::veth::{self, VethQueue};
use ports::wire::{self, WireQueue};
use ports::{Port, netlink_free_name as _};
use world::*;
