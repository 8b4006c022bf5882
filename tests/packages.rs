//! What `make dist` makes: the same bits wherever it runs, as Debian and Fedora would have it, with a list of what is in the
//! program. That the packages can be installed is seen in tests/machine.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use stand_ins::folder::Folder;
use stand_ins::guard::Setup;
use stand_ins::imds::{Imds, SPOT};
use stand_ins::packages::{copy_of_tree, ending, pack};
use stand_ins::skip::skip;

const TREE: &str = env!("CARGO_MANIFEST_DIR");

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Whether all these programs are here; says so where not.
fn are_here(programs: &[&str]) -> bool {
    let is_missing = |program: &&&str| Command::new(program).arg("--version").output().is_err();
    let missing = programs.iter().find(is_missing);
    missing.inspect(|program| skip(&format!("there is no {program} here; tests/prepare installs it"))).is_none()
}

/// The release; `None`, after having said so, where only what is quick to build is there.
fn release() -> Option<PathBuf> {
    let release = std::env::var_os("SPOT_GUARD_TEST_BINARY").map(PathBuf::from);
    if release.is_none() {
        skip("SPOT_GUARD_TEST_BINARY names no release; `make test` builds one");
    }
    release
}

fn said(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}: {told}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

fn sbom() -> Value {
    serde_json::from_str(&said(&mut Command::new(Path::new(TREE).join("packaging/sbom")))).unwrap()
}

fn assert_same(one: &Path, other: &Path) {
    assert!(fs::read(one).unwrap() == fs::read(other).unwrap(), "{} and {}", one.display(), other.display());
}

/// A program that is packed in no time.
fn small_program(folder: &Folder) -> PathBuf {
    let program = folder.path().join("spot-guard");
    make_script(&program, "#!/bin/sh\n");
    program
}

fn make_script(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn packages_are_the_same_to_the_bit_in_whichever_folder_they_are_made() {
    if !are_here(&["rpmbuild", "dh"]) {
        return;
    }
    let (program, here, there, copy) =
        (Folder::new("program"), Folder::new("here"), Folder::new("there"), Folder::new("another-tree"));
    pack(None, "aarch64", &small_program(&program), here.path());
    copy_of_tree(copy.path());
    pack(Some(copy.path()), "aarch64", &small_program(&program), there.path());
    for end in ["_arm64.deb", "-1.aarch64.rpm", "-aarch64.tar.gz"] {
        assert_same(&ending(here.path(), end), &ending(there.path(), end));
    }
    assert_lists_only_its_own(&ending(here.path(), ".tar.gz"));
}

/// `tar -C / -x` gives a folder that is in the archive the archive's owner and mode, and who takes spot-guard away removes
/// all that it lists.
fn assert_lists_only_its_own(tarball: &Path) {
    let listed = said(Command::new("tar").arg("-tf").arg(tarball));
    assert!(listed.contains("usr/bin/spot-guard\n"), "{listed}");
    for path in listed.lines() {
        assert!(path.split('/').skip(1).any(|part| part.contains("spot-guard")), "{path}");
    }
}

/// lintian and rpmlint find nothing but what is meant.
fn assert_is_well_made(folder: &Path, deb: &str, rpm: &str) {
    let found = said(Command::new("lintian").args(["--fail-on=none", "--allow-root"]).arg(ending(folder, deb)));
    assert_eq!(found, "");
    let config = Path::new(TREE).join("packaging/rpm/rpmlint.toml");
    let found = said(Command::new("rpmlint").arg("--config").args([&config, &ending(folder, rpm)]));
    assert!(found.contains(" 0 errors, 0 warnings"), "{found}");
}

#[test]
fn the_packages_are_as_debian_and_fedora_would_have_them() {
    let Some(release) = release().filter(|_| are_here(&["rpmbuild", "dh", "lintian", "rpmlint"])) else { return };
    let packed = Folder::new("packed");
    pack(None, std::env::consts::ARCH, &release, packed.path());
    assert_is_well_made(packed.path(), ".deb", ".rpm");
}

/// Where a panic would come from is in the program, and so is the crate that it would come from.
#[test]
fn every_crate_that_the_program_names_is_listed_and_no_folder_of_who_built_it_is_in_it() {
    let Some(release) = release() else { return };
    let program = String::from_utf8_lossy(&fs::read(release).unwrap()).into_owned();
    let home = std::env::var("HOME").unwrap();
    for folder in [TREE, &format!("{home}/.cargo"), &format!("{home}/.rustup")] {
        assert!(!program.contains(folder), "{folder}");
    }

    let sbom = sbom();
    let components = sbom["components"].as_array().unwrap();
    let text = |one: &Value, field: &str| one[field].as_str().unwrap().to_owned();
    let listed: BTreeSet<String> =
        components.iter().map(|one| format!("{}-{}", text(one, "name"), text(one, "version"))).collect();
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
    let before = program.split("/src/").map(|text| text.rsplit(|c| !is_of_name(c)).next().unwrap_or_default());
    let named: BTreeSet<&str> = before.filter(|name| name.contains('-') && name.contains('.')).collect();
    assert!(named.len() > 10, "{named:?}");
    // Rust's library is made of crates, too. What stands before such a path in the program may run into it.
    let of_rust = of_rusts_library();
    for name in named {
        assert!(listed.iter().chain(&of_rust).any(|listed| name.ends_with(listed.as_str())), "{name}");
    }
    assert!(!listed.iter().any(|name| name.starts_with("syn-") || name.starts_with("proptest-")), "{listed:?}");
}

/// The crates of Rust's library; none where its source is not here, as then none of their paths is known.
fn of_rusts_library() -> BTreeSet<String> {
    let sysroot = said(Command::new("rustc").args(["--print", "sysroot"]));
    let lock = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/Cargo.lock");
    let lock = fs::read_to_string(lock).unwrap_or_default();
    let crates = lock.split("[[package]]\nname = \"").skip(1);
    crates.map(|text| text.split('"').step_by(2).take(2).collect::<Vec<_>>().join("-")).collect()
}

#[test]
#[ignore = "builds the release once more; `make test-all` runs it"]
fn a_release_that_is_built_in_another_folder_is_the_same_to_the_bit() {
    let Some(release) = release() else { return };
    let folder = Folder::new("another-folder");
    let copy = "git ls-files -z | tar --null --files-from=- -c | tar -x -C \"$1\"";
    said(Command::new("sh").args(["-c", copy, "sh"]).arg(folder.path()).current_dir(TREE));
    said(Command::new(folder.path().join("packaging/build-release")).env_remove("CARGO_TARGET_DIR"));
    let built = format!("target/{}-unknown-linux-musl/release/spot-guard", std::env::consts::ARCH);
    assert_same(&release, &folder.path().join(built));
}

fn dist() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_spot-guard")).ancestors().nth(2).unwrap().join("dist")
}

#[test]
#[ignore = "needs what `make dist` makes; `make test-all` runs it"]
fn all_that_is_made_is_in_the_checksums_and_for_aarch64_it_is_well_made_too() {
    if !are_here(&["lintian", "rpmlint"]) {
        return;
    }
    let sums = said(Command::new("sha256sum").args(["--check", "--strict", "SHA256SUMS"]).current_dir(dist()));
    assert_eq!(sums.lines().count() + 1, fs::read_dir(dist()).unwrap().count(), "{sums}");
    assert_is_well_made(&dist(), "_arm64.deb", ".aarch64.rpm");
}

#[test]
#[ignore = "needs what `make dist` makes; `make test-all` runs it"]
fn the_program_for_aarch64_responds_to_a_notice() {
    if !are_here(&["qemu-aarch64-static"]) {
        return;
    }
    let folder = Folder::new("aarch64");
    let tarball = dist().join(format!("spot-guard-{VERSION}-aarch64.tar.gz"));
    said(Command::new("tar").arg("-C").arg(folder.path()).arg("-xf").arg(tarball));
    let program = folder.path().join("emulated");
    let script = format!("#!/bin/sh\nexec qemu-aarch64-static {}/usr/bin/spot-guard \"$@\"\n", folder.path().display());
    make_script(&program, &script);

    assert_eq!(said(Command::new(&program).arg("--version")), format!("spot-guard {VERSION}\n"));
    let settings = folder.path().join("etc/spot-guard/config.toml");
    said(Command::new(&program).args(["config", "--check"]).arg(settings));

    let imds = Imds::on_loopback();
    let setup = Setup::new(program.to_str().unwrap()).imds(&imds).without_kubernetes();
    let guard = setup.hook("post-drain", "10-tell", "echo $SPOT_GUARD_ACTION >$OUT/told").start();
    guard.expect("IMDS is polled", Duration::from_secs(60), || imds.log().into_iter().find(|asked| asked.path == SPOT));
    imds.interrupt("terminate", Duration::from_secs(60));
    let record = guard.wait_done(Duration::from_secs(60));
    assert_eq!(record["outcome"], "complete", "{record:#}");
    assert_eq!(fs::read_to_string(guard.out().join("told")).unwrap(), "terminate\n");
}
