//! Sends the machine's requests to the API server, each on a thread of its own, and the watches.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{Tell, spawn};
use crate::config::Problem;
use crate::config::selector::is_label_value;
use crate::instance::Instance;
use crate::kubernetes::{Annotation, Api, Condition, Keeper, NodeEvent, NodePatch, PodNews, WatchEnd};
use crate::moment::{Moment, Timestamp};
use crate::objects::{Answer, Node};
use crate::response::{Answered, Event, NodeChange, Request, Restoration, Told};

/// The labels of the Spot pool that the machine is of, which its Events carry as its Node does.
/// <https://kubernetes.io/docs/reference/labels-annotations-taints/>
type Pool = Vec<(&'static str, String)>;

/// The requests and watches under way, over the connections that the keeper keeps.
pub struct Requests {
    keeper: Keeper,
    pool: Pool,
    /// What is tried beside the keeper's connections since the API server was silent.
    afresh: Option<Afresh>,
    tell: Tell,
    /// Set when that watch is to end.
    watches: HashMap<u64, Arc<AtomicBool>>,
}

/// New connections.
struct Afresh {
    /// Of this one of the keeper's.
    kept: Arc<Api>,
    api: Arc<Api>,
    /// The kept ones are dead.
    takes_over: bool,
    /// That one of them came about was told.
    told: bool,
}

impl Requests {
    /// What comes back is told as events.
    pub fn new(keeper: Keeper, tell: Tell) -> Requests {
        Requests { keeper, pool: Pool::new(), afresh: None, tell, watches: HashMap::new() }
    }

    /// What this machine is has become known.
    pub fn are_of(&mut self, instance: &Instance) {
        let told = [
            ("node.kubernetes.io/instance-type", &instance.kind),
            ("topology.kubernetes.io/zone", &instance.availability_zone),
        ];
        let labels = told.into_iter().filter_map(|(key, value)| Some((key, value.clone()?)));
        // One that is none would have every Event refused.
        self.pool = labels.filter(|(_, value)| is_label_value(value)).collect();
    }

    /// Goes on with another keeper, as the settings have changed.
    pub fn keep_with(&mut self, keeper: Keeper) {
        self.keeper = keeper;
    }

    /// Something that the keeper may have waited for is there.
    pub fn hurry(&self) {
        self.keeper.hurry();
    }

    /// A response is under way until then; told again and again, as the keeper's API may be another one by now.
    pub fn response_ends(&self, at: Option<Moment>) {
        if let Some(api) = self.keeper.api() {
            api.response_ends(at);
        }
    }

    /// When the API server last accepted a request.
    pub fn last_success(&self) -> Option<Timestamp> {
        self.keeper.api()?.last_success()
    }

    /// How far away the API server is.
    pub fn distance(&self) -> Option<Duration> {
        self.keeper.api()?.distance()
    }

    /// Sends a request; its answer arrives as an event, whatever happens.
    pub fn send(&mut self, number: u64, request: Request, afresh: bool) {
        let Some(api) = self.api(afresh) else {
            self.keeper.hurry();
            return self.come_to_nothing(number, &request, "there is no API server to ask yet");
        };
        let tell = Arc::clone(&self.tell);
        let (end, asked) = (Arc::new(AtomicBool::new(false)), request.clone());
        if matches!(request, Request::WatchPods | Request::WatchNode) {
            self.watches.insert(number, Arc::clone(&end));
        }
        let pool = self.pool.clone();
        let work = move || answer(&api, number, asked, pool, &tell, &end);
        if let Err(error) = spawn("request", work) {
            self.come_to_nothing(number, &request, &format!("cannot start a thread: {error}"));
        }
    }

    fn api(&mut self, afresh: bool) -> Option<Arc<Api>> {
        let kept = self.keeper.api()?;
        let takes_over = self.afresh.as_ref().is_some_and(|fresh| fresh.takes_over);
        if afresh {
            let api = kept.afresh();
            self.afresh = Some(Afresh { kept: kept.clone(), api: api.clone(), takes_over, told: false });
            return Some(api);
        }
        match &self.afresh {
            // What the keeper has renewed since is better.
            Some(fresh) if takes_over && Arc::ptr_eq(&fresh.kept, &kept) => Some(fresh.api.clone()),
            _ => Some(kept),
        }
    }

    /// What follows goes over the latest new connections.
    pub fn go_on_afresh(&mut self) {
        if let Some(fresh) = &mut self.afresh {
            fresh.takes_over = true;
        }
    }

    /// Whether one of the latest new connections came about, once for each time that new ones were asked for.
    pub fn have_reached_it_anew(&mut self) -> bool {
        let Some(fresh) = &mut self.afresh else { return false };
        let reached = !fresh.told && fresh.api.was_reached();
        fresh.told |= reached;
        reached
    }

    fn come_to_nothing(&self, number: u64, request: &Request, why: &str) {
        let answer = Answer::Nothing(why.to_owned());
        let event = match request {
            Request::WatchPods | Request::WatchNode => Event::WatchEnded { number, answer: Some(answer) },
            _ => Event::Answered { number, uid: uid(request), answered: Answered::Other(answer) },
        };
        (self.tell)(event);
    }

    /// A watch is over, or was never there.
    pub fn watch_has_ended(&mut self, number: u64) {
        self.watches.remove(&number);
    }

    /// Closes what a silence had opened beside the keeper's connections, dead ones among it.
    pub fn close_fresh_connections(&mut self) {
        self.afresh = None;
    }

    /// Nobody looks at the news of that watch any more.
    pub fn end_watch(&mut self, number: u64) {
        if let Some(end) = self.watches.remove(&number) {
            end.store(true, Ordering::Release);
        }
    }

    /// Says on the Node that settings are broken, so that it is seen without a look at this machine.
    pub fn tell_of_problems(&self, problems: &[Problem]) {
        let (Some(api), Some(first)) = (self.keeper.api(), problems.first()) else { return };
        let more = if problems.len() > 1 { format!(" (and {} more)", problems.len() - 1) } else { String::new() };
        let event = NodeEvent {
            reason: "InvalidConfiguration".to_owned(),
            message: format!("{first}{more}"),
            warning: true,
            at: Timestamp::now(),
            labels: self.pool.clone(),
        };
        let tell = move || {
            if let Answer::Refused(refusal) = api.create_event(&event) {
                log::debug!("cannot create an event: {}", refusal.message);
            }
        };
        if let Err(error) = spawn("request", tell) {
            log::debug!("cannot create an event: {error}");
        }
    }
}

/// The pod that a request asks to stop.
fn uid(request: &Request) -> Option<String> {
    match request {
        Request::Evict { pod, .. } | Request::Delete { pod, .. } => Some(pod.uid.clone()),
        _ => None,
    }
}

fn answer(api: &Api, number: u64, request: Request, pool: Pool, tell: &Tell, end: &AtomicBool) {
    let uid = uid(&request);
    let answered = match request {
        Request::WatchPods => return watch_pods(api, number, tell, end),
        Request::WatchNode => return watch_node(api, number, tell, end),
        Request::ReadNode => node(api.read_node()),
        Request::PatchNode(change) => node(api.patch_node(&patch(change))),
        Request::AddTaints { on, taints } => Answered::Other(api.add_taints(&on, &taints)),
        Request::Evict { pod, grace } => Answered::Other(api.evict(&pod, grace)),
        Request::Delete { pod, grace } => Answered::Other(api.delete(&pod, grace)),
        Request::MarkDisrupted(pod) => Answered::Other(api.mark_disrupted(&pod)),
        Request::SetCondition(told) => Answered::Other(api.set_condition(&condition(told, true))),
        Request::ClearCondition(told) => Answered::Other(api.set_condition(&condition(told, false))),
        Request::RemoveTaints { on, taints } => Answered::Other(api.remove_taints(&on, &taints)),
        Request::RestoreNode(what) => node(api.patch_node(&restoration(what))),
        Request::CreateEvent(told) => Answered::Other(api.create_event(&event(told, pool))),
    };
    tell(Event::Answered { number, uid, answered });
}

fn node(result: Result<Node, Answer>) -> Answered {
    result.map_or_else(Answered::Other, Answered::Node)
}

fn patch(change: NodeChange) -> NodePatch {
    NodePatch {
        cordon: Some(true),
        exclude: change.exclude.then_some(true),
        annotation: change.annotation.map(Annotation::Set),
    }
}

fn restoration(what: Restoration) -> NodePatch {
    NodePatch {
        cordon: what.uncordon.then_some(false),
        exclude: what.unlabel.then_some(false),
        annotation: Some(Annotation::Removed),
    }
}

fn condition(told: Told, notice: bool) -> Condition {
    Condition { notice, reason: told.reason.to_owned(), message: told.message, since: Timestamp::now() }
}

fn event(told: Told, labels: Pool) -> NodeEvent {
    let Told { reason, message, warning } = told;
    NodeEvent { reason: reason.to_owned(), message, warning, at: Timestamp::now(), labels }
}

fn watch_pods(api: &Api, number: u64, tell: &Tell, end: &AtomicBool) {
    let watch_end = api.watch_pods(&mut |news| {
        let news = match news {
            PodNews::Seen(pod) => crate::response::PodNews::Seen(pod),
            PodNews::Gone(pod) => crate::response::PodNews::Gone(pod),
            PodNews::Synced => crate::response::PodNews::Synced,
            PodNews::Quiet => return !end.load(Ordering::Acquire),
        };
        tell(Event::Pods { number, news }) && !end.load(Ordering::Acquire)
    });
    tell_watch_end(number, watch_end, tell);
}

fn watch_node(api: &Api, number: u64, tell: &Tell, end: &AtomicBool) {
    let watch_end = api.watch_node(&mut |node| {
        let told = node.is_none_or(|node| tell(Event::NodeSeen { number, node }));
        told && !end.load(Ordering::Acquire)
    });
    tell_watch_end(number, watch_end, tell);
}

fn tell_watch_end(number: u64, end: WatchEnd, tell: &Tell) {
    let answer = match end {
        // Nobody waits for a watch that was told to end.
        WatchEnd::Ended => return,
        WatchEnd::Closed => None,
        WatchEnd::Refused(refusal) => Some(Answer::Refused(refusal)),
        WatchEnd::Nothing(why) => Some(Answer::Nothing(why)),
    };
    tell(Event::WatchEnded { number, answer });
}
