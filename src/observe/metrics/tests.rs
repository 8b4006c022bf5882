//! The text as a function of a status and of what was counted.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn status(changed: &Value) -> Status {
    let mut status = json!({
        "version": 1, "at": "2026-11-22T20:33:45.250Z", "pid": 1, "state": "watching", "words": "", "dry_run": false,
        "instance": {"id": "i-0", "type": "m5.large", "availability_zone": "eu-west-1a", "region": "eu-west-1",
                     "life_cycle": "spot"},
        "notices": [], "imds": {"ok": true, "trouble": null},
        "kubernetes": {"state": "ready", "mode": "auto", "node_name": "n", "why": null},
        "record": {"ok": true, "trouble": null}, "configuration_problems": [], "response": null,
    });
    for (field, value) in changed.as_object().unwrap() {
        status[field] = value.clone();
    }
    serde_json::from_value(status).unwrap()
}

fn has(text: &str, series: &str) -> bool {
    text.lines().any(|line| line == series)
}

#[test]
fn what_is_protected_is_what_would_be_seen_and_drained() {
    let kubernetes = |state: &str, mode: &str| json!({"state": state, "mode": mode, "node_name": null, "why": null});
    let rows = [
        (json!({}), Protection::Whole, Some(1)),
        (json!({"kubernetes": kubernetes("unready", "auto")}), Protection::None, Some(0)),
        (json!({"kubernetes": kubernetes("unknown", "required")}), Protection::None, Some(0)),
        (json!({"kubernetes": kubernetes("none", "auto")}), Protection::HooksOnly, Some(0)),
        (json!({"kubernetes": kubernetes("none", "off")}), Protection::Whole, None),
        (json!({"imds": {"ok": false, "trouble": "x"}}), Protection::None, Some(1)),
        (json!({"dry_run": true}), Protection::None, Some(1)),
        (json!({"record": {"ok": false, "trouble": "x"}}), Protection::Whole, Some(1)),
        (json!({"configuration_problems": ["x"]}), Protection::Whole, Some(1)),
    ];
    for (changed, protection, ready) in rows {
        let status = status(&changed);
        assert_eq!(status.protection(), protection, "{changed}");
        let text = text(&status, &Counted::default());
        assert!(has(&text, &format!("spot_guard_protected {}", u8::from(protection == Protection::Whole))), "{text}");
        let told = text.contains("spot_guard_kubernetes_ready").then_some(());
        assert_eq!(told.map(|()| u8::from(has(&text, "spot_guard_kubernetes_ready 1"))), ready, "{changed}");
    }
}

#[test]
fn notices_of_one_kind_are_one_series_and_each_kind_of_response_is_there_before_the_first() {
    let event = |id| json!({"kind": "maintenance", "action": "reboot", "event_id": id, "time": null});
    let rebalance = json!({"kind": "rebalance-recommendation", "action": "none", "event_id": null, "time": null});
    let mut counted = Counted::default();
    counted.responses.push(((Kind::Maintenance, "complete"), 3));
    counted.responses.push(((Kind::ByHand, "interrupted-by-reboot"), 1));
    let text = text(&status(&json!({"notices": [event("a"), rebalance, event("b")]})), &counted);
    let pool = "instance_type=\"m5.large\",availability_zone=\"eu-west-1a\"";
    for (series, value) in [
        (format!("spot_guard_notice_active{{kind=\"maintenance\",action=\"reboot\",{pool}}}"), 2),
        (format!("spot_guard_notice_active{{kind=\"rebalance-recommendation\",action=\"none\",{pool}}}"), 1),
        (format!("spot_guard_responses_total{{kind=\"maintenance\",outcome=\"complete\",{pool}}}"), 3),
        (format!("spot_guard_responses_total{{kind=\"maintenance\",outcome=\"withdrawn\",{pool}}}"), 0),
        (format!("spot_guard_responses_total{{kind=\"by-hand\",outcome=\"interrupted-by-reboot\",{pool}}}"), 1),
        ("spot_guard_imds_last_success_timestamp_seconds".to_owned(), 0),
    ] {
        assert!(has(&text, &format!("{series} {value}")), "no {series} {value}:\n{text}");
    }
    assert_eq!(text.matches("\nspot_guard_responses_total{").count(), 16);
    assert!(!text.contains("spot_guard_pods") && !text.contains("deadline"), "{text}");
}

#[test]
fn each_metric_has_a_name_and_a_help_as_the_format_wants_them() {
    for (place, metric) in METRICS.iter().enumerate() {
        assert!(
            metric
                .name
                .strip_prefix("spot_guard_")
                .is_some_and(|name| { name.chars().all(|c| c.is_ascii_lowercase() || c == '_') })
        );
        assert_eq!(metric.name.ends_with("_total"), metric.sort == Sort::Counter, "{}", metric.name);
        assert!(metric.help.ends_with('.') && !metric.help.contains(['\n', '\\']), "{}", metric.help);
        assert!(METRICS.iter().skip(place + 1).all(|other| other.name != metric.name), "{} twice", metric.name);
    }
}

proptest! {
    #[test]
    fn whatever_the_metadata_service_says_this_is_no_series_is_there_twice(
        id in "\\PC{0,20}|[\"\\\\\n]{0,4}", kind in "\\PC{0,20}", life_cycle in "[\"\\\\\n,}=]{0,8}",
    ) {
        let instance = json!({"id": id, "type": kind, "availability_zone": null, "region": null,
                              "life_cycle": life_cycle});
        let text = text(&status(&json!({"instance": instance})), &Counted::default());
        let series: Vec<&str> = text.lines().filter(|line| !line.starts_with("# ")).collect();
        let known = |line: &&str| METRICS.iter().any(|metric| line.starts_with(metric.name));
        prop_assert!(series.iter().all(known), "{}", text);
        let once: std::collections::BTreeSet<&str> = series.iter().copied().collect();
        prop_assert_eq!(once.len(), series.len());
    }
}
