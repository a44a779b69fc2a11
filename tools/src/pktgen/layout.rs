//! Who sends to whom? Each sender to its receiver, all senders to one, one sender to all in turn, everybody to everybody
//! (RFC 2889 clauses 5.1 to 5.4: fully meshed, one-to-many and many-to-one).

use clap::Args;

use super::backend::Backend;
use super::place::Place;
use crate::failure::Failure;

/// The most places: their numbers, and those of the streams between them, stand in a frame's signature.
const MOST_PLACES: usize = 64;

/// Where frames enter and leave.
#[derive(Clone, Debug, Args)]
pub(crate) struct PlaceArgs {
    /// Where frames are sent: INTERFACE, ns:NAME/INTERFACE, pid:PID/INTERFACE, engine:NUMBER
    #[arg(long, value_name = "PLACE", value_delimiter = ',')]
    tx: Vec<Place>,
    /// Where they should arrive: as many places as --tx (each its own), or one for all, or several for one
    #[arg(long, value_name = "PLACE", value_delimiter = ',')]
    rx: Vec<Place>,
    /// Each of these sends to each other one, in turn
    #[arg(long, value_name = "PLACES", value_delimiter = ',', conflicts_with_all = ["tx", "rx"])]
    mesh: Vec<Place>,
    /// The receivers send as well, to those that send to them
    #[arg(long)]
    both_ways: bool,
    /// Where nothing but floods should arrive: what else does is misdelivered
    #[arg(long, value_name = "PLACE", value_delimiter = ',')]
    listen: Vec<Place>,
    /// By what frames leave
    #[arg(long, value_name = "BACKEND", value_enum, default_value = "auto")]
    pub(super) backend: Backend,
}

/// From the place of one number to that of another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Path {
    pub(super) from: u8,
    pub(super) to: u8,
}

/// All places, and the paths between them; the paths of one sender take turns.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Layout {
    pub(super) places: Vec<Place>,
    pub(super) paths: Vec<Path>,
}

impl PlaceArgs {
    /// What was asked for.
    ///
    /// # Errors
    /// It says not who sends to whom.
    pub(super) fn layout(&self) -> Result<Layout, Failure> {
        let mut layout = Layout { places: Vec::new(), paths: Vec::new() };
        let wrong = |text: &str| Err(Failure::Words(text.to_owned()));
        if self.mesh.is_empty() {
            for (from, to) in self.pairs()? {
                layout.connect(from, to)?;
            }
            if self.both_ways {
                let back: Vec<Path> = layout.paths.iter().map(|path| Path { from: path.to, to: path.from }).collect();
                layout.paths.extend(back);
            }
        } else {
            for (index, from) in self.mesh.iter().enumerate() {
                // Each begins with its neighbor, so that not all send to the same one at once.
                let others = self.mesh.iter().cycle().skip(index + 1).take(self.mesh.len() - 1);
                others.into_iter().try_for_each(|to| layout.connect(from, to))?;
            }
            if self.mesh.len() < 2 {
                return wrong("a mesh is of two places or more: --mesh PLACE,PLACE,...");
            }
        }
        for place in &self.listen {
            layout.number(place)?;
        }
        if layout.paths.len() > usize::from(load::stream::MOST_STREAM) + 1 {
            return wrong(
                "there are more paths than 128, which is as many as signatures tell apart: a mesh of 11 places has 110",
            );
        }
        Ok(layout)
    }

    fn pairs(&self) -> Result<Vec<(&Place, &Place)>, Failure> {
        match (&self.tx[..], &self.rx[..]) {
            ([], _) | (_, []) => Err(Failure::Words(
                "where frames enter and leave is missing: --tx PLACE --rx PLACE, or --mesh PLACE,PLACE,...".to_owned(),
            )),
            ([tx], rx) => Ok(rx.iter().map(|rx| (tx, rx)).collect()),
            (tx, [rx]) => Ok(tx.iter().map(|tx| (tx, rx)).collect()),
            (tx, rx) if tx.len() == rx.len() => Ok(tx.iter().zip(rx).collect()),
            (tx, rx) => Err(Failure::Words(format!(
                "{} places send and {} receive: name as many of both, or only one of one",
                tx.len(),
                rx.len()
            ))),
        }
    }
}

impl Layout {
    fn connect(&mut self, from: &Place, to: &Place) -> Result<(), Failure> {
        if from == to {
            return Err(Failure::Words(format!("{from} would send to itself: name another place to receive")));
        }
        let path = Path { from: self.number(from)?, to: self.number(to)? };
        if self.paths.contains(&path) {
            return Err(Failure::Words(format!("{from} to {to} is named twice")));
        }
        self.paths.push(path);
        Ok(())
    }

    fn number(&mut self, place: &Place) -> Result<u8, Failure> {
        let at = self.places.iter().position(|known| known == place).unwrap_or_else(|| {
            self.places.push(place.clone());
            self.places.len() - 1
        });
        u8::try_from(at)
            .ok()
            .filter(|_| at < MOST_PLACES)
            .ok_or_else(|| Failure::Words(format!("there are more than {MOST_PLACES} places: leave some out")))
    }

    /// Does a place send?
    pub(super) fn sends(&self, place: usize) -> bool {
        self.paths.iter().any(|path| usize::from(path.from) == place)
    }

    /// Is a place listened at? All are that receive, and those that neither receive nor send.
    pub(super) fn hears(&self, place: usize) -> bool {
        self.receives(place) || !self.sends(place)
    }

    /// Is something sent to a place?
    pub(super) fn receives(&self, place: usize) -> bool {
        self.paths.iter().any(|path| usize::from(path.to) == place)
    }

    /// `a, b -> c` for the head of a report.
    pub(super) fn words(&self) -> String {
        let names = |which: &dyn Fn(usize) -> bool| {
            let all = self.places.iter().enumerate().filter(|(at, _)| which(*at)).map(|(_, place)| place.to_string());
            all.collect::<Vec<_>>().join(", ")
        };
        let heard = names(&|at| self.hears(at) && !self.receives(at));
        let heard = if heard.is_empty() { heard } else { format!(", heard at {heard}") };
        format!("{} -> {}{heard}", names(&|at| self.sends(at)), names(&|at| self.receives(at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(tx: &str, rx: &str, mesh: &str, both_ways: bool, listen: &str) -> Result<Layout, Failure> {
        let places = |text: &str| text.split_whitespace().map(|place| place.parse().unwrap()).collect();
        PlaceArgs {
            tx: places(tx),
            rx: places(rx),
            mesh: places(mesh),
            both_ways,
            listen: places(listen),
            backend: Backend::Auto,
        }
        .layout()
    }

    fn paths(layout: &Layout) -> Vec<(u8, u8)> {
        layout.paths.iter().map(|path| (path.from, path.to)).collect()
    }

    #[test]
    fn who_sends_to_whom() {
        for (tx, rx, mesh, both, expected) in [
            ("a", "b", "", false, &[(0, 1)][..]),
            ("a", "b", "", true, &[(0, 1), (1, 0)]),
            ("a c", "b d", "", false, &[(0, 1), (2, 3)]),
            ("a c", "b", "", false, &[(0, 1), (2, 1)]),
            ("a", "b c", "", false, &[(0, 1), (0, 2)]),
            ("", "", "a b c", false, &[(0, 1), (0, 2), (1, 2), (1, 0), (2, 0), (2, 1)]),
        ] {
            assert_eq!(paths(&layout(tx, rx, mesh, both, "").unwrap()), expected, "{tx} {rx} {mesh}");
        }
        let with_ear = layout("a", "b", "", false, "c").unwrap();
        assert_eq!(
            (0..3).map(|at| (with_ear.sends(at), with_ear.hears(at))).collect::<Vec<_>>(),
            [(true, false), (false, true), (false, true)]
        );
        assert_eq!(with_ear.words(), "a -> b, heard at c");
    }

    #[test]
    fn what_says_nothing_is_refused() {
        let eleven = (0..11).map(|at| format!("e{at}")).collect::<Vec<_>>().join(" ");
        assert_eq!(layout("", "", &eleven, false, "").unwrap().paths.len(), 110);
        let twelve = format!("{eleven} e11");
        for (tx, rx, mesh, says) in [
            ("", "", "", "missing"),
            ("a", "", "", "missing"),
            ("a b", "c d e", "", "2 places send and 3 receive"),
            ("a", "a", "", "to itself"),
            ("a a", "b b", "", "twice"),
            ("", "", "a", "two places"),
            ("", "", &twelve, "128"),
        ] {
            let why = layout(tx, rx, mesh, false, "").unwrap_err().to_string();
            assert!(why.contains(says), "{tx} {rx} {mesh}: {why}");
        }
    }
}
