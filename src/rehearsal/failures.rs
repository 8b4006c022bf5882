//! What was asked in vain, and whether it would be again.

use std::mem::{Discriminant, discriminant};

use crate::objects::Answer;
use crate::response::Request;

/// What was answered so often without success is not asked again.
const TRIES: u32 = 5;

/// Which request is the same one again: its sort, and the pod.
type Sort = (Discriminant<Request>, Option<String>);

/// A request that came to nothing.
#[derive(Debug)]
struct Failure {
    of: Sort,
    times: u32,
    /// The last time.
    answer: Answer,
}

#[derive(Debug, Default)]
pub struct Failures(Vec<Failure>);

impl Failures {
    pub fn add(&mut self, request: &Request, answer: &Answer) {
        let (of, answer) = (sort(request), answer.clone());
        match self.0.iter_mut().find(|failure| failure.of == of) {
            Some(failure) => (failure.times, failure.answer) = (failure.times + 1, answer),
            None => self.0.push(Failure { of, times: 1, answer }),
        }
    }

    /// What the request would be answered, if that is known from those before.
    pub fn standing(&self, request: &Request) -> Option<&Answer> {
        let of = sort(request);
        let failure = self.0.iter().find(|failure| failure.of == of)?;
        (failure.times >= TRIES || stays(request, &failure.answer)).then_some(&failure.answer)
    }

    /// Why the API server counts as one that answers no more, if so.
    pub fn silence(&self) -> Option<&str> {
        self.0.iter().find_map(|failure| match &failure.answer {
            Answer::Nothing(why) if failure.times >= TRIES => Some(why.as_str()),
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
