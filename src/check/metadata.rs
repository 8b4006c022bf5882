//! The metadata service: whether it can be asked, what it says this machine is, and what time it has.

use std::time::Duration;

use super::finding::Finding;
use crate::config;
use crate::imds::{Client, Error, INSTANCE_ITEMS};
use crate::instance::Instance;
use crate::moment::{Moment, Timestamp};

pub const NAME: &str = "metadata service";
pub const CLOCK: &str = "clock";

/// How far apart the clocks may be: `Date` has whole seconds, and a request takes its time.
const APART: Duration = Duration::from_secs(5);

/// What it told.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    pub endpoint: String,
    pub instance: Instance,
    /// How long one request took.
    pub took: Duration,
    /// Its clock and this machine's, at the same moment.
    pub date: Option<(Timestamp, Timestamp)>,
}

/// Asks what this machine is.
///
/// # Errors
/// When the first of its items cannot be had.
pub fn ask(settings: &config::Imds) -> Result<Facts, Error> {
    let mut client = Client::new(settings);
    let mut facts = Facts { endpoint: settings.endpoint.clone(), ..Facts::default() };
    for (number, (path, read)) in INSTANCE_ITEMS.iter().enumerate() {
        let began = Moment::now();
        let item = match client.get(path) {
            Ok(item) => item,
            Err(error) if number == 0 => return Err(error),
            Err(_) => continue,
        };
        // That of the last, when the token is there.
        facts.took = Moment::now().since(began);
        if let Some(item) = item {
            read(&mut facts.instance, &item.body);
            facts.date = item.date.map(|date| (date, Timestamp::now()));
        }
    }
    Ok(facts)
}

pub fn verdict(answer: &Result<Facts, Error>) -> Finding {
    match answer {
        Ok(facts) if facts.instance.id.is_none() => {
            Finding::failure(NAME, format!("{} answers, but does not say which instance this is", facts.endpoint))
                .advise("is imds.endpoint the metadata service of EC2?")
        }
        Ok(facts) => Finding::ok(NAME, told(facts)),
        Err(error) => failed(error),
    }
}

fn told(facts: &Facts) -> String {
    let Instance { id, kind, availability_zone, life_cycle, .. } = &facts.instance;
    let or = |text: &Option<String>, other: &str| text.clone().unwrap_or_else(|| other.to_owned());
    format!(
        "IMDSv2 at {} in {} ms: {}, {} in {}, {}",
        facts.endpoint.trim_start_matches("http://"),
        facts.took.as_millis().max(1),
        or(id, ""),
        or(kind, "of unknown type"),
        or(availability_zone, "an unknown zone"),
        or(life_cycle, "life cycle unknown"),
    )
}

fn failed(error: &Error) -> Finding {
    let finding = Finding::failure(NAME, error.to_string());
    match error {
        Error::Disabled => finding.advise("take AWS_EC2_METADATA_DISABLED out of the daemon's environment"),
        Error::Refused { url, status: 403, .. } if url.ends_with("api/token") => {
            finding.advise("aws ec2 modify-instance-metadata-options --http-endpoint enabled --instance-id ID")
        }
        Error::Refused { url, .. } | Error::NoToken { url } if url.ends_with("api/token") => {
            finding.advise("it gives no tokens, so it is no IMDSv2: look at imds.endpoint, and at what proxies it here")
        }
        Error::NoAnswer { url, .. } if url.ends_with("api/token") => finding
            .advise("from the machine itself: ip route get 169.254.169.254, and the firewall's rules for it")
            .advise("from a container a hop limit of 2 is needed; on the machine itself 1 is enough"),
        _ => finding.advise("look at imds.endpoint, and at what else asks it on this machine"),
    }
}

/// The clock of this machine against that of the service. A deadline goes by the latter; certificates, tokens and what is
/// written down go by the former.
pub fn clock(facts: &Facts) -> Finding {
    let Some((date, wall)) = facts.date else {
        return Finding::ok(CLOCK, "not compared: the metadata service says no time");
    };
    let (ahead, behind) = (wall.later_than(date), date.later_than(wall));
    let (apart, how) = match (ahead, behind) {
        (Some(ahead), _) => (ahead, "ahead of"),
        (_, Some(behind)) => (behind, "behind"),
        _ => (Duration::ZERO, "equal to"),
    };
    if apart <= APART {
        return Finding::ok(CLOCK, "within 5 s of the metadata service's");
    }
    Finding::warning(CLOCK, format!("{} s {how} the metadata service's", apart.as_secs()))
        .advise("deadlines do not go by it, but TLS and credentials do: let chrony or timesyncd set it")
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    fn url(path: &str) -> String {
        format!("http://169.254.169.254/latest/{path}")
    }

    #[test]
    fn each_way_to_fail_has_its_own_advice() {
        let token = || url("api/token");
        let refused = |url, status| Error::Refused { url, status, body: String::new() };
        for (error, advice) in [
            (Error::Disabled, "AWS_EC2_METADATA_DISABLED"),
            (refused(token(), 403), "--http-endpoint enabled"),
            (refused(token(), 404), "no IMDSv2"),
            (Error::NoToken { url: token() }, "no IMDSv2"),
            (Error::NoAnswer { url: token(), reason: "timeout".to_owned() }, "ip route"),
            (refused(url("meta-data/instance-id"), 503), "what else asks"),
        ] {
            let found = verdict(&Err(error));
            assert_eq!(found.result, Verdict::Failure);
            assert!(found.advice[0].contains(advice), "{found:?}");
        }
    }

    #[test]
    fn a_service_that_knows_no_instance_is_another_service() {
        assert_eq!(verdict(&Ok(Facts::default())).result, Verdict::Failure);
        let instance = Instance { id: Some("i-0ab".to_owned()), ..Instance::default() };
        assert_eq!(verdict(&Ok(Facts { instance, ..Facts::default() })).result, Verdict::Ok);
    }

    #[test]
    fn a_clock_may_be_some_seconds_off_either_way() {
        let at = |text: &str| Timestamp::from_rfc3339(text).unwrap();
        let date = at("2026-11-22T20:00:00Z");
        for (wall, result) in [
            ("2026-11-22T20:00:00Z", Verdict::Ok),
            ("2026-11-22T20:00:05Z", Verdict::Ok),
            ("2026-11-22T20:00:06Z", Verdict::Warning),
            ("2026-11-22T19:59:55Z", Verdict::Ok),
            ("2026-11-22T19:59:00Z", Verdict::Warning),
        ] {
            let facts = Facts { date: Some((date, at(wall))), ..Facts::default() };
            assert_eq!(clock(&facts).result, result, "{wall}");
        }
        assert_eq!(clock(&Facts::default()).result, Verdict::Ok);
    }
}
