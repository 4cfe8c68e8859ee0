//! The shape of the configuration, read from its JSON Schema: which keys there are, what they hold, what they mean.
//!
//! Sources are checked against it and documents are made from it, so that neither needs a list of keys of its own.

use serde_json::Value;

/// The keyword that marks a value never to be shown (JSON Schema validation, section 9.4): `#[schemars(extend("writeOnly" = true))]`.
const SECRET: &str = "writeOnly";

/// What a value may be.
#[derive(Clone, PartialEq, Debug)]
pub enum Shape {
    Text,
    Boolean,
    Integer {
        min: Option<i64>,
        max: Option<i64>,
    },
    Number,
    Choice(Vec<String>),
    List(Box<Shape>),
    /// A table with these keys and no others.
    Table(Vec<Member>),
    /// A table with keys of the user's own choice.
    Map(Box<Shape>),
    /// Whatever deserialization makes of it.
    Any,
}

/// One key of a table.
#[derive(Clone, PartialEq, Debug)]
pub struct Member {
    pub name: String,
    pub doc: String,
    pub shape: Shape,
    pub secret: bool,
}

impl Member {
    /// Whether its value, as written, must not be shown: it is a secret, or secrets stand within.
    pub fn is_confidential(&self) -> bool {
        self.secret || self.shape.holds_secret()
    }
}

impl Shape {
    /// The shape of the whole [`super::Config`].
    pub fn of_config() -> Self {
        let schema = schemars::schema_for!(super::Config).to_value();
        read(&schema, &schema)
    }

    pub fn member(&self, name: &str) -> Option<&Member> {
        match self {
            Self::Table(members) => members.iter().find(|member| member.name == name),
            _ => None,
        }
    }

    /// The member at a key such as `limits.commands_burst`, or `auth.keys.0.secret` inside a list.
    pub fn find(&self, key: &str) -> Option<&Member> {
        let (first, rest) = key.split_once('.').map_or((key, None), |(first, rest)| (first, Some(rest)));
        if let Self::List(item) | Self::Map(item) = self {
            return item.find(rest?);
        }
        let member = self.member(first)?;
        rest.map_or(Some(member), |rest| member.shape.find(rest))
    }

    /// Whether a secret may stand anywhere within.
    pub fn holds_secret(&self) -> bool {
        match self {
            Self::Table(members) => members.iter().any(Member::is_confidential),
            Self::List(item) | Self::Map(item) => item.holds_secret(),
            _ => false,
        }
    }

    /// Every key that holds a value rather than further keys, in the order of the schema.
    pub fn leaves(&self) -> Vec<(String, &Member)> {
        let mut leaves = Vec::new();
        collect(self, "", &mut leaves);
        leaves
    }

    /// What is expected, for people.
    pub fn expectation(&self) -> String {
        match self {
            Self::Text => "text".into(),
            Self::Boolean => "true or false".into(),
            Self::Integer { min: Some(min), max: Some(max) } => format!("a whole number from {min} to {max}"),
            Self::Integer { min: Some(min), max: None } => format!("a whole number of at least {min}"),
            Self::Integer { min: None, .. } => "a whole number".into(),
            Self::Number => "a number".into(),
            Self::Choice(choices) => format!("one of {}", choices.join(", ")),
            Self::List(item) => format!("a list, each of it {}", item.expectation()),
            Self::Table(_) | Self::Map(_) => "a table".into(),
            Self::Any => "a value".into(),
        }
    }
}

fn collect<'a>(shape: &'a Shape, prefix: &str, leaves: &mut Vec<(String, &'a Member)>) {
    let Shape::Table(members) = shape else { return };
    for member in members {
        let key = if prefix.is_empty() { member.name.clone() } else { format!("{prefix}.{}", member.name) };
        if matches!(member.shape, Shape::Table(_)) {
            collect(&member.shape, &key, leaves);
        } else {
            leaves.push((key, member));
        }
    }
}

fn read(schema: &Value, root: &Value) -> Shape {
    if let Some(target) = schema["$ref"].as_str().and_then(|reference| root.pointer(reference.trim_start_matches('#'))) {
        return read(target, root);
    }
    if let Some(choices) = choices(schema) {
        return Shape::Choice(choices);
    }
    if let Some(some) = schema["anyOf"].as_array().and_then(|any| any.iter().find(|one| one["type"] != "null")) {
        return if is_optional(schema) { read(some, root) } else { Shape::Any };
    }
    match type_name(schema) {
        Some("string") => Shape::Text,
        Some("boolean") => Shape::Boolean,
        Some("integer") => Shape::Integer { min: schema["minimum"].as_i64(), max: schema["maximum"].as_i64() },
        Some("number") => Shape::Number,
        Some("array") => Shape::List(Box::new(read(&schema["items"], root))),
        Some("object") => table(schema, root),
        _ => Shape::Any,
    }
}

fn table(schema: &Value, root: &Value) -> Shape {
    if schema["oneOf"].is_array() {
        return Shape::Any;
    }
    match (schema["properties"].as_object(), &schema["additionalProperties"]) {
        (Some(properties), _) => Shape::Table(properties.iter().map(|(name, property)| member(name, property, root)).collect()),
        (None, item @ Value::Object(_)) => Shape::Map(Box::new(read(item, root))),
        (None, Value::Bool(false)) => Shape::Table(Vec::new()),
        _ => Shape::Any,
    }
}

fn member(name: &str, property: &Value, root: &Value) -> Member {
    Member {
        name: name.to_owned(),
        doc: property["description"].as_str().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" "),
        shape: read(property, root),
        secret: is_secret(property, root),
    }
}

/// Whether the property, or the type that it refers to, is marked.
fn is_secret(schema: &Value, root: &Value) -> bool {
    let referred = schema["$ref"].as_str().and_then(|reference| root.pointer(reference.trim_start_matches('#')));
    schema[SECRET] == true
        || referred.is_some_and(|target| is_secret(target, root))
        || schema["anyOf"].as_array().is_some_and(|any| any.iter().any(|one| is_secret(one, root)))
}

fn is_optional(schema: &Value) -> bool {
    let null = |one: &Value| one == "null" || one["type"] == "null";
    schema["type"].as_array().is_some_and(|types| types.iter().any(null))
        || schema["anyOf"].as_array().is_some_and(|any| any.iter().any(null))
}

fn type_name(schema: &Value) -> Option<&str> {
    match &schema["type"] {
        Value::String(name) => Some(name),
        Value::Array(names) => names.iter().filter_map(Value::as_str).find(|name| *name != "null"),
        _ => None,
    }
}

/// The values of an enum without data: `enum` lists them, or `oneOf` does when some are documented.
fn choices(schema: &Value) -> Option<Vec<String>> {
    if let Some(values) = schema["enum"].as_array() {
        return values.iter().filter(|value| !value.is_null()).map(|value| value.as_str().map(str::to_owned)).collect();
    }
    let mut choices = Vec::new();
    for one in schema["oneOf"].as_array()? {
        match (one["const"].as_str(), one["enum"].as_array()) {
            (Some(choice), _) => choices.push(choice.to_owned()),
            (None, Some(values)) => choices.extend(values.iter().filter_map(Value::as_str).map(str::to_owned)),
            (None, None) => return None,
        }
    }
    Some(choices)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_choices_and_options_are_seen_through_references() {
        let schema = serde_json::json!({
            "type": "object",
            "properties": {
                "key": { "anyOf": [{ "$ref": "#/$defs/Secret" }, { "type": "null" }], "description": "The\nkey." },
                "keys": { "type": "array", "items": { "type": "object", "properties": { "secret": { "$ref": "#/$defs/Secret" } } } },
                "mode": { "$ref": "#/$defs/Mode" },
                "port": { "type": "integer", "minimum": 0, "maximum": 65_535 },
                "roles": { "type": "object", "additionalProperties": { "type": "string" } },
            },
            "$defs": {
                "Secret": { "type": "string", "writeOnly": true },
                "Mode": { "oneOf": [{ "type": "string", "const": "a", "description": "A." }, { "type": "string", "enum": ["b", "c"] }] },
            },
        });
        let shape = read(&schema, &schema);
        let key = shape.member("key").unwrap();
        assert!(key.secret && key.shape == Shape::Text && key.doc == "The key.");
        assert_eq!(shape.find("mode").unwrap().shape, Shape::Choice(["a", "b", "c"].map(String::from).to_vec()));
        assert_eq!(shape.find("port").unwrap().shape.expectation(), "a whole number from 0 to 65535");
        assert!(shape.find("keys.0.secret").unwrap().secret);
        let keys = shape.member("keys").unwrap();
        assert!(!keys.secret && keys.is_confidential() && !shape.member("roles").unwrap().is_confidential());
        assert_eq!(shape.find("roles").unwrap().shape, Shape::Map(Box::new(Shape::Text)));
    }
}
