//! Can a reader type what the README, the documents and `--help` show? Every `lanyard` command that stands in them is read
//! as if it had been typed.
//!
//! Not done: filters, which the commands read themselves; whether what is printed below a command is what it prints.

use std::fs;
use std::path::Path;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use crate::cli::Cli;

/// The commands of a text: lines of code, and code within a line.
fn commands(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut code = false;
    for line in text.lines() {
        if line.starts_with("```") {
            code = !code;
        } else if code {
            let line = line.trim_start_matches("$ ").trim_start_matches("sudo ");
            found.extend(line.starts_with("lanyard ").then(|| line.to_owned()));
        } else {
            // Within a line a command is often only named, with the one option that matters there.
            let pieces = line.split('`').skip(1).step_by(2).filter(|piece| piece.starts_with("lanyard "));
            found.extend(pieces.filter(|piece| !lacks_words(piece)).map(str::to_owned));
        }
    }
    found
}

/// A line as a shell reads it, up to what is no longer this command's: a comment, a pipe, the text beside it.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    let mut gap = false;
    for character in line.chars() {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (None, '\'' | '"') => quote = Some(character),
            (None, '#' | '|' | '&' | '>' | '<') if word.is_empty() => break,
            (None, ' ') if gap => break,
            (None, ' ') => words.push(std::mem::take(&mut word)),
            _ => word.push(character),
        }
        gap = quote.is_none() && character == ' ';
    }
    words.extend(Some(word).filter(|word| !word.is_empty()));
    words
}

/// Is it a form, with something to put in its place, not a command?
fn is_form(words: &[String]) -> bool {
    let stands_for = |word: &String| {
        word.starts_with(['[', '{', '<', '('])
            || word.ends_with("..")
            || word.contains('…')
            || word.chars().all(|c| c.is_ascii_uppercase() || c == '|')
    };
    words.iter().any(stands_for)
}

fn lacks_words(line: &str) -> bool {
    let error = Cli::try_parse_from(words(line)).err();
    error.is_some_and(|error| error.kind() == ErrorKind::MissingRequiredArgument)
}

/// What is wrong with a command that stands in `of`.
fn fault(line: &str, of: &str) -> Option<String> {
    let words = words(line);
    if is_form(&words) {
        return None;
    }
    let error = Cli::try_parse_from(&words).err()?;
    // A group of commands by itself shows its help.
    let is_help = !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    (!is_help).then(|| format!("{of}: '{line}' is not understood: {error}"))
}

#[test]
fn what_the_documents_show_can_be_typed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let documents = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let texts: Vec<_> = documents.filter(|path| path.extension().is_some_and(|kind| kind == "md")).collect();
    let (mut seen, mut faults) = (0, Vec::new());
    for path in texts.into_iter().chain([root.join("README.md")]) {
        for line in commands(&fs::read_to_string(&path).unwrap()) {
            faults.extend(fault(&line, &path.file_name().unwrap().to_string_lossy()));
            seen += 1;
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(seen > 50, "{seen} commands only: are they still found?");
}

#[test]
fn what_help_shows_can_be_typed() {
    let mut waiting = vec![Cli::command()];
    let (mut seen, mut faults) = (0, Vec::new());
    while let Some(command) = waiting.pop() {
        let help = [command.get_after_help(), command.get_after_long_help()];
        for line in
            help.into_iter().flatten().flat_map(|text| text.to_string().lines().map(str::to_owned).collect::<Vec<_>>())
        {
            if let Some(line) = line.trim_start().strip_prefix("lanyard ") {
                faults.extend(fault(&format!("lanyard {line}"), command.get_name()));
                seen += 1;
            }
        }
        waiting.extend(command.get_subcommands().cloned());
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(seen > 60, "{seen} examples only: are they still found?");
}

#[test]
fn lines_are_read_as_a_shell_reads_them() {
    let line = "lanyard trace 'arp and port-of h1' -n 4 | less  # why";
    assert_eq!(words(line), ["lanyard", "trace", "arp and port-of h1", "-n", "4"]);
    assert_eq!(words("lanyard why h1     the same"), ["lanyard", "why", "h1"]);
    assert!(is_form(&words("lanyard trace [FILTER]")) && !is_form(&words("lanyard trace arp")));
}
