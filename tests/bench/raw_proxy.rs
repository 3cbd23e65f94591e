//! The contender without policy: the same pingora, allocator and upstream as the edge, and nothing else.

use std::net::SocketAddr;

use async_trait::async_trait;
use clap::Parser;
use pingora::apps::HttpServerOptions;
use pingora::proxy::{ProxyHttp, Session, http_proxy_service};
use pingora::server::configuration::ServerConf;
use pingora::server::{RunArgs, Server};
use pingora::upstreams::peer::HttpPeer;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// As at the edge.
const REQUESTS_PER_CONNECTION_MAX: u32 = 100_000;

/// A pingora proxy that forwards everything.
#[derive(Parser)]
struct Arguments {
    /// Where to listen.
    #[arg(long)]
    listen: SocketAddr,
    /// Where to forward to.
    #[arg(long)]
    upstream: SocketAddr,
    /// Worker threads.
    #[arg(long)]
    threads: usize,
}

struct Raw(SocketAddr);

#[async_trait]
impl ProxyHttp for Raw {
    type CTX = ();

    fn new_ctx(&self) -> Self::CTX {}

    async fn upstream_peer(
        &self,
        _session: &mut Session,
        _ctx: &mut Self::CTX,
    ) -> pingora::Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.0, false, String::new())))
    }
}

fn main() {
    let arguments = Arguments::parse();
    let conf = ServerConf { threads: arguments.threads, ..ServerConf::default() };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let mut proxy = http_proxy_service(&server.configuration, Raw(arguments.upstream));
    proxy.add_tcp(&arguments.listen.to_string());
    if let Some(logic) = proxy.app_logic_mut() {
        let mut options = HttpServerOptions::default();
        options.keepalive_request_limit = Some(REQUESTS_PER_CONNECTION_MAX);
        logic.server_options = Some(options);
    }
    server.add_service(proxy);
    server.run(RunArgs::default());
}
