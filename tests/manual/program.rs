//! spot-guard(8), from the definition of the command line.

use spot_guard::cli::definition::{
    ANSWERS, CommandInfoWithArgs, Optionality, PositionalInfo, commands, options, program, value_name,
};
use spot_guard::config::built_in;

use super::markdown;
use super::roff::Page;

/// `files`: docs/files.md.
pub fn page(page: &mut Page, files: &str) {
    let program = program();
    page.section("Synopsis");
    for command in commands(&program) {
        let words: String = command.positionals.iter().map(|word| format!(" {}", word_written(word))).collect();
        page.paragraph(&format!("**spot-guard {}** [OPTIONS]{words}", command.name));
    }
    page.section("Description");
    page.paragraph(program.description);
    page.paragraph(
        "`spot-guard run` is what systemd runs. The other commands look at it, steer it, or try things out.",
    );
    page.section("Commands");
    commands(&program).for_each(|command| of_command(page, command));
    page.section("Options");
    page.paragraph("Of all commands, before or after the command.");
    of_options(page, &program);
    ANSWERS
        .iter()
        .for_each(|answer| page.tagged(&format!("`{}`, `{}`", answer.short, answer.long), answer.description));
    page.section("Exit status");
    for (code, meaning) in [("0", "Done."), ("1", "Failed."), ("2", "Wrong usage or configuration.")] {
        page.tagged(code, meaning);
    }
    environment(page);
    the_files(page);
    markdown::section(page, files, "Signals");
    page.section("See also");
    page.paragraph("`spot-guard.toml`(5), `spot-guard-hooks`(7), `systemctl`(1), `journalctl`(1)");
}

fn of_command(page: &mut Page, command: &CommandInfoWithArgs) {
    let words: String = command.positionals.iter().map(|word| format!(" {}", word_written(word))).collect();
    page.subsection(&format!("spot-guard {}{words}", command.name));
    page.paragraph(command.description);
    command.positionals.iter().for_each(|word| page.tagged(word.name, word.description));
    of_options(page, command);
    command.notes.iter().for_each(|note| page.paragraph(note));
    if !command.examples.is_empty() {
        page.example(&command.examples.join("\n"));
    }
}

fn word_written(word: &PositionalInfo<'static>) -> String {
    match word.optionality {
        Optionality::Required => word.name.to_owned(),
        Optionality::Optional => format!("[{}]", word.name),
        Optionality::Repeating | Optionality::Greedy => format!("[{}...]", word.name),
    }
}

fn of_options(page: &mut Page, command: &CommandInfoWithArgs) {
    for option in options(command) {
        let value = value_name(option).map(|name| format!(" {name}")).unwrap_or_default();
        page.tagged(&format!("`{}`{value}", option.long), option.description);
    }
}

fn environment(page: &mut Page) {
    page.section("Environment");
    let rows = [
        ("SPOT_GUARD_CONFIG_<TABLE>_<KEY>", "A setting, see spot-guard.toml(5)."),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "The metadata service, as in the AWS SDKs; so are the next two."),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "`IPv6`: the metadata service's IPv6 address."),
        ("AWS_EC2_METADATA_DISABLED", "`true`: the metadata service is never asked."),
        ("HTTPS_PROXY, NO_PROXY", "For the API server, unless the settings or the kubeconfig name a proxy."),
        ("NO_COLOR", "No colour and nothing redrawn in place."),
    ];
    rows.iter().for_each(|(name, meaning)| page.tagged(&format!("`{name}`"), meaning));
}

fn the_files(page: &mut Page) {
    let folders = built_in().folders;
    page.section("Files");
    page.tagged("`/etc/spot-guard/config.toml`", "Settings, see spot-guard.toml(5).");
    for hooks in &folders.hooks {
        page.tagged(&format!("`{}`", hooks.display()), "Hooks, see spot-guard-hooks(7).");
    }
    let rows = [
        (folders.runtime.join("status.json"), "What the daemon sees and does."),
        (folders.runtime.join("control.sock"), "Where the daemon takes requests of root."),
        (
            folders.state.join("responses"),
            "What became of each pod and hook: a record of each response, the newest 20.",
        ),
    ];
    rows.iter().for_each(|(path, meaning)| page.tagged(&format!("`{}`", path.display()), meaning));
}
