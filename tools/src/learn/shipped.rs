//! Which exercises come with the program? Each is a file under `exercises/`, and part of the program; here is the list.

use super::file::Source;

/// Their files, in the order in which they build on each other.
const FILES: [&str; 12] = [
    include_str!("../../../exercises/01-cold-ping.toml"),
    include_str!("../../../exercises/02-unknown-unicast.toml"),
    include_str!("../../../exercises/03-ageing.toml"),
    include_str!("../../../exercises/04-arp-states.toml"),
    include_str!("../../../exercises/05-gratuitous-arp.toml"),
    include_str!("../../../exercises/06-station-move.toml"),
    include_str!("../../../exercises/07-duplicate-address.toml"),
    include_str!("../../../exercises/08-hub-or-switch.toml"),
    include_str!("../../../exercises/09-mac-flooding.toml"),
    include_str!("../../../exercises/10-arp-poisoning.toml"),
    include_str!("../../../exercises/11-crossing-the-gateway.toml"),
    include_str!("../../../exercises/12-broadcast-storm.toml"),
];

/// Their texts.
pub(super) fn all() -> impl Iterator<Item = Source> {
    FILES
        .iter()
        .enumerate()
        .map(|(index, text)| Source { name: format!("exercise {}", index + 1), text: (*text).to_owned() })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::learn::exercise::Exercise;

    #[test]
    fn every_shipped_exercise_is_in_the_list_and_can_be_meant() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../exercises");
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let written: BTreeSet<String> =
            names.filter(|name| Path::new(name).extension().is_some_and(|end| end == "toml")).collect();
        let ids = all().enumerate().map(|(index, source)| {
            let exercise = Exercise::read(&source).unwrap_or_else(|fault| panic!("{fault:?}"));
            assert!(exercise.debrief.contains("RFC") || exercise.debrief.contains("802.1"), "{}", exercise.id);
            assert!(
                !exercise.goals.is_empty() && exercise.steps.iter().all(|step| !step.hints.is_empty()),
                "{}",
                exercise.id
            );
            assert!(exercise.steps.iter().any(|step| !step.predicts.is_empty()), "{}", exercise.id);
            format!("{:02}-{}.toml", index + 1, exercise.id)
        });
        assert_eq!(ids.collect::<BTreeSet<_>>(), written);
    }
}
