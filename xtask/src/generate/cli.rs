//! `docs/cli.md`: the commands, their flags and variables, as `clap` has them.

use std::fmt::Write as _;

use anyhow::Result;
use clap::{Arg, Command, CommandFactory};
use corveil::{Cli, ExitCode};

use super::{Files, HEADER};

#[expect(clippy::unnecessary_wraps, reason = "a generator may fail, this one never does")]
pub(crate) fn files() -> Result<Files> {
    Ok(vec![("docs/cli.md".into(), text())])
}

fn text() -> String {
    let cli = Cli::command();
    let mut text = format!("<!-- {HEADER}. -->\n# `corveil`\n\n");
    let _ = writeln!(
        text,
        "{}\n",
        cli.get_long_about().or(cli.get_about()).map(ToString::to_string).unwrap_or_default()
    );
    text.push_str("A flag beats its variable, a variable beats the default.\n\n");
    for command in cli.get_subcommands() {
        let name = command.get_name();
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(text, "- [`corveil {name}`](#corveil-{name}): {about}");
    }
    text.push_str("\n## Exit codes\n\n| code | |\n|---|---|\n");
    for code in ExitCode::ALL {
        let _ = writeln!(text, "| {} | {} |", code.code(), code.meaning());
    }
    text.push_str("\n## Every command\n\n");
    flags(&mut text, cli.get_arguments());
    for command in cli.get_subcommands() {
        section(&mut text, command);
    }
    text
}

fn section(text: &mut String, command: &Command) {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let _ = writeln!(text, "\n## `corveil {}`\n\n{about}.\n", command.get_name());
    for alias in command.get_visible_aliases() {
        let _ = writeln!(text, "`corveil {alias}` is the same command.\n");
    }
    flags(text, command.get_arguments());
    if let Some(help) = command.get_after_help() {
        let _ = writeln!(text, "\n```text\n{}\n```", help.to_string().trim());
    }
}

fn flags<'a>(text: &mut String, arguments: impl Iterator<Item = &'a Arg>) {
    text.push_str("| flag | variable | default | |\n|---|---|---|---|\n");
    for argument in arguments.filter(|argument| !argument.is_hide_set()) {
        let Some(flag) = argument.get_long() else { continue };
        if ["help", "version"].contains(&flag) {
            continue;
        }
        let takes_value = argument.get_action().takes_values();
        let choices: Vec<_> = argument
            .get_possible_values()
            .iter()
            .filter(|_| takes_value)
            .map(|choice| choice.get_name().to_owned())
            .collect();
        let value = match (takes_value, choices.is_empty()) {
            (false, _) => String::new(),
            // The value may be left out. A bar would end the cell.
            (true, false) if argument.is_require_equals_set() => format!("[={}]", choices.join("\\|")),
            (true, false) => format!(" {}", choices.join("\\|")),
            (true, true) => format!(
                " <{}>",
                argument
                    .get_value_names()
                    .into_iter()
                    .flatten()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(" ")
            ),
        };
        // What is set where this runs is nobody's default: only the variable's name.
        let variable =
            argument.get_env().map(|name| format!("`{}`", name.to_string_lossy())).unwrap_or_default();
        let default = argument.get_default_values().iter().filter(|_| takes_value);
        let default: Vec<_> = default.map(|value| format!("`{}`", value.to_string_lossy())).collect();
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(text, "| `--{flag}{value}` | {variable} | {} | {help} |", default.join(", "));
    }
}
