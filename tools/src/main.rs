//! The `lanyard` program: one file, one command.
//!
//! | file | the command |
//! | --- | --- |
//! | [`cli`] | the words themselves |
//! | [`capture`] | frames of a capture file |
//! | [`run`] | `lanyard run`: the daemon |
//! | [`network`] | `lanyard network ...` |
//! | [`docker`] | `lanyard docker ...` |
//! | [`ports`] | `lanyard ports` |
//! | [`show`] | `lanyard show ...` |
//! | [`trace`] | `lanyard trace` |
//! | [`fault`] | `lanyard fault ...` |
//! | [`clock`] | `lanyard clock ...` |
//! | [`wireshark`] | `lanyard wireshark` |
//! | [`explain`], [`why`] | `lanyard explain`, `lanyard why` |
//! | [`arp`] | `lanyard arp ...` |
//! | [`ladder`] | `lanyard ladder` |
//! | [`top`] | `lanyard top` |
//! | [`lab`] | `lanyard lab ...` |
//! | [`learn`] | `lanyard learn ...` |
//! | [`pktgen`] | `lanyard pktgen` |
//! | [`client`] | how the others ask the daemon |
//! | [`duration`] | how times are written |
//! | [`table`], [`failure`] | how they answer: columns, one-line errors, exit codes |
#![forbid(unsafe_code)]

mod arp;
mod capture;
mod cli;
mod client;
mod clock;
mod docker;
#[cfg(test)]
mod documents;
mod duration;
mod explain;
mod failure;
mod fault;
mod lab;
mod ladder;
mod learn;
mod network;
mod pktgen;
mod ports;
mod recorded;
mod run;
mod show;
mod table;
mod top;
mod trace;
mod why;
mod wireshark;
mod words;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser};

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

/// The command line. Help and the version are clap's own text, and end the program here; whatever is wrong is one line.
fn words() -> Result<Cli, Failure> {
    Cli::try_parse().map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::DisplayVersion => {
            error.exit()
        }
        ErrorKind::MissingSubcommand => help_instead(&error),
        _ => Failure::Words(wrong_words(&error, std::env::args_os().skip(1))),
    })
}

/// A group of commands without a word shows its help. (With the socket named by the environment, clap no longer counts
/// that as no words at all.)
fn help_instead(error: &clap::Error) -> ! {
    let asked = Cli::try_parse_from(std::env::args_os().chain(["--help".into()]));
    let help = asked.err().unwrap_or_else(|| clap::Error::new(error.kind())).render();
    let coloured = failure::colours(&io::stderr());
    let text = if coloured { help.ansi().to_string() } else { help.to_string() };
    let _ = io::stderr().write_all(text.as_bytes()); // with standard error closed, the exit code still tells
    std::process::exit(2)
}

/// What is wrong, and the mend: the word that was perhaps meant, the words there are, and whose help to read.
fn wrong_words(error: &clap::Error, said: impl Iterator<Item = OsString>) -> String {
    // The first paragraph is what is wrong; usage and tips follow after a blank line.
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let wrong = text.split("\n\n").next().unwrap_or_default().lines().map(str::trim);
    let wrong: Vec<_> = wrong.filter(|line| !line.starts_with("[possible values:")).collect();
    let meant = [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand, ContextKind::SuggestedValue];
    let meant = meant.into_iter().find_map(|kind| listed(error, kind)).map(|meant| format!("perhaps {meant}; "));
    let known = listed(error, ContextKind::ValidValue).map(|known| format!("known are {known}; "));
    let (meant, known) = (meant.unwrap_or_default(), known.unwrap_or_default());
    format!("{}: {meant}{known}see '{} --help'", wrong.join(" "), path_of(said))
}

/// What clap adds to an error, as a list in words.
fn listed(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(word) => Some(format!("'{word}'")),
        ContextValue::Strings(words) if !words.is_empty() => {
            Some(words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(", "))
        }
        _ => None,
    }
}

/// The command that was asked for, as far as it can be told: `lanyard network connect`.
fn path_of(said: impl Iterator<Item = OsString>) -> String {
    let whole = Cli::command();
    let (mut command, mut path) = (&whole, whole.get_name().to_owned());
    for word in said {
        if let Some(next) = command.find_subcommand(&word) {
            command = next;
            path = format!("{path} {}", next.get_name());
        }
    }
    path
}

/// Whom to ask: the daemon at its usual place; where there is none, and nobody has said another, the lab that is up.
fn socket(cli: &Cli) -> PathBuf {
    let usual = cli.socket == Path::new(cli::DEFAULT_SOCKET);
    let lab = (usual && !cli.socket.exists()).then(lab::socket_if_up).flatten();
    lab.unwrap_or_else(|| cli.socket.clone())
}

fn dispatch(cli: Cli) -> Result<(), Failure> {
    let client = Client::new(socket(&cli));
    match cli.command {
        Command::Run(args) => run::run(&cli.socket, args),
        Command::Network { command } => network::run(&client, command),
        Command::Docker { command } => docker::run(&client, &command),
        Command::Ports(args) => ports::run(&client, &args),
        Command::Show(args) => show::run(&client, &args),
        Command::Trace(args) => trace::run(&client, &args),
        Command::Fault(args) => fault::run(&client, args),
        Command::Clock(args) => clock::run(&client, &args),
        Command::Wireshark(args) => wireshark::run(&client, &args),
        Command::Explain(args) => explain::run(&client, &args),
        Command::Why(args) => why::run(&client, &args),
        Command::Arp(args) => arp::run(&client, &args),
        Command::Ladder(args) => ladder::run(&client, &args),
        Command::Top(args) => top::run(&client, args),
        Command::Lab(args) => lab::run(args),
        Command::Learn(args) => learn::run(&args),
        Command::Pktgen(args) => pktgen::run(&args),
        Command::Version => print(concat!("lanyard ", env!("CARGO_PKG_VERSION"), "\n")),
    }
}
