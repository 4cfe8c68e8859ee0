//! A load balancer of connections, which knows nothing of what goes over them: they go to its targets in turn.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A port behind which there are nodes.
pub struct LoadBalancer {
    pub address: SocketAddr,
    targets: Arc<Mutex<Vec<SocketAddr>>>,
    task: JoinHandle<()>,
}

impl LoadBalancer {
    /// Must be called within a tokio runtime; `targets` are one at least.
    pub async fn start(targets: Vec<SocketAddr>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let targets = Arc::new(Mutex::new(targets));
        let task = tokio::spawn(take_turns(listener, Arc::clone(&targets)));
        Self { address, targets, task }
    }

    /// Where new connections go; those that there are stay where they are.
    pub fn lead_to(&self, targets: Vec<SocketAddr>) {
        *self.targets.lock() = targets;
    }
}

impl Drop for LoadBalancer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn take_turns(listener: TcpListener, targets: Arc<Mutex<Vec<SocketAddr>>>) {
    let mut turn = 0;
    while let Ok((mut inbound, _)) = listener.accept().await {
        turn += 1;
        let target = {
            let targets = targets.lock();
            targets[turn % targets.len()]
        };
        tokio::spawn(async move {
            let Ok(mut outbound) = TcpStream::connect(target).await else { return };
            let _ = (inbound.set_nodelay(true), outbound.set_nodelay(true));
            // A connection that breaks ends both halves.
            let _ = tokio::io::copy_bidirectional(&mut inbound, &mut outbound).await;
        });
    }
}
