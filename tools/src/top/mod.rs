//! `lanyard top`: ports, the MAC table, neighbors and the decisions on one screen, as they change.
//!
//! | file | the question |
//! | --- | --- |
//! | `mod.rs` | how does the program take a terminal, and give it back whatever happens? |
//! | [`app`] | what is on the screen, and what does a key change? |
//! | [`view`] | how does that become a screen? |
//! | [`feed`] | which decisions are shown, and what happens while they are held still? |
//! | [`rates`] | how fast do counters move? |
//! | [`source`] | where does the news come from? |
//!
//! Not done: a mouse.

mod app;
mod feed;
mod rates;
mod source;
#[cfg(test)]
mod tests;
mod view;

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use trace::Filter;

use crate::client::Client;
use crate::failure::{Failure, colours};
use app::{Act, App};
use source::{Source, Wish};
use view::Theme;

/// The least time between two drawings.
const FRAME: Duration = Duration::from_millis(FRAME_MS as u64);
const FRAME_MS: u8 = 100;

/// How long nothing has to come until the screen is drawn anew all the same, for a terminal that somebody else wrote on.
const IDLE: Duration = Duration::from_secs(2);

/// `lanyard top`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lanyard top                    everything
  lanyard top --network blue     one network
  lanyard top arp or icmp echo   only such frames among the decisions

Keys: / filter, space pause, s step, w why, Tab next part, j k up and down,
n next network, ? help, q quit.")]
pub(crate) struct TopArgs {
    /// Show these frames only: the words of 'lanyard trace'
    #[arg(value_name = "FILTER")]
    filter: Vec<String>,
    /// Of this network only
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    network: Option<String>,
}

/// Run it.
///
/// # Errors
/// When there is no terminal, when the words are wrong, and when the terminal cannot be used.
pub(crate) fn run(client: &Client, args: TopArgs) -> Result<(), Failure> {
    let filter = args.filter.join(" ");
    Filter::parse(&filter).map_err(Failure::Filter)?;
    if !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
        return Err(Failure::Words(
            "'lanyard top' needs a terminal: 'lanyard trace' tells frames line by line, and 'lanyard show ports --watch' \
             counts them"
                .to_owned(),
        ));
    }
    // A daemon that is not there is told in one line, not on a screen.
    client.get("/v1/ping")?;
    let told = told_to_end()?;
    let theme = Theme { colours: colours(&io::stdout()) };
    let source = Source::start(client.clone());
    source.wish(Wish::Filter(filter.clone()));
    // It gives the terminal back when the program panics, too.
    let mut terminal = ratatui::try_init().map_err(|error| Failure::work("the terminal cannot be used", error))?;
    let ended = watch(&mut terminal, &source, App::new(args.network, filter), theme, &told);
    ratatui::restore();
    ended.map_err(|error| Failure::work("the terminal cannot be used", error))
}

/// Becomes true at SIGTERM, SIGHUP and SIGINT, by which a program that has changed the terminal must not end at once.
fn told_to_end() -> Result<Arc<AtomicBool>, Failure> {
    let told = Arc::<AtomicBool>::default();
    for signal in [SIGTERM, SIGHUP, SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&told))
            .map_err(|error| Failure::work("signals cannot be listened for", error))?;
    }
    Ok(told)
}

/// Wait for a key, or for the next frame. Has the terminal gone away? (poll(2): POLLHUP is always reported; reading on
/// would never end, because crossterm 0.29 tries again where there is nothing to read any more)
fn terminal_gone() -> io::Result<bool> {
    let keys = io::stdin();
    let mut fds = [PollFd::new(keys.as_fd(), PollFlags::POLLIN)];
    let gone = PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL;
    match poll(&mut fds, PollTimeout::from(FRAME_MS)) {
        Ok(_) => Ok(fds[0].revents().is_some_and(|events| events.intersects(gone))),
        // The window has changed its size.
        Err(Errno::EINTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Until somebody wants to leave.
fn watch(
    terminal: &mut DefaultTerminal,
    source: &Source,
    mut app: App,
    theme: Theme,
    told: &AtomicBool,
) -> io::Result<()> {
    let (mut dirty, mut drawn): (bool, Option<Instant>) = (true, None);
    loop {
        let since = drawn.map_or(FRAME, |drawn| drawn.elapsed());
        if since >= IDLE || (dirty && since >= FRAME) {
            terminal.draw(|frame| view::draw(frame, &mut app, theme))?;
            (dirty, drawn) = (false, Some(Instant::now()));
        }
        if terminal_gone()? || told.load(Ordering::Relaxed) {
            return Ok(());
        }
        while event::poll(Duration::ZERO)? {
            match event::read()? {
                Event::Key(key) if key.kind != KeyEventKind::Release => match app.key(key) {
                    Act::Quit => return Ok(()),
                    Act::Wish(wish) => source.wish(wish),
                    Act::Nothing => {}
                },
                _ => {}
            }
            dirty = true;
        }
        dirty |= app.take(source.news());
    }
}
