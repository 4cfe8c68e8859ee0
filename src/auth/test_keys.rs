//! Fresh key pairs for the tests of this module: nothing secret lies in the repository.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::signature::KeyPair;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, AlgorithmFamily};

use super::config::KeyConfig;
use super::mint::SigningKey;

pub(super) struct Pair {
    pub private_pem: String,
    pub public_pem: String,
}

impl Pair {
    pub(super) fn generate(algorithm: Algorithm) -> Self {
        match algorithm.family() {
            AlgorithmFamily::Rsa => Self::rsa(),
            AlgorithmFamily::Ec => {
                Self::rcgen(if algorithm == Algorithm::ES256 { &rcgen::PKCS_ECDSA_P256_SHA256 } else { &rcgen::PKCS_ECDSA_P384_SHA384 })
            }
            AlgorithmFamily::Ed => Self::rcgen(&rcgen::PKCS_ED25519),
            AlgorithmFamily::Hmac => panic!("an HS algorithm has no key pair"),
        }
    }

    fn rsa() -> Self {
        let pair = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
        let private: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        let public: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        Self { private_pem: pem("PRIVATE KEY", private.as_ref()), public_pem: pem("PUBLIC KEY", public.as_ref()) }
    }

    fn rcgen(algorithm: &'static rcgen::SignatureAlgorithm) -> Self {
        let pair = rcgen::KeyPair::generate_for(algorithm).unwrap();
        Self { private_pem: pair.serialize_pem(), public_pem: pair.public_key_pem() }
    }

    pub(super) fn key(&self, algorithm: Algorithm, id: Option<&str>) -> KeyConfig {
        let id = id.map(str::to_owned);
        KeyConfig { id, algorithm, public_key: Some(self.public_pem.clone()), ..KeyConfig::default() }
    }

    pub(super) fn signs(&self, algorithm: Algorithm, id: Option<&str>) -> SigningKey {
        SigningKey::of_pem(self.private_pem.as_bytes(), algorithm, id.map(str::to_owned)).unwrap()
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let base64 = STANDARD.encode(der);
    let lines: Vec<&str> = base64.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
