//! How is the history of a row of the MAC table told? A sentence a line.

use switch::control::types::{LessonRow, WhyRow};

use crate::failure::one_line;

/// The rows that an address has, one after the other.
pub(super) fn rows(rows: &[WhyRow]) -> Vec<String> {
    if rows.is_empty() {
        return vec!["nothing is known of it".to_owned()];
    }
    rows.iter().map(row).collect::<Vec<_>>().join(&String::new())
}

fn row(why: &WhyRow) -> Vec<String> {
    let name = why.name.as_deref().map(|name| format!(" ({name})")).unwrap_or_default();
    let mut lines = vec![format!("{}{name} on network {}", why.mac, why.network), String::new()];
    let place = why.endpoint.as_deref().unwrap_or("the gateway");
    lines.push(match (why.kind.as_deref(), why.age_ms) {
        (Some("learned"), age) => format!(
            "learned: on {place}, heard {} ago; forgotten when silent for {}",
            age.map_or_else(|| "-".to_owned(), seconds),
            seconds(why.ageing_ms)
        ),
        (Some("gateway"), _) => "the gateway's own address: no port can take it".to_owned(),
        (Some(kind), _) => format!("{kind}: on {place}; no frame changes it"),
        (None, _) => "not in the MAC table now".to_owned(),
    });
    if let Some(lesson) = &why.taught {
        lines.push(format!("taught by {}", told(lesson)));
    } else if why.kind.as_deref() == Some("learned") {
        lines.push("the frame that taught it is not remembered".to_owned());
    }
    for lesson in &why.moved {
        let from = lesson.from.as_deref().unwrap_or("another port");
        lines.push(format!("moved from {from} by {}", told(lesson)));
    }
    if why.moved_in_all > why.moved.len() as u64 {
        lines.push(format!("moved {} times in all", why.moved_in_all));
    }
    if why.refreshed > 0 {
        let last = why.last_refresh.map(|last| format!(", the last by #{}", last.frame)).unwrap_or_default();
        lines.push(format!("found fresh again by {} traced frames{last}", why.refreshed));
    }
    if why.times_before > 0 {
        lines.push(format!("learned and forgotten {} times before", why.times_before));
    }
    if why.missed > 0 {
        lines.push(format!("{} lessons came too fast to be remembered", why.missed));
    }
    lines.iter().map(|line| one_line(line)).collect()
}

fn told(lesson: &LessonRow) -> String {
    format!("#{} from {}: {}", lesson.frame, lesson.port, lesson.summary)
}

fn seconds(ms: u64) -> String {
    format!("{}.{} s", ms / 1000, ms % 1000 / 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_tells_who_taught_it() {
        let why: WhyRow = serde_json::from_value(serde_json::json!({
            "network": "blue", "mac": "02:42:0a:14:00:02", "name": "h1", "kind": "learned", "endpoint": "h1",
            "age_ms": 1250, "ageing_ms": 300_000, "moves": 1,
            "taught": {"frame": 7, "at_unix_ns": 1, "port": "h1", "from": null, "summary": "ARP who-has", "data": ""},
            "moved": [{"frame": 9, "at_unix_ns": 2, "port": "h3", "from": "h1", "summary": "x\u{1b}[2J", "data": ""}],
            "moved_in_all": 4, "refreshed": 3, "last_refresh": {"frame": 12, "at_unix_ns": 3},
            "times_before": 2, "missed": 1
        }))
        .unwrap();
        let text = row(&why).join("\n");
        for piece in [
            "02:42:0a:14:00:02 (h1) on network blue",
            "heard 1.2 s ago; forgotten when silent for 300.0 s",
            "taught by #7 from h1: ARP who-has",
            "moved from h1 by #9 from h3: x\\u{1b}[2J",
            "moved 4 times in all",
            "3 traced frames, the last by #12",
            "2 times before",
            "1 lessons came too fast",
        ] {
            assert!(text.contains(piece), "'{piece}' is missing: {text}");
        }
    }
}
