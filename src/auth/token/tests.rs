use jsonwebtoken::{EncodingKey, Header as JwtHeader};
use serde_json::{Value, json};

use super::*;
use crate::auth::config::{ClaimNames, KeyConfig, RoleRights};
use crate::auth::grant::Right;
use crate::auth::mint::{MintRequest, SigningKey, mint};
use crate::auth::scope::Scope;
use crate::auth::secret::Secret;
use crate::auth::test_keys::Pair;
use crate::protocol::{Code, Fault};

const NOW_S: u64 = 1_800_000_000;
const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn syntax() -> RoomSyntax {
    RoomSyntax::new(4, ["kpi", "chat"])
}

fn config() -> Config {
    Config {
        secret: Some(Secret::new(SECRET)),
        issuers: vec!["https://id.example".into()],
        audiences: vec!["roomcast".into(), "other".into()],
        ..Config::default()
    }
}

fn verifier(config: &Config) -> Verifier {
    Verifier::new(config, syntax()).unwrap()
}

fn good_claims() -> Value {
    json!({"sub": "alice", "org": "acme", "iss": "https://id.example", "aud": "roomcast", "exp": NOW_S + 60, "iat": NOW_S - 1, "jti": "t1"})
}

fn claims_with(name: &str, value: Value) -> Value {
    let mut claims = good_claims();
    claims[name] = value;
    claims
}

fn claims_without(name: &str) -> Value {
    let mut claims = good_claims();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

fn sign(header: &Value, claims: &Value, secret: &str) -> String {
    sign_raw(&header.to_string(), claims.to_string().as_bytes(), secret)
}

fn sign_raw(header: &str, payload: &[u8], secret: &str) -> String {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let key = EncodingKey::from_secret(secret.as_bytes());
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{signed}.{signature}")
}

fn hs256(claims: &Value) -> String {
    sign(&json!({"alg": "HS256"}), claims, SECRET)
}

async fn outcome(token: &str) -> Result<Principal, AuthError> {
    verifier(&config()).verify(token, NOW_S).await
}

fn missing(claim: &str) -> AuthError {
    AuthError::ClaimMissing(claim.into())
}

#[tokio::test]
async fn a_good_token_becomes_its_principal() {
    let alice = outcome(&hs256(&claims_with("scope", json!("openid roomcast:publish")))).await.unwrap();
    assert_eq!((alice.sub(), alice.org().as_str()), ("alice", "acme"));
    assert_eq!((alice.expires_at_s(), alice.issued_at_s(), alice.token_id()), (NOW_S + 60, Some(NOW_S - 1), Some("t1")));
    assert!(alice.scopes().allows(Scope::Publish) && !alice.scopes().allows(Scope::Read));
    assert!(outcome(&hs256(&claims_with("aud", json!(["account", "other"])))).await.is_ok());
    assert!(outcome(&hs256(&claims_with("exp", json!(NOW_S as f64 + 60.5)))).await.is_ok());
}

#[tokio::test]
async fn every_abused_header_is_refused_with_its_reason() {
    let good = good_claims();
    let with_header = |header: Value| sign(&header, &good, SECRET);
    let tampered = {
        let token = hs256(&good);
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let header = signed.split_once('.').unwrap().0;
        let payload = URL_SAFE_NO_PAD.encode(claims_with("org", json!("other")).to_string());
        format!("{header}.{payload}.{signature}")
    };
    let none = format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), URL_SAFE_NO_PAD.encode(good.to_string()));
    let without_signature = format!("{}.", hs256(&good).rsplit_once('.').unwrap().0);
    let three = AuthError::Malformed("it must have three parts with dots between");
    let header = AuthError::Malformed("its header is not a JSON object with alg");
    let table = [
        ("empty", String::new(), three.clone()),
        ("garbage", "garbage".into(), three.clone()),
        ("two parts", "a.b".into(), three.clone()),
        ("four parts", format!("{}.x", hs256(&good)), three),
        ("oversize", "x".repeat(TOKEN_BYTES_MAX + 1), AuthError::TooLong),
        ("header not base64", "!.e30.x".into(), AuthError::Malformed("its header is not base64url")),
        ("header not JSON", "AAAA.e30.x".into(), header.clone()),
        ("no alg", with_header(json!({"typ": "JWT"})), header.clone()),
        ("numeric alg", with_header(json!({"alg": 256})), header.clone()),
        ("list as kid", with_header(json!({"alg": "HS256", "kid": ["a"]})), header.clone()),
        ("alg twice", sign_raw(r#"{"alg":"HS256","alg":"none"}"#, good.to_string().as_bytes(), SECRET), header),
        ("alg none", none, AuthError::Algorithm),
        ("alg None", with_header(json!({"alg": "None"})), AuthError::Algorithm),
        ("alg unheard of", with_header(json!({"alg": "ES256K"})), AuthError::Algorithm),
        ("alg without a key", with_header(json!({"alg": "HS512"})), AuthError::Algorithm),
        ("alg of another family", with_header(json!({"alg": "RS256"})), AuthError::Algorithm),
        (
            "crit",
            with_header(json!({"alg": "HS256", "crit": ["b64"], "b64": false})),
            AuthError::Malformed("its header has crit, and no extension is supported"),
        ),
        ("other secret", sign(&json!({"alg": "HS256"}), &good, "another secret of thirty-two bytes"), AuthError::Signature),
        ("tampered", tampered, AuthError::Signature),
        ("no signature", without_signature, AuthError::Signature),
        ("payload not JSON", sign_raw(r#"{"alg":"HS256"}"#, b"\xff", SECRET), AuthError::Malformed("its payload is not a JSON object")),
        ("payload a list", sign(&json!({"alg": "HS256"}), &json!([]), SECRET), AuthError::Malformed("its payload is not a JSON object")),
    ];
    for (what, token, expected) in table {
        assert_eq!(outcome(&token).await, Err(expected), "{what}");
    }
}

#[tokio::test]
async fn every_wrong_claim_is_refused_with_its_reason() {
    let is_type_of = |error: &AuthError, name: &str| matches!(error, AuthError::ClaimType { claim, .. } if claim.as_ref() == name);
    for claim in ["sub", "org", "iss", "aud", "exp"] {
        assert_eq!(outcome(&hs256(&claims_without(claim))).await, Err(missing(claim)), "{claim}");
    }
    for claim in ["sub", "org", "iss", "aud", "exp", "nbf", "iat", "jti", "scope"] {
        for wrong in [json!({}), json!(true), json!(null), json!([1])] {
            let error = outcome(&hs256(&claims_with(claim, wrong.clone()))).await.unwrap_err();
            assert!(is_type_of(&error, claim), "{claim} {wrong}: {error}");
        }
    }
    for (claim, wrong) in [
        ("exp", json!("1900000000")),
        ("exp", json!(-1)),
        ("exp", json!(1e300)),
        ("exp", json!(NOW_S * 1_000)),
        ("aud", json!(7)),
        ("sub", json!(7)),
    ] {
        let error = outcome(&hs256(&claims_with(claim, wrong.clone()))).await.unwrap_err();
        assert!(is_type_of(&error, claim), "{claim} {wrong}: {error}");
    }
    let table = [
        ("exp", json!(NOW_S - 5), AuthError::Expired { ago_s: 5 }),
        ("exp", json!(0), AuthError::Expired { ago_s: NOW_S }),
        ("exp", json!(NOW_S + 86_406), AuthError::TooLongLived { left_s: 86_406, max_s: 86_400 }),
        ("nbf", json!(NOW_S + 6), AuthError::NotYetValid { in_s: 6 }),
        ("iat", json!(NOW_S + 6), AuthError::IssuedInFuture { in_s: 6 }),
        ("iss", json!("https://id.example/"), AuthError::Issuer),
        ("aud", json!("Roomcast"), AuthError::Audience),
        ("aud", json!(["a", "b"]), AuthError::Audience),
        ("aud", json!([]), missing("aud")),
    ];
    for (claim, wrong, expected) in table {
        assert_eq!(outcome(&hs256(&claims_with(claim, wrong.clone()))).await, Err(expected), "{claim} {wrong}");
    }
    let user = outcome(&hs256(&claims_with("sub", json!("auth0|1")))).await.unwrap_err();
    assert!(matches!(&user, AuthError::User(why) if why.contains("auth0|1")));
    assert!(matches!(outcome(&hs256(&claims_with("org", json!("*")))).await, Err(AuthError::Org(_))));
    let foreign = claims_with("grants", json!(["subscribe:kpi:other"]));
    assert!(matches!(outcome(&hs256(&foreign)).await, Err(AuthError::Grants(_))));
}

#[tokio::test]
async fn the_leeway_is_as_wide_as_configured_and_no_wider() {
    for (claim, value) in [("exp", NOW_S - 4), ("nbf", NOW_S + 5), ("iat", NOW_S + 5), ("exp", NOW_S + 86_405)] {
        assert!(outcome(&hs256(&claims_with(claim, json!(value)))).await.is_ok(), "{claim}");
    }
    let unbounded = Config { token_lifetime_max_s: 0, leeway_s: 0, ..config() };
    let verifier = verifier(&unbounded);
    assert!(verifier.verify(&hs256(&claims_with("exp", json!(253_402_300_799_u64))), NOW_S).await.is_ok());
    assert!(verifier.verify(&hs256(&claims_with("exp", json!(NOW_S))), NOW_S).await.is_err());
    assert!(Verifier::new(&Config { leeway_s: 61, ..config() }, syntax()).is_err());
}

#[tokio::test]
async fn an_error_never_holds_a_piece_of_the_token() {
    for claims in [claims_with("exp", json!(0)), claims_with("aud", json!("x")), claims_with("grants", json!([1]))] {
        let token = hs256(&claims);
        let fault = Fault::from(outcome(&token).await.unwrap_err());
        assert_eq!(fault.code, Code::AuthFailed);
        assert!(token.split('.').all(|part| !fault.message.contains(part)));
    }
}

#[tokio::test]
async fn a_public_key_is_never_a_secret() {
    let pair = Pair::generate(Algorithm::RS256);
    let config = Config { secret: None, keys: vec![pair.key(Algorithm::RS256, Some("main"))], ..config() };
    let verifier = verifier(&config);
    for header in [json!({"alg": "HS256"}), json!({"alg": "HS256", "kid": "main"})] {
        let confused = sign(&header, &good_claims(), &pair.public_pem);
        assert_eq!(verifier.verify(&confused, NOW_S).await, Err(AuthError::Algorithm));
    }
    let pasted = Config { secret: Some(Secret::new(pair.public_pem)), ..config };
    assert!(Verifier::new(&pasted, syntax()).is_err());
}

#[tokio::test]
async fn a_kid_only_ever_chooses_among_configured_keys() {
    let secret = Secret::new("a named secret of thirty-two bytes or more");
    let named = KeyConfig { id: Some("main".into()), secret: Some(secret.clone()), ..KeyConfig::default() };
    let verifier = verifier(&Config { secret: None, keys: vec![named], ..config() });
    assert!(verifier.verify(&sign(&json!({"alg": "HS256", "kid": "main"}), &good_claims(), secret.expose()), NOW_S).await.is_ok());
    assert!(verifier.verify(&sign(&json!({"alg": "HS256"}), &good_claims(), secret.expose()), NOW_S).await.is_ok());
    for kid in ["../../dev/null", "' OR 1=1", "", "MAIN"] {
        let header = json!({"alg": "HS256", "kid": kid, "jku": "http://127.0.0.1:1/", "jwk": {"kty": "oct", "k": "AAAA"}});
        let token = sign(&header, &good_claims(), "");
        assert_eq!(verifier.verify(&token, NOW_S).await, Err(AuthError::UnknownKey), "{kid:?}");
    }
}

#[tokio::test]
async fn every_algorithm_verifies_with_its_own_key_and_no_other() {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    let (rsa, p256, p384, ed) = (Pair::generate(RS256), Pair::generate(ES256), Pair::generate(ES384), Pair::generate(EdDSA));
    let pairs = [
        (RS256, &rsa),
        (RS384, &rsa),
        (RS512, &rsa),
        (PS256, &rsa),
        (PS384, &rsa),
        (PS512, &rsa),
        (ES256, &p256),
        (ES384, &p384),
        (EdDSA, &ed),
    ];
    let tokens = pairs.map(|(algorithm, pair)| (algorithm, mint(&request(), &config(), &pair.signs(algorithm, None)).unwrap()));
    for (algorithm, pair) in pairs {
        let one = verifier(&Config { secret: None, keys: vec![pair.key(algorithm, None)], ..config() });
        for (signed_with, token) in &tokens {
            let outcome = one.verify(token, NOW_S).await;
            let expected = if *signed_with == algorithm { Ok("alice") } else { Err(AuthError::Algorithm) };
            assert_eq!(outcome.as_ref().map(Principal::sub).map_err(Clone::clone), expected, "{algorithm:?} {signed_with:?}");
        }
    }
    let all = verifier(&Config { keys: pairs.map(|(algorithm, pair)| pair.key(algorithm, None)).to_vec(), ..config() });
    for (algorithm, token) in &tokens {
        assert!(all.verify(token, NOW_S).await.is_ok(), "{algorithm:?} among all");
    }
}

#[tokio::test]
async fn all_hs_algorithms_verify() {
    for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        let key =
            KeyConfig { algorithm, secret: Some(Secret::new("Zm9v".repeat(11) + "Zm8=")), secret_base64: true, ..KeyConfig::default() };
        let config = Config { secret: None, keys: vec![key], ..config() };
        let token = mint(&request(), &config, &SigningKey::of_config(&config).unwrap()).unwrap();
        assert_eq!(JwtHeader::new(algorithm).alg, jsonwebtoken::decode_header(&token).unwrap().alg);
        assert!(verifier(&config).verify(&token, NOW_S).await.is_ok(), "{algorithm:?}");
    }
}

#[tokio::test]
async fn claims_may_lie_deep_and_roles_bring_rights() {
    let claims = ClaimNames { org: "tenant.id".into(), roles: "realm_access.roles".into(), ..ClaimNames::default() };
    let rights = RoleRights { grants: vec!["publish:chat:{org}".into()], scopes: vec![Scope::Read] };
    let config = Config { claims, roles: [("agent".to_owned(), rights)].into(), ..config() };
    let mut token = claims_without("org");
    token["tenant"] = json!({"id": "acme"});
    token["realm_access"] = json!({"roles": ["offline_access", "agent"]});
    let alice = verifier(&config).verify(&hs256(&token), NOW_S).await.unwrap();
    assert!(alice.may_publish(&syntax().room("chat:acme:x").unwrap()).is_ok());
    assert!(alice.may(Right::Subscribe, &syntax().pattern("*:acme:**").unwrap()).is_ok());
    assert!(alice.scopes().allows(Scope::Read));
    let own = RoleRights { grants: vec!["subscribe:chat:{org} where agent = '{user}'".into()], scopes: vec![] };
    token["grants"] = json!([]);
    let narrow = Config { roles: [("agent".to_owned(), own)].into(), ..config.clone() };
    let alice = verifier(&narrow).verify(&hs256(&token), NOW_S).await.unwrap();
    let filter = alice.grant_subscribe(syntax().pattern("chat:acme").unwrap()).unwrap().filter();
    assert_eq!(filter.unwrap().as_str(), "agent = 'alice'");
    let wrong = RoleRights { grants: vec!["publish:nope:{org}".into()], scopes: vec![] };
    assert!(Verifier::new(&Config { roles: [("agent".to_owned(), wrong)].into(), ..config }, syntax()).is_err());
}

#[tokio::test]
async fn a_claim_of_quotas_is_read_where_it_is_configured_and_refused_where_it_cannot_be() {
    let claiming = |quotas: Value| hs256(&claims_with("plan", json!({ "quotas": quotas })));
    let read = async |path: &str, quotas: Value| {
        let claims = ClaimNames { quotas: path.into(), ..ClaimNames::default() };
        verifier(&Config { claims, ..config() }).verify(&claiming(quotas), NOW_S).await.map(|alice| alice.quotas())
    };
    let some = json!({ "publications_per_s": 7, "sessions_max": 3 });
    let part = read("plan.quotas", some.clone()).await.unwrap().unwrap();
    assert_eq!((part.publications_per_s, part.sessions_max, part.bytes_per_s), (Some(7), Some(3), None));
    assert_eq!(read("", some.clone()).await.unwrap(), None);
    assert_eq!(read("elsewhere", some).await.unwrap(), None);
    for wrong in [json!([7]), json!(7), json!({ "publications_per_s": -1 }), json!({ "publications": 1 }), json!({ "bytes_per_s": "1" })] {
        assert!(matches!(read("plan.quotas", wrong.clone()).await, Err(AuthError::ClaimType { .. })), "{wrong}");
    }
}

#[tokio::test]
async fn the_development_configuration_mints_what_it_verifies() {
    let config = Config::development().unwrap();
    let token = mint(&request(), &config, &SigningKey::of_config(&config).unwrap()).unwrap();
    assert!(verifier(&config).verify(&token, NOW_S).await.is_ok());
    assert!(config.has_keys() && !Config::default().has_keys());
    let other = Config::development().unwrap();
    assert_eq!(verifier(&other).verify(&token, NOW_S).await, Err(AuthError::Signature));
}

#[test]
fn weak_missing_or_misplaced_keys_stop_the_start() {
    let refused = |key: KeyConfig| {
        let fault = Verifier::new(&Config { keys: vec![key], ..Config::default() }, syntax()).err().unwrap().to_string();
        assert!(fault.contains("auth.keys[0]"), "{fault}");
        fault
    };
    let p384 = Pair::generate(Algorithm::ES384);
    let shown = refused(KeyConfig { secret: Some(Secret::new("hunter2-is-too-short")), ..KeyConfig::default() });
    assert!(!shown.contains("hunter2"));
    refused(KeyConfig::default());
    refused(KeyConfig {
        secret: Some(Secret::new("not base64 at all, but quite long enough")),
        secret_base64: true,
        ..KeyConfig::default()
    });
    refused(KeyConfig { secret_file: Some("/nonexistent/secret".into()), ..KeyConfig::default() });
    refused(p384.key(Algorithm::ES256, None));
    refused(p384.key(Algorithm::RS256, None));
    refused(p384.key(Algorithm::EdDSA, None));
    refused(KeyConfig { algorithm: Algorithm::ES384, public_key: Some(p384.private_pem), ..KeyConfig::default() });
    let without_issuer =
        Config { jwks: crate::auth::jwks::Config { url: Some("https://id.example".into()), ..Default::default() }, ..Config::default() };
    assert!(Verifier::new(&without_issuer, syntax()).is_err());
}

#[test]
fn a_secret_file_may_end_with_a_line_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secret");
    std::fs::write(&path, format!("{SECRET}\n")).unwrap();
    let key = KeyConfig { secret_file: Some(path), ..KeyConfig::default() };
    assert_eq!(crate::auth::key::secret_bytes(&key, "x").unwrap(), SECRET.as_bytes());
}

fn request() -> MintRequest {
    MintRequest {
        sub: "alice".into(),
        org: Some("acme".into()),
        grants: None,
        scopes: Vec::new(),
        token_id: None,
        issued_at_s: NOW_S,
        lifetime_s: 60,
    }
}
