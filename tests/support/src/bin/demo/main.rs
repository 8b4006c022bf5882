//! A Spot interruption in half a minute, on a machine without any cloud: the real spot-guard beside stand-ins for the
//! metadata service, the API server and the kubelet. What is shown is what those saw, and what spot-guard wrote.
#![forbid(unsafe_code)]

mod picture;
mod scene;
mod timeline;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use scene::{Scene, WINDOW};
use timeline::Timeline;

fn main() -> ExitCode {
    let Some(program) = program() else {
        eprintln!("demo: there is no spot-guard beside this program; cargo build makes it, or give its path");
        return ExitCode::FAILURE;
    };
    println!("The node {} runs 12 pods; its EC2 Spot instance will be taken away.", scene::NODE);
    println!("spot-guard is real; metadata service, API server and kubelet are stand-ins.\n");
    let scene = Scene::set(&program.display().to_string());
    let mut timeline = Timeline::begin(&scene);
    let record = timeline.follow(&scene, WINDOW + Duration::from_secs(5));
    let Some(record) = record else {
        eprintln!("demo: the response did not end; spot-guard said:\n{}", scene.guard.log());
        return ExitCode::FAILURE;
    };
    println!("\nThe record of this response, in short:\n");
    print!("{}", picture::of(&record));
    ExitCode::SUCCESS
}

/// The spot-guard that was given, or the one that was built with this program.
fn program() -> Option<PathBuf> {
    let given = std::env::args_os().nth(1).map(PathBuf::from);
    let beside = || Some(std::env::current_exe().ok()?.with_file_name("spot-guard"));
    given.or_else(beside).filter(|path| path.is_file())
}
