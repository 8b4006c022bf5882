//! The terms of a response: the settings it began with and keeps to its end, over reloads and restarts.

use serde::{Deserialize, Serialize};

use super::{Drain, Force, Hooks, Reaction, Settings};
use crate::notice::Kind;
use crate::objects::Taint;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    pub reaction: Reaction,
    #[serde(default)]
    pub force: Force,
    pub exclude_from_load_balancers: bool,
    pub taints: Vec<Taint>,
    pub conditions: bool,
    pub events: bool,
    pub drain: Drain,
    pub hooks: Hooks,
}

impl Terms {
    /// What `settings` say about a kind of notice.
    pub fn of(settings: &Settings, kind: Kind) -> Terms {
        let response = settings.responses.of(kind);
        Terms {
            reaction: response.reaction,
            force: response.force,
            exclude_from_load_balancers: settings.kubernetes.exclude_from_load_balancers,
            taints: settings.kubernetes.taints.clone(),
            conditions: settings.kubernetes.conditions,
            events: settings.kubernetes.events,
            drain: settings.drain.clone(),
            hooks: settings.hooks.clone(),
        }
    }

    pub fn drains(&self) -> bool {
        self.reaction == Reaction::Drain
    }

    pub fn cordons(&self) -> bool {
        matches!(self.reaction, Reaction::Drain | Reaction::Cordon)
    }
}
