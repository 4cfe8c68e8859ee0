//! Numbers as people read them: three or four digits that mean something, thousands apart. Pure; tables and pages write all numbers so.

/// A measured value; what is beyond the fourth digit is noise.
pub(crate) fn amount(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        return "–".to_owned();
    }
    if size >= 1_000.0 {
        let sign = if value < 0.0 { "-" } else { "" };
        return format!("{sign}{}", count(size.round() as u64));
    }
    let decimals = match size {
        100.0.. => 1,
        1.0.. => 2,
        0.1.. => 3,
        _ => 4,
    };
    let text = format!("{value:.decimals$}");
    match text.split_once('.') {
        Some((whole, zeros)) if zeros.bytes().all(|digit| digit == b'0') => whole.to_owned(),
        _ => text,
    }
}

/// A whole number, its thousands set apart by commas.
pub(crate) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Microseconds, told in milliseconds.
pub(crate) fn ms(us: u64) -> String {
    amount(us as f64 / 1_000.0)
}

/// Bytes, told in mebibytes.
pub(crate) fn mib(bytes: u64) -> String {
    amount(bytes as f64 / f64::from(1 << 20))
}

/// How many times the floor.
pub(crate) fn times(ratio: f64) -> String {
    if ratio >= 100.0 { format!("{}×", amount(ratio.round())) } else { format!("{ratio:.2}×") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_the_digits_that_mean_something() {
        let texts = [0.0, 0.0123, 0.319, 4.4, 17.256, 482.13, 999.0, 1_234_567.8, -2_500.0].map(amount);
        assert_eq!(texts, ["0", "0.0123", "0.319", "4.40", "17.26", "482.1", "999", "1,234,568", "-2,500"]);
        assert_eq!(amount(f64::NAN), "–");
    }

    #[test]
    fn thousands_stand_apart() {
        assert_eq!([0, 12, 999, 1_000, 12_345, 1_234_567].map(count), ["0", "12", "999", "1,000", "12,345", "1,234,567"]);
    }

    #[test]
    fn units_are_those_that_people_read() {
        assert_eq!((ms(1_530), mib(3 << 20), times(1.0249)), ("1.53".to_owned(), "3".to_owned(), "1.02×".to_owned()));
    }
}
