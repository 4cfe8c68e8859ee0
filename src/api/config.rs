//! Bounds of the REST API.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::limit::bucket::Rate;
use crate::transport::websocket::origin::{NotAnOrigin, Origins};

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Longest request body, in bytes; a longer one gets `MESSAGE_TOO_LARGE`.
    pub body_bytes_max: usize,
    /// How long one request may take, in milliseconds; the answer is then 504.
    pub request_timeout_ms: u64,
    /// How long a node waits for other nodes' answers to a question for the whole cluster, in milliseconds.
    pub scatter_timeout_ms: u64,
    /// Most items on one page of a list; a larger `limit` is an error.
    pub list_limit_max: usize,
    /// Items on one page when the request does not say.
    pub list_limit_default: usize,
    /// Most publications in one request to `/publish/batch`.
    pub batch_max: usize,
    /// Most orgs that one publication to all of them may have; with more of them it is refused.
    pub organizations_max: usize,
    /// Requests that one caller may send per second in the long run; 0 means no limit.
    pub requests_per_s: u32,
    /// Requests that one caller may send at once after a pause.
    pub requests_burst: u32,
    /// Origins whose pages may call the API: `https://app.example.com`, `https://*.example.com`, or `*`. Empty: none may.
    pub allowed_origins: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            body_bytes_max: 1 << 20,
            request_timeout_ms: 10_000,
            scatter_timeout_ms: 1_000,
            list_limit_max: 1_000,
            list_limit_default: 100,
            batch_max: 1_000,
            organizations_max: 10_000,
            requests_per_s: 100,
            requests_burst: 200,
            allowed_origins: Vec::new(),
        }
    }
}

impl Config {
    pub(super) fn rate(&self) -> Rate {
        Rate { per_s: self.requests_per_s, burst: self.requests_burst }
    }

    /// # Errors
    /// The first entry of `allowed_origins` that is no origin.
    pub fn origins(&self) -> Result<Option<Origins>, NotAnOrigin> {
        let origins = Origins::parse(&self.allowed_origins)?;
        Ok((!self.allowed_origins.is_empty()).then_some(origins))
    }

    /// What is wrong with these values, if anything is: `(key, sentence)`.
    pub fn faults(&self) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        for (key, value) in [
            ("body_bytes_max", self.body_bytes_max),
            ("list_limit_max", self.list_limit_max),
            ("list_limit_default", self.list_limit_default),
            ("batch_max", self.batch_max),
            ("organizations_max", self.organizations_max),
        ] {
            if value == 0 {
                faults.push((key, "must be more than 0".to_owned()));
            }
        }
        if self.list_limit_default > self.list_limit_max {
            faults.push(("list_limit_default", "must not be more than list_limit_max".to_owned()));
        }
        if self.scatter_timeout_ms >= self.request_timeout_ms {
            faults.push(("scatter_timeout_ms", "must be less than request_timeout_ms".to_owned()));
        }
        if let Err(error) = self.origins() {
            faults.push(("allowed_origins", error.to_string()));
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_in_order_and_contradictions_are_told() {
        assert!(Config::default().faults().is_empty());
        let config = Config {
            batch_max: 0,
            list_limit_default: 2,
            list_limit_max: 1,
            scatter_timeout_ms: 10_000,
            allowed_origins: vec!["nowhere".into()],
            ..Config::default()
        };
        let keys: Vec<_> = config.faults().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["batch_max", "list_limit_default", "scatter_timeout_ms", "allowed_origins"]);
    }
}
