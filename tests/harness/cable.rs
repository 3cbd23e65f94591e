//! The way from the programs to Postgres, which a test can cut and mend: a socket that forwards to the real
//! one. Cut, it is as if the server were gone, for this test alone.

use std::path::{Path, PathBuf};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

use crate::database::Access;

/// The name by which clients find a server's socket in its folder.
const SOCKET_NAME: &str = ".s.PGSQL.5432";

/// Where the real server is.
#[derive(Debug, Clone)]
enum Server {
    Socket(PathBuf),
    Address(String),
}

/// A cable to a server.
#[derive(Debug)]
pub(crate) struct Cable {
    folder: PathBuf,
    server: Server,
    // Of its own: a test that is dropping an installation blocks its runtime.
    forwarding: Option<Runtime>,
}

impl Cable {
    /// Lays a cable from a socket in `folder` to the server.
    pub(crate) fn lay(folder: &Path, access: &Access) -> Self {
        std::fs::create_dir_all(folder).expect("a folder for the socket");
        let server = match access.socket_folder() {
            Some(real) => Server::Socket(real.join(SOCKET_NAME)),
            None => Server::Address(access.address().expect("the given server's address")),
        };
        let mut cable = Self { folder: folder.to_owned(), server, forwarding: None };
        cable.mend();
        cable
    }

    /// Forwards again.
    pub(crate) fn mend(&mut self) {
        let socket = self.folder.join(SOCKET_NAME);
        // Of before the cut.
        let _ = std::fs::remove_file(&socket);
        let listener = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
        listener.set_nonblocking(true).expect("a socket that does not block");
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a thread");
        runtime.spawn(forward_all(listener, self.server.clone()));
        self.forwarding = Some(runtime);
    }

    /// Ends every connection and takes no new one.
    pub(crate) fn cut(&mut self) {
        if let Some(runtime) = self.forwarding.take() {
            runtime.shutdown_background();
        }
        let _ = std::fs::remove_file(self.folder.join(SOCKET_NAME));
    }

    /// How the programs reach the server.
    pub(crate) fn access(&self, access: &Access) -> Access {
        access.through(&self.folder)
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.cut();
    }
}

async fn forward_all(listener: std::os::unix::net::UnixListener, server: Server) {
    let listener = UnixListener::from_std(listener).expect("a runtime to listen in");
    let mut connections = JoinSet::new();
    while let Ok((mut client, _)) = listener.accept().await {
        let server = server.clone();
        connections.spawn(async move {
            match server {
                Server::Socket(path) => {
                    let mut stream = UnixStream::connect(path).await?;
                    copy_bidirectional(&mut client, &mut stream).await
                }
                Server::Address(address) => {
                    let mut stream = TcpStream::connect(address).await?;
                    copy_bidirectional(&mut client, &mut stream).await
                }
            }
        });
    }
}
