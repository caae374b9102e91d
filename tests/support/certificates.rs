//! A certificate authority and a certificate of its own for each test.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PublicKeyData as _,
};
use sha2::{Digest as _, Sha256};

pub struct Certificates {
    pub authority_pem: String,
    pub certificate_pem: String,
    pub key_pem: String,
    /// SHA-256 of the certificate's public key, in base64.
    pub key_hash: String,
}

/// A fresh authority with one certificate for `localhost`, `127.0.0.1` and a brand's host.
pub fn fresh() -> Certificates {
    fresh_for(&["localhost", "127.0.0.1", super::BRAND_HOST])
}

/// The same for other names.
pub fn fresh_for(names: &[&str]) -> Certificates {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    // OpenSSL takes a certificate whose issuer has its own name for self-signed.
    authority.distinguished_name.push(DnType::CommonName, "Authority of a test");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_pem = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = Issuer::new(authority, authority_key);

    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    Certificates {
        authority_pem,
        certificate_pem: certificate.pem(),
        key_hash: BASE64_STANDARD.encode(Sha256::digest(key.subject_public_key_info())),
        key_pem: key.serialize_pem(),
    }
}
