//! Pages of reports in a real browser: nothing is wider than the screen, no text lies over another, on a phone and on a
//! desktop, light, dark and on paper, with five pods and with five hundred.
//!
//! `SPOT_GUARD_TEST_PICTURES` names a folder for pictures of them.
#![forbid(unsafe_code)]

mod chromium;
mod made_up;

use std::fs;
use std::path::Path;
use std::process::Command;

use chromium::{Chromium, Look};
use spot_guard::record::Record;
use stand_ins::folder::Folder;
use stand_ins::skip::skip;

/// A phone and a desktop.
const WIDTHS: [u32; 2] = [390, 1440];

/// A sheet of A4 without its margins: 182 mm, at 96 pixels an inch.
const PAPER: u32 = 688;

/// The page that the program makes of this record.
fn page(folder: &Path, record: &Record) -> String {
    let responses = folder.join("responses");
    fs::create_dir_all(&responses).unwrap();
    fs::write(responses.join(format!("{}.json", record.id)), serde_json::to_vec(record).unwrap()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_spot-guard"));
    let output = command.args(["report", "--html", "-", "--state-dir"]).arg(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Measures the page of a record on every screen, and keeps these pictures of it if they are wanted: width, height, look.
fn assert_looks_right(name: &str, record: &Record, pictures: &[(u32, u32, Look)]) {
    let Some(chromium) = Chromium::find() else {
        return skip("chromium-headless-shell is not installed (apt-get install chromium-headless-shell)");
    };
    let folder = Folder::new("browser");
    let page = page(folder.path(), record);
    let on_screens = WIDTHS.into_iter().flat_map(|width| [(width, Look::Light), (width, Look::Dark)]);
    for (width, look) in on_screens.chain([(PAPER, Look::Paper)]) {
        let found = chromium.measure(folder.path(), &page, width, look);
        assert_eq!(found, "nothing", "{name}, {width} wide, {look:?}");
    }
    let pdf = chromium.print(folder.path(), &page);
    assert!(pdf.starts_with(b"%PDF") && pdf.len() > 10_000, "{} bytes", pdf.len());
    let Some(kept) = std::env::var_os("SPOT_GUARD_TEST_PICTURES") else { return };
    for (width, height, look) in pictures {
        let file = Path::new(&kept).join(format!("{name}-{width}-{look:?}.png").to_lowercase());
        chromium.take_picture(folder.path(), &page, (*width, *height), *look, &file);
    }
}

#[test]
fn a_calm_response_of_five_pods() {
    assert_looks_right("calm", &made_up::calm(), &[(1440, 1000, Look::Light)]);
}

#[test]
fn a_full_node_of_a_hundred_and_ten_pods() {
    assert_looks_right("full", &made_up::full(), &[(1440, 1000, Look::Light), (390, 1300, Look::Light)]);
}

#[test]
fn a_night_in_which_everything_fails_for_five_hundred_pods() {
    assert_looks_right("night", &made_up::night(), &[(1440, 1200, Look::Dark)]);
}

#[test]
fn names_and_texts_as_long_as_they_can_be() {
    assert_looks_right("long", &made_up::long(), &[]);
}

/// The measuring itself finds what is wrong.
#[test]
fn what_is_too_wide_or_lies_over_another_is_found() {
    let Some(chromium) = Chromium::find() else {
        return skip("chromium-headless-shell is not installed (apt-get install chromium-headless-shell)");
    };
    let folder = Folder::new("browser");
    let page = page(folder.path(), &made_up::calm());
    for (wrong, found) in [
        ("<p style=\"width:2000px\">wide</p>", "wider than the screen: P"),
        ("<p style=\"position:relative;top:-1.5rem\">over</p>", "one text over another: "),
    ] {
        let spoilt = page.replace("</main>", &format!("{wrong}</main>"));
        let told = chromium.measure(folder.path(), &spoilt, 390, Look::Light);
        assert!(told.contains(found), "{told}");
    }
}
