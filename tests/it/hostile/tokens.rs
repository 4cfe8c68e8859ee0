//! Tokens that must not be good: refused with `AUTH_FAILED` and 4500, by whatever way they come.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::client::Client;
use super::gateway::{Gateway, SECRET, now_s, token, token_for};
use super::rest::{bearer, exchange, request};
use super::stage::Stage;

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn signed(header: &Value, claims: &Value, secret: &[u8]) -> String {
    let message = format!("{}.{}", part(header), part(claims));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag))
}

fn hs256() -> Value {
    json!({"alg": "HS256", "typ": "JWT"})
}

fn claims() -> Value {
    json!({"sub": "mallory", "org": "acme", "exp": now_s() + 600})
}

/// The good header and claims but for these; properly signed, so that only the difference can be the reason.
fn header_with(with: &Value) -> String {
    signed(&merged(hs256(), with), &claims(), SECRET.as_bytes())
}

pub fn claims_with(with: &Value) -> String {
    signed(&hs256(), &merged(claims(), with), SECRET.as_bytes())
}

fn without(claim: &str) -> String {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(claim);
    signed(&hs256(), &claims, SECRET.as_bytes())
}

fn merged(mut base: Value, with: &Value) -> Value {
    base.as_object_mut().unwrap().extend(with.as_object().unwrap().clone());
    base
}

/// A token that is good but for its signature.
pub fn forged() -> String {
    signed(&hs256(), &claims(), b"another secret, longer than 32 bytes too")
}

fn unsigned(algorithm: &str) -> String {
    format!("{}.{}.", part(&json!({"alg": algorithm})), part(&claims()))
}

/// Input and reason. `public_pem` is the public key of the node's other key, which everybody may know.
fn refused(public_pem: &str) -> Vec<(String, &'static str)> {
    let good = claims_with(&json!({}));
    let (message, signature) = good.rsplit_once('.').unwrap();
    let now = now_s();
    vec![
        (unsigned("none"), "no algorithm"),
        (unsigned("None"), "no algorithm, in capitals"),
        (unsigned("nOnE"), "no algorithm, in mixed case"),
        (unsigned(""), "an empty algorithm"),
        (unsigned("HS256"), "no signature"),
        (format!("{message}."), "the signature cut off"),
        (format!("{message}.{}", &signature[..signature.len() - 4]), "a shorter signature"),
        (format!("{message}.{signature}AAAA"), "a longer signature"),
        (format!("{}.{}.{signature}", part(&hs256()), part(&merged(claims(), &json!({"org": "other"})))), "claims exchanged"),
        (signed(&hs256(), &claims(), b"another secret, longer than 32 bytes too"), "another secret"),
        (signed(&hs256(), &claims(), b""), "an empty secret"),
        (signed(&hs256(), &claims(), public_pem.as_bytes()), "the public key taken for a secret"),
        (signed(&json!({"alg": "HS256", "kid": "public"}), &claims(), public_pem.as_bytes()), "the same by the key's name"),
        (header_with(&json!({"alg": "HS384"})), "an algorithm that the secret is not for"),
        (header_with(&json!({"alg": "ES256"})), "an algorithm of another key"),
        (header_with(&json!({"alg": "ES256", "kid": "public"})), "an algorithm of another key, named"),
        (header_with(&json!({"alg": "RS256"})), "an algorithm that no key is for"),
        (header_with(&json!({"alg": ["HS256"]})), "a list of algorithms"),
        (header_with(&json!({"kid": 5})), "a number for a kid"),
        (header_with(&json!({"kid": {"$ne": ""}})), "an object for a kid"),
        (header_with(&json!({"crit": ["exp"]})), "an extension that must be understood"),
        (signed(&json!({"alg": "HS256", "kid": "../../../dev/null"}), &claims(), b""), "an empty file as the key"),
        (signed(&json!({"alg": "HS256", "kid": "x' UNION SELECT 'key"}), &claims(), b"key"), "a query as the kid"),
        (signed(&json!({"alg": "HS256", "jwk": {"kty": "oct", "k": "a2V5"}}), &claims(), b"key"), "a key brought along"),
        (signed(&json!({"alg": "HS256", "jku": "http://127.0.0.1:1/"}), &claims(), b"key"), "an address of keys brought along"),
        (without("exp"), "no expiry"),
        (without("sub"), "no user"),
        (without("org"), "no org"),
        (claims_with(&json!({"exp": now - 60})), "expired"),
        (claims_with(&json!({"exp": (now + 600).to_string()})), "an expiry that is text"),
        (claims_with(&json!({"exp": (now + 600) * 1_000})), "an expiry in milliseconds"),
        (claims_with(&json!({"exp": -1})), "a negative expiry"),
        (claims_with(&json!({"exp": 1e300})), "an expiry beyond time"),
        (claims_with(&json!({"exp": null})), "an expiry that is null"),
        (claims_with(&json!({"exp": now + 10 * 365 * 86_400})), "an expiry in ten years"),
        (claims_with(&json!({"nbf": now + 600})), "not valid yet"),
        (claims_with(&json!({"nbf": "now"})), "a beginning that is text"),
        (claims_with(&json!({"iat": now + 600})), "issued in the future"),
        (claims_with(&json!({"sub": ""})), "an empty user"),
        (claims_with(&json!({"sub": 7})), "a number for a user"),
        (claims_with(&json!({"sub": "a:b"})), "a user with a colon"),
        (claims_with(&json!({"sub": "*"})), "a wildcard for a user"),
        (claims_with(&json!({"sub": "a\nb"})), "a user with a line end"),
        (claims_with(&json!({"org": "*"})), "a wildcard for an org"),
        (claims_with(&json!({"org": "**"})), "a longer wildcard for an org"),
        (claims_with(&json!({"org": ["acme", "other"]})), "two orgs"),
        (claims_with(&json!({"org": "acme:sales"})), "an org with a colon"),
        (claims_with(&json!({"org": "{acme}"})), "a hash tag of Redis for an org"),
        (claims_with(&json!({"grants": ["subscribe:*:other:**"]})), "a grant in another org"),
        (claims_with(&json!({"grants": ["own:kpi:acme"]})), "a right that does not exist"),
        (claims_with(&json!({"grants": "subscribe:kpi:acme"})), "grants that are text"),
        (claims_with(&json!({"grants": {"kpi": true}})), "grants that are an object"),
        (claims_with(&json!({"grants": vec!["subscribe:kpi:acme"; 300]})), "300 grants"),
        (claims_with(&json!({"aud": 5})), "an audience that is a number"),
        (claims_with(&json!({"x": "x".repeat(9_000)})), "a token beyond 8 KiB"),
        (signed(&hs256(), &json!([claims()]), SECRET.as_bytes()), "claims in a list"),
        (signed(&json!(["HS256"]), &claims(), SECRET.as_bytes()), "a header that is a list"),
        (message.to_owned(), "two parts"),
        (format!("{good}.x"), "four parts"),
        (format!("{good}="), "padding"),
        (format!(" {good}"), "a space before"),
        (format!("{good}\n"), "a line end behind"),
        ("..".to_owned(), "empty parts"),
        (String::new(), "nothing"),
        ("\u{1f511}".to_owned(), "a key, of sorts"),
    ]
}

fn public_key() -> String {
    rcgen::KeyPair::generate().unwrap().public_key_pem()
}

fn keys(pem: &str) -> String {
    format!("[{{ id = \"public\", algorithm = \"ES256\", public_key = {} }}]", json!(pem))
}

#[tokio::test]
async fn a_bad_token_is_refused_and_its_connection_closed_for_good() {
    let pem = public_key();
    let stage = Stage::start(&[("ROOMCAST_AUTH__KEYS", &keys(&pem))]).await;
    for (token, reason) in refused(&pem) {
        let mut client = Client::open(&stage.gateway, "/ws", "").await;
        client.command(&json!({"event": "authenticate", "id": "in", "data": {"token": token}})).await;
        let answer = client.answer("in").await;
        assert_eq!((&answer["event"], &answer["data"]["code"]), (&json!("error"), &json!("AUTH_FAILED")), "{reason}");
        // Where only the clock speaks against it, another node or a fresh token may do.
        let clock = answer["data"]["retry_after_ms"] == 1_000;
        let closed = if clock { (4002, r#"{"code":"AUTH_FAILED","retry_after_ms":1000}"#) } else { (4500, r#"{"code":"AUTH_FAILED"}"#) };
        assert_eq!(client.closed().await, (closed.0, closed.1.to_owned()), "{reason}");
        assert_eq!(clock, ["expired", "not valid yet", "issued in the future"].contains(&reason), "{reason}");
        let piece = token.rsplit('.').next().unwrap();
        assert!(piece.len() < 8 || !answer.to_string().contains(piece), "{reason}: the answer shows the token");
    }
    let mut client = Client::open(&stage.gateway, "/ws", "").await;
    client.command(&json!({"event": "authenticate", "data": {"token": claims_with(&json!({}))}})).await;
    assert_eq!(client.message().await["event"], "authenticated", "the model of all these tokens is good");
    stage.end().await;
}

#[tokio::test]
async fn a_bad_token_in_the_handshake_is_told_in_the_connection() {
    let stage = Stage::start(&[]).await;
    let (bad, expired) = (signed(&hs256(), &claims(), b"another secret"), claims_with(&json!({"exp": now_s() - 60})));
    for (lines, code) in [
        (format!("Authorization: Bearer {bad}\r\n"), 4500),
        (format!("Authorization: Bearer {expired}\r\n"), 4002),
        (format!("Sec-WebSocket-Protocol: roomcast.v1, bearer.{bad}\r\n"), 4500),
        ("Sec-WebSocket-Protocol: bearer.x\r\n".to_owned(), 4500),
        // The header counts, and a good token beside it does not mend it.
        (format!("Authorization: Bearer {bad}\r\nSec-WebSocket-Protocol: bearer.{}\r\n", token("alice", "acme", None)), 4500),
    ] {
        let mut client = Client::open(&stage.gateway, "/ws", &lines).await;
        assert_eq!(client.message().await["data"]["code"], "AUTH_FAILED", "{lines}");
        assert_eq!(client.closed().await.0, code, "{lines}");
    }
    stage.end().await;
}

#[tokio::test]
async fn a_token_that_expires_on_the_open_connection_is_warned_of_and_then_ends_it() {
    let stage = Stage::start(&[("ROOMCAST_SESSION__EXPIRY_WARNING_MS", "1500")]).await;
    let mut client = Client::session(&stage.gateway, &token_for("brief", "acme", None, 4)).await;
    assert_eq!(client.message().await["event"], "token:expiring");
    assert_eq!(client.closed().await, (4002, r#"{"code":"AUTH_FAILED"}"#.to_owned()));
    // A renewal in time goes on, and what it no longer grants ends.
    let mut client = Client::session(&stage.gateway, &token_for("brief", "acme", Some(&["subscribe:*:acme:**"]), 4)).await;
    client.command(&json!({"event": "subscribe", "id": "s", "data": {"rooms": ["kpi:acme", "chat:acme"]}})).await;
    assert_eq!(client.answer("s").await["event"], "subscribed");
    let narrower = token("brief", "acme", Some(&["subscribe:chat:acme:**"]));
    client.command(&json!({"event": "authenticate", "id": "renew", "data": {"token": narrower}})).await;
    let mut ended = client.message().await;
    while ended["event"] == "token:expiring" {
        ended = client.message().await;
    }
    assert_eq!((&ended["event"], &ended["data"]["rooms"]), (&json!("unsubscribed"), &json!(["kpi:acme"])));
    assert_eq!(client.answer("renew").await["event"], "authenticated");
    client.assert_alive("renewed").await;
    stage.end().await;
}

/// A token that may do everything over REST and a little over WebSocket, in the org `acme`.
fn powerful(user: &str, id: &str, with: &Value) -> String {
    claims_with(&merged(json!({"sub": user, "jti": id, "scope": "roomcast:read roomcast:connections"}), with))
}

/// Revokes with credentials of its own.
async fn revoke(gateway: &Gateway, target: &Value) {
    let operator = claims_with(&json!({"sub": "operator", "org": "operators", "scope": "roomcast:admin"}));
    let lines = format!("{}Content-Type: application/json\r\n", bearer(&operator));
    let (status, _, body) = exchange(gateway, request("POST", "/api/ws/revoke", &lines, &target.to_string()).as_bytes()).await;
    assert_eq!(status, 200, "{body}");
}

/// Tries the token by every way there is.
async fn assert_good_for_nothing(gateway: &Gateway, token: &str, reason: &str) {
    let mut client = Client::open(gateway, "/ws", "").await;
    client.command(&json!({"event": "authenticate", "id": "in", "data": {"token": token}})).await;
    assert_eq!(client.answer("in").await["data"]["code"], "AUTH_FAILED", "{reason}: by a command");
    assert_eq!(client.closed().await.0, 4502, "{reason}: by a command");
    for lines in [format!("Authorization: Bearer {token}\r\n"), format!("Sec-WebSocket-Protocol: roomcast.v1, bearer.{token}\r\n")] {
        let mut client = Client::open(gateway, "/ws", &lines).await;
        assert_eq!(client.message().await["data"]["code"], "AUTH_FAILED", "{reason}: by the handshake");
        assert_eq!(client.closed().await.0, 4502, "{reason}: by the handshake");
    }
    let (status, _, body) = exchange(gateway, request("GET", "/api/ws/stats", &bearer(token), "").as_bytes()).await;
    assert!(status == 401 && body.contains("AUTH_FAILED"), "{reason}: over REST: {status} {body}");
}

#[tokio::test]
async fn a_revoked_token_is_good_for_nothing_by_whatever_way_it_comes_again() {
    for (user, id, with, target, reason) in [
        ("alice", "t1", json!({}), json!({"token_id": "t1"}), "the token"),
        ("alice", "t2", json!({"iat": now_s() - 5}), json!({"organization_id": "acme", "user_id": "alice"}), "its user"),
        ("bob", "t3", json!({}), json!({"organization_id": "acme", "user_id": "bob"}), "the user of a token without iat"),
        ("carol", "t4", json!({"iat": now_s() - 5}), json!({"organization_id": "acme"}), "its org"),
        (
            "dave",
            "t5",
            json!({"scope": "roomcast:admin"}),
            json!({"organization_id": "acme", "user_id": "dave"}),
            "an administrator of all orgs",
        ),
    ] {
        let stage = Stage::start(&[]).await;
        let token = powerful(user, id, &with);
        let mut open = Client::session(&stage.gateway, &token).await;
        let mut other = Client::session(&stage.gateway, &self::token("zoe", "other", None)).await;
        revoke(&stage.gateway, &target).await;
        assert_eq!(open.closed().await, (4502, r#"{"code":"AUTH_FAILED"}"#.to_owned()), "{reason}");
        assert_good_for_nothing(&stage.gateway, &token, reason).await;
        other.assert_alive(reason).await;
        stage.end().await;
    }
}

#[tokio::test]
async fn an_open_session_is_not_renewed_by_a_token_that_is_revoked_or_expired() {
    let stage = Stage::start(&[]).await;
    let mut client = Client::session(&stage.gateway, &token("mallory", "acme", None)).await;
    for (token, reason) in [
        (claims_with(&json!({"exp": now_s() - 60})), "expired"),
        (claims_with(&json!({"exp": now_s() + 10 * 365 * 86_400})), "too long-lived"),
        (signed(&hs256(), &claims(), b"another secret, longer than 32 bytes too"), "forged"),
        (unsigned("none"), "unsigned"),
    ] {
        client.command(&json!({"event": "authenticate", "id": reason, "data": {"token": token}})).await;
        assert_eq!(client.answer(reason).await["data"]["code"], "AUTH_FAILED", "{reason}");
        client.assert_alive(reason).await;
    }
    revoke(&stage.gateway, &json!({"token_id": "stolen"})).await;
    client.command(&json!({"event": "authenticate", "id": "stolen", "data": {"token": claims_with(&json!({"jti": "stolen"}))}})).await;
    assert_eq!(client.answer("stolen").await["data"]["code"], "AUTH_FAILED");
    assert_eq!(client.closed().await.0, 4502, "whoever shows a revoked token holds it, so the session ends");
    stage.end().await;
}

#[tokio::test]
async fn an_expired_token_ends_a_session_that_is_busy_and_is_not_taken_again() {
    let stage = Stage::start(&[
        ("ROOMCAST_AUTH__LEEWAY_S", "0"),
        ("ROOMCAST_SESSION__EXPIRY_WARNING_MS", "100"),
        ("ROOMCAST_LIMITS__COMMANDS_PER_S", "100000"),
        ("ROOMCAST_LIMITS__COMMANDS_BURST", "100000"),
    ])
    .await;
    let token = token_for("brief", "acme", Some(&["publish:kpi:acme"]), 3);
    let mut client = Client::session(&stage.gateway, &token).await;
    let publish = json!({"event": "publish", "id": "p", "data": {"event": "kpi:update", "room": "kpi:acme", "data": 1}});
    let began = std::time::Instant::now();
    let code = loop {
        client.command(&publish).await;
        match client.heard().await {
            super::client::Heard::Close(code, _) => break code,
            super::client::Heard::End => panic!("no close"),
            _ => assert!(began.elapsed().as_secs() < 8, "the session outlives its token"),
        }
    };
    assert_eq!(code, 4002);
    let mut again = Client::open(&stage.gateway, "/ws", &bearer(&token)).await;
    assert_eq!(again.message().await["data"]["code"], "AUTH_FAILED");
    assert_eq!(again.closed().await.0, 4002);
    stage.end().await;
}
