//! `lanyard lab`: hosts, a switch and a story, with nothing installed, nothing set up and nothing left behind.
//!
//! | file | the question |
//! | --- | --- |
//! | [`story`] | what does a switch do with a ping? The five acts |
//! | [`scene`] | which hosts, networks and switch does a lab consist of? |
//! | [`plan`] | which were asked for? |
//! | [`world`] | where do the hosts live? |
//! | [`ping`] | does a host answer? |
//! | [`send`] | how does a host send a frame that no kernel would? |
//! | [`keep`] | how does a lab stay: `lab up`, `exec`, `ls`, `down` |

pub(crate) mod keep;
mod ping;
pub(crate) mod plan;
mod scene;
mod send;
mod story;
mod world;

use std::io;

use clap::{Args, Subcommand};

use crate::failure::{Failure, style};
pub(crate) use keep::{KEEPER, keeper, socket_if_up};
use plan::Plan;
use scene::Scene;
pub(crate) use world::{ANCHOR, be_anchor};

/// `lanyard lab ...`
#[derive(Debug, Args)]
pub(crate) struct LabArgs {
    /// Which of them; `demo` when none is named.
    #[command(subcommand)]
    command: Option<LabCommand>,
}

#[derive(Debug, Subcommand)]
enum LabCommand {
    /// Tell the story of a ping, frame by frame, and leave nothing behind (the default)
    #[command(after_help = "\
Examples:
  lanyard lab              hosts, ARP, learning, flooding, the gateway: real frames, explained
  lanyard lab | less -R    the same, to read at leisure

Exit code 0 only if everything it told really happened.")]
    Demo,
    /// Make a lab that stays, to play with
    #[command(after_help = "\
Examples:
  lanyard lab up                          three hosts on net1, one on net2
  lanyard lab up --hosts 8 --networks 3   a larger one
  lanyard lab exec h1 -- ping -c1 10.0.1.12")]
    Up(keep::UpArgs),
    /// Run a command on a host of the lab
    #[command(after_help = "\
Examples:
  lanyard lab exec h1 -- ip neigh
  lanyard lab exec h1 -- ping -c1 10.0.2.14
  lanyard lab exec h3 -- sh")]
    Exec(keep::ExecArgs),
    /// Send a frame of your own from a host of the lab: forged ARP, any octets, or many source addresses
    #[command(after_help = send::EXAMPLES)]
    Send(send::SendArgs),
    /// List the lab's hosts
    #[command(after_help = "Examples:\n  lanyard lab ls\n  lanyard lab ls --json")]
    Ls(keep::LsArgs),
    /// End the lab and leave nothing behind
    #[command(after_help = "Example:\n  lanyard lab down")]
    Down,
}

/// Run it. No thread may have been started before: entering a user namespace forbids it.
pub(crate) fn run(args: LabArgs) -> Result<(), Failure> {
    match args.command {
        None | Some(LabCommand::Demo) => demo(),
        Some(LabCommand::Up(args)) => keep::up(args),
        Some(LabCommand::Exec(args)) => keep::exec(&args),
        Some(LabCommand::Send(args)) => send::run(&args),
        Some(LabCommand::Ls(args)) => keep::ls(&args),
        Some(LabCommand::Down) => keep::down(),
    }
}

fn demo() -> Result<(), Failure> {
    world::enter_own_namespaces().map_err(Failure::Work)?;
    // Four hosts on two networks, on a switch that forgets after two seconds.
    let mut scene = Scene::build(&Plan::even(4, 2, 2)).map_err(Failure::Work)?;
    let told = story::tell(&mut scene, style());
    scene.switch.stop_and_remove().map_err(|fault| Failure::Work(fault.to_string()))?;
    match told {
        Ok(true) => Ok(()),
        Ok(false) => {
            Err(Failure::Work("not everything told was seen to happen: see the lines marked NOT SEEN".to_owned()))
        }
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::ReaderGone),
        Err(error) => Err(Failure::work("the lab could not be told to its end", error)),
    }
}
