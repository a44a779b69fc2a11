//! The `lanyard` program: one file, one command.
//!
//! | file | the command |
//! | --- | --- |
//! | [`cli`] | the words themselves |
//! | [`run`] | `lanyard run`: the daemon |
//! | [`network`] | `lanyard network ...` |
//! | [`show`] | `lanyard show ...` |
//! | [`trace`] | `lanyard trace` |
//! | [`lab`] | `lanyard lab ...` |
//! | [`client`] | how the others ask the daemon |
//! | [`table`], [`failure`] | how they answer: columns, one-line errors, exit codes |
#![forbid(unsafe_code)]

mod cli;
mod client;
mod failure;
mod lab;
mod network;
mod run;
mod show;
mod table;
mod trace;

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use cli::{Cli, Command};
use client::Client;
use failure::{Failure, print};

fn main() -> ExitCode {
    if let Some(code) = part_of_the_lab() {
        return code;
    }
    match words().and_then(dispatch) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// The lab starts this program again, as a host's anchor or as the keeper of all; these words are not for people.
fn part_of_the_lab() -> Option<ExitCode> {
    let mut words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    match words.next()?.as_str() {
        lab::ANCHOR => Some(lab::be_anchor()),
        lab::KEEPER => Some(lab::keeper(&words.collect::<Vec<_>>())),
        _ => None,
    }
}

/// The command line. Help, and words in the wrong place, end the program here, with clap's own text.
fn words() -> Result<Cli, Failure> {
    Cli::try_parse().map_err(|error| {
        if error.kind() != ErrorKind::ValueValidation {
            error.exit();
        }
        // The first line names the value, the option and the mend; the rest only points to --help.
        let text = error.render().to_string();
        let line = text.lines().next().unwrap_or_default();
        Failure::Words(line.strip_prefix("error: ").unwrap_or(line).to_owned())
    })
}

fn dispatch(cli: Cli) -> Result<(), Failure> {
    let client = Client::new(cli.socket.clone());
    match cli.command {
        Command::Run(args) => run::run(&cli.socket, args),
        Command::Network { command } => network::run(&client, command),
        Command::Show(args) => show::run(&client, &args),
        Command::Trace(args) => trace::run(&client, &args),
        Command::Lab(args) => lab::run(args),
        Command::Version => print(concat!("lanyard ", env!("CARGO_PKG_VERSION"), "\n")),
    }
}
