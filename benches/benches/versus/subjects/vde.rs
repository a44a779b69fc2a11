//! VDE, Virtual Distributed Ethernet (`vde_switch(1)`): a switch of one process, and for each container one that joins
//! a TAP to it. All three are counted as the switch.

use std::fs;
use std::io;
use std::time::Duration;

use super::super::place::{Container, ETH, until};
use super::super::program::{FOLDER, Program};
use super::{Joint, Processes};

/// As it comes.
///
/// # Errors
/// What one of its programs said.
pub(super) fn join(ends: &[Container; 2]) -> io::Result<Box<dyn Joint>> {
    let socket = format!("{FOLDER}/vde");
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
