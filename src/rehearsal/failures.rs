//! What was asked in vain, and whether it would be again.

use std::collections::HashMap;
use std::mem::{Discriminant, discriminant};

use crate::objects::Answer;
use crate::response::Request;

/// What was answered so often without success is not asked again.
const TRIES: u32 = 5;

/// Which request is the same one again: its sort, and the pod.
type Sort = (Discriminant<Request>, Option<String>);

/// By request, how often that came to nothing, and how the last time.
#[derive(Debug, Default)]
pub struct Failures(HashMap<Sort, (u32, Answer)>);

impl Failures {
    pub fn add(&mut self, request: &Request, answer: &Answer) {
        let failure = self.0.entry(sort(request)).or_insert((0, answer.clone()));
        *failure = (failure.0 + 1, answer.clone());
    }

    /// What the request would be answered, if that is known from those before.
    pub fn standing(&self, request: &Request) -> Option<&Answer> {
        let (times, answer) = self.0.get(&sort(request))?;
        (*times >= TRIES || stays(request, answer)).then_some(answer)
    }

    /// Why the API server counts as one that answers no more, if so.
    pub fn silence(&self) -> Option<&str> {
        self.0.values().find_map(|(times, answer)| match answer {
            Answer::Nothing(why) if *times >= TRIES => Some(why.as_str()),
            _ => None,
        })
    }
}

/// Whether a budget or admission refuses it: nothing is known of what would change that.
fn stays(request: &Request, answer: &Answer) -> bool {
    match (request, answer) {
        (Request::Evict { .. } | Request::Delete { .. }, Answer::Refused(refusal)) => {
            refusal.status == 403 || refusal.causes.iter().any(|cause| cause == "DisruptionBudget")
        }
        _ => false,
    }
}

fn sort(request: &Request) -> Sort {
    let pod = match request {
        Request::Evict { pod, .. } | Request::Delete { pod, .. } | Request::MarkDisrupted(pod) => Some(pod.uid.clone()),
        _ => None,
    };
    (discriminant(request), pod)
}
