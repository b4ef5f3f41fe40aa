//! `cargo xtask tools`: the programs that the tests of the chart run, found on the PATH or built from Go modules.
//!
//! Each program's folder in `xtask/tools` is a Go module: `go.mod` pins the program, `go.sum` everything in it.

mod build;
pub(crate) mod schemas;
mod version;

use std::io::{Write, stderr, stdout};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Result, bail};
use clap::ValueEnum;
use xshell::{Shell, cmd};

use crate::cache;
use crate::tools::version::Version;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Those to find or build; all of them when none is named.
    names: Vec<Tool>,
    /// Print where each is, one line each in the order named.
    #[arg(long)]
    print_path: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Tool {
    Helm3,
    Helm4,
    Helmfile,
    Kubeconform,
    Kustomize,
}

/// Shortest build first: a machine without Go, or with too old a one, says so at once.
pub(crate) const ALL: [Tool; 5] =
    [Tool::Kubeconform, Tool::Kustomize, Tool::Helm4, Tool::Helm3, Tool::Helmfile];

/// How to recognise a program, and how to build it.
struct Program {
    /// In the cache, and of its folder in `xtask/tools`.
    name: &'static str,
    /// On the PATH, where both Helms are called `helm`.
    names: &'static [&'static str],
    /// Prints the version, in whatever words.
    ask: &'static [&'static str],
    /// Fits with this major version and at least this minor.
    least: Version,
    /// The module whose version in `go.mod` is the program's.
    module: &'static str,
    package: &'static str,
    /// The variable with the version. Without it a program calls itself a development build, and Helm turns away every
    /// chart that has a `kubeVersion`.
    variable: &'static str,
    /// The packages with variables for the Kubernetes that is assumed where no cluster is asked. Helm 4 finds it by itself.
    assumes: &'static [&'static str],
}

impl Tool {
    fn program(self) -> Program {
        match self {
            // What the chart promises to work with starts at 3.18.
            Self::Helm3 => Program {
                name: "helm3",
                names: &["helm3", "helm"],
                ask: &["version", "--template", "{{.Version}}"],
                least: Version { major: 3, minor: 18 },
                module: "helm.sh/helm/v3",
                package: "helm.sh/helm/v3/cmd/helm",
                variable: "helm.sh/helm/v3/internal/version.version",
                assumes: &["helm.sh/helm/v3/pkg/chartutil", "helm.sh/helm/v3/pkg/lint/rules"],
            },
            Self::Helm4 => Program {
                name: "helm4",
                names: &["helm4", "helm"],
                ask: &["version", "--template", "{{.Version}}"],
                least: Version { major: 4, minor: 0 },
                module: "helm.sh/helm/v4",
                package: "helm.sh/helm/v4/cmd/helm",
                variable: "helm.sh/helm/v4/internal/version.version",
                assumes: &[],
            },
            // The newest known to work with both Helms.
            Self::Helmfile => Program {
                name: "helmfile",
                names: &["helmfile"],
                // `helmfile version` asks the network for a newer one first.
                ask: &["--version"],
                least: Version { major: 1, minor: 8 },
                module: "github.com/helmfile/helmfile",
                package: "github.com/helmfile/helmfile",
                variable: "go.szostok.io/version.version",
                assumes: &[],
            },
            Self::Kubeconform => Program {
                name: "kubeconform",
                names: &["kubeconform"],
                ask: &["-v"],
                least: Version { major: 0, minor: 7 },
                module: "github.com/yannh/kubeconform",
                package: "github.com/yannh/kubeconform/cmd/kubeconform",
                variable: "main.version",
                assumes: &[],
            },
            Self::Kustomize => Program {
                name: "kustomize",
                names: &["kustomize"],
                ask: &["version"],
                least: Version { major: 5, minor: 4 },
                module: "sigs.k8s.io/kustomize/kustomize/v5",
                package: "sigs.k8s.io/kustomize/kustomize/v5",
                variable: "sigs.k8s.io/kustomize/api/provenance.version",
                assumes: &[],
            },
        }
    }
}

pub(crate) fn run(sh: &Shell, Args { names, print_path }: &Args) -> Result<()> {
    let tools = if names.is_empty() { &ALL[..] } else { names };
    let paths = ensure(sh, tools)?;
    if *print_path {
        for path in paths {
            writeln!(stdout(), "{}", path.display())?;
        }
    }
    Ok(())
}

/// Finds or builds each, saying on stderr what is under way, and tells where they are.
pub(crate) fn ensure(sh: &Shell, tools: &[Tool]) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for tool in tools {
        let program = tool.program();
        let name = program.name;
        let path = if let Some(found) = find(sh, &program)? {
            found
        } else {
            let start = Instant::now();
            writeln!(stderr(), "{name}: building {}", build::pinned(sh, &program)?)?;
            let built = build::build(sh, &program)?;
            writeln!(stderr(), "{name}: built in {} s", start.elapsed().as_secs())?;
            built
        };
        writeln!(stderr(), "{name}: {}", path.display())?;
        paths.push(path);
    }
    if tools.contains(&Tool::Kubeconform) {
        let start = Instant::now();
        let folder = schemas::ensure(sh)?;
        let seconds = start.elapsed().as_secs();
        writeln!(stderr(), "kubeconform's schemas: {}, in {seconds} s", folder.display())?;
    }
    Ok(paths)
}

/// Where the program is. Builds nothing: a test that needs it fails, and says how to get it.
#[cfg_attr(not(test), expect(dead_code, reason = "the tasks and tests of the chart are its callers"))]
pub(crate) fn path(sh: &Shell, tool: Tool) -> Result<PathBuf> {
    let program = tool.program();
    match find(sh, &program)? {
        Some(path) => Ok(path),
        None => bail!("`{0}` is not there\nhint: `cargo xtask tools {0}`", program.name),
    }
}

/// On the PATH at a fitting version, or built before.
fn find(sh: &Shell, program: &Program) -> Result<Option<PathBuf>> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).filter(|folder| folder.is_absolute());
    for folder in folders {
        for name in program.names {
            let candidate = folder.join(name);
            if candidate.is_file() && fits(sh, program, &candidate) {
                return Ok(Some(candidate));
            }
        }
    }
    let built = cache::root(sh)?.join(build::folder(sh, program)?).join(program.name);
    Ok(built.is_file().then_some(built))
}

/// A program that cannot be asked fits as little as one of another version.
fn fits(sh: &Shell, program: &Program, candidate: &Path) -> bool {
    let answer = cmd!(sh, "{candidate}").args(program.ask).quiet().ignore_stderr().read();
    let version = answer.ok().and_then(|answer| Version::find(&answer));
    version.is_some_and(|version| version.fits(program.least))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pinned_fits() {
        let sh = shell();
        for tool in ALL {
            let program = tool.program();
            let pinned = build::pinned(&sh, &program).expect(program.name);
            let version = Version::find(&pinned).expect(program.name);
            assert!(version.fits(program.least), "{}: {pinned} is pinned", program.name);
        }
    }

    #[test]
    fn every_module_is_of_a_tool() {
        let sh = shell();
        let mut modules: Vec<_> = sh.read_dir("xtask/tools").expect("a folder");
        modules.retain(|module| module.is_dir());
        let known = |module: &PathBuf| {
            let is_named = |name: &str| module.ends_with(name);
            is_named(schemas::NAME) || ALL.iter().any(|tool| is_named(tool.program().name))
        };
        assert!(modules.iter().all(known), "{modules:?}");
        assert_eq!(modules.len(), ALL.len() + 1);
    }

    #[test]
    fn every_tool_answers_with_a_fitting_version() {
        let sh = shell();
        for tool in ALL {
            let path = path(&sh, tool).unwrap_or_else(|error| panic!("{error}"));
            assert!(fits(&sh, &tool.program(), &path), "{}", path.display());
        }
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
        sh.change_dir(crate::root());
        sh
    }
}
