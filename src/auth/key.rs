//! Keys that verify: from the configuration, each for exactly one algorithm, or from a JWKS, each for what its kind allows.
//!
//! Made at start by the verifier and at each refresh by `jwks`. A key is never used with an algorithm of another family, so a
//! public key can never be mistaken for a secret.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};

use super::config::{ConfigFault, KeyConfig, read_file};

/// Shortest secret of an HS algorithm.
pub const SECRET_BYTES_MIN: usize = 32;
/// Shortest RSA modulus, 2,048 bits (RFC 7518 section 3.3).
const RSA_MODULUS_BYTES_MIN: usize = 256;
/// Keys that are tried for one token: bounds the work that a token without a `kid` can cause.
const TRIES_MAX: usize = 4;

/// A key and the algorithms that it is for.
pub(super) struct Key {
    id: Option<Box<str>>,
    algorithms: Box<[Algorithm]>,
    decoding: DecodingKey,
}

impl Key {
    /// # Errors
    /// [`ConfigFault`] when material is missing, doubled, weak, or of another kind than the algorithm.
    pub(super) fn of_config(config: &KeyConfig, setting: &str) -> Result<Self, ConfigFault> {
        let decoding = match config.algorithm.family() {
            AlgorithmFamily::Hmac => DecodingKey::from_secret(&secret_bytes(config, setting)?),
            _ => public_key(config, setting)?,
        };
        Ok(Self { id: config.id.as_deref().map(Box::from), algorithms: [config.algorithm].into(), decoding })
    }

    /// `None` for keys that are not for verifying signatures or that are not supported; secrets from a JWKS among them.
    pub(super) fn of_jwk(jwk: &Jwk) -> Option<Self> {
        let for_signatures = matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
        let verifies = jwk.common.key_operations.as_ref().is_none_or(|operations| operations.contains(&KeyOperations::Verify));
        if !for_signatures || !verifies {
            return None;
        }
        let mut algorithms = allowed_by_kind(&jwk.algorithm)?;
        if let Some(named) = jwk.common.key_algorithm {
            let named = Algorithm::try_from(named).ok()?;
            algorithms = algorithms.iter().position(|allowed| *allowed == named).map(|index| &algorithms[index..=index])?;
        }
        let decoding = DecodingKey::from_jwk(jwk).ok()?;
        Some(Self { id: jwk.common.key_id.as_deref().map(Box::from), algorithms: algorithms.into(), decoding })
    }

    /// Whether the key is for the algorithm, and does not go by another name than the token says.
    pub(super) fn fits(&self, kid: Option<&str>, algorithm: Algorithm) -> bool {
        let named_alike = match (kid, self.id.as_deref()) {
            (Some(kid), Some(id)) => kid == id,
            _ => true,
        };
        named_alike && self.is_for(algorithm)
    }

    pub(super) fn is_for(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }

    fn verifies(&self, algorithm: Algorithm, message: &str, signature: &str) -> bool {
        jsonwebtoken::crypto::verify(signature, message.as_bytes(), &self.decoding, algorithm).unwrap_or(false)
    }
}

/// What trying the fitting keys brought.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Tried {
    NoneFits,
    Refused,
    Verified,
}

pub(super) fn try_keys(keys: &[Key], kid: Option<&str>, algorithm: Algorithm, message: &str, signature: &str) -> Tried {
    let mut outcome = Tried::NoneFits;
    for key in keys.iter().filter(|key| key.fits(kid, algorithm)).take(TRIES_MAX) {
        if key.verifies(algorithm, message, signature) {
            return Tried::Verified;
        }
        outcome = Tried::Refused;
    }
    outcome
}

fn allowed_by_kind(kind: &AlgorithmParameters) -> Option<&'static [Algorithm]> {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    match kind {
        AlgorithmParameters::RSA(rsa) => {
            let modulus_bytes = URL_SAFE_NO_PAD.decode(&rsa.n).ok()?.len();
            (modulus_bytes >= RSA_MODULUS_BYTES_MIN).then_some(&[RS256, RS384, RS512, PS256, PS384, PS512])
        }
        AlgorithmParameters::EllipticCurve(ec) => match ec.curve {
            EllipticCurve::P256 => Some(&[ES256]),
            EllipticCurve::P384 => Some(&[ES384]),
            _ => None,
        },
        AlgorithmParameters::OctetKeyPair(pair) => (pair.curve == EllipticCurve::Ed25519).then_some(&[EdDSA]),
        // Among them `oct`: a secret that is published is none.
        _ => None,
    }
}

/// The bytes of an HS secret, wherever they are configured.
pub(super) fn secret_bytes(config: &KeyConfig, setting: &str) -> Result<Vec<u8>, ConfigFault> {
    let text = match (&config.secret, &config.secret_file) {
        (Some(secret), None) => secret.expose().to_owned(),
        (None, Some(path)) => read_file(setting, path)?.trim_end_matches(['\r', '\n']).to_owned(),
        _ => return Err(ConfigFault::invalid(setting, "an HS algorithm needs either secret or secret_file")),
    };
    if text.contains("-----BEGIN") {
        return Err(ConfigFault::invalid(setting, "this is a PEM file, not a secret; name its own algorithm, such as RS256"));
    }
    let bytes = if config.secret_base64 {
        let decoded = STANDARD.decode(&text).or_else(|_| URL_SAFE_NO_PAD.decode(&text));
        decoded.map_err(|_| ConfigFault::invalid(setting, "the secret is not base64"))?
    } else {
        text.into_bytes()
    };
    if bytes.len() < SECRET_BYTES_MIN {
        let why = format!("the secret has {} bytes and needs {SECRET_BYTES_MIN}; try: openssl rand -base64 32", bytes.len());
        return Err(ConfigFault::invalid(setting, why));
    }
    Ok(bytes)
}

fn public_key(config: &KeyConfig, setting: &str) -> Result<DecodingKey, ConfigFault> {
    let pem = match (&config.public_key, &config.public_key_file) {
        (Some(pem), None) => pem.clone(),
        (None, Some(path)) => read_file(setting, path)?,
        _ => return Err(ConfigFault::invalid(setting, "this algorithm needs either public_key or public_key_file")),
    };
    if pem.contains("PRIVATE KEY") {
        return Err(ConfigFault::invalid(setting, "this is a private key; verifying needs the public one only"));
    }
    let parsed = match config.algorithm.family() {
        AlgorithmFamily::Ec => DecodingKey::from_ec_pem(pem.as_bytes()),
        AlgorithmFamily::Ed => DecodingKey::from_ed_pem(pem.as_bytes()),
        AlgorithmFamily::Rsa | AlgorithmFamily::Hmac => DecodingKey::from_rsa_pem(pem.as_bytes()),
    };
    let key = parsed.map_err(|_| ConfigFault::invalid(setting, format!("this is no PEM public key for {:?}", config.algorithm)))?;
    // An uncompressed point is one byte and two coordinates: 65 bytes on P-256, 97 on P-384.
    let point_bytes = key.try_get_as_bytes().map_or(0, <[u8]>::len);
    let other_curve = matches!((config.algorithm, point_bytes), (Algorithm::ES256, 97) | (Algorithm::ES384, 65));
    if other_curve {
        return Err(ConfigFault::invalid(setting, "the key is on another curve than the algorithm's"));
    }
    Ok(key)
}
