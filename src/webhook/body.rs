//! What a message says: the record with its stage, or what a template makes of them.

use std::time::Duration;

use crate::config::Reaction;
use crate::config::template::filled;
use crate::record::{Outcome, Record, ResponseOutcome, Stage};

/// What there is to say.
pub struct News<'a> {
    pub stage: Stage,
    pub record: &'a Record,
    /// Until the deadline.
    pub left: Duration,
}

/// The record as it is on disk, with `stage` as its first field.
pub fn of_record(news: &News) -> String {
    let record = serde_json::to_string(news.record).unwrap_or_default();
    let fields = record.strip_prefix('{').unwrap_or("}");
    format!("{{\"stage\":\"{}\",{fields}", news.stage.name())
}

/// The template with what its placeholders stand for. One that is not known stays as it is written.
pub fn of_template(template: &str, news: &News) -> String {
    filled(template, |name| value(name, news).unwrap_or_else(|| format!("{{{{{name}}}}}")))
}

/// What stands for a placeholder: a number, or text for between quotes.
fn value(name: &str, news: &News) -> Option<String> {
    let record = news.record;
    let instance = &record.instance;
    let text = |text: &str| Some(escaped(text));
    let absent = |text: &Option<String>| Some(escaped(text.as_deref().unwrap_or_default()));
    match name {
        "stage" => text(news.stage.name()),
        "event_action" => text(if news.stage == Stage::Notice { "trigger" } else { "resolve" }),
        "summary" => text(&summary(news)),
        "kind" => text(record.notice.kind.name()),
        "action" => text(record.notice.action.name()),
        "response" => text(record.terms.reaction.name()),
        "response_id" => text(&record.id),
        "node" => absent(&record.node.name),
        "instance_id" => absent(&instance.id),
        "instance_type" => absent(&instance.kind),
        "availability_zone" => absent(&instance.availability_zone),
        "region" => absent(&instance.region),
        "deadline" => text(&record.deadline.to_string()),
        "outcome" => text(outcome(record)),
        "seconds_left" => Some(news.left.as_secs().to_string()),
        "pods" => Some(record.pods.len().to_string()),
        "pods_graceful" => Some(pods(record, Outcome::Graceful).to_string()),
        "pods_killed" => Some(pods(record, Outcome::Killed).to_string()),
        "pods_left" => Some(record.pods.iter().filter(|pod| pod.gone_at.is_none()).count().to_string()),
        _ => None,
    }
}

/// As it stands between the quotes of a JSON string.
fn escaped(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default().to_owned()
}

/// The word of the record; empty while the response runs.
fn outcome(record: &Record) -> &'static str {
    record.outcome.map_or("", ResponseOutcome::name)
}

fn pods(record: &Record, outcome: Outcome) -> usize {
    record.pods.iter().filter(|pod| pod.outcome == Some(outcome)).count()
}

/// One line for a person: `spot interruption (terminate) of ip-10-0-1-7 (i-0ab…, m5.large in eu-west-1a): drain, 118 s
/// left`, and at the end what became of it.
fn summary(news: &News) -> String {
    let record = news.record;
    let instance = &record.instance;
    let id = instance.id.as_deref().unwrap_or("this instance");
    let zone = instance.availability_zone.as_deref().map(|zone| format!(" in {zone}")).unwrap_or_default();
    let pool = format!("{}{zone}", instance.kind.as_deref().unwrap_or("instance"));
    let machine = match &record.node.name {
        Some(node) => format!("{node} ({id}, {pool})"),
        None => format!("{id} ({pool})"),
    };
    let notice = record.notice.kind.with(record.notice.action);
    let state = match news.stage {
        Stage::Notice => format!("{}, {} s left", record.terms.reaction.name(), news.left.as_secs()),
        Stage::End if record.terms.reaction == Reaction::Drain => {
            let of = |outcome| pods(record, outcome);
            let (graceful, killed, left) = (of(Outcome::Graceful), of(Outcome::Killed), of(Outcome::Left));
            format!("{}; pods: {graceful} graceful, {killed} killed, {left} left", outcome(record))
        }
        Stage::End => outcome(record).to_owned(),
    };
    format!("{notice} of {machine}: {state}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::config::template::{NUMBERS, TEXTS};
    use crate::notice::InstanceAction;

    const TEMPLATES: [&str; 2] =
        [include_str!("../../packaging/webhook/slack.json"), include_str!("../../packaging/webhook/pagerduty.json")];

    /// A record as it stands on disk.
    fn record() -> Record {
        let text = include_bytes!("../../tests/fuzz/corpus/record/response-2");
        crate::record::read(text).expect("a record")
    }

    fn filled_with(template: &str, record: &Record, stage: Stage) -> Value {
        let left = Duration::from_millis(118_900);
        let text = of_template(template, &News { stage, record, left });
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    #[test]
    fn every_placeholder_stands_for_something() {
        let record = record();
        let news = News { stage: Stage::End, record: &record, left: Duration::from_secs(5) };
        for name in TEXTS {
            assert!(value(name, &news).is_some(), "{name}");
        }
        for name in NUMBERS {
            assert!(value(name, &news).is_some_and(|value| value.parse::<u64>().is_ok()), "{name}");
        }
        assert_eq!(of_template("{{ outcomes }} {{stage}} {{seconds_left}}", &news), "{{outcomes}} end 5");
    }

    #[test]
    fn the_record_is_sent_whole_with_its_stage_first() {
        let record = record();
        for stage in [Stage::Notice, Stage::End] {
            let text = of_record(&News { stage, record: &record, left: Duration::ZERO });
            assert!(text.starts_with(&format!("{{\"stage\":\"{}\",\"version\":1,", stage.name())), "{text:.60}");
            let mut body: Value = serde_json::from_str(&text).unwrap();
            body.as_object_mut().unwrap().remove("stage");
            assert_eq!(body, serde_json::to_value(&record).unwrap());
        }
    }

    #[test]
    fn the_summary_says_what_where_and_how_it_ended() {
        let mut record = record();
        record.node.name = Some("ip-10-0-1-7".into());
        record.instance.id = Some("i-0ab1c2d3e4f5a6b7c".into());
        record.instance.kind = Some("m5.large".into());
        record.instance.availability_zone = Some("eu-west-1a".into());
        record.notice.kind = crate::notice::Kind::SpotInterruption;
        record.notice.action = InstanceAction::Terminate;
        record.terms.reaction = Reaction::Drain;
        record.outcome = Some(ResponseOutcome::Complete);
        record.pods.clear();
        let of = |record: &Record, stage| summary(&News { stage, record, left: Duration::from_millis(118_900) });
        let machine = "ip-10-0-1-7 (i-0ab1c2d3e4f5a6b7c, m5.large in eu-west-1a)";
        assert_eq!(
            of(&record, Stage::Notice),
            format!("spot interruption (terminate) of {machine}: drain, 118 s left")
        );
        let end = "complete; pods: 0 graceful, 0 killed, 0 left";
        assert_eq!(of(&record, Stage::End), format!("spot interruption (terminate) of {machine}: {end}"));
        record.terms.reaction = Reaction::Observe;
        record.notice.action = InstanceAction::None;
        (record.node.name, record.instance) = (None, crate::instance::Instance::default());
        assert_eq!(of(&record, Stage::End), "spot interruption of this instance (instance): complete");
    }

    proptest! {
        #[test]
        fn the_shipped_templates_become_json_whatever_the_values_are(
            texts in prop::collection::vec(r#"[\PC\x00-\x20"\\{}]{0,20}"#, 5), end in any::<bool>(),
        ) {
            let mut record = record();
            let mut texts = texts.into_iter();
            record.id = texts.next().unwrap();
            record.node.name = texts.next();
            record.instance.id = texts.next();
            record.instance.kind = texts.next();
            record.instance.availability_zone = texts.next();
            let stage = if end { Stage::End } else { Stage::Notice };
            for template in TEMPLATES {
                let body = filled_with(template, &record, stage);
                prop_assert!(body["text"].is_string() || body["payload"]["source"] == *record.instance.id.as_ref().unwrap());
            }
        }
    }

    #[test]
    fn an_alert_is_triggered_at_the_notice_and_resolved_at_the_end() {
        let record = record();
        let bodies = [Stage::Notice, Stage::End].map(|stage| filled_with(TEMPLATES[1], &record, stage));
        assert_eq!(bodies.each_ref().map(|body| body["event_action"].clone()), ["trigger", "resolve"]);
        assert_eq!(bodies[0]["dedup_key"], bodies[1]["dedup_key"]);
        assert_eq!(bodies[0]["payload"]["custom_details"]["seconds_left"], 118);
    }
}
