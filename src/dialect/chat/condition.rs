//! ● Conditions on rows, `col=val`, `col!=val`, `col>val` and `col<val`, as filters of the native language (docs/filters.md).

use std::fmt::Write;

/// The condition as a filter over rows, and over items whose value is the row; `None` where it is no condition.
///
/// A value that could be a number, `true`, `false` or `null` is also taken as a text, for these clients write no types.
pub(super) fn filter(condition: &str) -> Option<String> {
    let at = condition.find(['!', '=', '<', '>'])?;
    let (column, rest) = condition.split_at(at);
    let operator = ["!=", ">=", "<=", "=", ">", "<"].into_iter().find(|operator| rest.starts_with(operator))?;
    let (column, value) = (column.trim(), rest[operator.len()..].trim());
    if column.is_empty() {
        return None;
    }
    let path: Vec<String> = column.split('.').map(quoted).collect();
    let path = path.join(".");
    Some(format!("{} or {}", compared(&path, operator, value), compared(&format!("value.{path}"), operator, value)))
}

fn compared(path: &str, operator: &str, value: &str) -> String {
    let within = |quote: char| value.len() > 1 && value.starts_with(quote) && value.ends_with(quote);
    if within('\'') || within('"') {
        return format!("{path} {operator} {}", quoted(&value[1..value.len() - 1]));
    }
    let is_plain = matches!(value, "true" | "false" | "null") || serde_json::from_str::<serde_json::Number>(value).is_ok();
    let text = format!("{path} {operator} {}", quoted(value));
    match operator {
        "=" if is_plain => format!("({path} = {value} or {text})"),
        "!=" if is_plain => format!("({path} != {value} and {text})"),
        _ if is_plain => format!("{path} {operator} {value}"),
        _ => text,
    }
}

/// A name or a text in quotes.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('\'');
    for character in text.chars() {
        let escape = if matches!(character, '\'' | '\\') { "\\" } else { "" };
        // Writing to a string cannot fail.
        let _ = write!(out, "{escape}{character}");
    }
    out.push('\'');
    out
}
