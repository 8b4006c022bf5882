//! The two minutes as a picture: a row for each hook, each trouble and each group of pods, in SVG that needs no script.
//!
//! Bars are placed in percent, so that they grow with the page; text is the page's own, so that it does not.

use std::fmt::Write;
use std::time::Duration;

use super::escape::Html;
use super::groups::{Group, Span};
use super::timeline::Timeline;
use super::words::{hook_name, hook_result, length, other_words, took};
use crate::moment::Timestamp;
use crate::record::{HookWritten, Outcome};

/// With more rows than this they are slim.
const MANY: usize = 40;

/// Of a group's bar that gets smaller as its pods go, the parts are no finer than this part of the scale.
const FINEST: f64 = 1.0 / 400.0;

/// Patterns that all charts of a page use.
pub const PATTERNS: &str = r#"<svg class="defs" aria-hidden="true"><defs>
<pattern id="w" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect class="w0" width="6" height="6"/><rect class="w" width="3" height="6"/></pattern>
<pattern id="l" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(-45)"><rect class="w0" width="5" height="5"/><rect class="k" width="3" height="5"/></pattern>
</defs></svg>
"#;

/// Writes the chart; `number` tells it from others on the page. Writing to a String does not fail.
pub fn chart(page: &mut String, timeline: &Timeline, number: usize) {
    let (before, after) = timeline.hooks();
    let rows = timeline.groups.len() + before.len() + after.len() + timeline.record.troubles.len();
    let slim = if rows > MANY { " slim" } else { "" };
    let (_, unit) = timeline.scale.unit_words();
    let _ =
        writeln!(page, "<figure class=\"chart{slim}\">\n<figcaption><h2>The {unit} since the notice</h2></figcaption>");
    let chart = Chart { timeline, number };
    chart.legend(page);
    chart.grid(page);
    page.push_str("<ul>\n");
    chart.axis(page);
    before.iter().for_each(|hook| chart.hook(page, hook));
    chart.troubles(page);
    timeline.groups.iter().for_each(|group| chart.group(page, group));
    after.iter().for_each(|hook| chart.hook(page, hook));
    page.push_str("</ul>\n</figure>\n");
}

struct Chart<'a> {
    timeline: &'a Timeline<'a>,
    number: usize,
}

impl Chart<'_> {
    /// A place on the scale, in percent.
    fn x(&self, at: Duration) -> f64 {
        self.timeline.scale.place(at) * 100.0
    }

    /// The lines that all rows have: marks, the cordon, the deadline.
    fn grid(&self, page: &mut String) {
        let _ = write!(page, "<svg class=\"defs\" aria-hidden=\"true\"><defs><g id=\"g{}\">", self.number);
        let mut line = |class: &str, at: Duration| {
            let x = self.x(at);
            let _ = write!(page, "<line class=\"{class}\" x1=\"{x:.2}%\" x2=\"{x:.2}%\" y1=\"0\" y2=\"100%\"/>");
        };
        self.timeline.scale.marks().iter().for_each(|(at, _)| line("m", *at));
        if self.timeline.window <= self.timeline.scale.end {
            line("d", self.timeline.window);
        }
        page.push_str("</g></defs></svg>\n");
    }

    fn axis(&self, page: &mut String) {
        page.push_str("<li class=\"axis\" aria-hidden=\"true\"><span></span><svg>");
        let _ = write!(page, "<use href=\"#g{}\"/><text x=\"0\" y=\"12\">notice</text>", self.number);
        let window = self.timeline.window;
        let (x, words) = match window <= self.timeline.scale.end {
            true => (self.x(window), "deadline".to_owned()),
            false => (100.0, format!("deadline at {} →", length(window))),
        };
        let _ = write!(page, "<text class=\"e\" x=\"{x:.2}%\" y=\"12\">{words}</text>");
        let marks = self.timeline.scale.marks();
        for (place, (at, label)) in marks.iter().enumerate() {
            let class = if place == 0 {
                ""
            } else if place + 1 == marks.len() {
                " class=\"e\""
            } else {
                " class=\"c\""
            };
            let _ = write!(page, "<text{class} x=\"{:.2}%\" y=\"28\">{label}</text>", self.x(*at));
        }
        page.push_str("</svg><span></span></li>\n");
    }

    /// A row: what it is, its bars, what became of it. All but the bars is escaped here.
    fn row(&self, page: &mut String, class: &str, name: [&str; 3], story: &str, bars: &str, became: [&str; 2]) {
        let _ = writeln!(
            page,
            "<li{class}><span class=\"n\"><i>{}</i>{} <i>{}</i></span><svg role=\"img\"><title>{}</title>\
             <use href=\"#g{}\"/>{bars}</svg><span class=\"b\"><b>{}</b> <i>{}</i></span></li>",
            Html(name[0]),
            Html(name[1]),
            Html(name[2]),
            Html(story),
            self.number,
            Html(became[0]),
            Html(became[1])
        );
    }

    fn bar(&self, class: &str, span: Span, top: f64, height: f64) -> String {
        let (x, end) = (self.x(span.from), self.x(span.to));
        // What took no time is to be seen too.
        // And between two that follow each other there is no gap.
        let width = (end - x + 0.05).max(0.35);
        let x = x.min(100.0 - width);
        format!("<rect class=\"{class}\" x=\"{x:.2}%\" y=\"{top:.1}%\" width=\"{width:.2}%\" height=\"{height:.1}%\"/>")
    }

    fn hook(&self, page: &mut String, hook: &HookWritten) {
        let (result, failed) = hook_result(hook);
        let took = took(hook).unwrap_or_default();
        let name = hook_name(hook);
        let bars = self
            .timeline
            .hook_span(hook)
            .map(|(from, to)| self.bar(if failed { "k" } else { "h" }, Span { from, to }, 30.0, 40.0));
        let class = if failed { " class=\"bad\"" } else { "" };
        let story = format!("hook {name}: {result} {took}");
        self.row(page, class, ["", &name, ""], &story, &bars.unwrap_or_default(), [&result, &took]);
    }

    fn troubles(&self, page: &mut String) {
        let mut troubles: Vec<_> = self.timeline.record.troubles.iter().collect();
        troubles.sort_by_key(|trouble| trouble.with as u8);
        for of_one in troubles.chunk_by(|a, b| a.with == b.with) {
            let span = |from: Timestamp, to: Option<Timestamp>| {
                let from = self.timeline.times.at(from);
                Span { from, to: self.timeline.times.maybe(to).unwrap_or(self.timeline.times.over).max(from) }
            };
            let spans: Vec<Span> = of_one.iter().map(|trouble| span(trouble.started_at, trouble.ended_at)).collect();
            let all: Duration = spans.iter().map(|span| span.to - span.from).sum();
            let bars: String = spans.iter().map(|span| self.bar("l", *span, 15.0, 70.0)).collect();
            let words = of_one.first().map(|trouble| other_words(trouble.with)).unwrap_or_default();
            let lasted = format!("for {}", length(all));
            self.row(
                page,
                " class=\"bad\"",
                ["", words, ""],
                &format!("{words} {lasted}"),
                &bars,
                ["trouble", &lasted],
            );
        }
    }

    fn group(&self, page: &mut String, group: &Group) {
        let bad = matches!(group.fate.outcome, Some(Outcome::Left | Outcome::Killed));
        let count = if group.courses.len() > 1 { format!("×{}", group.courses.len()) } else { String::new() };
        let when = match (group.stops(), group.fate.outcome) {
            (Some(stops), Some(Outcome::Graceful | Outcome::Killed)) => {
                format!("gone by +{:.1} s", stops.to.as_secs_f64())
            }
            _ => String::new(),
        };
        let mut bars = self.limits(group);
        bars += &self.courses(group);
        let class = if bad { " class=\"bad\"" } else { "" };
        self.row(
            page,
            class,
            [&format!("{}/", group.namespace), group.name, &count],
            &group.story(),
            &bars,
            [&group.fate.words(), &when],
        );
    }

    /// From the first ask to the end of the grace of who was asked last, and the last moment for an ask.
    fn limits(&self, group: &Group) -> String {
        let mut marks = String::new();
        if let Some(stops) = group.stops().filter(|_| !group.fate.unasked && !group.fate.locally) {
            let asked = group.courses.iter().filter_map(|course| course.stops).map(|span| span.from).max();
            let to = self.timeline.grace_ends(group.grace, asked.unwrap_or(stops.from));
            marks += &self.bar("g", Span { to, ..stops }, 20.0, 60.0);
        }
        if let Some(force_time) = self.timeline.force_time(group.grace).filter(|at| *at <= self.timeline.scale.end) {
            let x = self.x(force_time);
            let _ = write!(marks, "<line class=\"f\" x1=\"{x:.2}%\" x2=\"{x:.2}%\" y1=\"8%\" y2=\"92%\"/>");
        }
        marks
    }

    /// The pods that are held by a budget, on top of those that stop: as tall as there are many.
    fn courses(&self, group: &Group) -> String {
        let stopping = match (group.fate.outcome, group.fate.locally) {
            (Some(Outcome::Killed), _) => "k",
            (Some(Outcome::Left), _) => "l",
            (_, true) => "o",
            _ => "s",
        };
        let share = 60.0 / group.courses.len().max(1) as f64;
        let mut bars = String::new();
        for (span, waiting, stops) in self.parts(group) {
            let (high, higher) = (stops as f64 * share, waiting as f64 * share);
            if waiting > 0 {
                bars += &self.bar("wait", span, 80.0 - high - higher, higher);
            }
            if stops > 0 {
                bars += &self.bar(stopping, span, 80.0 - high.max(6.0), high.max(6.0));
            }
        }
        bars
    }

    /// The whiles in which the same number of pods wait and stop: from, to, how many wait, how many stop.
    fn parts(&self, group: &Group) -> Vec<(Span, usize, usize)> {
        let finest = self.timeline.scale.end.mul_f64(FINEST);
        let spans = group.courses.iter().flat_map(|course| [course.waits, course.stops]).flatten();
        let mut times: Vec<Duration> = spans.flat_map(|span| [span.from, span.to]).collect();
        times.sort();
        let end = times.last().copied();
        times.dedup_by(|next, kept| next.saturating_sub(*kept) < finest);
        // The end is where it is, however near it is to what came before.
        times.extend(end);
        let within = |span: Option<Span>, at: Duration| span.is_some_and(|span| span.from <= at && at < span.to);
        let parts = times.windows(2).filter_map(|two| {
            let [from, to] = two else { return None };
            let middle = *from + to.saturating_sub(*from) / 2;
            let count = |of: &dyn Fn(&super::groups::Course) -> Option<Span>| {
                group.courses.iter().filter(|course| within(of(course), middle)).count()
            };
            let (waits, stops) = (count(&|course| course.waits), count(&|course| course.stops));
            (waits + stops > 0).then_some((Span { from: *from, to: *to }, waits, stops))
        });
        parts.collect()
    }

    /// Says in words what each kind of bar is, for those which this chart has.
    fn legend(&self, page: &mut String) {
        let groups = &self.timeline.groups;
        let any = |has: &dyn Fn(&Group) -> bool| groups.iter().any(has);
        let entries = [
            ("s", "stopping; as tall as pods are left", any(&|g| g.fate.outcome == Some(Outcome::Graceful))),
            ("g", "its grace period", !groups.is_empty()),
            ("wait", "held by its budget", any(&|g| g.waits().is_some())),
            ("f", "last moment for a whole grace period", !groups.is_empty()),
            ("k", "killed or failed", any(&|g| g.fate.outcome == Some(Outcome::Killed)) || self.a_hook_failed()),
            ("l", "left, or no answer", any(&|g| g.fate.outcome == Some(Outcome::Left)) || self.has_troubles()),
            ("o", "stopped on the machine", any(&|g| g.fate.locally)),
            ("h", "hook", !self.timeline.record.hooks.is_empty()),
        ];
        page.push_str("<p class=\"legend\">");
        for (class, words, _) in entries.iter().filter(|(.., there)| *there) {
            let sign = match *class {
                "f" => "<line class=\"f\" x1=\"50%\" x2=\"50%\" y1=\"8%\" y2=\"92%\"/>".to_owned(),
                class => format!("<rect class=\"{class}\" x=\"5%\" y=\"20%\" width=\"90%\" height=\"60%\"/>"),
            };
            let _ = write!(page, "<span><svg aria-hidden=\"true\">{sign}</svg>{words}</span> ");
        }
        page.push_str("</p>\n");
    }

    fn a_hook_failed(&self) -> bool {
        self.timeline.record.hooks.iter().any(|hook| hook_result(hook).1)
    }

    fn has_troubles(&self) -> bool {
        !self.timeline.record.troubles.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::made_up::{record, span};

    #[test]
    fn a_groups_bar_gets_smaller_as_its_pods_go_and_budgets_let_them_go() {
        let record = record();
        let timeline = Timeline::of(&record);
        let chart = Chart { timeline: &timeline, number: 0 };
        let of = |label: &str| {
            let group = timeline.groups.iter().find(|group| group.label() == label).unwrap();
            chart.parts(group)
        };
        assert_eq!(of("web ×3"), [(span(0.3, 4.0), 0, 3), (span(4.0, 5.0), 0, 2), (span(5.0, 6.0), 0, 1)]);
        assert_eq!(of("db ×2"), [(span(0.4, 87.8), 2, 0), (span(87.8, 95.0), 0, 2)]);
    }

    #[test]
    fn no_bar_leaves_the_chart() {
        let record = record();
        let timeline = Timeline::of(&record);
        let chart = Chart { timeline: &timeline, number: 0 };
        for (from, to) in [(0.0, 0.0), (119.99, 120.0), (500.0, 900.0)] {
            let bar = chart.bar("s", span(from, to), 0.0, 60.0);
            let percent = |name: &str| -> f64 {
                let (_, rest) = bar.split_once(&format!(" {name}=\"")).unwrap();
                rest.split_once('%').unwrap().0.parse().unwrap()
            };
            let (x, width) = (percent("x"), percent("width"));
            assert!(x >= 0.0 && width > 0.0 && x + width <= 100.01, "{bar}");
        }
    }
}
