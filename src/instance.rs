//! What this machine is, as the metadata service tells it. Plain data.

use serde::{Deserialize, Serialize};

/// The instance that spot-guard runs on; what nobody told (yet) is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// `i-0123456789abcdef0`.
    pub id: Option<String>,
    /// `m5.large`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// `eu-west-1a`.
    pub availability_zone: Option<String>,
    /// `eu-west-1`.
    pub region: Option<String>,
    /// `spot`, `on-demand`, …
    pub life_cycle: Option<String>,
}
