//! Holds one source's values against the shape of the configuration, and words what does not fit.

use toml::Value;

use super::fault::{Fault, Faults, Origin};
use super::shape::{Member, Shape};

/// A guess further off than this is no help.
const GUESS_SIMILARITY_MIN: f64 = 0.75;

/// Checks `value`, found at `key`, and everything below it; `origin` tells where a key stands.
pub(super) fn value(value: &Value, key: &str, shape: &Shape, secret: bool, origin: &dyn Fn(&str) -> Origin, faults: &mut Faults) {
    match (shape, value) {
        (Shape::Table(members), Value::Table(table)) => {
            for (name, value) in table {
                let below = join(key, name);
                match members.iter().find(|member| member.name == *name) {
                    Some(Member { shape, secret, .. }) => self::value(value, &below, shape, *secret, origin, faults),
                    None => faults.push(Fault { origin: Some(origin(&below)), message: unknown(key, name, members), key: below }),
                }
            }
        }
        (Shape::Map(item), Value::Table(table)) => {
            table.iter().for_each(|(name, value)| self::value(value, &join(key, name), item, secret, origin, faults));
        }
        (Shape::List(item), Value::Array(values)) => {
            let indexed = values.iter().enumerate();
            indexed.for_each(|(index, value)| self::value(value, &join(key, &index.to_string()), item, secret, origin, faults));
        }
        (shape, value) if fits(shape, value) => {}
        (shape, value) => {
            faults.push(Fault {
                origin: Some(origin(key)),
                key: key.to_owned(),
                message: misfit(&shown(value), shape, secret || shape.holds_secret()),
            });
        }
    }
}

/// A value for people. What is inside of another one may belong to another key, a secret one among them.
fn shown(value: &Value) -> String {
    match value {
        Value::Table(_) => "a table".into(),
        Value::Array(_) => "a list".into(),
        plain => plain.to_string(),
    }
}

/// Reads the text of a variable or a flag as what its key holds.
///
/// # Errors
/// A sentence that says what is expected.
pub(super) fn text(text: &str, member: &Member) -> Result<Value, String> {
    let fault = || misfit(&format!("{text:?}"), &member.shape, member.is_confidential());
    let value = match &member.shape {
        Shape::Text | Shape::Choice(_) => Value::String(text.to_owned()),
        Shape::Boolean => Value::Boolean(text.parse().map_err(|_| fault())?),
        Shape::Integer { .. } => Value::Integer(text.replace('_', "").parse().map_err(|_| fault())?),
        Shape::Number => Value::Float(text.parse().map_err(|_| fault())?),
        Shape::List(item) if matches!(**item, Shape::Text | Shape::Choice(_)) && !text.trim_start().starts_with('[') => {
            Value::Array(text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(Value::from).collect())
        }
        Shape::List(_) | Shape::Table(_) | Shape::Map(_) | Shape::Any => {
            let table: toml::Table = format!("value = {text}").parse().map_err(|_| fault())?;
            table.into_iter().next().map(|(_, value)| value).ok_or_else(fault)?
        }
    };
    let leaf = !matches!(value, Value::Array(_) | Value::Table(_));
    if leaf && !fits(&member.shape, &value) { Err(fault()) } else { Ok(value) }
}

fn fits(shape: &Shape, value: &Value) -> bool {
    match (shape, value) {
        (Shape::Any, _) | (Shape::Text, Value::String(_)) | (Shape::Boolean, Value::Boolean(_)) => true,
        (Shape::Number, Value::Integer(_) | Value::Float(_)) => true,
        (Shape::Integer { min, max }, Value::Integer(number)) => {
            min.is_none_or(|min| *number >= min) && max.is_none_or(|max| *number <= max)
        }
        (Shape::Choice(choices), Value::String(text)) => choices.contains(text),
        _ => false,
    }
}

fn misfit(shown: &str, shape: &Shape, secret: bool) -> String {
    let shown = if secret { "what stands there (not shown, it may hold a secret)" } else { shown };
    let guess = match shape {
        Shape::Choice(choices) if !secret => guess(shown.trim_matches('"'), choices.iter().map(String::as_str)),
        _ => None,
    };
    format!("{shown} is not {}{}", shape.expectation(), question(guess))
}

fn unknown(table: &str, name: &str, members: &[Member]) -> String {
    let guess = guess(name, members.iter().map(|member| member.name.as_str())).map(|name| join(table, name));
    format!("there is no such key{}", question(guess.as_deref()))
}

/// The candidate that was probably meant.
pub(super) fn guess<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let scored = candidates.map(|candidate| (strsim::normalized_damerau_levenshtein(name, candidate), candidate));
    let best = scored.max_by(|left, right| left.0.total_cmp(&right.0))?;
    (best.0 >= GUESS_SIMILARITY_MIN).then_some(best.1)
}

pub(super) fn question(guess: Option<&str>) -> String {
    guess.map(|guess| format!("; did you mean {guess}?")).unwrap_or_default()
}

fn join(key: &str, name: &str) -> String {
    if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") }
}

/// What deserialization found fault with, without the value when that is secret.
pub(super) fn deserialization_message(shape: &Shape, key: &str, error: &toml::de::Error) -> String {
    match shape.find(key) {
        Some(member) if member.is_confidential() => "what stands there is not what is expected (not shown, it may hold a secret)".into(),
        _ => error.message().to_owned(),
    }
}
