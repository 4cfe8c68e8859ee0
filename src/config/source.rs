//! The sources of a configuration (file, environment, command line), read and laid over one another.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

use super::check;
use super::fault::{Fault, Faults, Origin};
use super::shape::{Member, Shape};

/// Every variable that configures begins like this; two underscores separate a section from its key.
pub const ENV_PREFIX: &str = "ROOMCAST_";
/// Appended to the variable of a secret, it names a file that holds the secret.
pub const ENV_FILE_SUFFIX: &str = "_FILE";
/// Variables that the command line reads itself.
pub const ENV_OF_COMMANDS: [&str; 5] = ["ROOMCAST_CONFIG", "ROOMCAST_URL", "ROOMCAST_TOKEN", "ROOMCAST_TOKEN_FILE", "ROOMCAST_HEALTH_URL"];
/// A configuration file larger than this is some other file.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What to load from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    pub file: Option<PathBuf>,
    /// The process's environment, or a part of it.
    pub env: Vec<(String, String)>,
    pub overrides: Vec<Override>,
}

impl Sources {
    /// The file, and the environment of this process.
    pub fn of_process(file: Option<PathBuf>, overrides: Vec<Override>) -> Self {
        let env = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self { file, env: env.filter(|(name, _)| name.starts_with(ENV_PREFIX)).collect(), overrides }
    }
}

/// A value from a flag.
#[derive(Clone, Debug)]
pub struct Override {
    pub flag: &'static str,
    pub key: &'static str,
    pub value: String,
}

/// All sources as one tree.
pub(super) struct Merged {
    pub table: Table,
    pub origins: BTreeMap<String, Origin>,
}

/// The variable of a key: `limits.commands_burst` → `ROOMCAST_LIMITS__COMMANDS_BURST`.
pub fn env_name(key: &str) -> String {
    format!("{ENV_PREFIX}{}", key.to_uppercase().replace('.', "__"))
}

pub(super) fn merge(sources: &Sources, shape: &Shape) -> Result<Merged, Faults> {
    let mut merged = Merged { table: Table::new(), origins: BTreeMap::new() };
    let mut faults = Faults::default();
    if let Some(path) = &sources.file {
        read_file(path, shape, &mut merged, &mut faults);
    }
    read_env(&sources.env, shape, &mut merged, &mut faults);
    for Override { flag, key, value } in &sources.overrides {
        match shape.find(key) {
            Some(member) => merged.set_text(key, value, member, Origin::Flag(flag), &mut faults),
            None => faults.push(Fault { origin: Some(Origin::Flag(flag)), key: (*key).to_owned(), message: "there is no such key".into() }),
        }
    }
    if faults.is_empty() { Ok(merged) } else { Err(faults) }
}

impl Merged {
    fn set_text(&mut self, key: &str, text: &str, member: &Member, origin: Origin, faults: &mut Faults) {
        match check::text(text, member) {
            Ok(value) => {
                check::value(&value, key, &member.shape, member.secret, &|_| origin.clone(), faults);
                set(&mut self.table, key, value);
                self.origins.insert(key.to_owned(), origin);
            }
            Err(message) => faults.push(Fault { origin: Some(origin), key: key.to_owned(), message }),
        }
    }
}

/// Sets the value at a dotted key. Whatever stood in the way was no table, which has been reported as a fault already.
fn set(table: &mut Table, key: &str, value: Value) {
    let Some((first, rest)) = key.split_once('.') else {
        table.insert(key.to_owned(), value);
        return;
    };
    if let Value::Table(below) = table.entry(first).or_insert_with(|| Value::Table(Table::new())) {
        set(below, rest, value);
    }
}

fn read_file(path: &Path, shape: &Shape, merged: &mut Merged, faults: &mut Faults) {
    let at = |line| Origin::File { path: path.to_owned(), line };
    let text = match read_text(path) {
        Ok(text) => text,
        Err(error) => {
            faults.push(Fault { origin: None, key: String::new(), message: format!("{}: {error}", path.display()) });
            return;
        }
    };
    let line_of = |offset: usize| text.as_bytes()[..offset.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1;
    let parsed = DeTable::parse(&text).and_then(|spanned| Ok((spanned, text.parse::<Table>()?)));
    let (spanned, table) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            let line = line_of(error.span().map_or(0, |span| span.start));
            faults.push(Fault { origin: Some(at(line)), key: String::new(), message: error.message().to_owned() });
            return;
        }
    };
    let mut offsets = BTreeMap::new();
    locate_table(spanned.get_ref(), "", &mut offsets);
    let origin = |key: &str| at(line_of(offsets.get(key).copied().unwrap_or_default()));
    let table = Value::Table(table);
    check::value(&table, "", shape, false, &origin, faults);
    merged.origins.extend(offsets.keys().map(|key| (key.clone(), origin(key))));
    if let Value::Table(table) = table {
        merged.table = table;
    }
}

fn read_text(path: &Path) -> std::io::Result<String> {
    let length = std::fs::metadata(path)?.len();
    if length > FILE_BYTES_MAX {
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, format!("the file is larger than {FILE_BYTES_MAX} bytes")));
    }
    std::fs::read_to_string(path)
}

/// Notes at which byte each key stands.
fn locate_table(table: &DeTable<'_>, prefix: &str, offsets: &mut BTreeMap<String, usize>) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.get_ref().to_string() } else { format!("{prefix}.{}", name.get_ref()) };
        locate(&key, name.span().start, value, offsets);
    }
}

fn locate(key: &str, offset: usize, value: &Spanned<DeValue<'_>>, offsets: &mut BTreeMap<String, usize>) {
    offsets.insert(key.to_owned(), offset);
    match value.get_ref() {
        DeValue::Table(table) => locate_table(table, key, offsets),
        DeValue::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                locate(&format!("{key}.{index}"), value.span().start, value, offsets);
            }
        }
        _ => {}
    }
}

fn read_env(env: &[(String, String)], shape: &Shape, merged: &mut Merged, faults: &mut Faults) {
    let leaves = shape.leaves();
    let by_name: BTreeMap<String, &(String, &Member)> = leaves.iter().map(|leaf| (env_name(&leaf.0), leaf)).collect();
    // An empty variable counts as not set, because compose files cannot leave one out.
    for (name, text) in env.iter().filter(|(name, text)| name.starts_with(ENV_PREFIX) && !text.is_empty()) {
        let origin = Origin::Env(name.clone());
        if let Some((key, member)) = by_name.get(name.as_str()) {
            merged.set_text(key, text, member, origin, faults);
        } else if let Some((key, member)) = secret_of_file(name, &by_name) {
            read_secret(env, name, text, key, member, merged, faults);
        } else if !is_foreign(name) {
            let guess = check::guess(name, by_name.keys().map(String::as_str));
            let message = format!("there is no such variable{}", check::question(guess));
            faults.push(Fault { origin: Some(origin), key: String::new(), message });
        }
    }
}

fn secret_of_file<'a>(name: &str, by_name: &BTreeMap<String, &'a (String, &'a Member)>) -> Option<&'a (String, &'a Member)> {
    let leaf = *by_name.get(name.strip_suffix(ENV_FILE_SUFFIX)?)?;
    leaf.1.secret.then_some(leaf)
}

fn read_secret(env: &[(String, String)], name: &str, path: &str, key: &str, member: &Member, merged: &mut Merged, faults: &mut Faults) {
    let origin = Origin::Env(name.to_owned());
    let direct = name.trim_end_matches(ENV_FILE_SUFFIX);
    if env.iter().any(|(name, text)| name == direct && !text.is_empty()) {
        let message = format!("both this and {direct} are set; set one of them");
        faults.push(Fault { origin: Some(origin), key: key.to_owned(), message });
        return;
    }
    match read_text(Path::new(path)) {
        Ok(text) => merged.set_text(key, text.trim_end_matches(['\n', '\r']), member, origin, faults),
        Err(error) => faults.push(Fault { origin: Some(origin), key: key.to_owned(), message: format!("{path}: {error}") }),
    }
}

/// Variables that are not ours to judge: those of the commands, and those that Kubernetes sets for a service named `roomcast…`
/// (<https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables>).
fn is_foreign(name: &str) -> bool {
    if ENV_OF_COMMANDS.contains(&name) {
        return true;
    }
    if name.contains("__") {
        return false;
    }
    let of_port = |rest: &str| rest.is_empty() || rest.as_bytes().get(1).is_some_and(u8::is_ascii_digit);
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.find("_PORT").is_some_and(|start| of_port(&name[start + "_PORT".len()..]))
}
