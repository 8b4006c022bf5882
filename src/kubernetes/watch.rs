//! Watches: a list that goes on.
//!
//! Knows the stream's events and both ways to begin one. Keeps nothing between two calls: after a lost watch the caller
//! starts a new one, which begins with everything that is there.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::api::{PodNews, WatchEnd};
use super::client::{self, Client, Request};
use super::node::WireNode;
use super::pods::WirePod;
use crate::moment::Moment;
use crate::objects::{Answer, Node, Pod};

/// The largest event, in bytes; etcd takes objects of 1.5 MiB.
const EVENT_LIMIT: usize = 4 << 20;

/// How many pods a page of a list has: half a megabyte or so.
const PAGE: usize = 25;

/// Far more than any node's pods take; a list that goes on is no list.
const PAGES: usize = 400;

/// How much is read at a time.
const CHUNK: usize = 16 << 10;

/// A stream without any event for this long is given up: the server sends a bookmark about every minute (unless nothing
/// at all has happened in the cluster since the start), so it is probably dead.
const SILENCE: Duration = Duration::from_secs(90);

/// Streams the node's pods; see [`super::Api::watch_pods`].
pub fn pods(client: &Client, node_name: &str, each: &mut dyn FnMut(PodNews) -> bool) -> WatchEnd {
    let path = format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{node_name}");
    let mut memory = Cuts::default();
    if client.link.streams_lists() {
        // Since 1.32 by default; KEP-3157. From version 0 on, as the API server has it in memory: for the very latest it
        // would first wait up to 100 ms for etcd, and what its memory does not have yet follows at once.
        let start = "&watch=1&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=0";
        match client.stream(&Request::get(format!("{path}{start}"))) {
            Ok(stream) => return follow_pods(stream, &mut memory, each),
            // 422 where the feature is off, 400 where it is not known.
            Err(Answer::Refused(refusal)) if matches!(refusal.status, 400 | 422) => {
                client.link.lists_are_not_streamed.store(true, Ordering::Relaxed);
            }
            Err(answer) => return ended_with(answer),
        }
    }
    let version = match list(client, &path, &mut |pod| each(PodNews::Seen(memory.recall(pod)))) {
        Ok(version) => version,
        Err(end) => return end,
    };
    if !each(PodNews::Synced) {
        return WatchEnd::Ended;
    }
    let start = format!("&watch=1&allowWatchBookmarks=true&resourceVersion={version}");
    match client.stream(&Request::get(format!("{path}{start}"))) {
        Ok(stream) => follow_pods(stream, &mut memory, each),
        Err(answer) => ended_with(answer),
    }
}

/// Reads the events of a stream of pods until it ends or `each` returns false.
pub fn follow_pods(stream: impl Read, memory: &mut Cuts, each: &mut dyn FnMut(PodNews) -> bool) -> WatchEnd {
    follow(stream, &mut |step| pod_step(step, memory, each))
}

/// Streams the own node; see [`super::Api::watch_node`].
pub fn node(client: &Client, name: &str, each: &mut dyn FnMut(Option<Node>) -> bool) -> WatchEnd {
    // Without a resource version a watch begins with what is there, as an ADDED event.
    let path = format!("/api/v1/nodes?fieldSelector=metadata.name%3D{name}&watch=1&allowWatchBookmarks=true");
    match client.stream(&Request::get(path)) {
        Ok(stream) => follow_node(stream, each),
        Err(answer) => ended_with(answer),
    }
}

/// Reads the events of a stream of one node until it ends, the node is deleted or `each` returns false.
pub fn follow_node(stream: impl Read, each: &mut dyn FnMut(Option<Node>) -> bool) -> WatchEnd {
    let mut deleted = false;
    let end = follow(stream, &mut |step: Step<WireNode>| match step {
        Step::Now(node) => each(Some(node.into())),
        Step::Deleted(_) => {
            deleted = true;
            false
        }
        Step::Bookmark(_) | Step::Quiet => each(None),
    });
    if deleted { WatchEnd::Closed } else { end }
}

/// Lists pods page by page; gives the version from which a watch goes on.
fn list(client: &Client, path: &str, each: &mut dyn FnMut(Pod) -> bool) -> Result<String, WatchEnd> {
    let mut next = String::new();
    for _ in 0..PAGES {
        let request = Request::get(format!("{path}&limit={PAGE}&continue={next}"));
        let PodList { metadata, items } = client.read(&request).map_err(ended_with)?;
        for pod in items.into_iter().flatten() {
            if !each(pod.into()) {
                return Err(WatchEnd::Ended);
            }
        }
        // The token is base64 for URLs, so it needs no escaping.
        next = match metadata.next {
            Some(token) if !token.is_empty() => token,
            _ => return Ok(metadata.resource_version),
        };
    }
    Err(WatchEnd::Nothing(format!("the list of the node's pods has no end after {PAGES} pages")))
}

fn ended_with(answer: Answer) -> WatchEnd {
    match answer {
        // What the next page or the watch was to go on from is forgotten by now; a new watch begins anew anyway.
        Answer::Refused(refusal) if refusal.status == 410 => WatchEnd::Closed,
        Answer::Refused(refusal) => WatchEnd::Refused(refusal),
        Answer::Nothing(why) => WatchEnd::Nothing(why),
        Answer::Accepted => WatchEnd::Closed,
    }
}

fn pod_step(step: Step<WirePod>, memory: &mut Cuts, each: &mut dyn FnMut(PodNews) -> bool) -> bool {
    match step {
        Step::Now(pod) => each(PodNews::Seen(memory.recall(pod.into()))),
        Step::Deleted(pod) => {
            let pod = memory.recall(pod.into());
            memory.0.remove(&pod.id.uid);
            each(PodNews::Gone(pod))
        }
        Step::Bookmark(bookmark) if bookmark.ends_the_initial_events() => each(PodNews::Synced),
        Step::Bookmark(_) | Step::Quiet => each(PodNews::Quiet),
    }
}

/// The pods of which a container was cut, by UID. The last states of a pod do not show it any more (see
/// [`super::pods`]).
#[derive(Default)]
pub struct Cuts(BTreeSet<String>);

impl Cuts {
    fn recall(&mut self, mut pod: Pod) -> Pod {
        if pod.cut {
            self.0.insert(pod.id.uid.clone());
        } else {
            pod.cut = self.0.contains(&pod.id.uid);
        }
        pod
    }
}

/// A page of a list.
#[derive(Deserialize)]
pub struct PodList {
    metadata: ListMeta,
    items: Option<Vec<WirePod>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMeta {
    resource_version: String,
    #[serde(rename = "continue")]
    next: Option<String>,
}

#[derive(Deserialize)]
struct Event<T> {
    #[serde(rename = "type")]
    kind: String,
    object: T,
}

/// One step of a stream.
enum Step<T> {
    /// Added or modified.
    Now(T),
    Deleted(T),
    Bookmark(T),
    /// [`super::link::PACE`] went by without any event.
    Quiet,
}

/// Reads events until the stream ends or `each` returns false.
fn follow<T: DeserializeOwned>(stream: impl Read, each: &mut dyn FnMut(Step<T>) -> bool) -> WatchEnd {
    let mut lines = Lines { stream, buffer: Vec::new(), start: 0 };
    let mut heard = Moment::now();
    loop {
        let step = match lines.next() {
            Ok(Some(line)) => match read_event(line) {
                Ok(step) => step,
                Err(end) => return end,
            },
            Ok(None) => return WatchEnd::Closed,
            Err(e) if client::is_pace(&e) => {
                if Moment::now().since(heard) >= SILENCE {
                    return WatchEnd::Closed;
                }
                if !each(Step::Quiet) {
                    return WatchEnd::Ended;
                }
                continue;
            }
            Err(e) => return WatchEnd::Nothing(format!("the watch broke: {e}")),
        };
        heard = Moment::now();
        if !each(step) {
            return WatchEnd::Ended;
        }
    }
}

/// Reads one event; what ends the watch is an error.
fn read_event<T: DeserializeOwned>(line: &[u8]) -> Result<Step<T>, WatchEnd> {
    match client::understood::<Event<T>>(line) {
        Ok(Event { kind, object }) => match kind.as_str() {
            "ADDED" | "MODIFIED" => Ok(Step::Now(object)),
            "DELETED" => Ok(Step::Deleted(object)),
            "BOOKMARK" => Ok(Step::Bookmark(object)),
            _ => Err(error_event(line)),
        },
        Err(e) => match client::understood::<Event<IgnoredAny>>(line) {
            // An error's object is a Status, whose fields do not fit.
            Ok(event) if event.kind == "ERROR" => Err(error_event(line)),
            _ => Err(not_understood(&e)),
        },
    }
}

fn error_event(line: &[u8]) -> WatchEnd {
    match client::understood::<Event<client::Status>>(line) {
        Ok(event) => ended_with(Answer::Refused(event.object.refusal(0))),
        Err(e) => not_understood(&e),
    }
}

fn not_understood(why: &str) -> WatchEnd {
    WatchEnd::Nothing(format!("an event of the watch cannot be understood ({why})"))
}

/// A stream's lines. The API server ends each event with a newline and has none within (its JSON serializer,
/// `json.NewEncoder` of Go).
struct Lines<R> {
    stream: R,
    buffer: Vec<u8>,
    /// Up to here the buffer has been given out.
    start: usize,
}

impl<R: Read> Lines<R> {
    /// The next line; `None` at the end. After an error of pace, reading goes on where it was.
    fn next(&mut self) -> io::Result<Option<&[u8]>> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let mut searched = 0;
        loop {
            let unsearched = self.buffer.get(searched..).unwrap_or_default();
            if let Some(at) = unsearched.iter().position(|byte| *byte == b'\n') {
                self.start = searched + at + 1;
                return Ok(self.buffer.get(..searched + at));
            }
            searched = self.buffer.len();
            if searched > EVENT_LIMIT {
                return Err(io::Error::other("an event is too large"));
            }
            self.buffer.resize(searched + CHUNK, 0);
            let read = self.stream.read(self.buffer.get_mut(searched..).unwrap_or_default());
            self.buffer.truncate(searched + *read.as_ref().unwrap_or(&0));
            if read? == 0 {
                return Ok(None);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A stream that gives its parts one read at a time; an empty part is a read that only came back for its pace.
    struct Parts(Vec<Vec<u8>>);

    impl Read for Parts {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let Some(part) = self.0.first_mut() else { return Ok(0) };
            if part.is_empty() {
                self.0.remove(0);
                return Err(io::Error::other(ureq::Error::Timeout(ureq::Timeout::PerRead)));
            }
            let amount = part.len().min(buffer.len());
            buffer[..amount].copy_from_slice(&part[..amount]);
            part.drain(..amount);
            if part.is_empty() {
                self.0.remove(0);
            }
            Ok(amount)
        }
    }

    fn event(kind: &str, object: Value) -> Vec<u8> {
        let mut line = json!({"type": kind, "object": object}).to_string().into_bytes();
        line.push(b'\n');
        line
    }

    fn pod(name: &str) -> Value {
        json!({"metadata": {"namespace": "web", "name": name, "uid": name}})
    }

    fn told(parts: Vec<Vec<u8>>) -> (Vec<String>, WatchEnd) {
        let (mut told, mut memory) = (Vec::new(), Cuts::default());
        let end = follow(Parts(parts), &mut |step| {
            pod_step(step, &mut memory, &mut |news| {
                told.push(match news {
                    PodNews::Seen(pod) => format!("seen {}{}", pod.id.name, if pod.cut { " cut" } else { "" }),
                    PodNews::Gone(pod) => format!("gone {}{}", pod.id.name, if pod.cut { " cut" } else { "" }),
                    other => format!("{other:?}"),
                });
                true
            })
        });
        (told, end)
    }

    #[test]
    fn a_streamed_list_tells_what_is_there_then_that_this_was_all_then_the_changes() {
        let end_of_list = json!({"metadata": {"annotations": {"k8s.io/initial-events-end": "true"}}});
        let (told, end) = told(vec![
            [event("ADDED", pod("a")), event("ADDED", pod("b")), event("BOOKMARK", end_of_list)].concat(),
            vec![],
            event("MODIFIED", pod("a")),
            event("BOOKMARK", json!({"metadata": {}})),
            event("DELETED", pod("b")),
        ]);
        assert_eq!(told, ["seen a", "seen b", "Synced", "Quiet", "seen a", "Quiet", "gone b"]);
        assert_eq!(end, WatchEnd::Closed);
    }

    #[test]
    fn an_event_in_pieces_is_one_event_even_with_a_pause_in_between() {
        let large = json!({"metadata": {"name": "a", "uid": "a", "annotations": {"x": "y".repeat(3 * CHUNK)}}});
        let (one, two) = (event("ADDED", large), event("ADDED", pod("b")));
        let (head, tail) = one.split_at(20);
        let (told, end) = told(vec![head.to_vec(), vec![], [tail, &two].concat()]);
        assert_eq!((told, end), (vec!["Quiet".into(), "seen a".into(), "seen b".into()], WatchEnd::Closed));
    }

    #[test]
    fn a_cut_is_remembered_to_the_end_though_the_last_states_do_not_show_it() {
        let state = |grace: i64, at: &str| {
            let ended = json!({"state": {"terminated": {"exitCode": 137, "finishedAt": "2026-11-22T20:00:30Z"}}});
            json!({"metadata": {"name": "a", "uid": "a", "deletionGracePeriodSeconds": grace, "deletionTimestamp": at},
                "status": {"containerStatuses": [ended]}})
        };
        let (told, _) = told(vec![
            event("MODIFIED", state(30, "2026-11-22T20:00:30Z")),
            event("MODIFIED", state(0, "2026-11-22T20:00:00Z")),
            event("DELETED", state(0, "2026-11-22T20:00:00Z")),
        ]);
        assert_eq!(told, ["seen a cut", "seen a cut", "gone a cut"]);
    }

    #[test]
    fn an_error_in_the_stream_ends_it() {
        let error =
            |code: u16| event("ERROR", json!({"kind": "Status", "status": "Failure", "code": code, "message": "m"}));
        assert_eq!(told(vec![error(410)]).1, WatchEnd::Closed);
        assert!(matches!(told(vec![error(500)]).1, WatchEnd::Refused(refusal) if refusal.status == 500));
        assert!(matches!(told(vec![b"nonsense\n".to_vec()]).1, WatchEnd::Nothing(_)));
        assert!(matches!(told(vec![vec![b'x'; EVENT_LIMIT + CHUNK]]).1, WatchEnd::Nothing(_)));
    }
}
