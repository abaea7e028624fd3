//! A TCP link that gainsay runs, and that the server under test connects through to something that it needs, such as its
//! database. It can be cut, refused, delayed, slowed, and cut after some bytes.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::injector::{Disturbance, Eventually, Injector, InjectorError};
use crate::generate::LinkFault;

/// Where a link is, and where it leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkConfig {
    /// Where the server connects to.
    pub listen: SocketAddr,
    /// What it gets to: `host:port`.
    pub upstream: String,
}

/// What goes slowly goes in so many bytes at a time, so long apart.
const PIECE: usize = 64;
const PIECE_EVERY: Duration = Duration::from_millis(2);
/// So much is read at once.
const CHUNK: usize = 16 << 10;
/// So long the far end may take to be reached.
const REACHED_WITHIN: Duration = Duration::from_secs(5);

/// A link that runs. It ends when it is dropped.
#[derive(Debug)]
pub struct Link {
    address: SocketAddr,
    state: Arc<State>,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct State {
    upstream: String,
    fault: Mutex<Option<LinkFault>>,
    /// How many bytes may still pass, of a link that is cut after some.
    left: AtomicI64,
    /// Whether the fault has met anything.
    fired: AtomicBool,
    /// Rises with every fault and every end of one, so that a lease ends its own fault alone.
    turn: AtomicU64,
    /// Rises when connections have to end.
    cuts: watch::Sender<u64>,
}

impl Link {
    /// Starts a link.
    ///
    /// # Errors
    ///
    /// Where the address cannot be listened on.
    pub async fn start(config: &LinkConfig) -> io::Result<Link> {
        let listener = TcpListener::bind(config.listen).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            upstream: config.upstream.clone(),
            fault: Mutex::new(None),
            left: AtomicI64::new(0),
            fired: AtomicBool::new(false),
            turn: AtomicU64::new(0),
            cuts: watch::Sender::new(0),
        });
        let shared = state.clone();
        let accepting = tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((near, _)) => {
                        tokio::spawn(carry(shared.clone(), near));
                    }
                    // Too many open files, say: that passes.
                    Err(_) => sleep(Duration::from_millis(10)).await,
                }
            }
        });
        Ok(Link {
            address,
            state,
            accepting,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Breaks it, until it is healed or the lease is over.
    pub fn break_it(&self, fault: LinkFault, lease: Duration) {
        let turn = self.state.set(Some(fault));
        let state = self.state.clone();
        tokio::spawn(async move {
            sleep(lease).await;
            if state.turn.load(Ordering::SeqCst) == turn {
                state.set(None);
            }
        });
    }

    /// Heals it. Whether anything had met the fault.
    pub fn heal_it(&self) -> bool {
        self.state.set(None);
        self.state.fired.load(Ordering::SeqCst)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.accepting.abort();
        self.state.cut();
    }
}

impl Injector for Link {
    fn can(&self, what: Disturbance) -> bool {
        matches!(what, Disturbance::Link(_))
    }

    fn inject(&mut self, what: Disturbance, lease: Duration) -> Eventually<'_, ()> {
        Box::pin(async move {
            match what {
                Disturbance::Link(fault) => {
                    self.break_it(fault, lease);
                    Ok(())
                }
                other => Err(InjectorError(format!("a link cannot do this: {other:?}"))),
            }
        })
    }

    fn heal(&mut self) -> Eventually<'_, bool> {
        Box::pin(async move { Ok(self.heal_it()) })
    }
}

impl State {
    fn fault(&self) -> Option<LinkFault> {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the fault, or ends it. Which turn this is.
    fn set(&self, fault: Option<LinkFault>) -> u64 {
        if let Some(fault) = fault {
            self.fired.store(false, Ordering::SeqCst);
            if let LinkFault::CutAfter { bytes, .. } = fault {
                self.left.store(i64::from(bytes), Ordering::SeqCst);
            }
        }
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
        if matches!(fault, Some(LinkFault::Cut | LinkFault::Refuse)) {
            self.cut();
        }
        self.turn.fetch_add(1, Ordering::SeqCst) + 1
    }

    fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    fn fired(&self) {
        self.fired.store(true, Ordering::SeqCst);
    }
}

/// Carries one connection until one of its ends closes it, or it is cut.
async fn carry(state: Arc<State>, near: TcpStream) {
    let mut cuts = state.cuts.subscribe();
    if state.fault() == Some(LinkFault::Refuse) {
        state.fired();
        // Closed by a reset; where that is refused, in good order.
        let _ = near.set_zero_linger();
        return;
    }
    let reached = tokio::time::timeout(REACHED_WITHIN, TcpStream::connect(&state.upstream)).await;
    let Ok(Ok(far)) = reached else { return };
    let ends = [&near, &far].map(|end| end.set_nodelay(true).is_ok());
    let (near_in, near_out) = near.into_split();
    let (far_in, far_out) = far.into_split();
    if ends != [true; 2] {
        return;
    }
    let mut there = tokio::spawn(pass(state.clone(), near_in, far_out, false));
    let mut back = tokio::spawn(pass(state.clone(), far_in, near_out, true));
    // One direction may end before the other, in good order.
    let whole = async |direction: &mut JoinHandle<bool>| match direction.await {
        Ok(true) => Ok(()),
        _ => Err(()),
    };
    tokio::select! {
        _ = cuts.changed() => state.fired(),
        _ = async { tokio::try_join!(whole(&mut there), whole(&mut back)) } => {}
    }
    there.abort();
    back.abort();
}

/// Passes on what comes from one end to the other. False if it has to be cut.
async fn pass(
    state: Arc<State>,
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    answers: bool,
) -> bool {
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = match from.read(&mut chunk).await {
            Ok(0) => return to.shutdown().await.is_ok(),
            Ok(read) => &chunk[..read],
            Err(_) => return false,
        };
        let passed = match state.fault() {
            Some(LinkFault::Delay { millis }) => {
                state.fired();
                sleep(Duration::from_millis(u64::from(millis))).await;
                to.write_all(read).await
            }
            Some(LinkFault::Slow) => {
                state.fired();
                slowly(&mut to, read).await
            }
            Some(LinkFault::CutAfter { answers: of, .. }) if of == answers => {
                let size = i64::try_from(read.len()).unwrap_or(i64::MAX);
                let left = state.left.fetch_sub(size, Ordering::SeqCst);
                if left < size {
                    state.fired();
                    let rest = usize::try_from(left.max(0)).unwrap_or(0);
                    // What may still pass does; whether it arrives is no matter.
                    let _ = to.write_all(&read[..rest]).await;
                    state.cut();
                    return false;
                }
                to.write_all(read).await
            }
            _ => to.write_all(read).await,
        };
        if passed.is_err() {
            return false;
        }
    }
}

async fn slowly(to: &mut OwnedWriteHalf, bytes: &[u8]) -> io::Result<()> {
    for piece in bytes.chunks(PIECE) {
        to.write_all(piece).await?;
        sleep(PIECE_EVERY).await;
    }
    Ok(())
}
