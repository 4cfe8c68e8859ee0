//! ● Which web pages may connect: rules about the `Origin` header (RFC 6454, RFC 6455 section 10.2).
//!
//! Browsers send credentials of their own accord and name the page's origin; programs send none. The handshake asks this
//! before anything else is believed.

/// The parsed allow-list.
#[derive(Clone, Debug, Default)]
pub struct Origins(Vec<Rule>);

#[derive(Clone, Debug)]
enum Rule {
    Any,
    Exact(Box<str>),
    /// `https://` and `.example.com`: any origin between whose ends there is at least one label.
    Subdomains {
        scheme: Box<str>,
        suffix: Box<str>,
    },
}

/// An entry of `allowed_origins` that means nothing.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0:?} is no origin: write https://app.example.com, https://*.example.com or *")]
pub struct NotAnOrigin(pub String);

impl Origins {
    /// Parses the configured list; empty means "the request's own host only".
    ///
    /// # Errors
    /// The first entry that is neither an origin (scheme and host, perhaps a port, no path), nor a subdomain wildcard, nor `*`.
    pub fn parse<S: AsRef<str>>(rules: &[S]) -> Result<Self, NotAnOrigin> {
        rules.iter().map(|rule| Rule::parse(rule.as_ref())).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a page of `origin` may connect to the server that the request calls `host`.
    pub fn allow(&self, origin: &str, host: &str) -> bool {
        let Some(origin) = canonical(origin) else {
            // Sandboxed pages and files send "null", which names nobody.
            return self.0.iter().any(|rule| matches!(rule, Rule::Any));
        };
        if self.0.is_empty() { is_same_host(&origin, host) } else { self.0.iter().any(|rule| rule.allows(&origin)) }
    }
}

impl Rule {
    fn parse(text: &str) -> Result<Self, NotAnOrigin> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let error = || NotAnOrigin(text.to_owned());
        let Some((scheme, suffix)) = text.split_once("://*.") else {
            return canonical(text).map(|origin| Self::Exact(origin.into())).ok_or_else(error);
        };
        let origin = canonical(&format!("{scheme}://{suffix}")).ok_or_else(error)?;
        let (scheme, suffix) = origin.split_once("://").ok_or_else(error)?;
        Ok(Self::Subdomains { scheme: format!("{scheme}://").into(), suffix: format!(".{suffix}").into() })
    }

    fn allows(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(allowed) => allowed.as_ref() == origin,
            Self::Subdomains { scheme, suffix } => origin
                .strip_prefix(scheme.as_ref())
                .and_then(|host| host.strip_suffix(suffix.as_ref()))
                .is_some_and(|labels| !labels.is_empty()),
        }
    }
}

/// Lower case, without the scheme's default port; `None` for what is no serialized origin.
fn canonical(origin: &str) -> Option<String> {
    let origin = origin.to_ascii_lowercase();
    let (scheme, authority) = origin.split_once("://")?;
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    let (scheme_ok, authority_ok) =
        (!scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c)), authority.chars().all(legal));
    if !scheme_ok || authority.is_empty() || !authority_ok {
        return None;
    }
    Some(format!("{scheme}://{}", without_default_port(scheme, authority)))
}

fn is_same_host(origin: &str, host: &str) -> bool {
    // The request does not say whether a proxy in front took it by TLS, so the origin's own scheme tells the default port.
    origin.split_once("://").is_some_and(|(scheme, authority)| authority == without_default_port(scheme, &host.to_ascii_lowercase()))
}

fn without_default_port<'a>(scheme: &str, authority: &'a str) -> &'a str {
    let port = match scheme {
        "https" | "wss" => ":443",
        "http" | "ws" => ":80",
        _ => return authority,
    };
    authority.strip_suffix(port).unwrap_or(authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_rules_only_the_requests_own_host_passes() {
        let origins = Origins::default();
        for (origin, host) in [
            ("https://a.example", "a.example"),
            ("https://A.example", "a.EXAMPLE:443"),
            ("http://localhost:8080", "localhost:8080"),
            ("http://[::1]:8080", "[::1]:8080"),
        ] {
            assert!(origins.allow(origin, host), "{origin} {host}");
        }
        for (origin, host) in [
            ("https://b.example", "a.example"),
            ("https://a.example:8443", "a.example"),
            ("https://a.example.evil.example", "a.example"),
            ("null", "a.example"),
            ("null", "null"),
            ("", ""),
            ("https://", ""),
        ] {
            assert!(!origins.allow(origin, host), "{origin} {host}");
        }
    }

    #[test]
    fn a_list_names_whoever_passes() {
        let origins = Origins::parse(&["https://app.example.com", "https://*.example.org", "http://*.dev.test:3000"]).unwrap();
        for good in [
            "https://app.example.com",
            "https://app.example.com:443",
            "https://a.example.org",
            "https://a.b.example.org",
            "http://x.dev.test:3000",
        ] {
            assert!(origins.allow(good, "node"), "{good}");
        }
        for bad in [
            "http://app.example.com",
            "https://example.org",
            "https://.example.org",
            "https://evilexample.org",
            "https://a.example.org.evil.example",
            "http://a.example.org",
            "http://x.dev.test",
            "https://evil.example/.example.org",
            "https://evil.example#.example.org",
            "https://user@a.example.org",
            "null",
            "https://node",
        ] {
            assert!(!origins.allow(bad, "node"), "{bad}");
        }
        assert!(Origins::parse(&["*"]).unwrap().allow("null", "node"));
    }

    #[test]
    fn rules_that_mean_nothing_are_refused() {
        for bad in ["", "example.com", "https://", "https://a.example/path", "https://*", "https://*.", "https://a.*.example", "null"] {
            assert_eq!(Origins::parse(&[bad]).unwrap_err(), NotAnOrigin(bad.into()), "{bad}");
        }
    }
}
