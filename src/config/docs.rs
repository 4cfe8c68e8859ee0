//! Documents made from the configuration's schema: docs/configuration.md, a commented TOML file, the list of variables.

use std::fmt::Write;

use serde_json::Value;

use super::Config;
use super::shape::{Member, Shape};
use super::source::{ENV_FILE_SUFFIX, env_name};

/// The JSON Schema of the file, for editors.
pub fn schema() -> String {
    let schema = schemars::schema_for!(Config);
    format!("{:#}\n", schema.as_value())
}

/// A TOML file with every key at its default, each explained; keys without a default stand in comments.
pub fn defaults() -> String {
    let mut text = String::from("# Every setting of roomcast with its default.\n");
    walk(&Shape::of_config(), "", &default_tree(), &mut |step| toml_lines(&step, &mut text));
    text
}

/// The name, type, default and meaning of every environment variable.
pub fn env() -> String {
    let mut text = String::new();
    walk(&Shape::of_config(), "", &default_tree(), &mut |step| {
        let Step::Leaf { key, member, default } = step else { return };
        push(&mut text, format_args!("{}\n    {}\n", env_name(key), member.doc));
        push(&mut text, format_args!("    type: {}; default: {}\n", member.shape.expectation(), shown(default)));
        if member.secret {
            push(&mut text, format_args!("    {}{ENV_FILE_SUFFIX} names a file that holds it\n", env_name(key)));
        }
    });
    text
}

/// docs/configuration.md.
pub fn markdown() -> String {
    let mut page = String::from(
        "# Configuration\n\nCommand line over environment over TOML file over default. The file is named by `--config` or \
         `ROOMCAST_CONFIG`; a variable is `ROOMCAST_SECTION__KEY`, and an empty one counts as not set. Lists come with commas or as \
         TOML; a secret marked with 🔒 can also be read from the file that its variable with `_FILE` appended names. Unknown keys are \
         errors. `roomcast config check` tests a configuration, `roomcast config defaults` prints a file to start from.\n\n\
         This page is made from the code: `UPDATE_DOCS=1 cargo test --test it docs` writes it anew.\n",
    );
    let mut headed = false;
    walk(&Shape::of_config(), "", &default_tree(), &mut |step| {
        // A table that holds only further tables has no rows, so the head comes with the first row.
        if matches!(step, Step::Leaf { .. }) && !headed {
            page.push_str("\n| key | variable | type | default | meaning |\n|---|---|---|---|---|\n");
        }
        headed = matches!(step, Step::Leaf { .. });
        markdown_lines(&step, &mut page);
    });
    page
}

fn markdown_lines(step: &Step<'_>, page: &mut String) {
    let lock = |member: &Member| if member.secret { " 🔒" } else { "" };
    match step {
        Step::Table { key, doc, .. } => push(page, format_args!("\n## `{key}`\n\n{doc}\n")),
        Step::Leaf { key, member, default } => {
            let (variable, expectation) = (env_name(key), member.shape.expectation());
            let (default, meaning) = (default_cell(default), cell(&member.doc));
            push(page, format_args!("| `{key}`{} | `{variable}` | {expectation} | {default} | {meaning} |\n", lock(member)));
        }
        Step::Entries { key, members } => {
            push(page, format_args!("\nEach entry of `{key}`:\n\n| key | type | meaning |\n|---|---|---|\n"));
            for member in *members {
                let (expectation, meaning) = (member.shape.expectation(), cell(&member.doc));
                push(page, format_args!("| `{}`{} | {expectation} | {meaning} |\n", member.name, lock(member)));
            }
        }
    }
}

/// One stop on the way through the tree.
enum Step<'a> {
    /// A table that holds values itself. Its default is null when it is there only if it is configured.
    Table {
        key: &'a str,
        doc: &'a str,
        default: &'a Value,
    },
    /// The keys of each entry of a list or map of tables, told after the tables around it.
    Entries {
        key: &'a str,
        members: &'a [Member],
    },
    Leaf {
        key: &'a str,
        member: &'a Member,
        default: &'a Value,
    },
}

/// Visits the values of each table before the tables inside it, which is the order that TOML wants.
fn walk(shape: &Shape, prefix: &str, defaults: &Value, visit: &mut dyn FnMut(Step<'_>)) {
    let Shape::Table(members) = shape else { return };
    let key_of = |member: &Member| if prefix.is_empty() { member.name.clone() } else { format!("{prefix}.{}", member.name) };
    let (tables, leaves): (Vec<_>, Vec<_>) = members.iter().partition(|member| matches!(member.shape, Shape::Table(_)));
    for member in &leaves {
        visit(Step::Leaf { key: &key_of(member), member, default: &defaults[&member.name] });
    }
    for member in leaves {
        if let Shape::List(item) | Shape::Map(item) = &member.shape
            && let Shape::Table(members) = &**item
        {
            visit(Step::Entries { key: &key_of(member), members });
        }
    }
    for member in tables {
        let key = key_of(member);
        visit(Step::Table { key: &key, doc: &member.doc, default: &defaults[&member.name] });
        walk(&member.shape, &key, &defaults[&member.name], visit);
    }
}

fn toml_lines(step: &Step<'_>, text: &mut String) {
    match step {
        Step::Table { key, doc, default: Value::Null } => push(text, format_args!("\n# {doc}\n# [{key}]\n")),
        Step::Table { key, doc, .. } => push(text, format_args!("\n# {doc}\n[{key}]\n")),
        Step::Entries { key, members } => {
            push(text, format_args!("# Each of {key} has:\n"));
            for Member { name, doc, shape, .. } in *members {
                push(text, format_args!("#   {name} ({}): {doc}\n", shape.expectation()));
            }
        }
        Step::Leaf { key, member, default } => {
            let name = &member.name;
            push(text, format_args!("# {}\n", member.doc));
            match default {
                Value::Null => push(text, format_args!("# {name} =   # {} ({})\n", member.shape.expectation(), env_name(key))),
                value => push(text, format_args!("{name} = {}\n", shown(value))),
            }
        }
    }
}

/// Text inside a table of Markdown.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn default_cell(default: &Value) -> String {
    if default.is_null() { "none".to_owned() } else { format!("`{}`", shown(default)) }
}

/// As TOML writes it.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        value => toml::Value::try_from(value).map_or_else(|_| value.to_string(), |value| value.to_string()),
    }
}

/// The defaults, read from the very type that loads.
fn default_tree() -> Value {
    serde_json::to_value(Config::default()).expect("the configuration is plain data with keys of text")
}

fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    text.write_fmt(line).expect("writing into memory cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_printed_defaults_are_the_defaults() {
        let parsed: Config = toml::from_str(&defaults()).unwrap();
        assert_eq!(serde_json::to_value(parsed).unwrap(), default_tree());
    }

    #[test]
    fn optional_tables_and_lists_of_tables_stay_comments() {
        let leaf = |name: &str| Member { name: name.into(), doc: "Doc.".into(), shape: Shape::Text, secret: false };
        let table = Shape::Table(vec![leaf("certificate")]);
        let list = Shape::List(Box::new(Shape::Table(vec![leaf("id")])));
        let members = [("tls", table), ("keys", list)].map(|(name, shape)| Member { shape, ..leaf(name) });
        let defaults = serde_json::json!({ "tls": null, "keys": [] });
        let mut text = String::new();
        walk(&Shape::Table(members.to_vec()), "", &defaults, &mut |step| toml_lines(&step, &mut text));
        let parsed: toml::Table = text.parse().unwrap();
        assert_eq!(parsed.keys().collect::<Vec<_>>(), ["keys"], "{text}");
        assert!(text.contains("# [tls]") && text.contains("#   id"), "{text}");
    }

    #[test]
    fn every_key_is_explained() {
        for (key, member) in Shape::of_config().leaves() {
            assert!(!member.doc.is_empty(), "{key}");
            assert!(markdown().contains(&format!("`{key}`")) && env().contains(&env_name(&key)), "{key}");
        }
    }
}
