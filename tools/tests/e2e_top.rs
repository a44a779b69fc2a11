//! Does `lanyard top` show real frames on a real terminal, obey its keys, and give the terminal back however it ends?
//!
//! The terminal is tmux's, with a server of the test's own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod harness;

use std::path::PathBuf;
use std::process::{Command, Stdio};

use harness::host::send_signal;
use harness::{Host, Kind, LANYARD, Outcome, PATIENCE, World, ready, wait_for};
use nix::sys::signal::Signal;

const TOOLS: &[&str] = &["ip", "ping", "nsenter", "unshare", "setpriv", "tmux", "stty"];

/// A shell in a terminal of 80 columns and 24 lines.
struct Terminal {
    socket: PathBuf,
}

impl Terminal {
    fn new(world: &World, name: &str) -> Self {
        let terminal = Self { socket: world.folder().join(name) };
        let shell = "env PS1=ready: LC_ALL=C.UTF-8 sh";
        let socket = world.socket();
        let mut command = terminal.command(&["-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", shell]);
        command.env("LANYARD_SOCKET", socket).env_remove("TMUX").env_remove("NO_COLOR");
        Outcome::of(command.output().unwrap()).ok();
        terminal.wait("ready:");
        terminal
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("tmux");
        command.arg("-S").arg(&self.socket).args(words).stdin(Stdio::null());
        command
    }

    fn tmux(&self, words: &[&str]) -> String {
        Outcome::of(self.command(words).output().unwrap()).ok()
    }

    /// Type; `Enter`, `Escape`, `C-c` and the like are keys.
    fn keys(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    fn wait(&self, piece: &str) -> String {
        self.wait_until(piece, |screen| screen.contains(piece))
    }

    fn wait_until(&self, what: &str, done: impl Fn(&str) -> bool) -> String {
        let mut screen = String::new();
        wait_for(what, PATIENCE, || {
            let before = std::mem::replace(&mut screen, self.screen());
            let is = done(&screen);
            if !is && before != screen {
                println!("waiting for '{what}':\n{screen}");
            }
            is
        });
        screen
    }

    /// The shell has its terminal again: the main screen, with echo, line by line, with a cursor.
    fn assert_restored(&self) {
        wait_for("the main screen", PATIENCE, || {
            self.tmux(&["display-message", "-p", "#{alternate_on}#{cursor_flag}#{mouse_any_flag}"]).trim() == "010"
        });
        self.wait_until("the shell", |screen| screen.trim_end().ends_with("ready:"));
        self.keys(&["echo set=$(stty -a | tr ' ' '\\n' | grep -cE '^(icanon|echo|isig);?$')", "Enter"]);
        self.wait("set=3");
        self.keys(&["clear", "Enter"]);
        self.wait_until("a clear screen", |screen| screen.trim() == "ready:");
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.command(&["kill-server"]).output();
    }
}

fn hosts(world: &World) -> [Host; 3] {
    std::array::from_fn(|index| {
        let host = Host::new(&format!("h{}", index + 1)).quiet();
        world.connect("blue", &host, Kind::Tap, "");
        host
    })
}

#[test]
fn a_ping_is_seen_held_still_and_explained() {
    if !ready("a_ping_is_seen_held_still_and_explained", TOOLS) {
        return;
    }
    let world = World::with_blue(1, "");
    let [h1, h2, _h3] = hosts(&world);
    let terminal = Terminal::new(&world, "tmux");
    terminal.keys(&[&format!("{LANYARD} top"), "Enter"]);
    let screen = terminal.wait("10.20.0.4");
    assert!(screen.starts_with("lanyard top  all networks\nPORTS"), "{screen}");
    let ping = || assert!(h1.ping(&format!("-c 1 -W 3 {}", h2.ip())).is_perfect());
    ping();
    let screen = terminal.wait_until("the ping", |screen| {
        screen.contains("UNICAST -> h1") && screen.contains("02:42:0a:14:00:02 h1       [--------]")
    });
    for piece in
        ["h1             blue     tap  up", "10.20.0.2       h1       permanent", "LEARN new h1 | FLOOD broadcast"]
    {
        assert!(screen.contains(piece), "'{piece}' is missing:\n{screen}");
    }
    assert!(screen.lines().all(|line| line.chars().count() <= 80) && screen.lines().count() <= 24, "{screen}");

    // Held still, then one by one.
    let newest = |screen: &str| screen.lines().nth(22).unwrap_or_default().to_owned();
    let before = newest(&screen);
    terminal.keys(&["Space"]);
    terminal.wait("PAUSED (0 wait)");
    ping();
    let screen = terminal.wait("PAUSED (2 wait)");
    assert_eq!(newest(&screen), before);
    terminal.keys(&["s"]);
    let screen = terminal.wait("PAUSED (1 wait)");
    assert!(newest(&screen).contains("ICMP echo request") && newest(&screen) != before, "{screen}");

    // Why, of a frame and of a row.
    terminal.keys(&["w"]);
    let screen = terminal.wait("why #");
    assert!(screen.contains("lookup") && screen.contains("forwarded to h2 only"), "{screen}");
    terminal.keys(&["x", "Tab", "Tab", "j", "Enter"]);
    terminal.wait("taught    #1 at ");
    terminal.keys(&["x", "Space"]);
    terminal.wait_until("it to go on", |screen| screen.contains("PORTS") && !screen.contains("PAUSED"));

    // A wrong filter, and a right one.
    terminal.keys(&["/", "arpp", "Enter"]);
    let screen = terminal.wait("wrong filter: ");
    assert!(screen.contains("filter: arpp") && screen.contains("\n        ^^^^\n"), "{screen}");
    terminal.keys(&["BSpace", "Enter"]);
    terminal
        .wait_until("the filter", |screen| screen.contains("filter: arp\n") && screen.contains("no frame has passed"));
    h1.run("ip neigh flush all").ok();
    ping();
    let screen = terminal.wait("#7");
    assert!(screen.contains("ARP who-has") && !screen.contains("ICMP"), "{screen}");

    terminal.tmux(&["resize-window", "-x", "200", "-y", "50"]);
    let screen = terminal.wait("WHAT IT SAYS, AND WHAT BECAME OF IT");
    assert!(screen.contains("02:42:0a:14:00:04 10.20.0.4"), "{screen}");
    terminal.keys(&["q"]);
    terminal.assert_restored();
}

#[test]
fn the_terminal_is_given_back_however_it_ends() {
    if !ready("the_terminal_is_given_back_however_it_ends", TOOLS) {
        return;
    }
    let world = World::with_blue(1, "");
    let terminal = Terminal::new(&world, "tmux");
    for end in ["q", "Escape", "C-c", "terminate"] {
        let top = format!("sh -c 'echo $$ >{}/pid; exec {LANYARD} top icmp'", world.folder().display());
        terminal.keys(&[&top, "Enter"]);
        terminal.wait("filter: icmp");
        if end == "terminate" {
            let pid = std::fs::read_to_string(world.folder().join("pid")).unwrap();
            send_signal(pid.trim().parse().unwrap(), Signal::SIGTERM).unwrap();
        } else {
            terminal.keys(&[end]);
        }
        terminal.assert_restored();
    }
    // With the terminal gone, it goes as well.
    let closed = Terminal::new(&world, "closed");
    closed.keys(&[&format!("echo $$ >{}/pid; exec {LANYARD} top", world.folder().display()), "Enter"]);
    closed.wait("PORTS");
    let pid = std::fs::read_to_string(world.folder().join("pid")).unwrap();
    closed.tmux(&["kill-server"]);
    let running =
        || std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).is_ok_and(|stat| !stat.contains(") Z "));
    wait_for("its end", PATIENCE, || !running());

    // With the daemon gone, the screen says so; without one from the start, a line does.
    terminal.keys(&[&format!("{LANYARD} top"), "Enter"]);
    terminal.wait("PORTS");
    world.end(Signal::SIGTERM);
    terminal.wait_until("the fault", |screen| screen.lines().next().is_some_and(|line| line.contains("daemon")));
    world.start();
    terminal.wait_until("the daemon again", |screen| !screen.lines().next().unwrap_or_default().contains("daemon"));
    terminal.keys(&["q"]);
    terminal.assert_restored();
    world.end(Signal::SIGTERM);
    terminal.keys(&[&format!("{LANYARD} top"), "Enter"]);
    terminal.wait("lanyard: ");
    terminal.assert_restored();
}
