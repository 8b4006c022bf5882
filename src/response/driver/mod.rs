//! The driver: does what the machine says and tells it what happened.
//!
//! Owns the one channel on which everything arrives, and waits on it for a second at most. Decides nothing.

mod commands;
mod disk;
mod errand;
mod hook_runner;
mod metrics_file;
mod only_one;
mod requests;
mod status_file;
mod unreadable;
mod webhook;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{fmt, io, thread};

use super::{Action, Event, Guard, State};
use crate::config::{self, Problem, Settings, Sources};
use crate::control::{self, Handle};
use crate::imds;
use crate::kubernetes::Keeper;
use crate::moment::{self, Clock, Moment, Timestamp};
use crate::notice::{self, Kind, Reading};
use crate::objects::Standing;
use crate::observe::metrics::Counted;
use crate::process::Stop;
use crate::signals::{Caught, Signal};
use crate::systemd::{self, Notifier};
use crate::trouble::Trouble;
use disk::Disk;
pub use errand::Errand;
pub use hook_runner::{HookRunner, Told};
use metrics_file::MetricsFile;
pub use only_one::OnlyOne;
pub use requests::Requests;
use unreadable::UnreadableNotices;

/// No single wait is longer: a machine that was suspended does not wake a long one in time.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// A machine that sleeps for less may as well have been busy.
const SLEEP_NOTICED: Duration = Duration::from_secs(1);

/// How long systemd is asked to wait for a response that is under way, each second anew.
const STOP_EXTENSION: Duration = Duration::from_secs(30);

/// How long the last record may take when the daemon ends: on a busy disk a write to its platters takes seconds.
const LAST_RECORD_PATIENCE: Duration = Duration::from_secs(10);

/// Stack of a thread that sends one request or runs one hook; a TLS handshake with ring takes 48 KiB.
const STACK: usize = 256 * 1024;

/// Why the daemon cannot run. Nothing of the metadata service or the API server is among it.
#[derive(Debug)]
pub enum Error {
    Thread(io::Error),
    Signals(io::Error),
    /// Another daemon holds this lock.
    AnotherCopy(PathBuf),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Thread(error) => {
                write!(f, "cannot start a thread: {error}; raise the limit of tasks of this service")
            }
            Error::AnotherCopy(lock) => {
                write!(f, "another spot-guard runs already (it holds {}); this one ends", lock.display())
            }
            Error::Signals(error) => {
                write!(f, "cannot listen to signals: {error}; raise the limit of open files of this service")
            }
        }
    }
}

impl std::error::Error for Error {}

/// Takes what happened; whether anybody still wants to know.
pub type Tell = Arc<dyn Fn(Event) -> bool + Send + Sync>;

/// What arrives on the channel.
enum Message {
    Event(Event),
    Imds(imds::News),
    Signal(Signal),
    /// Somebody asks for something.
    Control(control::Command),
    /// Whether the machine is being stopped, asked because of SIGTERM.
    Terminate {
        machine_stops: bool,
    },
    NotRecorded(String),
}

/// Runs the daemon until it is told to end.
///
/// # Errors
/// When the operating system refuses what no daemon can do without.
pub fn run(
    sources: Sources,
    loaded: config::Loaded,
    notifier: Notifier,
    signals: io::Result<Caught>,
) -> Result<(), Error> {
    let signals = signals.map_err(Error::Signals)?;
    let _only_one = OnlyOne::lock(&loaded.settings.folders.runtime).map_err(Error::AnotherCopy)?;
    let mut driver = Driver::start(sources, loaded, notifier, signals)?;
    driver.write_metrics_into_the_file_of_the_settings();
    driver.take_up();
    driver.loop_until_told();
    Ok(())
}

struct Driver {
    sources: Sources,
    settings: Arc<Settings>,
    /// The settings of the cluster were read again and are not in use yet.
    other_cluster: bool,
    problems: Vec<Problem>,
    guard: Guard,
    sender: Sender<Message>,
    receiver: Receiver<Message>,
    requests: Requests,
    hooks: HookRunner,
    disk: Disk,
    notifier: Notifier,
    instance_id: Arc<Mutex<Option<String>>>,
    poll: imds::Poll,
    counted: Counted,
    metrics: MetricsFile,
    imds_trouble: Option<String>,
    unreadable: UnreadableNotices,
    status_words: String,
    status_changed: bool,
    status_trouble: Trouble,
    given_out: u64,
    recorded: u64,
    /// How far away the API server is, as the guard was told.
    distance: Option<Duration>,
    /// How long the machine has slept since boot, as of the last look.
    slept: Duration,
    /// It ends when what it was asked for is done.
    is_errand: bool,
    was_asked: bool,
    done: bool,
}

impl Driver {
    fn start(sources: Sources, loaded: config::Loaded, notifier: Notifier, signals: Caught) -> Result<Driver, Error> {
        let settings = Arc::new(loaded.settings);
        let (sender, receiver) = mpsc::channel();
        let to = sender.clone();
        signals.tell(move |signal| drop(to.send(Message::Signal(signal)))).map_err(Error::Thread)?;
        let to = sender.clone();
        let poll = imds::poll(&settings.imds, move |news| drop(to.send(Message::Imds(news)))).map_err(Error::Thread)?;
        let instance_id: Arc<Mutex<Option<String>>> = Arc::default();
        let keeper = start_keeper(&settings, Arc::clone(&instance_id), tell(&sender));
        let disk = Disk::start(&settings.folders.state, sender.clone()).map_err(Error::Thread)?;
        if let Err(error) = control::serve(&settings.folders.runtime, handle(sender.clone())) {
            log::warn!("cannot listen on the control socket: {error}; raise the limit of tasks of this service");
        }
        Ok(Driver {
            guard: Guard::new(&settings),
            requests: Requests::new(keeper, tell(&sender)),
            hooks: HookRunner::new(tell(&sender), settings.dry_run),
            sources,
            settings,
            other_cluster: false,
            problems: loaded.problems,
            sender,
            receiver,
            disk,
            notifier,
            instance_id,
            poll,
            counted: Counted::default(),
            metrics: MetricsFile::default(),
            imds_trouble: None,
            unreadable: UnreadableNotices::default(),
            status_words: String::new(),
            status_changed: true,
            status_trouble: Trouble::default(),
            given_out: 0,
            recorded: 0,
            distance: None,
            slept: moment::slept(),
            is_errand: false,
            was_asked: false,
            done: false,
        })
    }

    /// Takes up the response that an earlier life of the daemon left.
    fn take_up(&mut self) {
        let boot_id = Clock::read().boot_id;
        let (record, others) = self.disk.newest(&boot_id);
        let now = Moment::now();
        others.iter().for_each(|other| self.guard.remember(other, &boot_id, now));
        let Some(record) = record else { return };
        let (actions, closed) = self.guard.take_up(record, &boot_id, now);
        self.requests.are_of(self.guard.instance());
        if let Some(closed) = closed {
            self.disk.write(0, &closed);
            self.counted.count(&closed);
        }
        self.perform(actions);
    }

    fn handle(&self) -> Handle {
        handle(self.sender.clone())
    }

    fn loop_until_told(&mut self) {
        let watchdog = systemd::watchdog_interval().unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT);
        while !self.done {
            self.notifier.watchdog();
            self.renew_the_keeper();
            self.requests.response_ends(self.guard.running().map(|running| running.deadline.at));
            if self.guard.state() == State::Watching {
                self.requests.close_fresh_connections();
            }
            self.status_changed |= self.disk.look(Moment::now());
            self.tell_status();
            self.tell_metrics();
            self.notice_sleep();
            self.tell_of_the_connections();
            let now = Moment::now();
            let wait = self.guard.next_wake().map_or(watchdog, |wake| now.until(wake).min(watchdog));
            match self.receiver.recv_timeout(wait) {
                Ok(message) => self.take(message),
                Err(RecvTimeoutError::Timeout) => self.feed(Event::Tick),
                // Cannot be: this struct holds a sender.
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.done |= self.has_done_its_errand();
        }
        self.end();
    }

    /// Tells the guard when the machine was suspended or hibernated since the last look.
    fn notice_sleep(&mut self) {
        let slept = moment::slept();
        if slept > self.slept + SLEEP_NOTICED {
            log::info!("the machine slept for {} s", (slept - self.slept).as_secs());
            self.feed(Event::Woke);
        }
        self.slept = slept;
    }

    fn tell_of_the_connections(&mut self) {
        if self.requests.have_reached_it_anew() {
            self.feed(Event::Reached);
        }
        let distance = self.requests.distance();
        if let Some(away) = distance.filter(|_| distance != self.distance) {
            self.distance = distance;
            self.feed(Event::Distance(away));
        }
    }

    /// Ends the daemon: the last record is on disk, or its time is over.
    fn end(&mut self) {
        self.notifier.stopping();
        self.end_metrics();
        let by = Moment::now() + LAST_RECORD_PATIENCE;
        while self.recorded < self.given_out && Moment::now() < by {
            match self.receiver.recv_timeout(Duration::from_millis(100)) {
                Ok(Message::Event(Event::Recorded { revision })) => self.recorded = revision,
                Ok(Message::NotRecorded(_)) | Err(RecvTimeoutError::Disconnected) => break,
                _ => {}
            }
        }
        if self.recorded < self.given_out {
            log::error!("the end of the last response is not in its record: the disk did not take it in time");
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Event(event) => self.take_event(event),
            Message::Imds(news) => self.take_news(news),
            Message::Signal(Signal::Terminate) => self.ask_whether_the_machine_stops(),
            Message::Signal(Signal::Reload) => self.reload(),
            Message::Signal(Signal::Status) => log::info!("status: {}", self.words()),
            Message::Control(command) => self.take_command(command),
            Message::Terminate { machine_stops } => self.feed(Event::Terminate { machine_stops }),
            Message::NotRecorded(trouble) => self.status_changed |= self.disk.not_written(trouble, Moment::now()),
        }
    }

    fn take_event(&mut self, event: Event) {
        match &event {
            Event::Recorded { revision } => {
                self.recorded = self.recorded.max(*revision);
                self.status_changed |= self.disk.written(*revision, Moment::now());
            }
            Event::Standing(standing) => self.standing_changed(standing),
            Event::WatchEnded { number, .. } => self.requests.watch_has_ended(*number),
            Event::HookEnded { number, .. } => self.hooks.has_ended(*number),
            _ => {}
        }
        self.feed(event);
    }

    fn standing_changed(&mut self, standing: &Standing) {
        self.status_changed = true;
        let was_ready = matches!(self.guard.standing(), Standing::Ready { .. });
        if matches!(standing, Standing::Ready { .. }) && !was_ready {
            self.requests.tell_of_problems(&self.problems);
        }
    }

    fn take_news(&mut self, news: imds::News) {
        match news {
            imds::News::Notice(kind, item, asked) => self.take_item(kind, item.as_ref(), asked),
            imds::News::Instance(instance) => {
                *self.instance_id.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = instance.id.clone();
                self.status_changed = true;
                self.requests.are_of(&instance);
                // The node may wait to be compared with it.
                self.requests.hurry();
                self.feed(Event::Instance(instance));
            }
            imds::News::Trouble(trouble) => {
                self.imds_trouble = Some(trouble.clone());
                self.status_changed = true;
                self.feed(Event::MetadataService { trouble: Some(trouble) });
            }
            imds::News::Well => {
                self.imds_trouble = None;
                self.status_changed = true;
                self.feed(Event::MetadataService { trouble: None });
            }
        }
    }

    fn take_item(&mut self, kind: Kind, item: Option<&imds::Item>, asked: Moment) {
        let date = item.and_then(|item| item.date).unwrap_or_else(Timestamp::now);
        match notice::read(kind, item.map(|item| item.body.as_str()), date, asked) {
            Ok(Reading { there, taken_back, completed, doubt }) => {
                self.status_changed |= self.unreadable.said_so(kind, doubt, asked);
                taken_back.into_iter().for_each(|key| self.feed(Event::TakenBack(key)));
                completed.into_iter().for_each(|key| self.feed(Event::Completed(key)));
                there.into_iter().for_each(|sighting| self.feed(Event::Noticed(sighting)));
                self.feed(Event::Polled(kind));
            }
            Err(error) => self.status_changed |= self.unreadable.said_so(kind, Some(error.to_string()), asked),
        }
    }

    /// Asked on a thread of its own, as the answer may take a second.
    fn ask_whether_the_machine_stops(&mut self) {
        if self.guard.is_leaving() || self.guard.state() != State::Responding {
            return self.feed(Event::Terminate { machine_stops: false });
        }
        let to = self.sender.clone();
        let ask = move || drop(to.send(Message::Terminate { machine_stops: systemd::system_is_stopping() }));
        if thread::Builder::new().stack_size(STACK).spawn(ask).is_err() {
            self.feed(Event::Terminate { machine_stops: false });
        }
    }

    fn reload(&mut self) {
        let loaded = config::load(&self.sources);
        self.status_changed = true;
        if !loaded.problems.is_empty() {
            loaded.problems.iter().for_each(|problem| log::error!("{problem}; the settings stay as they were"));
            self.problems = loaded.problems;
            return self.requests.tell_of_problems(&self.problems);
        }
        log::info!("settings read again; they hold from the next response on, those of [imds] from the next start on");
        self.problems.clear();
        let former = std::mem::replace(&mut self.settings, Arc::new(loaded.settings));
        self.other_cluster |= former.kubernetes != self.settings.kubernetes;
        crate::observe::log::set_up(&self.settings.log);
        if !self.is_errand {
            self.write_metrics_into_the_file_of_the_settings();
        }
        self.feed(Event::Reloaded(Arc::clone(&self.settings)));
    }

    /// A response keeps the cluster that it began with.
    fn renew_the_keeper(&mut self) {
        if self.guard.state() == State::Watching && std::mem::take(&mut self.other_cluster) {
            self.requests.keep_with(start_keeper(&self.settings, Arc::clone(&self.instance_id), tell(&self.sender)));
        }
    }

    fn feed(&mut self, event: Event) {
        let actions = self.guard.on(event, Moment::now(), &Clock::read);
        self.perform(actions);
    }

    fn perform(&mut self, actions: Vec<Action>) {
        // One that begins in this turn has the first of its lines, and one that ends its last.
        if self.guard.response_id().is_some() {
            crate::observe::log::set_response(self.guard.response_id());
        }
        self.perform_all(actions);
        crate::observe::log::set_response(self.guard.response_id());
    }

    fn perform_all(&mut self, actions: Vec<Action>) {
        let mut told = None;
        for action in actions {
            match action {
                Action::FindHooks => self.hooks.find(&self.settings.folders.hooks),
                Action::Request { number, request, afresh } => self.requests.send(number, request, afresh),
                Action::GoOnAfresh => self.requests.go_on_afresh(),
                Action::EndWatch { number } => self.requests.end_watch(number),
                Action::RunHook(order) => {
                    let record = || self.guard.record();
                    told = told.or_else(|| record().map(|record| Told::new(record, self.guard.running())));
                    self.hooks.run(*order, told.as_mut());
                }
                Action::StopHook { number } => self.hooks.stop(number),
                Action::KillLeftOver { response, started } => hook_runner::kill_left_over(&response, &started),
                Action::Record { revision } => {
                    self.given_out = revision;
                    self.status_changed = true;
                    if let Some(record) = self.guard.record() {
                        self.disk.write(revision, &record);
                    }
                }
                Action::WriteClosed { revision, record } => {
                    self.given_out = revision;
                    self.disk.write(revision, &record);
                    self.counted.count(&record);
                }
                Action::SendWebhook { number, stage, until } => self.tell_webhook(number, stage, until),
                Action::Say(level, text) => log::log!(level, "{text}"),
                Action::Exit => self.done = true,
            }
        }
    }
}

fn tell(to: &Sender<Message>) -> Tell {
    let to = to.clone();
    Arc::new(move |event| to.send(Message::Event(event)).is_ok())
}

/// Keeps the API server's connection; how things stand with it is told as events. The instance's id is that of this
/// machine, once it is known.
pub fn start_keeper(settings: &Settings, instance_id: Arc<Mutex<Option<String>>>, tell: Tell) -> Keeper {
    let instance_id = move || instance_id.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
    let tell = move |standing| {
        tell(Event::Standing(standing));
    };
    Keeper::start(&settings.kubernetes, settings.dry_run, instance_id, tell)
}

/// The way for requests to the driver.
fn handle(to: Sender<Message>) -> Handle {
    Handle::new(move |command| to.send(Message::Control(command)).is_ok())
}

/// Threads of the driver's that are waited for by nobody: what is stuck is left behind.
fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).stack_size(STACK).spawn(work).map(drop)
}

/// Hooks that run, so that they can be stopped.
type Stops = HashMap<u64, Stop>;
