//! What changes in our table when only published ports do? Elements of its maps and sets: which, and the nft transaction.
//!
//! nft(8), "element" and "set". All deletions come before all additions, so that a key may get another value and an interval
//! another length within one transaction.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::rules::TABLE;

/// Elements of the maps and sets of published ports: the map's name and the element, as rules and `nft list` write it.
pub(crate) type Elements = BTreeSet<(String, String)>;

/// The transaction that makes `after` of `before`.
pub(crate) fn change_text(before: &Elements, after: &Elements) -> String {
    let mut text = String::new();
    for (action, elements) in [("delete", before.difference(after)), ("add", after.difference(before))] {
        let mut current = "";
        for (name, element) in elements {
            if current == name {
                let _ = write!(text, ", {element}");
                continue;
            }
            text.push_str(if current.is_empty() { "" } else { " }\n" });
            let _ = write!(text, "{action} element inet {TABLE} {name} {{ {element}");
            current = name;
        }
        text.push_str(if current.is_empty() { "" } else { " }\n" });
    }
    text
}

/// Our table as nft prints it: what stays while only ports change, and the ports. Compared, never written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Listing {
    frame: String,
    elements: Elements,
}

impl Listing {
    pub(crate) fn parse(text: &str) -> Self {
        let mut listing = Self::default();
        let mut name = None;
        let mut within = false;
        for line in text.lines() {
            let words = line.trim();
            if let Some(head) = words.strip_prefix("map ").or_else(|| words.strip_prefix("set ")) {
                name = Some(head.trim_end_matches(" {")).filter(|name| is_of_ports(name));
            } else if words == "}" {
                name = None;
            }
            within |= words.starts_with("elements = {");
            let Some(name) = name.filter(|_| within) else {
                within = false;
                listing.frame.push_str(line);
                listing.frame.push('\n');
                continue;
            };
            within = !words.ends_with('}');
            let elements = words.trim_start_matches("elements = {").trim_end_matches('}').split(',').map(str::trim);
            let elements = elements.filter(|element| !element.is_empty());
            listing.elements.extend(elements.map(|element| (name.to_owned(), element.to_owned())));
        }
        listing
    }

    /// What nft will print after [`change_text`].
    pub(crate) fn changed(&self, before: &Elements, after: &Elements) -> Self {
        let mut changed = self.clone();
        for gone in before.difference(after) {
            changed.elements.remove(gone);
        }
        changed.elements.extend(after.difference(before).cloned());
        changed
    }
}

fn is_of_ports(name: &str) -> bool {
    ["ports", "ranges", "loopback", "open"].iter().any(|start| name.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(list: &[(&str, &str)]) -> Elements {
        list.iter().map(|(name, element)| ((*name).to_owned(), (*element).to_owned())).collect()
    }

    #[test]
    fn what_goes_goes_before_what_comes() {
        let before =
            elements(&[("ports4_any", "tcp . 1 : 10.1.0.2 . 3"), ("loopback", "tcp . 1"), ("loopback", "udp . 1")]);
        let after = elements(&[
            ("ports4_any", "tcp . 1 : 10.1.0.3 . 3"),
            ("loopback", "tcp . 1-2"),
            ("loopback", "tcp . 9"),
            ("loopback", "udp . 1"),
        ]);
        assert_eq!(
            change_text(&before, &after),
            "delete element inet lanyard loopback { tcp . 1 }\n\
             delete element inet lanyard ports4_any { tcp . 1 : 10.1.0.2 . 3 }\n\
             add element inet lanyard loopback { tcp . 1-2, tcp . 9 }\n\
             add element inet lanyard ports4_any { tcp . 1 : 10.1.0.3 . 3 }\n"
        );
        assert_eq!(change_text(&after, &after), "");
    }

    #[test]
    fn a_listing_is_its_frame_and_its_ports() {
        let text = |ports: &str, networks: &str| {
            format!(
                "table inet lanyard {{\n\tset networks {{\n\t\ttype ifname\n\t\telements = {{ {networks} }}\n\t}}\n\
                 \tmap ports4_any {{\n\t\ttype x\n{ports}\t}}\n\tchain c {{\n\t\tdrop\n\t}}\n}}\n"
            )
        };
        let empty = Listing::parse(&text("", "\"a\""));
        let two = "\t\telements = { tcp . 1 : 10.1.0.2 . 3,\n\t\t\t     udp . 2 : 10.1.0.2 . 4 }\n";
        let two = Listing::parse(&text(two, "\"a\""));
        let wanted = elements(&[("ports4_any", "tcp . 1 : 10.1.0.2 . 3"), ("ports4_any", "udp . 2 : 10.1.0.2 . 4")]);
        assert_eq!((&empty.frame, &empty.elements, &two.elements), (&two.frame, &Elements::new(), &wanted));
        assert_eq!(empty.changed(&Elements::new(), &wanted), two);
        assert_eq!(two.changed(&wanted, &Elements::new()), empty);
        assert_ne!(Listing::parse(&text("", "\"b\"")), empty, "other elements are of the frame");
    }
}
