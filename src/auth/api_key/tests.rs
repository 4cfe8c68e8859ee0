use super::*;
use crate::auth::config;
use crate::auth::mint::{MintRequest, SigningKey, mint};
use crate::protocol::RoomSyntax;

const NOW_S: u64 = 1_800_000_000;

fn hex_of(secret: &str) -> String {
    Sha256::digest(secret).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn key(id: &str, secret: &str, scopes: &[Scope], org: Option<&str>) -> Config {
    let organization_id = org.map(str::to_owned);
    Config { id: id.into(), sha256: Some(hex_of(secret)), scopes: scopes.to_vec(), organization_id, ..Config::default() }
}

fn authenticator(auth: &config::Config, keys: &[Config]) -> Authenticator {
    let verifier = Verifier::new(auth, RoomSyntax::new(4, ["kpi"])).unwrap();
    Authenticator::new(keys, Arc::new(verifier)).unwrap()
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, value.parse().unwrap());
    }
    headers
}

fn service_token(auth: &config::Config, org: Option<&str>, scopes: &[Scope]) -> String {
    let request = MintRequest {
        sub: "billing".into(),
        org: org.map(str::to_owned),
        grants: None,
        scopes: scopes.to_vec(),
        token_id: Some("t1".into()),
        issued_at_s: NOW_S,
        lifetime_s: 60,
    };
    mint(&request, auth, &SigningKey::of_config(auth).unwrap()).unwrap()
}

#[tokio::test]
async fn an_api_key_passes_in_either_header() {
    let keys = [key("one", "first-secret", &[Scope::Read], None), key("two", "second.secret.x", &[Scope::Publish], Some("acme"))];
    let authenticator = authenticator(&config::Config::default(), &keys);
    for pairs in [[("authorization", "bearer second.secret.x")], [("x-api-key", "second.secret.x")]] {
        let caller = authenticator.authenticate(&headers(&pairs), NOW_S).await.unwrap();
        assert_eq!(caller.name.as_ref(), "two");
        assert!(caller.require(Scope::Publish).is_ok());
        assert_eq!(caller.require(Scope::Read).unwrap_err().code, Code::Unauthorized);
        assert!(caller.require_org(&OrgId::parse("acme").unwrap()).is_ok());
        assert_eq!(caller.require_org(&OrgId::parse("other").unwrap()).unwrap_err().code, Code::Unauthorized);
    }
}

#[tokio::test]
async fn what_is_no_credential_is_refused_with_its_reason() {
    let authenticator = authenticator(&config::Config::default(), &[key("one", "first-secret", &[Scope::Read], None)]);
    let hash = hex_of("first-secret");
    let table: [(&[(&'static str, &str)], AuthError); 8] = [
        (&[], AuthError::Missing),
        (&[("x-api-key", "")], AuthError::ApiKey),
        (&[("x-api-key", &hash)], AuthError::ApiKey),
        (&[("authorization", "Bearer first-secre")], AuthError::ApiKey),
        (&[("authorization", "Basic Zmlyc3Qtc2VjcmV0")], AuthError::Scheme),
        (&[("authorization", "first-secret")], AuthError::Scheme),
        (&[("authorization", "Bearer first-secret"), ("authorization", "Bearer x")], AuthError::Scheme),
        (&[("authorization", "Bearer a.b.c"), ("x-api-key", "first-secret")], AuthError::Malformed("its header is not base64url")),
    ];
    for (pairs, expected) in table {
        assert_eq!(authenticator.authenticate(&headers(pairs), NOW_S).await, Err(expected), "{pairs:?}");
    }
}

#[tokio::test]
async fn a_service_token_is_bound_to_its_org_unless_it_is_admin() {
    let auth = config::Config::development().unwrap();
    let authenticator = authenticator(&auth, &[]);
    let call = async |org, scopes: &[Scope]| {
        let bearer = format!("Bearer {}", service_token(&auth, org, scopes));
        authenticator.authenticate(&headers(&[("authorization", &bearer)]), NOW_S).await
    };
    let bound = call(Some("acme"), &[Scope::Publish]).await.unwrap();
    assert_eq!(
        (bound.name.as_ref(), bound.org.as_ref().map(OrgId::as_str), bound.token_id.as_deref()),
        ("billing", Some("acme"), Some("t1"))
    );
    assert!(bound.require(Scope::Publish).is_ok() && bound.require(Scope::Revoke).is_err());
    assert_eq!(call(None, &[Scope::Publish]).await, Err(AuthError::ClaimMissing("org".into())));
    let admin = call(None, &[Scope::Admin]).await.unwrap();
    assert!(admin.org.is_none() && admin.require(Scope::Revoke).is_ok());
    let user = call(Some("acme"), &[]).await.unwrap();
    assert!(Scope::ALL.into_iter().all(|scope| user.require(scope).is_err()));
}

#[test]
fn a_malformed_key_stops_the_start() {
    let verifier = || Arc::new(Verifier::new(&config::Config::default(), RoomSyntax::new(4, ["kpi"])).unwrap());
    let bad = [
        Config::default(),
        Config { id: "a".into(), ..Config::default() },
        Config { id: "a".into(), sha256: Some("abc".into()), ..Config::default() },
        Config { id: "a".into(), sha256: Some("+f".repeat(32)), ..Config::default() },
        Config { sha256_file: Some("/nonexistent".into()), ..key("a", "s", &[], None) },
        key("a", "s", &[Scope::Read], Some("not an org")),
        key("a", "s", &[Scope::Admin], Some("acme")),
    ];
    for config in bad {
        assert!(Authenticator::new(std::slice::from_ref(&config), verifier()).is_err(), "{config:?}");
    }
}
