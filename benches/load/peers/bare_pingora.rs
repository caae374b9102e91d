//! What Passgate is built on, with nothing in it: the cost of the engine itself.

use std::ffi::OsString;
use std::net::SocketAddr;

use async_trait::async_trait;
use pingora::listeners::tls::TlsSettings;
use pingora::proxy::{ProxyHttp, Session, http_proxy_service};
use pingora::server::Server;
use pingora::server::configuration::ServerConf;
use pingora::upstreams::peer::HttpPeer;

use crate::arguments::BarePingora;
use crate::comparison::Setup;

struct ToUpstream(SocketAddr);

#[async_trait]
impl ProxyHttp for ToUpstream {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(
        &self,
        _session: &mut Session,
        _ctx: &mut (),
    ) -> pingora::Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.0, false, String::new())))
    }
}

/// Serves with one thread until it is told to stop.
pub fn run(options: &BarePingora) -> ! {
    let conf = ServerConf {
        threads: 1,
        upstream_keepalive_pool_size: 128,
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(0),
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let mut service = http_proxy_service(&server.configuration, ToUpstream(options.upstream));
    let (certificate, key) = (options.certificate.to_str(), options.key.to_str());
    let mut tls = TlsSettings::intermediate(certificate.unwrap(), key.unwrap()).unwrap();
    tls.enable_h2();
    service.add_tls_with_settings(&options.listen.to_string(), None, tls);
    server.add_service(service);
    server.run_forever()
}

/// How to start it as a process of its own.
pub fn command(setup: &Setup, listen: SocketAddr) -> (OsString, Vec<OsString>) {
    let program = std::env::current_exe().unwrap().into_os_string();
    let arguments = vec![
        "bare-pingora".into(),
        "--listen".into(),
        listen.to_string().into(),
        "--upstream".into(),
        setup.upstream.address.to_string().into(),
        "--certificate".into(),
        setup.certificate.certificate.clone().into(),
        "--key".into(),
        setup.certificate.key.clone().into(),
    ];
    (program, arguments)
}
