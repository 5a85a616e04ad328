//! Polls and fetches over TLS, with a certificate authority of the test's own.

use std::{net::TcpStream, process::Command, sync::Arc};

use camino::{Utf8Path, Utf8PathBuf};
use reconciler::source::RemoteError;
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::{
    http_server::{Behaviour, Server},
    support::{Scratch, Upstream, settings, source},
};

fn openssl(folder: &Utf8Path, arguments: &str) {
    let output = Command::new("openssl")
        .current_dir(folder)
        .args(arguments.split(' '))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{arguments}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// An authority, and a server on 127.0.0.1 with a certificate of it.
fn start(scratch: &Scratch) -> (Server, Utf8PathBuf) {
    let folder = &scratch.path;
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(
        folder,
        &format!("req -x509 {key} -keyout ca.key -out ca.pem -days 7 -subj /CN=authority"),
    );
    openssl(
        folder,
        &format!("req -new {key} -keyout server.key -out server.csr -subj /CN=server"),
    );
    std::fs::write(
        folder.join("names"),
        "subjectAltName=IP:127.0.0.1,DNS:localhost\nbasicConstraints=CA:FALSE\n",
    )
    .unwrap();
    openssl(
        folder,
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 7 -extfile names -out server.pem",
    );
    let certificate = CertificateDer::from_pem_file(folder.join("server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(folder.join("server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let config = Arc::new(config);
    let secure = move |stream: TcpStream| {
        Some(StreamOwned::new(
            ServerConnection::new(config.clone()).unwrap(),
            stream,
        ))
    };
    let behaviour = Behaviour::Guarded(folder.clone(), "eC1hY2Nlc3MtdG9rZW46dDBrZW4=");
    (Server::start_with(behaviour, secure), folder.join("ca.pem"))
}

#[tokio::test]
async fn a_certificate_of_the_configured_authority_is_trusted_and_no_other() {
    let scratch = Scratch::new();
    let upstream = Upstream::new(&scratch);
    let (server, authority) = start(&scratch);
    let url = server
        .url("infra")
        .replace("http://", "https://")
        .replace("://", "://x-access-token:t0ken@");

    let mut settings = settings(&scratch, &[&url]);
    let stranger = source(settings.clone());
    settings.https.ca_file = Some(authority);
    let source = source(settings);
    let advertised = source.poll().await.unwrap();
    assert_eq!(advertised.head, upstream.head());

    let error = stranger.poll().await.unwrap_err();
    assert!(
        matches!(error.failures.0[0].error, RemoteError::Http(_)),
        "{error}"
    );
    assert!(error.to_string().contains("certificate"), "{error}");
    let error = stranger.fetch(&advertised, &mut |_| ()).await.unwrap_err();
    let reconciler::source::FetchError::Urls(failures) = error else {
        panic!("{error:?}")
    };
    assert!(
        matches!(failures.0[0].error, RemoteError::Certificate(_)),
        "{failures}"
    );
    assert!(!format!("{failures} {failures:?}").contains("t0ken"));

    source.fetch(&advertised, &mut |_| ()).await.unwrap();
    assert_eq!(source.mirror().unwrap().head("main"), Some(advertised.head.oid()));
}
