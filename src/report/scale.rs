//! What bars are drawn against: how far it reaches, and where it has marks.

use std::time::Duration;

/// Marks are so far apart, in seconds.
const STEPS: [u64; 17] = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 28_800, 86_400];

/// There are no more marks than this, the one at 0 not counted.
const MARKS: u64 = 6;

/// A window longer than this need not be shown to its end.
const LONG: Duration = Duration::from_secs(300);

/// What ends so soon after the window, as a hook that the deadline cut, ends with it.
const OVER: Duration = Duration::from_secs(6);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    pub end: Duration,
    pub step: Duration,
}

impl Scale {
    /// For a window in which the last thing happened at `last`. Of a long window that was hardly used only the
    /// beginning is shown.
    pub fn of(window: Duration, last: Duration) -> Scale {
        let shown = match last {
            last if window > LONG && last * 4 < window => last * 5 / 4,
            last if last > window + OVER => last,
            _ => window,
        };
        let seconds = shown.as_millis().div_ceil(1000).max(1).min(u128::from(u64::MAX)) as u64;
        let longest = seconds.div_ceil(MARKS).max(1);
        let step = STEPS.into_iter().find(|step| seconds.div_ceil(*step) <= MARKS).unwrap_or(longest);
        let end = seconds.div_ceil(step).saturating_mul(step);
        Scale { end: Duration::from_secs(end), step: Duration::from_secs(step) }
    }

    /// Where a moment lies, from 0 to 1.
    pub fn place(&self, at: Duration) -> f64 {
        (at.as_secs_f64() / self.end.as_secs_f64()).min(1.0)
    }

    /// What its marks count: the unit's sign, its name, and how many seconds it has.
    fn unit(&self) -> (&'static str, &'static str, u64) {
        match self.step.as_secs() {
            step if step % 3600 == 0 => ("h", "hours", 3600),
            step if step % 60 == 0 => ("min", "minutes", 60),
            _ => ("s", "seconds", 1),
        }
    }

    /// The sign of its unit, and its name.
    pub fn unit_words(&self) -> (&'static str, &'static str) {
        let (sign, name, _) = self.unit();
        (sign, name)
    }

    /// Its marks with their labels.
    pub fn marks(&self) -> Vec<(Duration, u64)> {
        let (.., per_unit) = self.unit();
        let step = self.step.as_secs().max(1);
        let marks = (0..=self.end.as_secs() / step).map(|mark| mark * step);
        marks.map(|at| (Duration::from_secs(at), at / per_unit)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round_and_reach_to_the_end_of_the_window_or_of_what_happened() {
        for (window, last, marks) in [
            (118.4, 79.0, "0 30 60 90 120 s"),
            (120.0, 120.0, "0 30 60 90 120 s"),
            (34.0, 20.0, "0 10 20 30 40 s"),
            (0.0, 0.0, "0 1 s"),
            (2.0, 9.5, "0 2 4 6 8 10 s"),
            (30.0, 35.5, "0 5 10 15 20 25 30 s"),
            (300.0, 10.0, "0 1 2 3 4 5 min"),
            (600.0, 40.0, "0 10 20 30 40 50 s"),
            (600.0, 400.0, "0 2 4 6 8 10 min"),
            (86_400.0, 60_000.0, "0 4 8 12 16 20 24 h"),
        ] {
            let scale = Scale::of(Duration::from_secs_f64(window), Duration::from_secs_f64(last));
            let labels: Vec<String> = scale.marks().into_iter().map(|(_, label)| label.to_string()).collect();
            assert_eq!(format!("{} {}", labels.join(" "), scale.unit_words().0), marks, "{window} {last}");
        }
    }

    #[test]
    fn times_that_no_clock_gives_have_a_scale_too() {
        for seconds in [0, 1, u64::MAX / 10_000] {
            let time = Duration::from_secs(seconds);
            let scale = Scale::of(time, time);
            assert!(scale.end >= time && scale.marks().len() <= 8, "{scale:?}");
            assert_eq!(scale.place(Duration::MAX), 1.0);
        }
    }
}
