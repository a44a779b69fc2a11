//! How long may the switch take? dockerd waits without an end, and holds the container's lock meanwhile: so an error is
//! answered at the deadline, whatever the switch does.
//!
//! A call that comes to its end when nobody waits any more is logged. dockerd believes that it failed, and does not say
//! so again where it never does (a network or an endpoint that could not be made): such a late success is undone.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::fabric::{Fabric, Refusal};
use crate::fault::Fault;

/// What undoes a call.
pub(crate) type Undo = Box<dyn FnOnce(&dyn Fabric) -> Result<(), Refusal> + Send>;

/// The switch, and until when it may take.
#[derive(Clone)]
pub(crate) struct Caller {
    fabric: Arc<dyn Fabric>,
    until: Instant,
}

impl Caller {
    /// Calls from now on have `deadline` to end.
    pub(crate) fn new(fabric: Arc<dyn Fabric>, deadline: Duration) -> Self {
        Self { fabric, until: Instant::now() + deadline }
    }

    /// When an answer must be there.
    pub(crate) fn until(&self) -> Instant {
        self.until
    }

    /// Ask the switch where it may block; `what` names the call in the log.
    ///
    /// # Errors
    /// [`Fault::Refused`] as the switch says, [`Fault::Late`] at the deadline, [`Fault::Broken`] when it panicked.
    pub(crate) async fn ask<T, F>(&self, what: String, undo: Option<Undo>, call: F) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: FnOnce(&dyn Fabric) -> Result<T, Refusal> + Send + 'static,
    {
        let (answer, mut answered) = oneshot::channel();
        let fabric = Arc::clone(&self.fabric);
        let named = what.clone();
        tokio::task::spawn_blocking(move || {
            // When all threads were taken, its turn may come when nobody waits for it.
            if answer.is_closed() {
                return tracing::warn!("{named}: not begun in time, and not done");
            }
            if let Err(unheard) = answer.send(call(&*fabric)) {
                late(&*fabric, &named, unheard, undo);
            }
        });
        if let Ok(heard) = tokio::time::timeout_at(self.until, &mut answered).await {
            return heard.map_err(|_| Fault::Broken)?.map_err(Fault::from);
        }
        // What is sent between the deadline and this line is heard; what is sent after it is not.
        answered.close();
        if let Ok(heard) = answered.try_recv() {
            return heard.map_err(Fault::from);
        }
        tracing::error!("{what}: the switch does not answer");
        Err(Fault::Late)
    }
}

fn late<T>(fabric: &dyn Fabric, what: &str, result: Result<T, Refusal>, undo: Option<Undo>) {
    match (result, undo) {
        (Err(refusal), _) => tracing::warn!("{what}: refused after the deadline: {refusal}"),
        (Ok(_), None) => tracing::warn!("{what}: done after the deadline"),
        (Ok(_), Some(undo)) => match undo(fabric) {
            Ok(()) => tracing::warn!("{what}: done after the deadline, and undone"),
            Err(refusal) => tracing::error!("{what}: done after the deadline, and cannot be undone: {refusal}"),
        },
    }
}
