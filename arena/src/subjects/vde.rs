//! VDE, Virtual Distributed Ethernet (`vde_switch(1)`): a switch of one process, and for each container one that joins
//! a TAP to it. All three are counted as the switch.

use std::fs;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::{Joint, Processes};
use crate::place::{Container, ETH, until};
use crate::program::{FOLDER, Program};

/// As it comes.
///
/// # Errors
/// What one of its programs said.
pub(super) fn join(ends: &[Container]) -> io::Result<Box<dyn Joint>> {
    // Several may run at a time.
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let socket = format!("{FOLDER}/vde{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    if fs::exists(&socket)? {
        fs::remove_dir_all(&socket)?;
    }
    // It is a shell as well, and ends with its input.
    let mut switch = Program::here(&["vde_switch", "--sock", &socket]).silent_input().start()?;
    switch.makes(&format!("{socket}/ctl"))?;
    let mut processes = vec![switch];
    for end in ends {
        let mut plug = end.program(&["vde_plug2tap", "--sock", &socket, ETH]).start()?;
        until(Duration::from_secs(5), || {
            plug.still_runs()?;
            Ok(end.eth().is_ok())
        })?;
        end.address()?;
        processes.push(plug);
    }
    Ok(Box::new(Processes(processes)))
}
