//! Do the schema for editors, the docs for people and the reader of the files say the same?
//!
//! The validator here knows as much of JSON Schema (draft 2020-12) as `exercises/schema.json` uses, and refuses a schema that
//! uses more.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::exercise::Exercise;
use super::file::Source;
use super::shipped;
use crate::failure::Failure;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn schema() -> Value {
    serde_json::from_str(&read("exercises/schema.json")).unwrap()
}

fn json_of(text: &str) -> Value {
    serde_json::to_value(toml::from_str::<toml::Table>(text).unwrap()).unwrap()
}

/// Does the value fit?
fn fits(root: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    for (key, rule) in schema.as_object().unwrap() {
        let number = || rule.as_i64().unwrap();
        let fine = match key.as_str() {
            "$ref" => {
                let name = rule.as_str().unwrap().strip_prefix("#/$defs/").unwrap();
                fits(root, &root["$defs"][name], value)?;
                true
            }
            "type" => match rule.as_str().unwrap() {
                "object" => value.is_object(),
                "array" => value.is_array(),
                "string" => value.is_string(),
                "integer" => value.is_i64(),
                "boolean" => value.is_boolean(),
                other => panic!("type {other}"),
            },
            "enum" => rule.as_array().unwrap().contains(value),
            "pattern" => {
                assert_eq!(rule, "^[A-Za-z0-9_-]{1,32}$");
                let text = value.as_str().unwrap();
                (1..=32).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
            }
            "minimum" => value.as_i64().is_some_and(|value| value >= number()),
            "maximum" => value.as_i64().is_some_and(|value| value <= number()),
            "minItems" => value.as_array().is_some_and(|value| value.len() as u64 >= rule.as_u64().unwrap()),
            "maxItems" => value.as_array().is_some_and(|value| value.len() as u64 <= rule.as_u64().unwrap()),
            "required" => rule.as_array().unwrap().iter().all(|key| value.get(key.as_str().unwrap()).is_some()),
            "oneOf" => rule.as_array().unwrap().iter().filter(|one| fits(root, one, value).is_ok()).count() == 1,
            "additionalProperties" => {
                assert_eq!(rule, false);
                let known = schema["properties"].as_object().unwrap();
                value.as_object().is_some_and(|value| value.keys().all(|key| known.contains_key(key)))
            }
            "properties" => {
                for (name, inner) in rule.as_object().unwrap() {
                    value.get(name).map_or(Ok(()), |value| fits(root, inner, value))?;
                }
                true
            }
            "items" => {
                for item in value.as_array().into_iter().flatten() {
                    fits(root, rule, item)?;
                }
                true
            }
            "$schema" | "$defs" | "title" | "description" => true,
            other => panic!("the schema uses '{other}', which this validator does not know"),
        };
        if !fine {
            return Err(format!("{key} {rule}: {value}"));
        }
    }
    Ok(())
}

/// Every object of the schema, by its place in a file: the text before an unknown key, and the keys there are.
fn objects(schema: &Value) -> Vec<(String, BTreeSet<String>)> {
    let keys = |object: &Value| object["properties"].as_object().unwrap().keys().cloned().collect();
    let head = "id=\"t\"\ntitle=\"T\"\nminutes=1\n";
    let step = "[[step]]\ntitle=\"s\"\nsay=\"\"\n";
    let defs = &schema["$defs"];
    let mut objects = vec![
        (head.to_owned(), keys(schema)),
        (format!("{head}[[network]]\nname=\"n\"\n"), keys(&defs["network"])),
        (format!("{head}[[host]]\nname=\"n\"\n"), keys(&defs["host"])),
        (format!("{head}{step}"), keys(&defs["step"])),
        (format!("{head}{step}[[step.predict]]\n"), keys(&defs["predict"])),
        (format!("{head}[[check]]\n"), keys(&defs["check"])),
        (format!("{head}{step}[[step.check]]\n"), keys(&defs["check"])),
    ];
    for inner in ["within", "mac", "entries", "arp", "command"] {
        objects.push((format!("{head}[[check]]\n[check.{inner}]\n"), keys(&defs["check"]["properties"][inner])));
    }
    objects
}

#[test]
fn the_schema_and_the_reader_know_the_same_keys() {
    for (before, keys) in objects(&schema()) {
        let source = Source { name: "t".to_owned(), text: format!("{before}zzz=1\n") };
        let Err(Failure::Words(why)) = source.form() else { panic!("{before}") };
        let known = why.split_once("expected").unwrap_or_else(|| panic!("{before}: {why}")).1;
        let known: BTreeSet<String> = known.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        assert_eq!(known, keys, "{before}");
    }
}

#[test]
fn the_docs_explain_every_key_and_every_word() {
    let docs = read("docs/exercises.md");
    let schema = schema();
    let mut words: BTreeSet<String> = objects(&schema).into_iter().flat_map(|(_, keys)| keys).collect();
    for path in ["/$defs/predict/properties/kind", "/$defs/predict/properties/answer-from"] {
        let known = schema.pointer(path).unwrap()["enum"].as_array().unwrap();
        words.extend(known.iter().map(|word| word.as_str().unwrap().to_owned()));
    }
    for word in words {
        let explained = [
            format!("`{word}`"),
            format!("`{word} = "),
            format!("[{word}]]"),
            format!(".{word}]]"),
            format!("{word} = "),
        ];
        assert!(explained.iter().any(|form| docs.contains(form)), "docs/exercises.md says nothing of '{word}'");
    }
}

#[test]
fn what_is_shipped_and_what_the_docs_show_fits_the_schema() {
    let schema = schema();
    let docs = read("docs/exercises.md");
    let example = docs.split("```toml\n").nth(1).unwrap().split("```").next().unwrap().to_owned();
    let example = Source { name: "docs/exercises.md".to_owned(), text: example };
    for source in shipped::all().chain([example]) {
        fits(&schema, &schema, &json_of(&source.text)).unwrap_or_else(|why| panic!("{}: {why}", source.name));
        Exercise::read(&source).unwrap_or_else(|why| panic!("{why:?}"));
    }
}

#[test]
fn what_the_reader_refuses_for_its_form_the_schema_refuses_too() {
    let schema = schema();
    let good = shipped::all().next().unwrap().text;
    for (from, to) in [
        ("minutes = 5", "minutes = 0"),
        ("minutes = 5", "minutes = \"5\""),
        ("id = \"cold-ping\"", "id = \"cold ping\""),
        ("title = \"A cold ping\"\n", ""),
        ("goals = [", "goals = 1 # ["),
        ("kind = \"hosts\"", "kind = \"guess\""),
        ("answer-from = \"egress\"", "answer-from = \"luck\""),
        ("answer-from = \"egress\"", "answers-from = \"egress\""),
        ("exists = ", "never = \"arp\"\nexists = "),
        ("exists = \"arp request and port-of h1 and broadcast and verdict flood and learned new\"", ""),
        ("at-least = 2", "at-least = -1"),
        ("before = [", "before = [\"arp\", "),
        ("port = \"h2\" }", "prot = \"h2\" }"),
        ("gateway = \"none\"", "gateway = \"host\""),
        ("hints = [", "hints = [1, "),
    ] {
        let text = good.replacen(from, to, 1);
        assert_ne!(text, good, "{from}");
        let fault = Exercise::read(&Source { name: "t".to_owned(), text: text.clone() });
        assert!(matches!(fault, Err(Failure::Words(_))), "{from} -> {to}: read");
        if let Ok(value) = toml::from_str::<toml::Table>(&text) {
            let value = serde_json::to_value(value).unwrap();
            assert!(fits(&schema, &schema, &value).is_err(), "{from} -> {to}: fits");
        }
    }
}
