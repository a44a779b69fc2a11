//! In which order do the lanes stand, and which ports share one?
//!
//! Networks stand in the order in which they are first heard of; within one, names stand as people count (h2 before
//! h10). The switch stands beside the host that speaks first, on the side that has more lanes; between the first and
//! the second network where there are several. Beyond a number of hosts, those that neither speak nor are spoken to
//! alone share the last lane, then those that speak least.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::told::{Place, Told};
use super::{CacheChange, Lane};

/// The lanes, and who stands on which.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Order {
    pub(crate) lanes: Vec<Lane>,
    pub(crate) switch: usize,
    /// Ports by place; who is not here is on the lane of the others, or nowhere.
    of: BTreeMap<Place, usize>,
}

impl Order {
    /// The lane of a port.
    pub(crate) fn lane(&self, network: &str, port: &str) -> usize {
        let place = Place { network: network.to_owned(), port: port.to_owned() };
        self.of.get(&place).copied().unwrap_or(self.switch)
    }
}

/// How much somebody takes part.
#[derive(Clone, Copy, Default)]
struct Part {
    /// Frames sent, received alone, cache changes.
    active: usize,
    /// Order of first appearance.
    seen: usize,
}

/// The order of the lanes for these events, at most `most` for hosts and one for the others.
pub(crate) fn order(told: &[Told], caches: &[CacheChange], most: usize) -> Order {
    let parts = parts(told, caches);
    let mut networks: Vec<(usize, &str)> = Vec::new();
    for (place, part) in &parts {
        match networks.iter_mut().find(|(_, network)| *network == place.network) {
            Some((seen, _)) => *seen = (*seen).min(part.seen),
            None => networks.push((part.seen, &place.network)),
        }
    }
    networks.sort_unstable();
    let rank = |place: &Place| networks.iter().position(|(_, network)| *network == place.network);
    let mut kept: Vec<&Place> = parts.keys().collect();
    kept.sort_by_key(|place| (std::cmp::Reverse(parts[*place].active), parts[*place].seen));
    let others = kept.split_off(most.min(kept.len()));
    kept.sort_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| natural(&a.port, &b.port)));
    let first = kept.iter().enumerate().filter(|(_, place)| parts[**place].active > 0);
    let speaker = first.min_by_key(|(_, place)| parts[**place].seen).map_or(0, |(at, _)| at);
    let switch = beside(&kept, speaker);
    lay(&kept, &others, switch)
}

/// Left or right of the speaker, or where the first network ends.
fn beside(kept: &[&Place], speaker: usize) -> usize {
    let network = kept.first().map(|place| &place.network);
    let end = kept.iter().take_while(|place| Some(&place.network) == network).count();
    if end < kept.len() {
        end
    } else if speaker + 1 == kept.len() && speaker > 0 {
        speaker
    } else {
        (speaker + 1).min(kept.len())
    }
}

fn lay(kept: &[&Place], others: &[&Place], switch: usize) -> Order {
    let lane = |network: &str, name: &str, ports| Lane { network: network.to_owned(), name: name.to_owned(), ports };
    let mut lanes: Vec<Lane> = kept.iter().map(|place| lane(&place.network, &place.port, 1)).collect();
    lanes.insert(switch.min(lanes.len()), lane("", "switch", 1));
    let shift = |at: usize| if at >= switch { at + 1 } else { at };
    let mut of: BTreeMap<Place, usize> =
        kept.iter().enumerate().map(|(at, place)| ((*place).clone(), shift(at))).collect();
    if let Some(last) = kept.last().filter(|_| !others.is_empty()) {
        let one = others.iter().all(|place| place.network == last.network);
        let network = if one { last.network.as_str() } else { "others" };
        lanes.push(lane(network, &format!("{} more", others.len()), others.len()));
        of.extend(others.iter().map(|place| ((*place).clone(), lanes.len() - 1)));
    }
    Order { lanes, switch, of }
}

fn parts(told: &[Told], caches: &[CacheChange]) -> BTreeMap<Place, Part> {
    let mut parts: BTreeMap<Place, Part> = BTreeMap::new();
    let mut note = |place: Place, active: usize| {
        let seen = parts.len();
        parts.entry(place).or_insert(Part { active: 0, seen }).active += active;
    };
    for told in told {
        if let Some(from) = &told.from {
            note(from.clone(), 1);
        }
        for (place, _) in &told.copies {
            note(place.clone(), usize::from(!told.flooded));
        }
    }
    for change in caches {
        note(Place { network: change.network.clone(), port: change.endpoint.clone() }, 1);
    }
    parts
}

/// Names as people count: runs of digits by their value, the rest by its characters.
pub(crate) fn natural(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a, b);
    loop {
        let (Some(x), Some(y)) = (left.chars().next(), right.chars().next()) else {
            return left.len().cmp(&right.len()).then_with(|| a.cmp(b));
        };
        let order = if x.is_ascii_digit() && y.is_ascii_digit() {
            let (number, rest) = digits(left);
            let (other, other_rest) = digits(right);
            (left, right) = (rest, other_rest);
            number.len().cmp(&other.len()).then_with(|| number.cmp(other))
        } else {
            (left, right) = (&left[x.len_utf8()..], &right[y.len_utf8()..]);
            x.cmp(&y)
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// The number at the beginning without leading zeros, and the rest.
fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (text[..end].trim_start_matches('0'), &text[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(network: &str, port: &str) -> Place {
        Place { network: network.to_owned(), port: port.to_owned() }
    }

    /// A frame from a port to others.
    fn told(number: u64, from: &str, to: &[&str], flooded: bool) -> Told {
        let at = |text: &str| text.split_once('/').map_or_else(|| place("lan", text), |(n, p)| place(n, p));
        Told {
            number,
            at_unix_ns: number,
            from: Some(at(from)),
            summary: String::new(),
            notes: vec![],
            copies: to.iter().map(|to| (at(to), None)).collect(),
            flooded,
            dropped: None,
            verdict: String::new(),
            steps: vec![],
            lost: 0,
        }
    }

    fn names(told: &[Told], most: usize) -> Vec<String> {
        order(told, &[], most).lanes.into_iter().map(|lane| lane.name).collect()
    }

    #[test]
    fn people_count_names() {
        let mut names = vec!["h10", "h2", "web", "h1", "h02", "h", "2", "10", "h2a", "h100000000000000000000000"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["2", "10", "h", "h1", "h02", "h2", "h2a", "h10", "h100000000000000000000000", "web"]);
    }

    #[test]
    fn the_switch_stands_beside_who_speaks_first() {
        assert_eq!(names(&[told(1, "h1", &["h10", "h2"], true)], 9), ["h1", "switch", "h2", "h10"]);
        assert_eq!(names(&[told(1, "h2", &["h1", "h3"], true)], 9), ["h1", "h2", "switch", "h3"]);
        assert_eq!(names(&[told(1, "h3", &["h1", "h2"], true)], 9), ["h1", "h2", "switch", "h3"]);
        assert_eq!(names(&[told(1, "h3", &[], true)], 9), ["h3", "switch"]);
        assert_eq!(names(&[], 9), ["switch"]);
        let routed = [told(1, "b/h4", &["a/h1"], false), told(2, "b/h5", &[], false)];
        assert_eq!(names(&routed, 9), ["h4", "h5", "switch", "h1"]);
    }

    #[test]
    fn who_says_least_shares_a_lane() {
        let flood = told(1, "h1", &["h2", "h3", "h4", "h5"], true);
        let reply = told(2, "h4", &["h1"], false);
        let order = order(&[flood, reply], &[], 2);
        let lanes: Vec<_> = order.lanes.iter().map(|lane| (lane.name.as_str(), lane.ports)).collect();
        assert_eq!(lanes, [("h1", 1), ("switch", 1), ("h4", 1), ("3 more", 3)]);
        assert_eq!((order.lane("lan", "h4"), order.lane("lan", "h3")), (2, 3));
    }
}
