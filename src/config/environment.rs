//! Settings from the environment: `SPOT_GUARD_CONFIG_*`, and what the AWS SDKs read.

use super::fragment::{self, Fragment};
use super::nearest::nearest;
use super::problem::{Complaint, Origin, Problem};
use super::schema::{self, SCHEMA};
use super::value::quoted;

const OURS: &str = "SPOT_GUARD_CONFIG_";
const ENDPOINT: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
const ENDPOINT_MODE: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE";
const DISABLED: &str = "AWS_EC2_METADATA_DISABLED";

/// The metadata service's address for IPv6, by which `AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE=IPv6` is meant.
const IPV6_ENDPOINT: &str = "http://[fd00:ec2::254]";

/// Each variable is a fragment of its own.
pub fn ours(environment: &[(String, String)]) -> Vec<Fragment> {
    let mut variables: Vec<&(String, String)> = environment.iter().filter(|(name, _)| name.starts_with(OURS)).collect();
    variables.sort();
    variables.into_iter().map(|(name, value)| our_variable(name, value)).collect()
}

fn our_variable(name: &str, value: &str) -> Fragment {
    let origin = Origin::Environment(name.to_owned());
    match SCHEMA.iter().position(|row| row.variable() == name) {
        Some(row) => fragment::from_variable(row, value, origin),
        None => {
            // Without what all have in common, which would make any two alike.
            let ending = |name: &str| name.strip_prefix(OURS).unwrap_or_default().to_owned();
            let known: Vec<String> = SCHEMA.iter().map(|row| ending(&row.variable())).collect();
            let nearest =
                nearest(&ending(name), known.iter().map(String::as_str)).map(|known| format!("{OURS}{known}"));
            Err(vec![Problem { origin, complaint: Complaint::UnknownVariable { nearest } }])
        }
    }
}

/// What the AWS SDKs take from the environment for the metadata service's address: `ENDPOINT`, which goes over files.
pub fn aws_endpoint(environment: &[(String, String)]) -> Option<Fragment> {
    let value = variable(environment, ENDPOINT)?;
    Some(fragment::from_text(endpoint_row()?, value, Origin::Environment(ENDPOINT.to_owned())))
}

/// As the SDKs have it, the mode only chooses between built-in addresses; an address that somebody wrote goes over it.
pub fn aws_endpoint_mode(environment: &[(String, String)]) -> Option<Fragment> {
    let value = variable(environment, ENDPOINT_MODE)?;
    let origin = Origin::Environment(ENDPOINT_MODE.to_owned());
    match value.to_ascii_lowercase().as_str() {
        "ipv4" => None,
        "ipv6" => Some(fragment::from_text(endpoint_row()?, IPV6_ENDPOINT, origin)),
        _ => {
            let complaint = Complaint::UnknownMode(quoted(value));
            Some(Err(vec![Problem { origin, complaint }]))
        }
    }
}

/// Whether the metadata service is never to be asked: `true` in any case, as the SDKs have it.
pub fn aws_disabled(environment: &[(String, String)]) -> bool {
    variable(environment, DISABLED).is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

/// A variable that is set to nothing counts as not set, as in the SDKs.
fn variable<'a>(environment: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = environment.iter().find(|(known, _)| known == name)?;
    Some(found.1.trim()).filter(|value| !value.is_empty())
}

fn endpoint_row() -> Option<usize> {
    schema::find("imds", "endpoint")
}
