//! Values of options that would make no run. Pure.

use std::str::FromStr;

use serde::{Serialize, Serializer};

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

/// A node's address or name, with its port.
pub fn node(text: &str) -> Result<String, String> {
    let is_whole = |(host, port): &(&str, &str)| {
        let is_host = host.starts_with('[') == host.ends_with(']') && (host.starts_with('[') || !host.contains(':'));
        !host.is_empty() && is_host && port.parse::<u16>().is_ok_and(|port| port > 0)
    };
    let whole = text.rsplit_once(':').filter(is_whole).map(|_| text.to_owned());
    whole.ok_or_else(|| "write host:port, as 10.0.3.11:8080, [fd00::11]:8080 or gateway.default.svc:8080".to_owned())
}

/// A setting of a gateway, without `ROOMCAST_`, and its value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Setting(pub String, pub String);

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
        Ok(Self(name.strip_prefix("ROOMCAST_").unwrap_or(name).to_owned(), value.to_owned()))
    }
}

impl Serialize for Setting {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}={}", self.0, self.1))
    }
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
        assert!(["10.0.3.11:8080", "[::1]:8080", "gateway.default.svc:8080"].iter().all(|text| node(text).is_ok()));
        assert!(
            ["gateway", "gateway:", ":8080", "gateway:0", "::1", "gateway:99999", "http://gateway:80"]
                .iter()
                .all(|text| node(text).is_err())
        );
        assert_eq!("ROOMCAST_A__B=c=d".parse(), Ok(Setting("A__B".to_owned(), "c=d".to_owned())));
        assert!("A__B".parse::<Setting>().is_err());
    }
}
