//! Certificates, good and bad.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use outbound::{Client, Config, Failure, TlsFault};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, Stream};
use tokio::io::AsyncWriteExt;

use crate::fixture::*;

const NAME: &str = "hooks.test";

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: Vec<u8>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap().der().to_vec();
        Self { issuer: Issuer::new(params, key), root }
    }

    fn certify(&self, params: &CertificateParams) -> ServerConfig {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let chain = vec![CertificateDer::from(certificate.der().to_vec())];
        ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap()
    }
}

fn named(name: &str) -> CertificateParams {
    CertificateParams::new(vec![name.to_owned()]).unwrap()
}

/// Answers one connection by TLS; the port, and what came in the clear.
fn serve(config: ServerConfig) -> (u16, JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind((ALLOWED, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut connection = ServerConnection::new(Arc::new(config)).unwrap();
        let mut stream = Stream::new(&mut connection, &mut socket);
        let mut read = vec![0; 4096];
        let Ok(length) = stream.read(&mut read) else { return Vec::new() };
        read.truncate(length);
        stream.write_all(b"HTTP/1.1 204 Done\r\nconnection: close\r\n\r\n").unwrap();
        stream.conn.send_close_notify();
        let _ = stream.flush();
        read
    });
    (port, task)
}

/// Posts to `host`, which resolves to the server.
async fn call(config: Config, host: &str, port: u16) -> Result<u16, Failure> {
    let client = Client::with_look_up(config, Lies::new(&[&["127.0.0.2"]])).unwrap();
    let answer = post(&client, &format!("https://{host}:{port}/")).await?;
    Ok(answer.status.as_u16())
}

fn trusting(authority: &Authority) -> Config {
    Config { extra_roots: vec![authority.root.clone()], ..config(policy()) }
}

#[tokio::test]
async fn a_trusted_certificate_of_the_name_works() {
    let authority = Authority::new();
    let trusting = trusting(&authority);
    let (port, server) = serve(authority.certify(&named(NAME)));
    assert_eq!(call(trusting, NAME, port).await, Ok(204));
    assert!(server.join().unwrap().starts_with(b"POST / HTTP/1.1\r\n"));
}

#[tokio::test]
async fn a_trusted_certificate_of_the_address_works() {
    let authority = Authority::new();
    let trusting = trusting(&authority);
    let (port, _server) = serve(authority.certify(&named("127.0.0.2")));
    assert_eq!(call(trusting, "127.0.0.2", port).await, Ok(204));
}

#[tokio::test]
async fn an_unknown_issuer_is_not_trusted() {
    let (config, authority) = (config(policy()), Authority::new());
    let (port, server) = serve(authority.certify(&named(NAME)));
    assert_eq!(call(config, NAME, port).await, Err(Failure::Tls(TlsFault::Untrusted)));
    // And nothing was said to it.
    assert_eq!(server.join().unwrap(), b"");
}

#[tokio::test]
async fn a_certificate_of_another_name_is_not_taken() {
    let authority = Authority::new();
    for name in ["other.test", "hooks.test.evil.test", "*.hooks.test", "127.0.0.2"] {
        let trusting = trusting(&authority);
        let (port, server) = serve(authority.certify(&named(name)));
        let result = call(trusting, NAME, port).await;
        assert_eq!(result, Err(Failure::Tls(TlsFault::WrongName)), "{name}");
        assert_eq!(server.join().unwrap(), b"");
    }
}

#[tokio::test]
async fn a_certificate_of_another_time_is_not_taken() {
    let authority = Authority::new();
    for (from, to) in [(2001, 2002), (3001, 3002)] {
        let mut params = named(NAME);
        (params.not_before, params.not_after) =
            (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
        let trusting = trusting(&authority);
        let (port, server) = serve(authority.certify(&params));
        let result = call(trusting, NAME, port).await;
        assert_eq!(result, Err(Failure::Tls(TlsFault::Expired)), "{from}");
        assert_eq!(server.join().unwrap(), b"");
    }
}

#[tokio::test]
async fn plain_text_in_place_of_tls_is_a_fault_of_the_handshake() {
    for server in [
        Server::start(|mut stream| async move {
            stream.readable().await?;
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await?;
            tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.map(drop)
        })
        .await,
        // Hangs up after the client's first words.
        Server::start(|mut stream| async move {
            tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 65536]).await.map(drop)
        })
        .await,
    ] {
        let result = call(config(policy()), NAME, server.address.port()).await;
        assert_eq!(result, Err(Failure::Tls(TlsFault::Handshake)));
    }
}

#[tokio::test]
async fn a_handshake_that_never_ends_ends_by_the_time_for_connecting() {
    let server = Server::start(|mut stream| async move {
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.map(drop)
    })
    .await;
    let config = Config { connect_timeout: SHORT, timeout: 100 * PATIENCE, ..config(policy()) };
    assert_eq!(call(config, NAME, server.address.port()).await, Err(Failure::Timeout));
    server.connection_ended().await;
}
