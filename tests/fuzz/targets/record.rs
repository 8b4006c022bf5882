//! What an earlier life of the daemon left on the disk.

use std::time::Duration;

use spot_guard::config;
use spot_guard::hooks::Hook;
use spot_guard::moment::{Clock, Moment};
use spot_guard::objects::Standing;
use spot_guard::record::{self, Record};
use spot_guard::response::{Action, Event, Guard};

use super::assert_message;

/// How often the response is looked at after it was taken up.
const TURNS: usize = 100;

/// A record; the response that it tells of goes on where it stood, and what is then written can be read.
pub fn record(data: &[u8]) {
    match record::read(data) {
        Ok(record) => {
            let again = record::read(&serde_json::to_vec(&record).unwrap()).unwrap();
            assert_eq!(again.pods, record.pods);
            assert_eq!(again.phases, record.phases);
            assert_eq!(again.notice, record.notice);
            take_up(record);
        }
        Err(why) => assert_message(&why),
    }
}

fn take_up(record: Record) {
    let (boot_id, names) = (record.clock.boot_id.clone(), record.hooks.clone());
    let (pods, hooks) = (record.pods.len(), record.hooks.len());
    let hook = |name: String, phase| Hook { phase, name, path: "/bin/true".into() };
    let found: Vec<Hook> = names.into_iter().map(|written| hook(written.name, written.phase)).collect();
    // No bigger than a clock can be: the kernel's ends after 292 years.
    let seconds = Duration::try_from_secs_f64(record.clock.boottime_seconds).unwrap_or_default();
    let mut now = Moment::after_boot(seconds.min(Duration::from_secs(1 << 33)));
    let clock = || Clock::read();

    let mut guard = Guard::new(&config::built_in());
    let (mut actions, _) = guard.take_up(record, &boot_id, now);
    for event in [Event::Standing(Standing::Ready { node_name: "n".into(), doubt: None }), Event::HooksFound(found)] {
        actions.extend(guard.on(event, now, &clock));
    }
    for _ in 0..TURNS {
        now = guard.next_wake().unwrap_or(now).max(now + Duration::from_millis(100));
        actions.extend(guard.on(Event::Tick, now, &clock));
    }
    // Each pod is asked again and again, each hook is run a few times; nothing multiplies.
    let asks = actions.iter().filter(|action| matches!(action, Action::Request { .. })).count();
    assert!(asks <= TURNS * 70, "{asks} requests for {pods} pods and {hooks} hooks");
    if let Some(record) = guard.record() {
        let written = serde_json::to_vec(&record).unwrap();
        assert_eq!(record::read(&written).unwrap().pods, record.pods);
    }
}
