//! `cargo xtask tools`: the programs that tests and clusters run, found on the PATH or built from Go modules.
//!
//! Each tool's folder in `xtask/tools` is a Go module: `go.mod` pins the programs, `go.sum` pins everything in them.

mod build;
pub mod migrators;
pub mod schemas;
mod table;
mod version;

use std::io::{Write, stderr, stdout};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Result, bail};
use xshell::{Shell, cmd};

use crate::project::cache;
use crate::tools::table::{Installed, Module};

pub use crate::tools::table::{API, CHART, GITOPS, MIGRATORS, NODE, Tool};
pub use crate::tools::version::Version;

#[derive(clap::Args)]
pub struct Args {
    /// Find or build these tools; by default, all that the tests of the chart and the clusters run
    names: Vec<Tool>,
    /// Install only the migration tools of other projects, whose histories the tests adopt
    #[arg(long, conflicts_with = "names")]
    migrators: bool,
    /// Print the path of each program, one a line, in the order of the arguments
    #[arg(long)]
    print_path: bool,
}

pub fn run(sh: &Shell, Args { names, migrators, print_path }: &Args) -> Result<()> {
    if *migrators {
        return migrators::ensure(sh);
    }
    let all = || NODE.into_iter().chain(CHART).chain(GITOPS).collect();
    let tools: Vec<_> = if names.is_empty() { all() } else { names.clone() };
    let paths = ensure(sh, &tools)?;
    if *print_path {
        for path in paths {
            writeln!(stdout(), "{}", path.display())?;
        }
    }
    Ok(())
}

/// Finds or builds each tool, prints progress on stderr, and returns the paths of the programs.
pub fn ensure(sh: &Shell, tools: &[Tool]) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for tool in tools {
        let module = tool.module();
        let name = module.name;
        let found = if let Some(found) = find(sh, &module)? {
            found
        } else {
            let start = Instant::now();
            writeln!(stderr(), "{name}: building {}", build::pinned(sh, &module)?)?;
            let built = build::build(sh, &module)?;
            writeln!(stderr(), "{name}: built in {} s", start.elapsed().as_secs())?;
            programs(&module, &built)
        };
        for path in &found {
            writeln!(stderr(), "{name}: {}", path.display())?;
        }
        paths.extend(found);
    }
    if tools.contains(&Tool::Kubeconform) {
        let start = Instant::now();
        let folder = schemas::ensure(sh)?;
        let seconds = start.elapsed().as_secs();
        writeln!(stderr(), "kubeconform's schemas: {}, in {seconds} s", folder.display())?;
    }
    Ok(paths)
}

/// The path of the tool's only or first program. It builds nothing: a test that needs a missing tool fails, with the command
/// that builds it.
pub fn path(sh: &Shell, tool: Tool) -> Result<PathBuf> {
    let module = tool.module();
    match find(sh, &module)?.as_deref() {
        Some([path, ..]) => Ok(path.clone()),
        _ => bail!("`{0}` is not installed\nhint: `cargo xtask tools {0}`", module.name),
    }
}

/// A program that is built from the tool's module, by its name. It builds nothing either, and ignores the PATH.
pub fn built(sh: &Shell, tool: Tool, name: &str) -> Result<PathBuf> {
    let module = tool.module();
    let path = cache::root(sh)?.join(build::folder(sh, &module)?).join(name);
    if !path.is_file() {
        bail!("`{name}` is not built\nhint: `cargo xtask tools {}`", module.name);
    }
    Ok(path)
}

/// The sources that the tool is built from, for other files in them.
pub fn sources(sh: &Shell, tool: Tool) -> Result<PathBuf> {
    build::sources(sh, &tool.module())
}

/// The programs on the PATH at a version that fits, or built before.
fn find(sh: &Shell, module: &Module) -> Result<Option<Vec<PathBuf>>> {
    if let Some(installed) = &module.installed
        && let Some(path) = on_path(sh, installed)
    {
        return Ok(Some(vec![path]));
    }
    let built = cache::root(sh)?.join(build::folder(sh, module)?);
    Ok(built.is_dir().then(|| programs(module, &built)))
}

fn on_path(sh: &Shell, installed: &Installed) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).filter(|folder| folder.is_absolute());
    let mut candidates = folders.flat_map(|folder| installed.names.iter().map(move |name| folder.join(name)));
    candidates.find(|candidate| candidate.is_file() && fits(sh, installed, candidate))
}

/// A program whose version cannot be read does not fit.
fn fits(sh: &Shell, installed: &Installed, candidate: &Path) -> bool {
    let answer = cmd!(sh, "{candidate}").args(installed.ask).quiet().ignore_stderr().read();
    let version = answer.ok().and_then(|answer| Version::find(&answer));
    version.is_some_and(|version| version.fits(installed.least))
}

fn programs(module: &Module, folder: &Path) -> Vec<PathBuf> {
    module.programs().into_iter().map(|name| folder.join(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> impl Iterator<Item = Tool> {
        NODE.into_iter().chain(CHART).chain(GITOPS).chain(MIGRATORS)
    }

    #[test]
    fn pinned_versions_fit() {
        let sh = shell();
        for module in all().map(Tool::module) {
            let pinned = build::pinned(&sh, &module).expect(module.name);
            let version = Version::find(&pinned).expect(module.name);
            let fits = module.installed.is_none_or(|installed| version.fits(installed.least));
            assert!(fits, "{}: {pinned} is pinned", module.name);
        }
    }

    #[test]
    fn every_module_is_of_a_tool() {
        let sh = shell();
        let mut modules: Vec<_> = sh.read_dir("xtask/tools").expect("a folder");
        modules.retain(|module| module.is_dir());
        let known = |module: &PathBuf| {
            let is_named = |name: &str| module.ends_with(name);
            is_named(schemas::NAME) || all().any(|tool| is_named(tool.module().name))
        };
        assert!(modules.iter().all(known), "{modules:?}");
        assert_eq!(modules.len(), all().count() + 1);
    }

    #[test]
    fn every_tool_of_the_chart_answers_with_a_fitting_version() {
        let sh = shell();
        for tool in CHART {
            let path = path(&sh, tool).unwrap_or_else(|error| panic!("{error}"));
            let installed = tool.module().installed.expect("a program that may be on the PATH");
            assert!(fits(&sh, &installed, &path), "{}", path.display());
        }
    }

    #[test]
    fn several_programs_keep_the_names_that_go_gives_them() {
        assert_eq!(Tool::Etcd.module().programs(), ["etcd"]);
        let programs = Tool::Kubernetes.module().programs();
        assert_eq!(programs.len(), 6);
        assert!(programs.contains(&"kube-apiserver"), "{programs:?}");
    }

    #[test]
    fn both_helms_assume_the_kubernetes_they_were_made_for() {
        let sh = shell();
        let chart = sh.create_temp_dir().expect("a folder");
        for tool in [Tool::Helm3, Tool::Helm4] {
            let helm = path(&sh, tool).unwrap_or_else(|error| panic!("{error}"));
            let manifest = "{ apiVersion: v2, name: a, version: 1.0.0, kubeVersion: '>=1.30.0-0' }";
            sh.write_file(chart.path().join("Chart.yaml"), manifest).expect("a file");
            let chart = chart.path();
            cmd!(sh, "{helm} template {chart}").quiet().run().expect("the chart is rendered");
        }
    }

    fn shell() -> Shell {
        let sh = Shell::new().expect("a working folder");
        sh.change_dir(crate::project::root());
        sh
    }
}
