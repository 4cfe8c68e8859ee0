//! What a filter says, as a tree: its canonical form, and whether it holds of a publication.
//!
//! Logic has two values: a comparison with a field that is not there is false, `!=` too, and `not` makes it true.

use std::cmp::Ordering;
use std::fmt::{self, Write};

use serde_json::Value;

use super::document::Document;

#[derive(Clone, PartialEq, Debug)]
pub(super) enum Expression {
    All(Vec<Expression>),
    Any(Vec<Expression>),
    Not(Box<Expression>),
    Term(Path, Test),
}

/// Where a value stands.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Path {
    pub source: Source,
    /// Names of members, and numbers of elements where the value is an array.
    pub steps: Vec<Box<str>>,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Source {
    Data,
    Headers,
}

#[derive(Clone, PartialEq, Debug)]
pub(super) enum Test {
    Exists,
    Is(Operator, Scalar),
    In(Vec<Scalar>),
    Prefix(Box<str>),
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Operator {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, PartialEq, Debug)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Number(Number),
    Text(Box<str>),
}

/// Whole numbers of 64 bits are compared exactly, all others as doubles.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Whole(i128),
    Double(f64),
}

/// Up to here every whole number is a double too.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

impl Number {
    pub(super) fn of(number: &serde_json::Number) -> Option<Self> {
        let whole = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
        whole.map(Self::Whole).or_else(|| number.as_f64().map(Self::double))
    }

    /// 3.0 is 3.
    fn double(double: f64) -> Self {
        if double.fract() == 0.0 && double.abs() <= EXACT_MAX { Self::Whole(double as i128) } else { Self::Double(double) }
    }

    fn as_double(self) -> f64 {
        match self {
            Self::Whole(whole) => whole as f64,
            Self::Double(double) => double,
        }
    }

    fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Whole(one), Self::Whole(other)) => Some(one.cmp(&other)),
            (one, other) => one.as_double().partial_cmp(&other.as_double()),
        }
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.compare(*other) == Some(Ordering::Equal)
    }
}

impl Expression {
    /// The one form of all spellings: nothing nested in its own kind, no double negation, operands once and in the order of
    /// their texts.
    pub(super) fn normal(self) -> Self {
        match self {
            Self::All(parts) => joined(parts, Self::All, |part| if let Self::All(inner) = part { Ok(inner) } else { Err(part) }),
            Self::Any(parts) => joined(parts, Self::Any, |part| if let Self::Any(inner) = part { Ok(inner) } else { Err(part) }),
            Self::Not(inner) => match inner.normal() {
                Self::Not(twice) => *twice,
                once => Self::Not(Box::new(once)),
            },
            Self::Term(path, Test::In(values)) => {
                let mut named: Vec<(String, Scalar)> = values.into_iter().map(|value| (value.to_string(), value)).collect();
                named.sort_by(|one, other| one.0.cmp(&other.0));
                named.dedup_by(|one, other| one.0 == other.0);
                Self::Term(path, Test::In(named.into_iter().map(|(_, value)| value).collect()))
            }
            term @ Self::Term(..) => term,
        }
    }

    pub(super) fn holds(&self, document: &Document) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(document)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(document)),
            Self::Not(inner) => !inner.holds(document),
            Self::Term(path, test) => path.find(document).is_some_and(|value| test.holds(value)),
        }
    }
}

/// `open` hands out the parts of one that is of the same kind.
fn joined(
    parts: Vec<Expression>,
    whole: impl Fn(Vec<Expression>) -> Expression,
    open: impl Fn(Expression) -> Result<Vec<Expression>, Expression>,
) -> Expression {
    let flat = parts.into_iter().map(Expression::normal).flat_map(|part| open(part).unwrap_or_else(|part| vec![part]));
    let mut named: Vec<(String, Expression)> = flat.map(|part| (part.to_string(), part)).collect();
    named.sort_by(|one, other| one.0.cmp(&other.0));
    named.dedup_by(|one, other| one.0 == other.0);
    let mut parts: Vec<Expression> = named.into_iter().map(|(_, part)| part).collect();
    match parts.len() {
        1 => parts.remove(0),
        _ => whole(parts),
    }
}

impl Path {
    fn find<'a>(&self, document: &'a Document) -> Option<&'a Value> {
        let root = match self.source {
            Source::Data => document.data(),
            Source::Headers => document.headers(),
        };
        self.steps.iter().try_fold(root?, |value, step| match value {
            Value::Object(members) => members.get(&**step),
            Value::Array(elements) => elements.get(index(step)?),
            _ => None,
        })
    }
}

/// An index has one spelling, so `00` and `+1` are none.
fn index(step: &str) -> Option<usize> {
    let spelled = step.bytes().all(|byte| byte.is_ascii_digit()) && (step.len() == 1 || !step.starts_with('0'));
    if spelled { step.parse().ok() } else { None }
}

impl Test {
    fn holds(&self, value: &Value) -> bool {
        match self {
            Self::Exists => true,
            Self::Is(Operator::Equal, wanted) => wanted.equals(value),
            Self::Is(Operator::Unequal, wanted) => !wanted.equals(value),
            Self::Is(Operator::Less, wanted) => wanted.order_of(value) == Some(Ordering::Less),
            Self::Is(Operator::LessOrEqual, wanted) => wanted.order_of(value).is_some_and(Ordering::is_le),
            Self::Is(Operator::Greater, wanted) => wanted.order_of(value) == Some(Ordering::Greater),
            Self::Is(Operator::GreaterOrEqual, wanted) => wanted.order_of(value).is_some_and(Ordering::is_ge),
            Self::In(wanted) => wanted.iter().any(|wanted| wanted.equals(value)),
            Self::Prefix(prefix) => value.as_str().is_some_and(|text| text.starts_with(&**prefix)),
        }
    }
}

impl Scalar {
    fn equals(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Null, Value::Null) => true,
            (Self::Bool(wanted), Value::Bool(found)) => wanted == found,
            (Self::Number(wanted), Value::Number(found)) => Number::of(found).is_some_and(|found| found == *wanted),
            (Self::Text(wanted), Value::String(found)) => **wanted == **found,
            _ => false,
        }
    }

    /// How a found value stands to this one: numbers to numbers, texts to texts (by their code points), nothing else.
    fn order_of(&self, value: &Value) -> Option<Ordering> {
        match (self, value) {
            (Self::Number(wanted), Value::Number(found)) => Number::of(found)?.compare(*wanted),
            (Self::Text(wanted), Value::String(found)) => Some((**found).cmp(wanted)),
            _ => None,
        }
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All(parts) => separated(f, parts, " and ", |f, part| match part {
                Self::Any(_) => write!(f, "({part})"),
                _ => write!(f, "{part}"),
            }),
            Self::Any(parts) => separated(f, parts, " or ", |f, part| write!(f, "{part}")),
            Self::Not(inner) => match **inner {
                Self::All(_) | Self::Any(_) => write!(f, "not ({inner})"),
                _ => write!(f, "not {inner}"),
            },
            Self::Term(path, Test::Exists) => write!(f, "{path} exists"),
            Self::Term(path, Test::Is(operator, value)) => write!(f, "{path} {} {value}", operator.as_str()),
            Self::Term(path, Test::Prefix(prefix)) => {
                write!(f, "{path} prefix ")?;
                quoted(f, prefix)
            }
            Self::Term(path, Test::In(values)) => {
                write!(f, "{path} in (")?;
                separated(f, values, ", ", |f, value| write!(f, "{value}"))?;
                f.write_char(')')
            }
        }
    }
}

fn separated<T>(
    f: &mut fmt::Formatter<'_>,
    items: &[T],
    separator: &str,
    write: impl Fn(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            f.write_str(separator)?;
        }
        write(f, item)?;
    }
    Ok(())
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let root = match self.source {
            Source::Headers => Some("headers"),
            // What would be taken for a root by itself needs one in front.
            Source::Data => self.steps.first().is_none_or(|first| matches!(&**first, "data" | "headers")).then_some("data"),
        };
        f.write_str(root.unwrap_or_default())?;
        for (index, step) in self.steps.iter().enumerate() {
            if root.is_some() || index > 0 {
                f.write_char('.')?;
            }
            if is_plain(step, index > 0 || root.is_some()) { f.write_str(step)? } else { quoted(f, step)? }
        }
        Ok(())
    }
}

impl Operator {
    fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::Unequal => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(Number::Whole(whole)) => write!(f, "{whole}"),
            Self::Number(Number::Double(double)) => write!(f, "{double:e}"),
            Self::Text(text) => quoted(f, text),
        }
    }
}

fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('\'')?;
    for char in text.chars() {
        if matches!(char, '\'' | '\\') {
            f.write_char('\\')?;
        }
        f.write_char(char)?;
    }
    f.write_char('\'')
}

/// Words that mean something by themselves, in whatever case.
pub(super) const KEYWORDS: [&str; 9] = ["and", "or", "not", "in", "prefix", "exists", "true", "false", "null"];

pub(super) fn is_keyword(word: &str) -> bool {
    KEYWORDS.iter().any(|keyword| keyword.eq_ignore_ascii_case(word))
}

/// Whether a step of a path needs no quotes; a number may not be the first.
pub(super) fn is_plain(step: &str, follows: bool) -> bool {
    let starts = step.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_' || (follows && first.is_ascii_digit()));
    starts && step.bytes().all(is_name_byte) && !is_keyword(step)
}

pub(super) fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}
