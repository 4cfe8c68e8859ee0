//! What handlers take from a request: credentials with their scope, checked bodies, queries and ids.
//!
//! A handler cannot touch an org without an [`Authorized`] of its scope: only that makes a [`Reach`] or passes a publication.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query as AxumQuery, Request};
use http::header::CONTENT_TYPE;
use http::request::Parts as RequestParts;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};

use super::Api;
use super::problem::Problem;
use crate::auth::{Caller, Scope};
use crate::protocol::publication::{DEPTH_MAX, is_deeper_than, is_paired};
use crate::protocol::{Code, Fault, OrgId, Position, SessionId};

/// The scope that a route needs, as a type.
pub trait Needs: Send + Sync + 'static {
    const SCOPE: Scope;
}

macro_rules! scopes {
    ($($(#[$doc:meta])* $name:ident = $scope:ident;)+) => {$(
        $(#[$doc])*
        pub struct $name;
        impl Needs for $name {
            const SCOPE: Scope = Scope::$scope;
        }
    )+};
}

scopes! {
    Publish = Publish;
    Read = Read;
    Connections = Connections;
    Revoke = Revoke;
}

/// A caller that was authenticated, is within its rate and has the scope.
pub struct Authorized<N> {
    caller: Caller,
    scope: PhantomData<N>,
}

/// Which orgs a question may look at: one, or every org. Made from a caller's rights alone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reach(Option<OrgId>);

impl Reach {
    /// The reach of a note from another node, which checked its caller.
    pub(super) fn of_note(org: Option<OrgId>) -> Self {
        Self(org)
    }

    pub fn org(&self) -> Option<&OrgId> {
        self.0.as_ref()
    }
}

impl<N> Authorized<N> {
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The org that is asked for, or else all that the credentials are for.
    ///
    /// # Errors
    /// `INVALID_ROOM` for a malformed org, `UNAUTHORIZED` for one that the credentials are not for.
    pub fn reach(&self, asked: Option<&str>) -> Result<Reach, Fault> {
        Ok(Reach(self.org(asked)?))
    }

    /// The same where exactly one org is needed.
    ///
    /// # Errors
    /// Besides, `INVALID_MESSAGE` when neither the request nor the credentials name one.
    pub fn one_org(&self, asked: Option<&str>) -> Result<OrgId, Fault> {
        self.org(asked)?.ok_or_else(|| Fault::new(Code::InvalidMessage, "name the organization_id; these credentials are for all"))
    }

    fn org(&self, asked: Option<&str>) -> Result<Option<OrgId>, Fault> {
        let Some(asked) = asked else { return Ok(self.caller.org.clone()) };
        let org = OrgId::parse(asked)?;
        self.caller.require_org(&org)?;
        Ok(Some(org))
    }
}

impl<N: Needs> FromRequestParts<Arc<Api>> for Authorized<N> {
    type Rejection = Problem;

    async fn from_request_parts(request: &mut RequestParts, api: &Arc<Api>) -> Result<Self, Problem> {
        let now = api.parts.now();
        let caller = api.parts.authenticator.authenticate(&request.headers, now.unix_ms / 1_000).await?;
        api.parts.registry.admit(&caller, now.mono_ms)?;
        api.rates.take(&caller, now.mono_ms)?;
        caller.require(N::SCOPE)?;
        Ok(Self { caller, scope: PhantomData })
    }
}

/// A JSON object as body: the bytes, whose size and depth are bounded, and what was read from them.
pub struct Json<T> {
    pub value: T,
    pub bytes: Bytes,
}

impl<T: DeserializeOwned> FromRequest<Arc<Api>> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<Self, Problem> {
        require_json(request.headers())?;
        let bytes = Bytes::from_request(request, api).await?;
        Ok(Self { value: object(&bytes)?, bytes })
    }
}

fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    let essence = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = essence.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let json = essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"));
    if json { Ok(()) } else { Err(Problem::http(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body must come as application/json")) }
}

/// Reads one JSON object; its nesting is measured first, because raw parts of it are passed on unread.
pub(super) fn object<T: DeserializeOwned>(json: &[u8]) -> Result<T, Problem> {
    if is_deeper_than(DEPTH_MAX, json) {
        return Err(Problem::invalid(format!("the body is nested deeper than {DEPTH_MAX} levels")));
    }
    if !is_paired(json) {
        return Err(Problem::invalid("the body holds half a surrogate pair"));
    }
    if json.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(Problem::invalid("the body must be a JSON object"));
    }
    serde_json::from_slice(json).map_err(|error| Problem::invalid(error.to_string()))
}

/// For a field that is an object itself: left to itself the library would also take a list, as fields in their order.
pub(super) fn only_object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    struct OnlyObject<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for OnlyObject<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map))
        }
    }

    deserializer.deserialize_map(OnlyObject(PhantomData))
}

/// A query whose unknown names are errors.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<Arc<Api>> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(request: &mut RequestParts, api: &Arc<Api>) -> Result<Self, Problem> {
        let AxumQuery(value) = AxumQuery::from_request_parts(request, api).await?;
        Ok(Self(value))
    }
}

/// The session that a path names.
pub struct SessionPath(pub SessionId);

impl FromRequestParts<Arc<Api>> for SessionPath {
    type Rejection = Problem;

    async fn from_request_parts(request: &mut RequestParts, api: &Arc<Api>) -> Result<Self, Problem> {
        let Path(text): Path<String> = Path::from_request_parts(request, api).await?;
        SessionId::from_str(&text).map(Self).map_err(|_| Problem::invalid("the path must name a session by its id"))
    }
}

/// The publication that a path names.
pub struct PositionPath(pub Position);

impl FromRequestParts<Arc<Api>> for PositionPath {
    type Rejection = Problem;

    async fn from_request_parts(request: &mut RequestParts, api: &Arc<Api>) -> Result<Self, Problem> {
        let Path(text): Path<String> = Path::from_request_parts(request, api).await?;
        Position::from_str(&text).map(Self).map_err(|_| Problem::invalid("the path must name a publication by its id"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_in_strings_are_no_nesting() {
        for (depth, json) in [(3, &br#"{"a":"[[[\"{{{","b":[[1]]}"#[..]), (0, b"]]]"), (2, br#""\\" [ "]" [ ] ]"#)] {
            assert!(!is_deeper_than(depth, json) && (depth == 0 || is_deeper_than(depth - 1, json)));
        }
    }

    #[test]
    fn a_body_is_one_object_of_bounded_depth() {
        let read = |text: &str| object::<serde_json::Value>(text.as_bytes()).map_err(|problem| problem.detail.into_owned());
        assert!(read(" {\"a\":[]} ").is_ok());
        assert!(read("[1]").unwrap_err().contains("object"));
        assert!(read("").is_err() && read("{}{}").is_err());
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(DEPTH_MAX), "]".repeat(DEPTH_MAX));
        assert!(read(&deep).unwrap_err().contains("nested"));
    }
}
