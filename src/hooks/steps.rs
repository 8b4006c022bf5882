//! Which hooks of a phase run beside each other.

use crate::hooks::Hook;

/// The steps of a phase, one after another; the hooks of one step run in parallel. Those whose names begin with the
/// same two digits (`10-a`, `10-b`) are one step, every other hook is a step of its own.
///
/// `hooks` are those of one phase, by name.
pub fn steps(hooks: &[Hook]) -> Vec<Vec<Hook>> {
    hooks
        .chunk_by(|one, next| matches!((prefix(&one.name), prefix(&next.name)), (Some(a), Some(b)) if a == b))
        .map(<[Hook]>::to_vec)
        .collect()
}

/// The two digits that a name begins with; not those of a longer number.
fn prefix(name: &str) -> Option<&str> {
    let digits = name.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 2 { name.get(..2) } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::hooks::Phase;

    fn names(names: &[&str]) -> Vec<Vec<String>> {
        let hooks: Vec<Hook> =
            names.iter().map(|name| Hook { phase: Phase::PreDrain, name: (*name).into(), path: name.into() }).collect();
        steps(&hooks).into_iter().map(|step| step.into_iter().map(|hook| hook.name).collect()).collect()
    }

    #[test]
    fn equal_two_digit_prefixes_run_together_and_all_others_one_after_another() {
        let cases: [(&[&str], &[&[&str]]); 5] = [
            (&[], &[]),
            (&["10-a", "10-b", "20-c"], &[&["10-a", "10-b"], &["20-c"]]),
            (&["1-a", "1-b"], &[&["1-a"], &["1-b"]]),
            (&["100-a", "100-b"], &[&["100-a"], &["100-b"]]),
            (&["a", "b"], &[&["a"], &["b"]]),
        ];
        for (hooks, steps) in cases {
            assert_eq!(names(hooks), steps, "{hooks:?}");
        }
    }

    proptest! {
        #[test]
        fn every_hook_is_in_one_step_and_the_order_stays(
            mut some in prop::collection::vec("[0-2]{0,3}-?[a-c]", 0..12)
        ) {
            some.sort();
            let some: Vec<&str> = some.iter().map(String::as_str).collect();
            let steps = names(&some);
            prop_assert!(steps.iter().all(|step| !step.is_empty()));
            prop_assert_eq!(steps.concat(), some);
        }
    }
}
