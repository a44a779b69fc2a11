//! `lanyard wireshark`: every frame and its reasons in Wireshark, live.
//!
//! Wireshark is started with the capture on its standard input where it is installed and has a screen to show itself on;
//! elsewhere the command says what to type where it is.

use std::env;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use clap::Args;
use trace::Filter;

use crate::client::{self, Client};
use crate::failure::{Failure, print};
use crate::trace::{Capture, Out, Sink, Trace, filter_of};

/// `lanyard wireshark`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lanyard wireshark
  lanyard wireshark arp or icmp
  ssh HOST lanyard trace -w - arp or icmp | wireshark -k -i -

In Wireshark: frame.comment contains \"egress-full\", frame.packet_id == 7 (one
frame's whole journey), frame.interface_name == \"web\". The filter's words are
those of 'lanyard trace'.")]
pub(crate) struct WiresharkArgs {
    /// Only the frames that this filter finds (quote its parentheses)
    #[arg(value_name = "FILTER")]
    filter: Vec<String>,
}

/// Run it.
///
/// # Errors
/// When the filter is wrong, when Wireshark cannot be started here, and as `lanyard trace`.
pub(crate) fn run(client: &Client, args: &WiresharkArgs) -> Result<(), Failure> {
    let filter = filter_of(&args.filter)?;
    let program = match place() {
        Ok(program) => program,
        Err(why) => {
            print(&elsewhere(&filter))?;
            return Err(Failure::Work(format!("{why}: see above for what to type instead")));
        }
    };
    let ended = client::block_on(async {
        let trace = Trace::new(client, filter);
        let lines = trace.listen().await?;
        let mut wireshark = Command::new(&program)
            .args(["-k", "-i", "-"])
            .stdin(Stdio::piped())
            .spawn()
            .map_err(|error| Failure::work(format!("starting '{}'", program.display()), error))?;
        let Some(input) = wireshark.stdin.take() else {
            return Err(Failure::Work("wireshark has no standard input".to_owned()));
        };
        let trace = trace.into(Sink::Capture(Box::new(Capture::new(Out::program(input))?)));
        let outcome = trace.run(lines, None).await;
        // What it has shown stays on the screen until it is closed; Ctrl-C has reached it as well as us.
        let _ = wireshark.wait();
        outcome
    })?;
    match ended {
        Err(Failure::ReaderGone) => Ok(()),
        other => other,
    }
}

/// Where Wireshark is, or why it cannot be started.
fn place() -> Result<PathBuf, &'static str> {
    let set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
    if !set("DISPLAY") && !set("WAYLAND_DISPLAY") {
        return Err("there is no screen here (neither DISPLAY nor WAYLAND_DISPLAY is set)");
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let mut places = env::split_paths(&path).map(|folder| folder.join("wireshark"));
    let runs =
        |file: &PathBuf| file.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0);
    places.find(runs).ok_or("wireshark is not installed here (no such program on PATH)")
}

/// What to type on the machine that has Wireshark, and without a live view.
fn elsewhere(filter: &Filter) -> String {
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    let host = host.unwrap_or_else(|| "HOST".to_owned());
    // A filter has no quotation marks in it.
    let filter = if filter.is_everything() { String::new() } else { format!(" '{filter}'") };
    format!(
        "live, from a machine that has Wireshark:\n  ssh root@{host} \"lanyard trace -w -{filter}\" | wireshark -k -i -\n\
         as a file, to be opened there:\n  lanyard trace -w trace.pcapng{filter}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_type_elsewhere_has_the_filter() {
        let text = elsewhere(&Filter::parse("arp and (host h1 or icmp)").unwrap());
        assert!(text.contains("\"lanyard trace -w - 'arp and (host h1 or icmp)'\" | wireshark -k -i -"), "{text}");
        assert!(text.contains("lanyard trace -w trace.pcapng 'arp and (host h1 or icmp)'\n"), "{text}");
        assert!(elsewhere(&Filter::default()).contains("\"lanyard trace -w -\" |"));
    }
}
