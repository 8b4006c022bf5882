//! The terms of a response: the settings it began with and keeps to its end, over reloads and restarts.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Drain, Force, Hooks, Reaction, Settings};
use crate::moment;
use crate::notice::{Kind, SPOT_WINDOW};
use crate::objects::Taint;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    pub reaction: Reaction,
    #[serde(default)]
    pub force: Force,
    /// How long the response may take where the notice tells no time.
    #[serde(rename = "window_seconds", with = "moment::seconds", default = "two_minutes")]
    pub window: Duration,
    /// Nothing is changed: what the record says was done was only asked for.
    #[serde(default)]
    pub dry_run: bool,
    pub exclude_from_load_balancers: bool,
    pub taints: Vec<Taint>,
    pub conditions: bool,
    pub events: bool,
    /// There is a webhook to tell.
    #[serde(default)]
    pub webhook: bool,
    pub drain: Drain,
    pub hooks: Hooks,
}

/// What all responses had before there were other kinds of notices.
fn two_minutes() -> Duration {
    SPOT_WINDOW
}

impl Terms {
    /// What `settings` say about a kind of notice.
    pub fn of(settings: &Settings, kind: Kind) -> Terms {
        let response = settings.responses.of(kind);
        Terms {
            reaction: response.reaction,
            force: response.force,
            window: response.window,
            dry_run: settings.dry_run,
            exclude_from_load_balancers: settings.kubernetes.exclude_from_load_balancers,
            taints: settings.kubernetes.taints.clone(),
            conditions: settings.kubernetes.conditions,
            events: settings.kubernetes.events,
            webhook: settings.webhook.is_wanted(),
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
