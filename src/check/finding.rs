//! What a check found.

/// One check: what was seen, how that is, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Its name, as in [`super::ALL`].
    pub check: &'static str,
    pub result: Verdict,
    /// One sentence. May hold text from outside as it came.
    pub seen: String,
    /// The single things that it is about.
    pub details: Vec<Detail>,
    /// What to do, a sentence or a command each.
    pub advice: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Ok,
    /// A response works, but less well than it could; or it is not known whether it does.
    Warning,
    /// A response would not work.
    Failure,
}

/// One thing of several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detail {
    /// May be empty.
    pub name: String,
    pub words: String,
}

impl Finding {
    pub fn ok(check: &'static str, seen: impl Into<String>) -> Finding {
        Finding { check, result: Verdict::Ok, seen: seen.into(), details: Vec::new(), advice: Vec::new() }
    }

    pub fn warning(check: &'static str, seen: impl Into<String>) -> Finding {
        Finding { result: Verdict::Warning, ..Finding::ok(check, seen) }
    }

    pub fn failure(check: &'static str, seen: impl Into<String>) -> Finding {
        Finding { result: Verdict::Failure, ..Finding::ok(check, seen) }
    }

    /// It cannot be made because of an earlier one.
    pub fn skipped(check: &'static str, needs: &str) -> Finding {
        Finding::warning(check, format!("skipped: needs {needs}"))
    }

    /// Its time was over before anything was seen.
    pub fn late(check: &'static str, seconds: u64) -> Finding {
        Finding::failure(check, format!("nothing came back within {seconds} s"))
    }

    pub fn advise(mut self, advice: impl Into<String>) -> Finding {
        self.advice.push(advice.into());
        self
    }

    pub fn detail(mut self, name: impl Into<String>, words: impl Into<String>) -> Finding {
        self.details.push(Detail { name: name.into(), words: words.into() });
        self
    }
}
