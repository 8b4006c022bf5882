//! Who is ended first when memory runs out.

use std::fs;

/// On the scale of -1000 to 1000: before the machine's own services when memory runs out.
const ADJUSTMENT: &str = "500";

/// So many processes are told at most: one that forks without end is not run after.
const MOST: usize = 100;

/// Lets the kernel end that process, which was just started, before the machine's own when memory runs out.
///
/// What it starts from now on inherits that (proc_pid_oom_score_adj(5)). What it has started before this took the
/// daemon's own score, so it is told too.
pub(super) fn end_first(pid: i32) {
    let (mut waiting, mut told) = (vec![pid], 0);
    while let Some(pid) = waiting.pop().filter(|_| told < MOST) {
        told += 1;
        // One that has ended meanwhile, and a machine without /proc, have no such file.
        let _ = fs::write(format!("/proc/{pid}/oom_score_adj"), ADJUSTMENT);
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        waiting.extend(children.split_whitespace().filter_map(|child| child.parse::<i32>().ok()));
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn what_a_process_started_before_it_was_told_is_told_too() {
        let script = "exec 3<&0; (sh -c 'echo $$; read go; cat /proc/self/oom_score_adj' <&3; true) & wait";
        let mut command = Command::new("/bin/sh");
        let mut shell = command.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(shell.stdout.take().unwrap()).lines().map(Result::unwrap);
        let grandchild = said.next().unwrap();
        end_first(i32::try_from(shell.id()).unwrap());
        shell.stdin.take().unwrap().write_all(b"go\n").unwrap();
        assert_eq!(said.next().as_deref(), Some("500"), "process {grandchild}");
        assert!(shell.wait().unwrap().success());
    }
}
