//! Serving announcements until the server ends, or until another process takes over.

use super::answer::Control;
use super::datagram::{self, Watched};
use super::{Ending, Order, commit, lease, line, mirror, owners, view};
use crate::admin;
use crate::state::Store;
use crate::takeover::{self, Asking, Door, Offer};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet, spawn_local};
use tokio::time::{Instant, sleep};

/// Announcements that were read are answered within this time, or by nobody: longer than a switch waits for its target.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two looks whether they are.
const LOOK: Duration = Duration::from_millis(2);

/// Answers announcements, and keeps them.
pub(super) async fn serve(
    control: Rc<Control>,
    mut store: Store,
    ports: Watched,
    mut orders: mpsc::UnboundedReceiver<Order>,
) {
    let door = Door::open(control.folder.path());
    let door = door
        .inspect_err(|error| tracing::warn!(%error, "no other process can take over from this one"))
        .ok();
    let view = view::open(&control);
    spawn_local(lease::expire(control.clone()));
    spawn_local(owners::follow(control.clone()));
    spawn_local(mirror::follow(control.clone()));
    loop {
        let hearing = hear(&control, view.as_ref(), &ports);
        let keeping = Keeping::begin(&control, store);
        let taker = tokio::select! {
            taker = next_taker(&control, door.as_ref()) => Some(taker),
            _ = orders.recv() => None,
        };
        drop(hearing);
        settle(&control).await;
        let Some(kept) = keeping.end().await else {
            return;
        };
        let Some(taker) = taker else {
            return;
        };
        match hand_over(&control, kept, taker, &ports).await {
            Handed::Back(resumed) => store = resumed,
            Handed::Lost => return,
            // The other one waits for our end of the channel: then nobody else accepts connections.
            Handed::Over(taker) => {
                // Browsers come again, to the other one.
                view.inspect(|view| view.close());
                orders.recv().await;
                drop(taker);
                return;
            }
        }
    }
}

/// Reads announcements until it is dropped.
fn hear(control: &Rc<Control>, view: Option<&Rc<admin::Door>>, ports: &Watched) -> JoinSet<()> {
    control.budget.begin();
    let mut hearing = JoinSet::new();
    for socket in &ports.sockets {
        hearing.spawn_local(datagram::receive(control.clone(), socket.clone()));
    }
    for listener in &ports.listeners {
        hearing.spawn_local(line::accept(
            control.clone(),
            view.cloned(),
            listener.clone(),
        ));
    }
    hearing
}

/// Waits until nothing that was read is unanswered.
async fn settle(control: &Control) {
    let end = Instant::now() + PATIENCE;
    while control.is_busy() && Instant::now() < end {
        sleep(LOOK).await;
    }
}

/// Whoever keeps announcements, at work.
struct Keeping {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Option<Store>>,
}

impl Keeping {
    fn begin(control: &Rc<Control>, store: Store) -> Keeping {
        let (stop, stopped) = oneshot::channel();
        Keeping {
            stop,
            task: spawn_local(commit::run(control.clone(), store, stopped)),
        }
    }

    /// What it keeps them in, once the disk has had its turn; nothing if that is lost.
    async fn end(self) -> Option<Store> {
        // It may have ended by itself.
        let _ = self.stop.send(());
        self.task.await.ok().flatten()
    }
}

/// The next process that wants to take over, and may.
async fn next_taker(control: &Control, door: Option<&Door>) -> Asking {
    let Some(door) = door else {
        return std::future::pending().await;
    };
    loop {
        let mut asking = door.next().await;
        let pid = asking.pid();
        match asking.meet(control.serves, &control.mode.to_string()).await {
            Ok(()) => return asking,
            Err(error) => tracing::warn!(pid, "a process does not take over: {error}"),
        }
    }
}

/// How it ended.
enum Handed {
    /// The other one serves.
    Over(Asking),
    /// This one goes on, with this.
    Back(Store),
    /// This one goes on without announcements.
    Lost,
}

/// Hands over to a process that wants to take over, and may.
async fn hand_over(control: &Control, store: Store, mut taker: Asking, ports: &Watched) -> Handed {
    let pid = taker.pid();
    let _writing = control.mirroring.lock().await;
    // From here on nothing of ours is written.
    drop(store);
    let given = match sockets(control, ports) {
        Ok(sockets) => {
            let offer = Offer {
                lock: control.folder.lock(),
                sockets: &sockets,
                names: control.table.borrow().entries().len(),
            };
            taker.give(&offer).await
        }
        Err(error) => Err(error.into()),
    };
    let Err(error) = given else {
        // Nobody listens if the server ends already.
        let _ = control.endings.send(Ending::TakenOver(pid));
        return Handed::Over(taker);
    };
    tracing::error!(
        pid,
        "a process wanted to take over and could not, so this one goes on: {error}"
    );
    match Store::open(control.folder.clone()) {
        Ok((store, _)) => Handed::Back(store),
        Err(error) => {
            tracing::error!(%error, "announcements can no longer be kept");
            Handed::Lost
        }
    }
}

/// All sockets of this server, each once more.
fn sockets(control: &Control, ports: &Watched) -> io::Result<Vec<(takeover::Purpose, OwnedFd)>> {
    let mut sockets = control.holdings.again()?;
    let ours = ports.sockets.iter().map(|socket| socket.as_fd());
    let ours = ours.chain(ports.listeners.iter().map(|listener| listener.as_fd()));
    for socket in ours {
        sockets.push((takeover::Purpose::Control, socket.try_clone_to_owned()?));
    }
    Ok(sockets)
}
