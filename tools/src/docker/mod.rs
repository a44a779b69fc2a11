//! `lanyard docker install|uninstall|status`: make this machine's Docker Engine find the switch, no longer, or say what is in
//! the way.
//!
//! | file | the question |
//! | --- | --- |
//! | `units.rs` | which systemd units are there, and how do they come and go? |
//! | `status.rs` | is everything as it should be, and what mends what is not? |

mod status;
mod units;

use crate::cli::DockerCommand;
use crate::client::Client;
use crate::failure::Failure;

/// Run one of them.
///
/// # Errors
/// What could not be written or removed; for `status`, that something is not as it should be.
pub(crate) fn run(client: &Client, command: &DockerCommand) -> Result<(), Failure> {
    match command {
        DockerCommand::Install { root } => units::install(root),
        DockerCommand::Uninstall { root } => units::uninstall(root),
        DockerCommand::Status(args) => status::run(client, args),
    }
}
