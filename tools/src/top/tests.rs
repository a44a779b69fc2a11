//! What does the screen show, and what does each key do, without a terminal?

use std::time::Instant;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use serde_json::{Value, json};

use super::app::{Act, App, Mode, Pane};
use super::feed::tests::line;
use super::source::{News, Tables, Wish};
use super::view::{self, Theme};

fn tables(ports: u64) -> Tables {
    let port = |number: u64| {
        json!({"network": if number < 3 { "blue" } else { "green" }, "port": format!("p{number}"),
            "endpoint": format!("h{number}"), "kind": "tap", "state": "up", "mac": format!("02:42:0a:14:00:0{number}"),
            "ip": format!("10.20.0.{number}"), "rx_frames": 0, "rx_bytes": 0, "tx_frames": 0, "tx_bytes": 0,
            "drops": number - 1})
    };
    let mac = |number: u64| {
        json!({"network": if number < 3 { "blue" } else { "green" }, "mac": format!("02:42:0a:14:00:0{number}"),
            "port": format!("p{number}"), "endpoint": format!("h{number}"), "kind": "learned",
            "age_ms": 75_000 * number, "moves": 0})
    };
    let arp = |number: u64| {
        json!({"network": if number < 3 { "blue" } else { "green" }, "ip": format!("10.20.0.{number}"),
            "mac": format!("02:42:0a:14:00:0{number}"), "port": format!("p{number}"), "state": "permanent",
            "source": "control", "conflicts": if number == 2 { json!(["02:00:00:00:00:09"]) } else { json!([]) }})
    };
    let list = |row: &dyn Fn(u64) -> Value| Value::Array((1..=ports).map(row).collect());
    let read = |rows: Value| rows;
    Tables {
        networks: vec![],
        ports: serde_json::from_value(read(list(&port))).unwrap(),
        macs: serde_json::from_value(list(&mac)).unwrap(),
        arps: serde_json::from_value(list(&arp)).unwrap(),
    }
}

fn app(ports: u64, frames: u64) -> App {
    let mut app = App::new(None, String::new());
    let lines = (1..=frames).map(|number| line(number, 0)).collect();
    app.take(News { lines, tables: Some((tables(ports), Instant::now())), ..News::default() });
    app
}

fn screen(app: &mut App, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| view::draw(frame, app, Theme { colours: true })).unwrap();
    let buffer = terminal.backend().buffer();
    let row = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
    (0..height).map(row).collect()
}

fn press(app: &mut App, keys: &str) -> Act {
    let mut act = Act::Nothing;
    for c in keys.chars() {
        let code = match c {
            '\n' => KeyCode::Enter,
            '\t' => KeyCode::Tab,
            '\x1b' => KeyCode::Esc,
            '\x08' => KeyCode::Backspace,
            c => KeyCode::Char(c),
        };
        act = app.key(KeyEvent::new(code, KeyModifiers::NONE));
    }
    act
}

fn find<'a>(screen: &'a [String], piece: &str) -> &'a str {
    screen.iter().find(|line| line.contains(piece)).unwrap_or_else(|| panic!("no '{piece}':\n{}", screen.join("\n")))
}

#[test]
fn everything_is_on_a_small_screen() {
    let mut app = app(3, 40);
    let screen = screen(&mut app, 80, 24);
    assert!(screen[0].starts_with("lanyard top  all networks"), "{}", screen[0]);
    assert!(screen[1].starts_with("PORTS"), "{}", screen[1]);
    assert_eq!(
        find(&screen, "h2             blue"),
        "h2             blue     tap  up          0       0       0       0       1"
    );
    let mac = find(&screen, "02:42:0a:14:00:02 h2");
    assert!(mac.contains("[####----] 150s") && mac.contains("10.20.0.2       h2       CONFLICT"), "{mac}");
    let newest = find(&screen, "#40     h1 -> h2");
    assert!(newest.contains("LEARN new h1 | UNICAST -> h2"), "{newest}");
    assert!(screen[22].starts_with("#40 ICMP echo request seq 40: forwarded to h2 only"), "{}", screen[22]);
    assert!(screen[23].starts_with("/ filter") && screen[23].ends_with("q quit"), "{}", screen[23]);
    assert!(screen.iter().filter(|line| line.contains("h1 -> h2")).count() >= 7, "{}", screen.join("\n"));
}

#[test]
fn a_large_screen_shows_more() {
    let mut app = app(9, 100);
    let screen = screen(&mut app, 200, 50);
    let port = find(&screen, "h9   ");
    assert!(port.contains("02:42:0a:14:00:09") && port.contains("10.20.0.9"), "{port}");
    assert!(find(&screen, "#100").contains("ICMP echo request seq 100"));
    assert!(screen.iter().filter(|line| line.contains("h1 -> h2")).count() >= 20, "{}", screen.join("\n"));
}

#[test]
fn every_size_can_be_drawn_in_every_mode() {
    for mode in ["", "/", "/xx\n", "?", "w", "\t", "\t\t", "\t\t\t"] {
        let mut app = app(9, 30);
        press(&mut app, mode);
        for width in [1, 2, 10, 44, 79, 80, 129, 130, 300] {
            for height in [1, 2, 3, 4, 5, 10, 24, 80] {
                screen(&mut app, width, height);
            }
        }
    }
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    let mut app = app(1, 0);
    let mut tables = tables(1);
    tables.ports[0].endpoint = "a\x1b[2Jb".to_owned();
    tables.macs[0].endpoint = Some("c\x07".to_owned());
    let lines = [line(1, 0).replace("h1", "x\\u001b[2Jy")].into();
    app.take(News {
        lines,
        tables: Some((tables, Instant::now())),
        fault: Some("f\x1b\n".to_owned()),
        ..News::default()
    });
    for keys in ["", "w"] {
        press(&mut app, keys);
        let screen = screen(&mut app, 100, 30).join("");
        assert!(!screen.chars().any(char::is_control), "{screen:?}");
        assert!(screen.contains("\\u{1b}") || screen.contains('\u{fffd}'), "{screen}");
    }
}

#[test]
fn a_filter_is_written_refused_and_used() {
    let mut app = app(1, 3);
    assert_eq!(press(&mut app, "/arpp or icmp\n"), Act::Nothing);
    let small = screen(&mut app, 80, 24);
    assert_eq!(small[21].trim_end(), "filter: arpp or icmp");
    assert_eq!(small[22], "        ^^^^");
    assert!(small[23].starts_with("wrong filter: ") && small[23].contains("arpp"), "{}", small[23]);
    press(&mut app, "\x08");
    assert!(matches!(&app.mode, Mode::Filter { wrong: None, .. }));
    press(&mut app, "\x1b");
    assert_eq!((&app.mode, app.filter.as_str()), (&Mode::Browse, ""));
    assert_eq!(press(&mut app, "/arp\n"), Act::Wish(Wish::Filter("arp".to_owned())));
    let small = screen(&mut app, 80, 24);
    assert!(small[0].contains("filter: arp") && small[22].starts_with("no frame"), "{}", small.join("\n"));
}

#[test]
fn paused_it_steps() {
    let mut app = app(1, 2);
    press(&mut app, " ");
    app.take(News { lines: [line(3, 0), line(4, 0)].into(), ..News::default() });
    let paused = screen(&mut app, 80, 24);
    assert!(paused[0].contains("PAUSED (2 wait)") && paused[22].starts_with("#2 "), "{}", paused.join("\n"));
    press(&mut app, "s");
    assert!(screen(&mut app, 80, 24)[22].starts_with("#3 "));
    press(&mut app, " ");
    let on = screen(&mut app, 80, 24);
    assert!(!on[0].contains("PAUSED") && on[22].starts_with("#4 "), "{}", on.join("\n"));
}

#[test]
fn why_is_asked_of_what_is_looked_at() {
    let mut app = app(2, 3);
    press(&mut app, "kw");
    let tree = screen(&mut app, 80, 24);
    assert!(tree[1].starts_with("why #2") && tree.iter().any(|line| line.contains("learn")), "{}", tree.join("\n"));
    press(&mut app, "jjjjjjjjjjk");
    press(&mut app, "x");
    assert_eq!(app.mode, Mode::Browse);
    press(&mut app, "\t\t");
    assert_eq!(app.pane, Pane::Mac);
    let wish = Wish::Why { network: "blue".to_owned(), station: "02:42:0a:14:00:02".to_owned() };
    assert_eq!(press(&mut app, "jjj\n"), Act::Wish(wish.clone()));
    press(&mut app, "\t");
    assert_eq!(press(&mut app, "jw"), Act::Wish(wish));
    app.take(News { why: Some(Err("no such row".to_owned())), ..News::default() });
    assert!(screen(&mut app, 80, 24)[2].starts_with("no such row"));
}

#[test]
fn networks_are_gone_through_and_losses_and_faults_are_shown() {
    let mut app = app(4, 0);
    app.networks = vec![];
    app.network = Some("green".to_owned());
    assert_eq!((app.ports().len(), app.macs().len(), app.arps().len()), (2, 2, 2));
    press(&mut app, "n");
    assert_eq!((app.network.clone(), app.ports().len()), (None, 4));
    app.take(News { lines: [line(1, 0), line(9, 7)].into(), fault: Some("no daemon".to_owned()), ..News::default() });
    let lossy = screen(&mut app, 80, 24);
    assert!(lossy[0].contains("7 frames lost to the trace  no daemon"), "{}", lossy[0]);
    assert_eq!(find(&lossy, "-- 7"), "-- 7 frames lost to the trace here");
    app.take(News { fault: Some(String::new()), skipped: 12, ..News::default() });
    let title = &screen(&mut app, 80, 24)[0];
    assert!(!title.contains("no daemon") && title.contains("  12 came too fast to be shown  7 frames lost"), "{title}");
}

#[test]
fn keys_that_end_it() {
    let mut app = app(1, 1);
    assert_eq!((press(&mut app, "q"), press(&mut app, "\x1b")), (Act::Quit, Act::Quit));
    press(&mut app, "/q");
    let ctrl_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert!(matches!(&app.mode, Mode::Filter { text, .. } if text == "q"));
    assert_eq!(app.key(ctrl_c), Act::Quit);
}
