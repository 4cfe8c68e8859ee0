use super::*;
use serde_json::json;

#[test]
fn http_is_for_this_machine_or_by_permission() {
    for good in ["https://id.example/certs", "http://127.0.0.1:8080/certs", "http://localhost/x", "http://[::1]:1/x"] {
        assert!(checked_uri(good, false).is_ok(), "{good}");
    }
    for bad in ["http://id.example/certs", "http://localhost.evil.example/", "/certs", "ftp://id.example/", "https://a:b@id.example/", ""] {
        assert!(checked_uri(bad, false).is_err(), "{bad}");
    }
    assert!(checked_uri("http://id.example/certs", true).is_ok());
}

#[test]
fn only_keys_for_signatures_are_taken() {
    let coordinate = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
    let good = json!({"kty": "EC", "crv": "P-256", "kid": "good", "x": coordinate, "y": coordinate});
    let with = |name: &str, value: serde_json::Value| {
        let mut key = good.clone();
        key[name] = value;
        key
    };
    let refused = [
        with("use", json!("enc")),
        with("key_ops", json!(["sign"])),
        with("alg", json!("HS256")),
        with("alg", json!("ES384")),
        with("alg", json!("none")),
        with("crv", json!("P-521")),
        with("kty", json!("unheard of")),
        json!({"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}),
        json!({"kty": "RSA", "n": "AQAB", "e": "AQAB"}),
        json!(7),
    ];
    for key in refused {
        let body = json!({"keys": [key, good]}).to_string();
        let keys = read_keys(body.as_bytes(), 64).unwrap();
        assert_eq!(keys.len(), 1, "{body}");
        assert!(keys[0].fits(Some("good"), Algorithm::ES256) && !keys[0].is_for(Algorithm::ES384));
    }
}

#[test]
fn an_answer_without_usable_keys_or_with_too_many_is_no_answer() {
    assert!(matches!(read_keys(b"{\"keys\":[]}", 64), Err(FetchError::NoUsableKey)));
    assert!(matches!(read_keys(b"{\"keys\":[1,2,3]}", 2), Err(FetchError::TooManyKeys(3))));
    assert!(matches!(read_keys(b"<html>", 64), Err(FetchError::Json(_))));
}
