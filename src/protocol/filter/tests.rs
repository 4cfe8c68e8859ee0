use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::expression::{Number, Operator, Path, Scalar, Source, Test};
use super::*;
use crate::protocol::{EventName, Publication, RoomSyntax};

fn document(data: &Value, headers: Option<&Value>) -> Document {
    let room = RoomSyntax::new(4, ["kpi"]).room("kpi:acme").unwrap();
    let mut new = crate::protocol::NewPublication::new(room, EventName::parse("kpi:update").unwrap(), Bytes::from(data.to_string()));
    new.headers = headers.map(|headers| headers.to_string().into());
    Document::of(&Arc::<Publication>::new(new.placed(None, 1)))
}

fn refused(text: &str) -> FilterError {
    Filter::parse(text).map(|filter| panic!("{text} is read as {filter:?}")).unwrap_err()
}

#[test]
fn what_is_too_much_is_refused_where_it_begins() {
    let long = format!("a = '{}'", "é".repeat(FILTER_BYTES_MAX));
    assert!((FILTER_BYTES_MAX - 1..=FILTER_BYTES_MAX).contains(&refused(&long).at));
    let deep = |levels: usize| format!("{}a = 1{}", "(".repeat(levels), ")".repeat(levels));
    assert!(Filter::parse(&deep(FILTER_DEPTH_MAX)).is_ok());
    assert_eq!(refused(&deep(FILTER_DEPTH_MAX + 1)).at, FILTER_DEPTH_MAX);
    assert!(refused(&format!("{} a exists", "not ".repeat(FILTER_DEPTH_MAX + 1))).why.contains("nested deeper"));
    let list = |values: usize| format!("a in ({})", vec!["1"; values].join(","));
    assert!(Filter::parse(&list(FILTER_TERMS_MAX)).is_ok());
    assert!(refused(&list(FILTER_TERMS_MAX + 1)).why.contains("more than 64"));
    let chain = vec!["a=1"; FILTER_TERMS_MAX + 1].join(" or ");
    assert!(refused(&chain).why.contains("more than 64"));
}

#[test]
fn an_error_shows_the_place_and_little_of_the_text() {
    let error = refused("status = 'open' & amount > 3");
    assert_eq!(error.at, 16);
    let told = error.to_string();
    assert_eq!(told, "the filter cannot be read at byte 16, \"& amount > 3\": expected and, or, or the end");
    assert_eq!(refused("a >").found, "the end");
    assert!(refused(&format!("a = 1 {}", "x".repeat(900))).to_string().len() < 120);
}

#[test]
fn data_that_is_no_json_has_no_fields() {
    let room = RoomSyntax::new(4, ["kpi"]).room("kpi:acme").unwrap();
    let new = crate::protocol::NewPublication::new(room, EventName::parse("kpi:update").unwrap(), Bytes::from_static(b"{\"a\":1"));
    let document = Document::of(&Arc::new(new.placed(None, 1)));
    for (filter, passes) in [("a = 1", false), ("a != 1", false), ("not a = 1", true), ("data exists", false), ("headers exists", false)] {
        assert_eq!(Filter::parse(filter).unwrap().passes(&document), passes, "{filter}");
    }
}

#[test]
fn large_whole_numbers_are_told_apart() {
    let document = document(&json!({"id": u64::MAX, "low": i64::MIN}), None);
    for (filter, passes) in [
        ("id = 18446744073709551615", true),
        ("id = 18446744073709551614", false),
        ("id > 18446744073709551614", true),
        ("low = -9223372036854775808", true),
        ("low < -9223372036854775807", true),
        ("id > 1.5", true),
    ] {
        assert_eq!(Filter::parse(filter).unwrap().passes(&document), passes, "{filter}");
    }
}

#[test]
fn filters_are_put_together() {
    let (one, other) = (Filter::parse("a = 1 or b = 1").unwrap(), Filter::parse("c = 1").unwrap());
    assert_eq!(one.and(&other).as_str(), "(a = 1 or b = 1) and c = 1");
    assert_eq!(one.and(&other), other.and(&one));
    assert_eq!(one.or(&other).as_str(), "a = 1 or b = 1 or c = 1");
    assert_eq!((one.and(&one), other.or(&other)), (one, other));
}

const NAMES: [&str; 7] = ["a", "b", "data", "headers", "in", "strange 'name'", "0"];

fn any_path() -> impl Strategy<Value = Path> {
    let steps = prop::collection::vec(prop::sample::select(&NAMES[..]), 0..3);
    (any::<bool>(), steps).prop_map(|(headers, steps)| Path {
        source: if headers { Source::Headers } else { Source::Data },
        steps: steps.into_iter().map(Into::into).collect(),
    })
}

fn any_scalar() -> impl Strategy<Value = Scalar> {
    prop_oneof![
        Just(Scalar::Null),
        any::<bool>().prop_map(Scalar::Bool),
        (-3i128..3).prop_map(|whole| Scalar::Number(Number::Whole(whole))),
        any::<i64>().prop_map(|whole| Scalar::Number(Number::Whole(whole.into()))),
        any::<f64>()
            .prop_filter("JSON knows only finite ones", |double| double.is_finite() && double.fract() != 0.0)
            .prop_map(|double| Scalar::Number(Number::Double(double))),
        prop::sample::select(&["", "x", "xy", "it's", "\\", "\u{1f600}"][..]).prop_map(|text| Scalar::Text(text.into())),
    ]
}

fn any_test() -> impl Strategy<Value = Test> {
    const OPERATORS: [Operator; 6] =
        [Operator::Equal, Operator::Unequal, Operator::Less, Operator::LessOrEqual, Operator::Greater, Operator::GreaterOrEqual];
    prop_oneof![
        Just(Test::Exists),
        (prop::sample::select(&OPERATORS[..]), any_scalar()).prop_map(|(operator, value)| Test::Is(operator, value)),
        prop::collection::vec(any_scalar(), 1..4).prop_map(Test::In),
        prop::sample::select(&["", "x", "'"][..]).prop_map(|text| Test::Prefix(text.into())),
    ]
}

fn any_expression() -> impl Strategy<Value = Expression> {
    let term = (any_path(), any_test()).prop_map(|(path, test)| Expression::Term(path, test));
    term.prop_recursive(4, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(Expression::All),
            prop::collection::vec(inner.clone(), 1..4).prop_map(Expression::Any),
            inner.prop_map(|inner| Expression::Not(Box::new(inner))),
        ]
    })
}

fn any_value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3i64..3).prop_map(Value::from),
        prop::sample::select(&[0.5, -1.5, 2.0][..]).prop_map(Value::from),
        prop::sample::select(&["", "x", "xy", "it's"][..]).prop_map(Value::from),
    ];
    scalar.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            prop::collection::vec((prop::sample::select(&NAMES[..]), inner), 0..4)
                .prop_map(|members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

/// The rules of docs/filters.md, said a second time.
fn naive(expression: &Expression, data: &Value, headers: Option<&Value>) -> bool {
    match expression {
        Expression::All(parts) => !parts.iter().any(|part| !naive(part, data, headers)),
        Expression::Any(parts) => !parts.iter().all(|part| !naive(part, data, headers)),
        Expression::Not(inner) => !naive(inner, data, headers),
        Expression::Term(path, test) => {
            let mut at = if path.source == Source::Data { Some(data) } else { headers };
            for step in &path.steps {
                at = at.and_then(|value| value.get(&**step).or_else(|| value.get(step.parse::<usize>().ok()?)));
            }
            let Some(found) = at else { return false };
            let equal = |scalar: &Scalar| match scalar {
                Scalar::Null => found.is_null(),
                Scalar::Bool(wanted) => found == wanted,
                Scalar::Text(wanted) => found.as_str() == Some(wanted),
                Scalar::Number(Number::Whole(wanted)) => found.as_f64() == Some(*wanted as f64),
                Scalar::Number(Number::Double(wanted)) => found.as_f64() == Some(*wanted),
            };
            let order = |scalar: &Scalar| match scalar {
                Scalar::Text(wanted) => found.as_str().map(|found| found.cmp(wanted)),
                Scalar::Number(Number::Whole(wanted)) => found.as_f64()?.partial_cmp(&(*wanted as f64)),
                Scalar::Number(Number::Double(wanted)) => found.as_f64()?.partial_cmp(wanted),
                _ => None,
            };
            use std::cmp::Ordering::{Equal, Greater, Less};
            match test {
                Test::Exists => true,
                Test::In(values) => values.iter().any(equal),
                Test::Prefix(prefix) => found.as_str().is_some_and(|found| found.get(..prefix.len()) == Some(&**prefix)),
                Test::Is(Operator::Equal, value) => equal(value),
                Test::Is(Operator::Unequal, value) => !equal(value),
                Test::Is(Operator::Less, value) => order(value) == Some(Less),
                Test::Is(Operator::LessOrEqual, value) => matches!(order(value), Some(Less | Equal)),
                Test::Is(Operator::Greater, value) => order(value) == Some(Greater),
                Test::Is(Operator::GreaterOrEqual, value) => matches!(order(value), Some(Greater | Equal)),
            }
        }
    }
}

proptest! {
    #[test]
    fn it_judges_as_the_naive_model_does(expression in any_expression(), data in any_value(), headers in prop::option::of(any_value())) {
        let passes = Filter::of(expression.clone()).passes(&document(&data, headers.as_ref()));
        prop_assert_eq!(passes, naive(&expression, &data, headers.as_ref()), "{}", expression);
    }

    #[test]
    fn what_is_written_is_read_back_the_same(expression in any_expression()) {
        let filter = Filter::of(expression);
        let Ok(read) = Filter::parse(filter.as_str()) else {
            // Only the bounds may speak against it.
            let why = refused(filter.as_str()).why;
            prop_assert!(why.contains("longer than") || why.contains("more than") || why.contains("deeper"), "{}: {}", filter.as_str(), why);
            return Ok(());
        };
        prop_assert_eq!(read.as_str(), filter.as_str());
    }

    #[test]
    fn any_text_is_judged_without_panic(text in ".{0,80}") {
        if let Err(error) = Filter::parse(&text) {
            prop_assert!(text.is_char_boundary(error.at));
        }
    }

    #[test]
    fn anything_of_its_own_words_is_judged_without_panic(words in prop::collection::vec(
        prop::sample::select(&["a", "b.0", "and", "or", "not", "in", "(", ")", ",", "=", "!=", "<=", "prefix", "exists", "1", "-2.5e3", "'x'", "\"", "true", "null", "é"][..]), 0..24,
    )) {
        let text = words.join(" ");
        match Filter::parse(&text) {
            Ok(filter) => prop_assert_eq!(Filter::parse(filter.as_str()).map(|read| read.as_str().to_owned()), Ok(filter.as_str().to_owned())),
            Err(error) => prop_assert!(text.is_char_boundary(error.at)),
        }
    }
}
