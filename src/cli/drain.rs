//! `spot-guard drain`: a response by hand.

use std::process::ExitCode;
use std::time::Duration;

use super::arguments::DrainCommand;
use super::doer::{Doer, Wants};
use super::follow::{Followed, follow};
use super::screen::Screen;
use super::summary::summary;
use super::{answer, complain, complain_of_usage};
use crate::config::{Sources, parse_duration};
use crate::control::{Answer, Drain, Request};
use crate::moment::Timestamp;
use crate::notice::Kind;
use crate::record::{Record, ResponseOutcome};
use crate::signals;

pub fn drain(asked: DrainCommand, sources: Sources) -> ExitCode {
    let no_wait = asked.no_wait;
    let drain = match read(asked) {
        Ok(drain) => drain,
        Err(wrong) => return complain_of_usage("drain", &wrong),
    };
    let screen = Screen::of(&sources.environment);
    // A notice that EC2 gave is responded to whatever is wrong with the settings.
    let wants = Wants { no_wait, whatever_the_settings: drain.notice != Kind::ByHand };
    let (doer, signals) = match Doer::find(sources, wants, signals::catch()) {
        Ok(found) => found,
        Err(error) => return error.tell(),
    };
    match doer.ask(Request::Drain(drain)) {
        Ok(Answer::Responding { id, joined, deadline, record }) => {
            let how = if joined { "runs already and is joined" } else { "has begun" };
            let begun = answer(&format!("response {id} {how}; it ends by {deadline}\n"));
            if no_wait {
                return begun;
            }
            let is_over = |record: &Record| record.outcome.is_some();
            told(&follow(doer, id, &record, &is_over, screen, signals))
        }
        Ok(Answer::Wrong { why }) => complain_of_usage("drain", &why),
        Ok(Answer::Refused { why }) => failed(&why),
        Ok(_) => failed("the daemon has answered something else; it is of another version, restart it"),
        Err(error) => error.tell(),
    }
}

fn told(followed: &Followed) -> ExitCode {
    match followed {
        Followed::ToTheEnd(record) => {
            let answered = answer(&summary(record));
            let complete = record.outcome == Some(ResponseOutcome::Complete);
            if complete { answered } else { ExitCode::FAILURE }
        }
        Followed::NoMore(why) => failed(why),
    }
}

pub fn failed(why: &str) -> ExitCode {
    complain(why);
    ExitCode::FAILURE
}

/// What the options ask for; whether it makes sense together is the daemon's to say, which knows its settings.
fn read(asked: DrainCommand) -> Result<Drain, String> {
    let notice = asked.notice.as_deref().map(kind).transpose()?;
    Ok(Drain {
        notice: notice.unwrap_or(Kind::ByHand),
        window: asked.window.as_deref().map(window).transpose()?,
        until: asked.until.as_deref().map(|text| time("until", text)).transpose()?,
        since: asked.since.as_deref().map(|text| time("since", text)).transpose()?,
        reason: asked.reason,
    })
}

/// Reads `--notice`.
pub fn kind(name: &str) -> Result<Kind, String> {
    let names = Kind::ALL.map(Kind::name).join(", ");
    Kind::of_name(name).ok_or_else(|| format!("--notice is {}; it must be one of {names}", quoted(name)))
}

/// Reads `--window`.
pub fn window(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| format!("--window is {}; {error}", quoted(text)))
}

fn time(option: &str, text: &str) -> Result<Timestamp, String> {
    let wrong = || format!("--{option} is {}; it must be a time such as 2026-11-22T20:33:43Z (RFC 3339)", quoted(text));
    Timestamp::from_rfc3339(text).ok_or_else(wrong)
}

fn quoted(text: &str) -> String {
    format!("{:?}", text.chars().take(80).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> DrainCommand {
        DrainCommand { window: None, until: None, since: None, notice: None, reason: None, no_wait: false }
    }

    #[test]
    fn options_are_read_and_what_is_none_is_told_with_what_it_must_be() {
        let whole = DrainCommand {
            window: Some("1m30s".to_owned()),
            since: Some("2026-11-22T20:33:43+01:00".to_owned()),
            notice: Some("maintenance".to_owned()),
            ..asked()
        };
        let read_whole = read(whole).unwrap();
        assert_eq!(read_whole.window, Some(Duration::from_secs(90)));
        assert_eq!(read_whole.since.map(|time| time.to_string()).as_deref(), Some("2026-11-22T19:33:43.000Z"));
        assert_eq!(read_whole.notice, Kind::Maintenance);
        assert_eq!(read(asked()).unwrap().notice, Kind::ByHand);

        let text = |text: &str| Some(text.to_owned());
        let table = [
            (DrainCommand { window: text("2"), ..asked() }, "--window is \"2\"; it needs a unit"),
            (DrainCommand { until: text("noon"), ..asked() }, "--until is \"noon\"; it must be a time such as"),
            (DrainCommand { since: text("\u{1b}[2J"), ..asked() }, "--since is \"\\u{1b}[2J\"; it must be"),
            (DrainCommand { notice: text("spot"), ..asked() }, "--notice is \"spot\"; it must be one of spot-interr"),
        ];
        for (wrong, starts) in table {
            let why = read(wrong).unwrap_err();
            assert!(why.starts_with(starts), "{why}");
        }
    }
}
