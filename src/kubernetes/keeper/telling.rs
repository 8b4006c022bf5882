//! What the keeper tells of how things stand with the cluster, and what of it the log says.
//!
//! Each change is told at once; the log is spared what comes again and again. Knows nothing of how it is found out.

use std::collections::BTreeMap;

use log::{debug, info, warn};

use crate::moment::Moment;
use crate::objects::Standing;
use crate::trouble::Trouble;

/// What may be wrong while the API server answers all the same, so that there is time to mend it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doubt {
    /// The kubeconfig is gone, or cannot be used any more.
    Kubeconfig,
    /// What it names cannot be used any more, or its plugin fails.
    Credentials,
    /// DNS.
    Addresses,
}

/// How things stand, told to whoever asked for it.
pub struct Telling<T> {
    tell: T,
    told: Option<Standing>,
    doubts: BTreeMap<Doubt, String>,
    trouble: Trouble,
}

impl<T: Fn(Standing)> Telling<T> {
    pub fn new(tell: T) -> Telling<T> {
        Telling { tell, told: None, doubts: BTreeMap::new(), trouble: Trouble::default() }
    }

    /// There is no cluster.
    pub fn none(&mut self, why: String) {
        self.doubts.clear();
        if self.tell(Standing::None(why.clone())) {
            self.trouble.over(Moment::now());
            info!("no cluster: {why}");
        }
    }

    /// The API server cannot be used; told after each attempt.
    pub fn unready(&mut self, why: String) {
        let why = self.with_doubts(why);
        match self.trouble.came(&kind(&why), Moment::now()) {
            Some(extent) => warn!("cluster not ready: {why}{}; tried again and again", extent.in_brackets()),
            None => debug!("cluster not ready: {why}"),
        }
        self.tell(Standing::Unready(why));
    }

    /// The API server has answered.
    pub fn ready(&mut self, node_name: &str) {
        let doubt = (!self.doubts.is_empty()).then(|| self.with_doubts(String::new()));
        let former = self.told.clone();
        let over = if doubt.is_none() { self.trouble.over(Moment::now()) } else { None };
        if !self.tell(Standing::Ready { node_name: node_name.to_owned(), doubt }) {
            return;
        }
        match (former, over) {
            (Some(Standing::Ready { .. }), Some(extent)) => {
                info!("node {node_name}: all is well again; it failed {extent}")
            }
            (Some(Standing::Ready { .. }), None) => {}
            (_, Some(extent)) => info!("node {node_name} is ready; it failed {extent}"),
            // Nothing was said when it began.
            (Some(Standing::Unready(_)), None) => debug!("node {node_name} is ready"),
            (_, None) => info!("node {node_name} is ready"),
        }
    }

    /// What speaks for things not staying as well as they are; told after each attempt, and `None` when it is mended.
    pub fn doubt(&mut self, doubt: Doubt, why: Option<String>) {
        match why {
            Some(why) => self.add_doubt(doubt, why),
            None if self.doubts.remove(&doubt).is_none() => return,
            None => {}
        }
        if let Some(Standing::Ready { node_name, .. }) = self.told.clone() {
            self.ready(&node_name);
        }
    }

    fn add_doubt(&mut self, doubt: Doubt, why: String) {
        // Else it is in what is said of that.
        if !matches!(self.told, Some(Standing::Unready(_))) {
            match self.trouble.came(&kind(&why), Moment::now()) {
                Some(extent) => warn!("{why}{}; going on with what there was", extent.in_brackets()),
                None => debug!("{why}"),
            }
        }
        self.doubts.insert(doubt, why);
    }

    pub fn doubts(&self) -> bool {
        !self.doubts.is_empty()
    }

    /// Each thing once.
    fn with_doubts(&self, why: String) -> String {
        let mut all = vec![why];
        for doubt in self.doubts.values() {
            if !all.iter().any(|said| said.contains(doubt)) {
                all.push(doubt.clone());
            }
        }
        all.retain(|text| !text.is_empty());
        all.join("; ")
    }

    /// Whether there was anything new to tell.
    fn tell(&mut self, standing: Standing) -> bool {
        let is_new = self.told.as_ref() != Some(&standing);
        if is_new {
            self.told = Some(standing.clone());
            (self.tell)(standing);
        }
        is_new
    }
}

/// What is the same in two texts that tell of the same: not what a plugin says itself, nor numbers and ids.
fn kind(text: &str) -> String {
    let own = text.split("; it said: ").next().unwrap_or_default();
    own.split(' ').filter(|word| !word.contains(|c: char| c.is_ascii_digit())).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn a_doubt_is_told_while_it_lasts_and_beside_what_makes_the_server_unusable() {
        let told = RefCell::new(Vec::new());
        let mut telling = Telling::new(|standing| told.borrow_mut().push(standing));
        telling.ready("n");
        telling.doubt(Doubt::Credentials, Some("the plugin failed".into()));
        telling.doubt(Doubt::Credentials, Some("the plugin failed".into()));
        telling.unready("401".into());
        telling.doubt(Doubt::Credentials, None);
        telling.ready("n");
        let ready = |doubt: Option<&str>| Standing::Ready { node_name: "n".into(), doubt: doubt.map(str::to_owned) };
        let expected = [
            ready(None),
            ready(Some("the plugin failed")),
            Standing::Unready("401; the plugin failed".into()),
            ready(None),
        ];
        assert_eq!(told.into_inner(), expected);
    }

    #[test]
    fn a_text_that_differs_in_numbers_and_a_plugins_words_is_of_one_kind() {
        let failed = |id: &str| format!("the plugin failed: exit code 2; it said: request {id}");
        assert_eq!(kind(&failed("a")), kind(&failed("b")));
        assert_eq!(kind("no answer from 10.0.0.1 in 3 s"), kind("no answer from 10.0.0.2 in 4 s"));
        assert_ne!(kind("the plugin failed"), kind("the certificate has expired"));
    }
}
