//! Checks the rules of the repository that no compiler checks.
//!
//! Each check is a function from files to findings, so that a test can also pass it a file that breaks the rule.

mod circles;

use std::path::{Path, PathBuf};

use xshell::{Shell, cmd};

/// One text file of the repository.
struct File {
    path: String,
    text: String,
}

/// Words that source under some paths must not contain, and the paths that may.
struct Layer {
    within: &'static [&'static str],
    except: &'static [&'static str],
    banned: &'static [&'static str],
    why: &'static str,
}

const LAYERS: &[Layer] = &[
    Layer {
        within: &["src/core"],
        except: &[],
        banned: &["tokio::", "clap::", "tracing::", "sqlx::"],
        why: "core decides without a connection, a clock or a log: pass it the data it needs",
    },
    Layer {
        within: &["src/core"],
        except: &[],
        banned: &["crate::postgres", "crate::output", "crate::config"],
        why: "layers use only those below them: move what both need into core",
    },
    Layer {
        within: &["src/config"],
        except: &[],
        banned: &["crate::postgres", "crate::output"],
        why: "layers use only those below them: move what both need into config or core",
    },
    Layer {
        within: &["src/postgres"],
        except: &[],
        banned: &["crate::output"],
        why: "layers use only those below them: report through `core::progress`",
    },
    Layer {
        within: &["src/output"],
        except: &[],
        banned: &["crate::postgres"],
        why: "layers use only those below them: pass it what it prints",
    },
    Layer {
        within: &["src"],
        except: &["src/lib.rs", "src/program.rs", "src/commands", "src/operations"],
        banned: &["crate::operations"],
        why: "layers use only those below them: move what both need into the lower one",
    },
    Layer {
        within: &["src"],
        except: &["src/cli.rs", "src/commands"],
        banned: &["crate::commands"],
        why: "layers use only those below them: move what both need into `operations`, or flags into `config::flags`",
    },
    Layer {
        within: &["src"],
        except: &["src/lib.rs", "src/program.rs"],
        banned: &["crate::cli"],
        why: "only `program` parses the command line: pass what it says",
    },
    Layer {
        within: &["src/operations"],
        except: &[],
        banned: &["clap::"],
        why: "what commands do has no flags of its own: those of several commands are in `config::flags`",
    },
    Layer {
        within: &["src"],
        except: &[
            "src/lib.rs",
            "src/stop.rs",
            "src/compute.rs",
            "src/commands",
            "src/operations",
            "src/postgres",
        ],
        banned: &["crate::stop"],
        why: "only what waits is stopped: core, config and output end by themselves",
    },
    Layer {
        within: &["src"],
        except: &["src/output"],
        banned: &["println!", "print!", "stdout()"],
        why: "stdout is data and belongs to `output`: call it, or log",
    },
    Layer {
        within: &["src", "tests"],
        except: &[],
        banned: &["xshell::", "anyhow::"],
        why: "errors of the product are closed enums: `xshell` and `anyhow` are for xtask",
    },
    Layer {
        within: &["src"],
        // The conversion itself lives with the codes.
        except: &["src/main.rs", "src/program.rs", "src/exit.rs"],
        banned: &["process::ExitCode", "process::exit"],
        why: "only `program` ends the process: return an error that has an exit code",
    },
];

/// Paths and hosts that exist on one machine only. They are in pieces, because this file is searched too.
const PRIVATE: &[&str] = &[concat!("/wo", "rk/"), concat!("../sha", "red"), concat!("artifac", "tory")];

#[test]
fn modules_start_with_a_sentence() {
    assert_tidy(&module_docs(&repository()));
}

#[test]
fn layers_use_only_those_below() {
    assert_tidy(&layers(&repository()));
}

#[test]
fn areas_do_not_need_one_another() {
    assert_tidy(&circles::circles(&repository()));
}

#[test]
fn migrations_have_names_in_order() {
    assert_tidy(&migration_names(&repository()));
}

#[test]
fn there_is_one_version() {
    assert_tidy(&versions(&repository()));
}

#[test]
fn nothing_names_a_private_place() {
    assert_tidy(&private_places(&repository()));
}

#[test]
fn dependencies_are_pinned_and_explained() {
    assert_tidy(&dependencies(&repository()));
}

#[test]
fn tasks_and_tests_are_one_build() {
    assert_tidy(&one_build(&repository()));
}

#[test]
fn the_readme_lists_what_the_program_does() {
    assert_tidy(&readme(&repository()));
}

#[test]
fn links_between_pages_have_targets() {
    assert_tidy(&links(&repository()));
}

#[test]
fn each_check_finds_what_it_is_for() {
    let finds = |check: fn(&[File]) -> Vec<String>, path: &str, text: &str| {
        check(&[File { path: path.into(), text: text.into() }]).len()
    };
    assert_eq!(finds(module_docs, "src/a.rs", "//! Says.\n"), 0);
    assert_eq!(finds(module_docs, "src/a.rs", "use std::io;\n"), 1);

    assert_eq!(finds(layers, "src/core/a.rs", "// As sqlx::migrate does.\nlet t = my_sqlx::t();\n"), 0);
    assert_eq!(finds(layers, "src/core/a.rs", "use sqlx::Row;\n"), 1);
    assert_eq!(finds(layers, "src/core.rs", "use crate::postgres::Lock;\n"), 1);
    assert_eq!(finds(layers, "src/postgres/a.rs", "eprintln!(\"\");\n"), 0);
    assert_eq!(finds(layers, "src/postgres/a.rs", "println!(\"\");\n"), 1);
    assert_eq!(finds(layers, "src/output/text.rs", "println!(\"\");\n"), 0);
    assert_eq!(finds(layers, "src/operations/gate.rs", "use crate::commands::Args;\n"), 1);
    assert_eq!(finds(layers, "src/commands/wait.rs", "use crate::operations::open;\n"), 0);
    assert_eq!(finds(layers, "src/commands/wait.rs", "use crate::cli::Cli;\n"), 1);
    assert_eq!(finds(layers, "src/output.rs", "use crate::stop::Stop;\n"), 1);

    let areas = |texts: [&str; 3]| {
        let files = ["a", "b/c", "d"].into_iter().zip(texts);
        let file =
            |(path, text): (&str, &str)| File { path: format!("e2e/src/{path}.rs"), text: text.into() };
        circles::circles(&files.map(file).collect::<Vec<_>>()).len()
    };
    assert_eq!(areas(["use crate::b::c;", "use crate::{d, e::f};", "use crate::e;"]), 0);
    assert_eq!(areas(["use crate::b::c;", "use crate::{x, d};", "crate::a::f();"]), 3);

    assert_eq!(finds(migration_names, "migrations/README.md", ""), 0);
    assert_eq!(finds(migration_names, "migrations/0001_gates.sql", ""), 0);
    assert_eq!(finds(migration_names, "migrations/1_gates.sql", ""), 1);
    assert_eq!(finds(migration_names, "migrations/0001_Gates.sql", ""), 1);

    assert_eq!(finds(links, "docs/a.md", "[a](a.md#b), [b](../docs/) and [c](https://c.example)"), 0);
    assert_eq!(finds(links, "docs/a.md", "[a](b.md)"), 1);

    assert_eq!(
        finds(readme, "README.md", &"\n".repeat(README_LINES + 1)),
        finds(readme, "README.md", "") + 1
    );

    assert_eq!(finds(private_places, "a.md", &format!("see {}x", PRIVATE[0])), 1);

    let dependency = |line: &str| finds(dependencies, "Cargo.toml", &format!("[dependencies]\n{line}\n"));
    assert_eq!(dependency(r#"a = "=1.2.3" # because"#), 0);
    assert_eq!(dependency(r#"a = { path = ".." } # because"#), 0);
    assert_eq!(dependency(r#"a = "=1.2.3""#), 1);
    assert_eq!(dependency(r#"a = "1.2.3" # because"#), 1);

    let manifest = |path: &str, text: &str| File { path: path.into(), text: text.into() };
    let tests =
        manifest("Cargo.toml", "[dev-dependencies]\na = { features = [\"b\", \"c\"] }\nd = \"=1.0.0\"\n");
    let tasks = |line: &str| manifest("xtask/Cargo.toml", &format!("[dependencies]\n{line}\n"));
    assert_eq!(one_build(&[tests, tasks("a = { features = [\"b\", \"bc\"] }")]).len(), 1);
}

/// Every source file starts with a sentence about itself.
fn module_docs(files: &[File]) -> Vec<String> {
    let sources = files.iter().filter(|file| is_source(file, &["src", "tests", "e2e", "xtask"]));
    let silent = sources.filter(|file| !file.text.starts_with("//! "));
    silent.map(|File { path, .. }| format!("{path}:1: no module sentence: start with `//! …`")).collect()
}

/// Layers reach downward only; see [`LAYERS`].
fn layers(files: &[File]) -> Vec<String> {
    let mut findings = Vec::new();
    for Layer { within, except, banned, why } in LAYERS {
        for file in files.iter().filter(|file| is_source(file, within) && !is_source(file, except)) {
            for (number, line) in lines(file) {
                let code = line.split("//").next().unwrap_or_default();
                for word in banned.iter().filter(|word| has_word(code, word)) {
                    findings.push(format!("{}:{number}: `{word}`: {why}", file.path));
                }
            }
        }
    }
    findings
}

/// Migrations are named `NNNN_snake_case.sql`, each version once.
fn migration_names(files: &[File]) -> Vec<String> {
    let mut findings = Vec::new();
    let mut last = 0;
    for File { path, .. } in files {
        let Some(name) = path.strip_prefix("migrations/").and_then(|name| name.strip_suffix(".sql")) else {
            continue;
        };
        let (version, description) = name.split_once('_').unwrap_or_default();
        let is_snake = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        match version.parse::<u32>() {
            Ok(number)
                if version.len() == 4 && !description.is_empty() && description.chars().all(is_snake) =>
            {
                if number <= last {
                    findings.push(format!("{path}:1: version {version} is taken: use {:04}", last + 1));
                }
                last = number;
            }
            _ => findings.push(format!("{path}:1: not `NNNN_snake_case.sql`: rename it")),
        }
    }
    findings
}

/// The workspace has the version, its packages inherit it, and the changelog is ready for the next.
fn versions(files: &[File]) -> Vec<String> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| is_manifest(file)) {
        let in_package = section(file, "[package]");
        for (number, line) in in_package.filter(|(_, line)| line.starts_with("version")) {
            if line != "version.workspace = true" {
                findings.push(format!(
                    "{}:{number}: not the version of the workspace: write `version.workspace = true`",
                    file.path
                ));
            }
        }
    }
    match files.iter().find(|file| file.path == "CHANGELOG.md") {
        None => findings.push("CHANGELOG.md:1: missing: start it with `## [Unreleased]`".to_owned()),
        Some(file) if !file.text.lines().any(|line| line == "## [Unreleased]") => {
            findings.push("CHANGELOG.md:1: no `## [Unreleased]`: add it above the newest version".to_owned());
        }
        Some(_) => {}
    }
    findings
}

/// No file names a path or host that exists on one machine only.
fn private_places(files: &[File]) -> Vec<String> {
    let mut findings = Vec::new();
    for file in files {
        for (number, line) in lines(file) {
            for place in PRIVATE.iter().filter(|place| line.contains(**place)) {
                findings.push(format!(
                    "{}:{number}: `{place}` exists on one machine only: leave it out",
                    file.path
                ));
            }
        }
    }
    findings
}

/// Every dependency is pinned with `=`, and a comment on its line has its purpose.
fn dependencies(files: &[File]) -> Vec<String> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| is_manifest(file)) {
        for header in
            ["[dependencies]", "[dev-dependencies]", "[build-dependencies]", "[workspace.dependencies]"]
        {
            for (number, line) in
                section(file, header).filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
            {
                let (dependency, reason) = line.split_once(" #").unwrap_or((line, ""));
                if !["\"=", "path = ", "workspace = true"].iter().any(|pin| dependency.contains(pin)) {
                    findings.push(format!(
                        "{}:{number}: not pinned: write the version as `\"=1.2.3\"`",
                        file.path
                    ));
                }
                if reason.trim().is_empty() {
                    findings.push(format!(
                        "{}:{number}: no reason: end the line with `# what it is for`",
                        file.path
                    ));
                }
            }
        }
    }
    findings
}

/// The tasks enable every feature of a dependency that the tests enable. With other features Cargo would build the crate
/// again, and each crate that depends on it, up to the product.
fn one_build(files: &[File]) -> Vec<String> {
    let section_of = |path: &str, header| {
        let file = files.iter().find(|file| file.path == path);
        file.into_iter().flat_map(move |file| section(file, header)).map(|(_, line)| line).collect::<Vec<_>>()
    };
    let tasks = section_of("xtask/Cargo.toml", "[dependencies]");
    let mut findings = Vec::new();
    for line in section_of("Cargo.toml", "[dev-dependencies]") {
        let Some((name, _)) = line.split_once(" = ") else { continue };
        let here =
            tasks.iter().find(|task| task.starts_with(&format!("{name} = "))).copied().unwrap_or_default();
        let missing: Vec<_> =
            features(line).filter(|feature| !features(here).any(|found| found == *feature)).collect();
        if !missing.is_empty() {
            findings.push(format!(
                "xtask/Cargo.toml: `{name}` without {missing:?}, which the tests enable: add them"
            ));
        }
    }
    findings
}

/// The features that a dependency's line enables, each in its quotes.
fn features(line: &str) -> impl Iterator<Item = &str> {
    let list = line.split_once("features = [").and_then(|(_, list)| list.split_once(']'));
    list.into_iter().flat_map(|(list, _)| list.split(", "))
}

#[track_caller]
fn assert_tidy(findings: &[String]) {
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
}

/// Every text file that is or could be committed, by path.
fn repository() -> Vec<File> {
    let sh = Shell::new().expect("a working folder");
    sh.change_dir(crate::project::root());
    let listed = cmd!(sh, "git ls-files --cached --others --exclude-standard").quiet().read();
    let mut paths: Vec<_> = listed.expect("a git checkout").lines().map(str::to_owned).collect();
    paths.sort_unstable();
    // A file that is not UTF-8 is not text. One that cannot be read was deleted, and the deletion is not committed yet.
    let read = |path: String| Some(File { text: sh.read_file(&path).ok()?, path });
    paths.into_iter().filter_map(read).collect()
}

/// Every link to a page or a folder has a target.
fn links(files: &[File]) -> Vec<String> {
    let is_there = |path: &Path| files.iter().any(|file| Path::new(&file.path).starts_with(path));
    let pages = files.iter().filter(|file| Path::new(&file.path).extension().is_some_and(|end| end == "md"));
    pages
        .flat_map(|page| lines(page).map(move |(number, line)| (page, number, line)))
        .flat_map(|(page, number, line)| targets(line).map(move |target| (page, number, target)))
        .filter(|(page, _, target)| !is_there(&relative_to(&page.path, target)))
        .map(|(page, number, target)| format!("{}:{number}: `{target}` does not exist", page.path))
        .collect()
}

/// The targets of a line's links within the repository, without the anchor.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    let targets = line.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
    targets.filter(|target| !target.is_empty() && !target.contains(':'))
}

/// The path that a link means on a page.
fn relative_to(page: &str, target: &str) -> PathBuf {
    let mut path = Path::new(page).parent().unwrap_or(Path::new("")).to_owned();
    for part in target.trim_end_matches('/').split('/') {
        match part {
            ".." => drop(path.pop()),
            part => path.push(part),
        }
    }
    path
}

/// The README is for the first minute; `docs/` has the rest.
const README_LINES: usize = 160;

/// The README has the library's exit codes, commands and variables, and few lines.
fn readme(files: &[File]) -> Vec<String> {
    use clap::CommandFactory;
    use corveil::{Cli, ExitCode, env};
    let codes = ExitCode::ALL.map(|code| format!("| {} | {} |", code.code(), code.meaning()));
    let commands: Vec<_> = Cli::command()
        .get_subcommands()
        .map(|command| format!("| `corveil {}", command.get_name()))
        .collect();
    let variables = [env::DATABASE_URL, env::MIGRATE_DATABASE_URL].map(|name| format!("| `{name}` |"));
    let readme = files.iter().find(|file| file.path == "README.md");
    let wanted = codes.iter().chain(&commands).chain(&variables);
    let Some(readme) = readme else { return Vec::new() };
    let missing = wanted
        .filter(|text| !readme.text.contains(*text))
        .map(|text| format!("README.md: no `{text}`: add it to the table, or correct its row"));
    let long = (readme.text.lines().count() > README_LINES)
        .then(|| format!("README.md: more than {README_LINES} lines; move some of them to `docs/`"));
    missing.chain(long).collect()
}

/// Whether this is Rust source in one of the folders, or the file next to a folder that declares its modules.
fn is_source(file: &File, folders: &[&str]) -> bool {
    let path = Path::new(&file.path);
    let is_in = |folder: &&str| path.starts_with(folder) || path.with_extension("") == Path::new(folder);
    path.extension().is_some_and(|extension| extension == "rs")
        && (folders.iter().any(is_in) || folders.contains(&&*file.path))
}

fn is_manifest(file: &File) -> bool {
    Path::new(&file.path).file_name().is_some_and(|name| name == "Cargo.toml")
}

/// The lines of one section of a manifest.
fn section<'a>(file: &'a File, header: &str) -> impl Iterator<Item = (usize, &'a str)> {
    let after = lines(file).skip_while(move |(_, line)| *line != header).skip(1);
    after.take_while(|(_, line)| !line.starts_with('['))
}

/// Lines with their numbers.
fn lines(file: &File) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(file.text.lines())
}

/// Whether the word occurs, and is not the end of a longer one: `println!` is not in `eprintln!`.
fn has_word(code: &str, word: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, _)| !code[..at].ends_with(is_name))
}
