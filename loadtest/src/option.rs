//! Values of options that would make no run. Pure.

use std::str::FromStr;

/// A number that is not 0.
pub fn positive<T: FromStr + PartialOrd + From<u8>>(text: &str) -> Result<T, String> {
    text.parse().ok().filter(|number| *number >= T::from(1)).ok_or_else(|| "it must be a whole number of at least 1".to_owned())
}

/// A number from 0 to 1.
pub fn share(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|share| (0.0..=1.0).contains(share)).ok_or_else(|| "it must be a number from 0 to 1".to_owned())
}

/// A number that is neither negative nor endless.
pub fn rate(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate >= 0.0).ok_or_else(|| "it must be a number of at least 0".to_owned())
}

/// A setting of a gateway and its value.
pub fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((name.strip_prefix("ROOMCAST_").unwrap_or(name).to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_make_no_run_is_refused() {
        assert_eq!((positive::<usize>("1"), positive::<u32>("7")), (Ok(1), Ok(7)));
        assert!(["0", "-1", "x", ""].iter().all(|text| positive::<u64>(text).is_err()));
        assert!(share("0.5").is_ok() && share("1.1").is_err() && share("NaN").is_err());
        assert!(rate("20").is_ok() && rate("inf").is_err() && rate("-1").is_err());
        assert_eq!(setting("ROOMCAST_A__B=c=d"), Ok(("A__B".to_owned(), "c=d".to_owned())));
        assert!(setting("A__B").is_err());
    }
}
