//! An HTTP server on a task of its own: routes in, an address out, until it is stopped.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Dropping it stops it as well, but without waiting.
pub(super) struct Host {
    address: SocketAddr,
    /// Dropping the sender is the signal.
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Host {
    pub(super) async fn start(listen: SocketAddr, routes: Router) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            // Small answers on kept connections would otherwise wait for the client's delayed acknowledgement. A socket
            // that refuses the option is merely slower.
            let listener = listener.tap_io(|socket| drop(socket.set_nodelay(true)));
            let served = axum::serve(listener, routes).with_graceful_shutdown(async {
                // An error here says that the sender was dropped, which is the signal.
                stopped.await.ok();
            });
            // Its only errors are those of accepting, and it retries those by itself.
            served.await.ok();
        });
        Ok(Self {
            address,
            stop: Some(stop),
            task,
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting, and lets the requests under way finish, for so long at most.
    pub(super) async fn stop(&mut self, grace: Duration) {
        self.stop.take();
        if tokio::time::timeout(grace, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}
