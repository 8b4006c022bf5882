//! The page as a whole: what it is made of, and that nothing of a record is taken for a part of it.

pub mod made_up;

use super::html;
use crate::record::{Outcome, PodWritten, Record};
use made_up::record;

fn page(record: &Record) -> String {
    html(&[record], &[])
}

/// The tags of the page, in their order, without their attributes: `article`, `/article`.
fn tags(page: &str) -> Vec<&str> {
    let (_, body) = page.split_once("<body>").unwrap();
    let tags = body.split('<').skip(1);
    tags.map(|tag| tag.split([' ', '>', '\n']).next().unwrap().trim_end_matches('/')).collect()
}

#[test]
fn every_tag_that_is_opened_is_closed() {
    const WITHOUT_END: [&str; 4] = ["rect", "line", "use", "br"];
    let (newer, older) = (record(), Record { id: "20261121T010203Z".into(), ..record() });
    let page = html(&[&older, &newer], &[&older]);
    let mut open = Vec::new();
    for tag in tags(&page).into_iter().filter(|tag| !WITHOUT_END.contains(tag)) {
        match tag.strip_prefix('/') {
            Some("body" | "html") => {}
            Some(closed) => assert_eq!(open.pop(), Some(closed)),
            None => open.push(tag),
        }
    }
    assert_eq!(open, Vec::<&str>::new());
    assert_eq!(page.matches("<article").count(), 2);
    assert!(page.find("20261122T203343Z") < page.find("20261121T010203Z"), "the newest comes first");
}

#[test]
fn the_page_loads_nothing_and_runs_nothing() {
    let page = page(&record());
    for foreign in ["http:", "https:", "//", "<script", "<link", "<img", "<iframe", "@import", "javascript:"] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    assert!(page.matches("url(").count() == page.matches("url(#").count());
    assert!(!page.split('<').any(|tag| tag.split('>').next().unwrap().contains(" on")), "a handler");
    assert!(page.contains("default-src 'none'"), "and may not");
}

/// Sets every text of a record to `text`.
fn spoil(record: &mut Record, text: &str) {
    let some = || Some(text.to_owned());
    record.id = text.to_owned();
    record.node.name = some();
    let instance = &mut record.instance;
    (instance.id, instance.kind, instance.availability_zone, instance.life_cycle) = (some(), some(), some(), some());
    for pod in &mut record.pods {
        (pod.name, pod.namespace, pod.reason) = (text.to_owned(), text.to_owned(), some());
    }
    for hook in &mut record.hooks {
        (hook.name, hook.argument, hook.output_tail) = (text.to_owned(), some(), text.to_owned());
        (hook.exit, hook.reason) = (None, some());
    }
    record.troubles.iter_mut().for_each(|trouble| trouble.reason = some());
    record.errors = vec![text.to_owned()];
}

#[test]
fn nothing_of_a_record_is_taken_for_markup_wherever_it_stands() {
    let mut plain = record();
    spoil(&mut plain, "x");
    for text in
        ["<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "' onload='alert(1)", "</title><b>", "&lt;"]
    {
        let mut spoilt = record();
        spoil(&mut spoilt, text);
        let (spoilt, plain) = (html(&[&spoilt], &[&spoilt]), html(&[&plain], &[&plain]));
        assert_eq!(tags(&spoilt), tags(&plain), "{text}");
        assert!(!spoilt.contains(text), "{text} stands there as it is");
        assert_eq!(spoilt.matches('"').count(), plain.matches('"').count(), "{text} ends an attribute");
    }
}

#[test]
fn the_page_says_at_once_what_came_and_what_became_of_the_pods() {
    let page = page(&record());
    let (top, _) = page.split_once("<figure").unwrap();
    for words in [
        "<title>spot interruption on ip-10-0-1-7.eu-west-1.compute.internal: 1 of 9 pods not gone at the deadline",
        "spot interruption (terminate) · 2026-11-22 20:33:43 UTC",
        "1 of 9 pods not gone at the deadline, 1 killed; 1 hook failed</h1>",
        "<dt>graceful</dt><dd>7<small>2 forced past a budget</small>",
        "<dt>left</dt><dd>1</dd>",
        "i-0ab1c2d3e4f567890 · m5.large · eu-west-1a · spot",
        "<li>hook pre-drain/10-deregister failed: exit code 1 after 0.2 s</li>",
    ] {
        assert!(top.contains(words), "no {words}\n{top}");
    }
}

#[test]
fn each_pod_and_hook_is_in_a_table_with_its_times_and_its_last_words() {
    let page = page(&record());
    for words in [
        "<th scope=\"row\"><i>shop/</i>cache-2<br><i>a finalizer</i></th><td class=\"wide\">left</td>",
        "data-l=\"refused\">+0.400 s</td><td class=\"r\" data-l=\"asked\">+87.800 s</td>",
        "<th scope=\"row\">pre-drain/10-deregister<pre>cannot reach the load balancer</pre></th><td>exit 1</td>",
        "<td class=\"r\">+45.000 s</td><td class=\"t\">20:34:28.120</td>",
    ] {
        assert!(page.contains(words), "no {words}\n{page}");
    }
    assert_eq!(page.matches("<th scope=\"row\"><i>shop/</i>").count(), record().pods.len());
}

#[test]
fn five_hundred_pods_of_one_owner_are_one_bar() {
    let mut record = record();
    let one = record.pods[0].clone();
    record.pods = (0..500).map(|number| PodWritten { name: format!("web-{number}"), ..one.clone() }).collect();
    let page = page(&record);
    let (_, chart) = page.split_once("<figure").unwrap();
    let (chart, _) = chart.split_once("</figure>").unwrap();
    assert!(chart.contains("web <i>×500</i>") && chart.len() < 8000, "{chart}");
    assert!(page.len() < 200_000, "{} bytes", page.len());
}

#[test]
fn a_response_in_which_nothing_happened_has_a_page_too() {
    let mut record = record();
    (record.pods, record.hooks, record.phases) = (Vec::new(), Vec::new(), Vec::new());
    (record.troubles, record.errors, record.outcome) = (Vec::new(), Vec::new(), None);
    (record.instance, record.node) = (Default::default(), Default::default());
    (record.deadline, record.staying) = (record.notice.first_seen, None);
    let page = page(&record);
    assert!(page.contains("No end is recorded"), "{page}");
    assert!(!page.contains("NaN") && !page.contains("inf%"), "{page}");
    record.pods = vec![PodWritten { outcome: Some(Outcome::Left), ..made_up::record().pods[6].clone() }];
    assert!(html(&[&record], &[]).contains("cache-2"));
}
