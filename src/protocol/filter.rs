//! Filters: which publications of a room a subscription wants, by what their data and headers say.
//!
//! `severity >= 3 and region in ('eu', 'us')`: docs/filters.md has the language. The session reads one per command and the token
//! verifier those of grants; the hub asks each distinct one once per publication. Pure. Nothing here fails while it judges:
//! whatever does not fit makes a comparison false.

mod document;
mod expression;
mod parser;

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::code::{Code, Fault};
pub use document::Document;
use expression::Expression;

/// Longest filter, in bytes.
pub const FILTER_BYTES_MAX: usize = 1_024;
/// How deep `not` and brackets may be nested.
pub const FILTER_DEPTH_MAX: usize = 16;
/// Most comparisons in one filter; each value of a list counts as one.
pub const FILTER_TERMS_MAX: usize = 64;

/// A filter that was read once. Two that mean the same by their form are equal, whatever their spelling.
#[derive(Clone)]
pub struct Filter(Arc<Checked>);

struct Checked {
    /// In canonical form, by which filters are compared.
    text: Box<str>,
    expression: Expression,
}

/// Why a text is no filter, and where in it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the filter cannot be read at byte {at}, {found}: {why}")]
pub struct FilterError {
    /// Byte in the text, from 0.
    pub at: usize,
    /// What stands there.
    pub found: String,
    pub why: Cow<'static, str>,
}

impl From<FilterError> for Fault {
    fn from(error: FilterError) -> Self {
        Self::new(Code::InvalidMessage, error.to_string())
    }
}

impl Filter {
    /// # Errors
    /// [`FilterError`], which names the place of the first mistake.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        parser::parse(text).map(Self::of)
    }

    fn of(expression: Expression) -> Self {
        let expression = expression.normal();
        Self(Arc::new(Checked { text: expression.to_string().into(), expression }))
    }

    /// In canonical form; reading it gives the same filter.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// What passes both.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self::of(Expression::All(vec![self.0.expression.clone(), other.0.expression.clone()]))
    }

    /// What passes this one, or the other, or both.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        Self::of(Expression::Any(vec![self.0.expression.clone(), other.0.expression.clone()]))
    }

    pub fn passes(&self, document: &Document) -> bool {
        self.0.expression.holds(document)
    }

    /// Whether both are the very same object in memory, which takes no comparing of texts.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Tells objects in memory apart for as long as they live.
    pub fn address(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.is(other) || self.0.text == other.0.text
    }
}

impl Eq for Filter {}

impl Hash for Filter {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.text.hash(state);
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Filter({})", self.as_str())
    }
}

impl JsonSchema for Filter {
    fn schema_name() -> Cow<'static, str> {
        "Filter".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A filter over data and headers, such as `severity >= 3 and region in ('eu', 'us')`: docs/filters.md.",
            "type": "string",
            "maxLength": FILTER_BYTES_MAX,
        })
    }
}

#[cfg(test)]
mod tests;
