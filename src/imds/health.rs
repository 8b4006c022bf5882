//! Whether answers are good: told and logged when that changes.
//!
//! Spot's path and the others are judged apart, and what is told names all that is wrong, so that neither hides the
//! other.

use super::{Error, News};
use crate::moment::Moment;
use crate::notice::Kind;
use crate::trouble::{Trouble, Troubles};

#[derive(Default)]
pub struct Health {
    spot: Trouble,
    /// What is wrong with Spot's path now: the kind of it, and the words.
    spot_failure: Option<(String, String)>,
    /// The other paths.
    side: Troubles<Kind>,
    /// How many of the latest polls of Spot's path, in a row, were refused because the service is throttled.
    refusals: u32,
}

impl Health {
    pub fn refusals(&self) -> u32 {
        self.refusals
    }

    pub fn spot_answered(&mut self, now: Moment, tell: &dyn Fn(News)) {
        if let Some(extent) = self.spot.over(now) {
            log::info!("the metadata service answers again; it failed {extent}");
        }
        self.refusals = 0;
        if self.spot_failure.take().is_some() {
            self.tell_all(tell);
        }
    }

    pub fn spot_failed(&mut self, error: &Error, now: Moment, tell: &dyn Fn(News)) {
        self.refusals = if error.is_throttling() { self.refusals.saturating_add(1) } else { 0 };
        let kind = error.kind();
        match self.spot.came(&kind, now) {
            Some(extent) => {
                log::warn!("{error}{}; a notice would not be seen; asked again and again", extent.in_brackets());
            }
            None => log::debug!("{error}"),
        }
        if self.spot_failure.as_ref().is_none_or(|(told, _)| *told != kind) {
            self.spot_failure = Some((kind, error.to_string()));
            self.tell_all(tell);
        }
    }

    /// The question about another kind of notice was answered.
    pub fn side_answered(&mut self, of: Kind, now: Moment, tell: &dyn Fn(News)) {
        let stood = self.side.kind(of).is_some();
        if let Some(extent) = self.side.over(of, now) {
            log::info!("the metadata service answers all questions again; it failed {extent}");
        }
        if stood {
            self.tell_all(tell);
        }
    }

    pub fn side_failed(&mut self, of: Kind, error: &Error, now: Moment, tell: &dyn Fn(News)) {
        let kind = error.kind();
        let is_new = self.side.kind(of) != Some(&kind);
        let words = format!("{error}; no {of} is seen meanwhile");
        if let Some(extent) = self.side.came(of, &kind, words, now) {
            let words = self.side.words().unwrap_or_default();
            log::warn!("{words}{}; Spot interruptions are; asked again and again", extent.in_brackets());
        }
        if is_new {
            self.tell_all(tell);
        }
    }

    /// All that is wrong now, Spot's path first.
    fn tell_all(&self, tell: &dyn Fn(News)) {
        let spot = self.spot_failure.as_ref().map(|(_, words)| words.clone());
        let words: Vec<String> = spot.into_iter().chain(self.side.words()).collect();
        tell(if words.is_empty() { News::Well } else { News::Trouble(words.join("; ")) });
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::time::Duration;

    use super::*;

    fn at(second: u64) -> Moment {
        Moment::after_boot(Duration::from_secs(second))
    }

    fn refused(status: u16) -> Error {
        Error::Refused { url: "u".into(), status, body: String::new() }
    }

    fn trouble(errors: &[&Error]) -> News {
        News::Trouble(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
    }

    /// What is told while `history` happens.
    fn told(history: impl FnOnce(&mut Health, &dyn Fn(News))) -> Vec<News> {
        let told = RefCell::new(Vec::new());
        history(&mut Health::default(), &|news| told.borrow_mut().push(news));
        told.into_inner()
    }

    #[test]
    fn only_throttling_makes_the_poll_slower() {
        let mut health = Health::default();
        for (status, refusals) in [(503, 1), (429, 2), (500, 0), (503, 1), (401, 0)] {
            health.spot_failed(&refused(status), at(0), &drop);
            assert_eq!(health.refusals(), refusals, "{status}");
        }
        health.side_failed(Kind::Maintenance, &refused(503), at(0), &drop);
        assert_eq!(health.refusals(), 0, "the others have a pace of their own");
    }

    #[test]
    fn errors_are_told_when_they_begin_when_they_change_and_when_they_end() {
        let too_large = Error::TooLarge { url: "u".into() };
        let told = told(|health, tell| {
            health.spot_answered(at(0), tell);
            (1..=3).for_each(|second| health.spot_failed(&Error::Disabled, at(second), tell));
            health.spot_failed(&too_large, at(4), tell);
            health.spot_answered(at(5), tell);
            health.spot_answered(at(6), tell);
        });
        assert_eq!(told, [trouble(&[&Error::Disabled]), trouble(&[&too_large]), News::Well]);
    }

    #[test]
    fn the_trouble_of_a_side_path_and_that_of_spots_hide_each_other_neither_when_they_come_nor_when_they_go() {
        let (of, error) = (Kind::RebalanceRecommendation, refused(500));
        let told = told(|health, tell| {
            (0..3).for_each(|second| health.side_failed(of, &error, at(second), tell));
            health.spot_answered(at(3), tell);
            health.spot_failed(&Error::Disabled, at(4), tell);
            health.spot_answered(at(5), tell);
            health.side_answered(Kind::Maintenance, at(6), tell);
            health.side_answered(of, at(7), tell);
            health.side_answered(of, at(8), tell);
        });
        let side = format!("{error}; no rebalance recommendation is seen meanwhile");
        let both = format!("{}; {side}", Error::Disabled);
        assert_eq!(told, [News::Trouble(side.clone()), News::Trouble(both), News::Trouble(side), News::Well]);
    }
}
