//! TLS to the nodes, through rustls on ring.

use std::path::Path;
use std::sync::Arc;

use chat4all_process::ConfigError;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::settings::CassandraTls;

/// The client's side of every connection.
///
/// # Errors
/// A file that cannot be read or holds something else, with its key.
pub(super) fn client(settings: &CassandraTls, section: &str) -> Result<ClientConfig, ConfigError> {
    // Named here, so that no other crate's choice of a provider can matter.
    let provider = Arc::new(ring::default_provider());
    let key = |name: &str| format!("{section}.tls.{name}");
    let Some(ca_file) = &settings.ca_file else {
        return Err(ConfigError::missing(&key("ca_file"), "is required".to_owned(), "give it"));
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca_file, &key("ca_file"))? {
        roots.add(certificate).map_err(|error| refused(&key("ca_file"), ca_file, &error))?;
    }
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .map_err(|error| refused(&key("ca_file"), ca_file, &error))?;
    let name = settings.server_name.as_deref().map(|name| {
        ServerName::try_from(name.to_owned()).map_err(|error| {
            let rule = format!("must be a DNS name or an IP address: {error}");
            ConfigError::of(&key("server_name"), name, rule, "correct it")
        })
    });
    let verifier = Nodes { verifier, name: name.transpose()? };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| refused(&key("enabled"), Path::new("true"), &error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let (Some(certificate_file), Some(key_file)) = (&settings.certificate_file, &settings.key_file)
    else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = certificates(certificate_file, &key("certificate_file"))?;
    let private_key = PrivateKeyDer::from_pem_file(key_file)
        .map_err(|error| refused(&key("key_file"), key_file, &error))?;
    builder
        .with_client_auth_cert(chain, private_key)
        .map_err(|error| refused(&key("key_file"), key_file, &error))
}

fn certificates(file: &Path, key: &str) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let read = |error: &dyn std::fmt::Display| refused(key, file, error);
    let found: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(file).map_err(|error| read(&error))?.collect();
    let found = found.map_err(|error| read(&error))?;
    if found.is_empty() {
        return Err(read(&"there is no certificate in it"));
    }
    Ok(found)
}

fn refused(key: &str, file: &Path, error: &dyn std::fmt::Display) -> ConfigError {
    let rule = format!("must be a PEM file that can be used: {error}");
    ConfigError::of(key, file.display(), rule, "check the path and the file's content")
}

/// The driver knows nodes by their addresses; certificates often carry one name for all of them.
/// Everything else about a certificate is checked as usual.
#[derive(Debug)]
struct Nodes {
    verifier: Arc<WebPkiServerVerifier>,
    name: Option<ServerName<'static>>,
}

impl ServerCertVerifier for Nodes {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        address: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let name = self.name.as_ref().unwrap_or(address);
        self.verifier.verify_server_cert(certificate, chain, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_missing_or_holds_no_certificate_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty.pem");
        std::fs::write(&empty, "nothing\n").unwrap();
        for file in [folder.path().join("missing.pem"), empty] {
            let settings =
                CassandraTls { enabled: true, ca_file: Some(file.clone()), ..Default::default() };
            let error = client(&settings, "cassandra").unwrap_err();
            assert_eq!(error.key, "cassandra.tls.ca_file");
            assert_eq!(error.value, Some(file.display().to_string()));
        }
    }
}
