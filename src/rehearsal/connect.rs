//! What is asked before a rehearsal begins: which machine this is, whether there is an API server, which budgets there
//! are.

use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::budgets::Budgets;
use crate::config::Settings;
use crate::imds::{Client, INSTANCE_ITEMS};
use crate::instance::Instance;
use crate::kubernetes::Keeper;
use crate::moment::Moment;
use crate::objects::Standing;
use crate::response::Event;
use crate::response::driver::{Tell, start_keeper};

/// How long the API server may take to be ready. A node that is to be compared with an instance which nobody names is
/// waited for 3 s.
const READY_PATIENCE: Duration = Duration::from_secs(6);

/// How long the list of budgets may take.
const BUDGETS_PATIENCE: Duration = Duration::from_secs(3);

/// What is known before the notice, and the way to the API server.
pub struct Connected {
    pub instance: Instance,
    pub standing: Standing,
    pub budgets: Budgets,
    pub keeper: Keeper,
    /// Where events go, and where they arrive.
    pub tell: Tell,
    pub receiver: Receiver<Event>,
}

impl Connected {
    /// Takes some seconds at most.
    pub fn to(settings: &Settings) -> Connected {
        let (sender, receiver) = mpsc::channel();
        let tell: Tell = Arc::new(move |event| sender.send(event).is_ok());
        let instance = instance(settings);
        let keeper = start_keeper(settings, Arc::new(Mutex::new(instance.id.clone())), Arc::clone(&tell));
        let standing = await_standing(&receiver);
        let budgets = budgets(&keeper);
        Connected { instance, standing, budgets, keeper, tell, receiver }
    }
}

/// What the metadata service tells of this machine; nothing more after the first question that it does not answer.
fn instance(settings: &Settings) -> Instance {
    let (mut client, mut instance) = (Client::new(&settings.imds), Instance::default());
    for (path, read) in INSTANCE_ITEMS {
        match client.get(path) {
            Ok(Some(item)) => read(&mut instance, &item.body),
            Ok(None) => {}
            Err(error) => {
                log::debug!("not all is known of this instance: {error}");
                break;
            }
        }
    }
    instance
}

/// Waits until it is known whether there is an API server to ask.
fn await_standing(receiver: &Receiver<Event>) -> Standing {
    let by = Moment::now() + READY_PATIENCE;
    let mut standing = Standing::Unknown;
    while !matches!(standing, Standing::Ready { .. } | Standing::None(_)) {
        match receiver.recv_timeout(Moment::now().until(by)) {
            Ok(Event::Standing(now)) => standing = now,
            Ok(_) => {}
            Err(_) => break,
        }
    }
    match standing {
        Standing::Unknown => Standing::Unready(format!("it has not answered in {} s", READY_PATIENCE.as_secs())),
        standing => standing,
    }
}

/// On a thread of its own, as the answer may take longer than is waited for it.
fn budgets(keeper: &Keeper) -> Budgets {
    let Some(api) = keeper.api() else { return Budgets::default() };
    let (sender, receiver) = mpsc::channel();
    let read = move || drop(sender.send(api.read_budgets()));
    if let Err(error) = thread::Builder::new().name("request".into()).spawn(read) {
        log::debug!("cannot start a thread: {error}");
    }
    Budgets::new(receiver.recv_timeout(BUDGETS_PATIENCE).ok().and_then(Result::ok))
}
