//! A wall clock of spot-guard's own, which a test sets; this machine's is never touched.
//!
//! Works on a program that is dynamically linked, by LD_PRELOAD; a static one has no such door. Moments (CLOCK_BOOTTIME,
//! CLOCK_MONOTONIC) are the kernel's, as they are when somebody sets a machine's clock. A machine that sleeps is made up
//! too: CLOCK_BOOTTIME goes on meanwhile, CLOCK_MONOTONIC does not.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use crate::guard::Setup;

/// `clock_gettime` is what Rust reads the time with; what else a C library has for it is not asked.
const SOURCE: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct clocks { long long ahead, slept; };
static volatile const struct clocks *clocks;

__attribute__((constructor)) static void look(void) {
    int file = open(getenv("WALL_CLOCK_AHEAD"), O_RDONLY);
    void *seen = mmap(NULL, sizeof *clocks, PROT_READ, MAP_SHARED, file, 0);
    if (file < 0 || seen == MAP_FAILED) abort();
    clocks = seen;
    close(file);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = syscall(SYS_clock_gettime, clock, now);
    if (result != 0 || !clocks) return result;
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) now->tv_sec += clocks->ahead + clocks->slept;
    if (clock == CLOCK_BOOTTIME) now->tv_sec += clocks->slept;
    return result;
}
"#;

/// How far a daemon's wall clock is ahead of this machine's.
pub struct WallClock {
    ahead: File,
}

impl WallClock {
    /// Gives a daemon a wall clock that is so many seconds ahead (negative: behind). `program` is run whatever
    /// `SPOT_GUARD_TEST_BINARY` says, because that may be static.
    ///
    /// # Panics
    /// Without a C compiler, or for a static program.
    pub fn of(setup: Setup, program: &str, seconds: i64) -> (Setup, WallClock) {
        let at = |name: &str| setup.folder().join(name);
        fs::write(at("ahead"), [seconds.to_ne_bytes(), [0; 8]].concat()).expect("write how far the clock is ahead");
        let ahead = File::options().write(true).open(at("ahead")).expect("open how far the clock is ahead");
        compile(&at("wall-clock.c"), &at("wall-clock.so"));
        let said = Command::new("ldd").arg(program).output().expect("run ldd");
        assert!(said.status.success(), "{program} is static: its clock cannot be set");
        let [library, file] = ["wall-clock.so", "ahead"].map(|name| at(name).display().to_string());
        let setup = setup.program(program).environment("LD_PRELOAD", &library).environment("WALL_CLOCK_AHEAD", &file);
        (setup, WallClock { ahead })
    }

    /// Sets it, at once.
    pub fn set(&self, seconds: i64) {
        self.ahead.write_all_at(&seconds.to_ne_bytes(), 0).expect("set the clock");
    }

    /// The machine has slept for so long, all in all.
    pub fn sleep(&self, seconds: i64) {
        self.ahead.write_all_at(&seconds.to_ne_bytes(), 8).expect("set the clock");
    }
}

fn compile(source: &Path, library: &Path) {
    fs::write(source, SOURCE).expect("write the source");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]).arg(library).arg(source);
    let said = compiler.output().expect("run cc: a C compiler is needed");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
}
