//! Installs other migration tools at pinned versions. The tests adopt histories that these tools wrote themselves.
//!
//! Those in Go are among the tools. Each of the others has a folder in `xtask/migrators` that pins it, or a version here.
//! dbmate and Active Record are not installed: the tests create their tables from their documentation.

use std::io::{Write, stderr};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

use crate::project::cache;
use crate::project::cargo::cargo;
use crate::project::packages::{install, missing};
use crate::tools;

/// Where the tests find the tools, within the checkout: links into the cache.
const LINKS: &str = "target/tools/migrators";

/// A program that Cargo builds.
struct Crate {
    package: &'static str,
    features: &'static str,
    program: &'static str,
}

const CRATES: [Crate; 3] = [
    Crate { package: "diesel_cli@2.3.14", features: "postgres", program: "diesel" },
    Crate { package: "refinery_cli@0.10.0", features: "postgresql", program: "refinery" },
    // Reads the history that Corveil writes, over plain TCP.
    Crate { package: "sqlx-cli@0.9.0", features: "postgres", program: "sqlx" },
];

/// Installs the missing tools, and links all of them to where the tests find them.
pub(crate) fn ensure(sh: &Shell) -> Result<()> {
    packages(sh)?;
    let go = tools::ensure(sh, &tools::MIGRATORS)?;
    let names = tools::MIGRATORS.iter().map(|tool| tool.name());
    let mut links: Vec<_> = names.zip(go).collect();
    let built = crates(sh)?;
    links.extend(CRATES.iter().map(|each| (each.program, built.join("bin").join(each.program))));
    links.push(("alembic", installed(sh, "alembic", alembic)?));
    links.push(("java", installed(sh, "java", java)?));
    links.push(("prisma", installed(sh, "prisma", prisma)?));
    sh.create_dir(LINKS)?;
    for (name, path) in links {
        let link = sh.current_dir().join(LINKS).join(name);
        sh.remove_path(&link)?;
        std::os::unix::fs::symlink(&path, &link).with_context(|| format!("link {}", link.display()))?;
    }
    Ok(())
}

/// Installs what the tools are installed with and run on. Diesel's program links to `libpq`.
fn packages(sh: &Shell) -> Result<()> {
    let mut missing = missing(&[("mvn", "maven"), ("javac", "default-jdk-headless"), ("npm", "npm")]);
    let answers = |program: &str, argument: &[&str]| {
        let ask = cmd!(sh, "{program} {argument...}").quiet().ignore_stdout().ignore_stderr();
        ask.run().is_ok()
    };
    if !answers("python3", &["-m", "pip", "--version"]) {
        missing.push("python3-pip");
    }
    if !answers("pg_config", &["--includedir"]) {
        missing.push("libpq-dev");
    }
    install(
        sh,
        &missing,
        "the tests run other tools that migrate databases, which need `mvn`, `javac`, `npm`, `python3` with pip, and libpq\n\
         hint: `dnf install maven java-devel npm python3-pip libpq-devel`, or `brew install maven openjdk node python libpq`",
    )
}

/// Cargo builds all crates in one folder, so that they share dependencies. They are not optimized: that takes half the time,
/// and they only run for a moment.
fn crates(sh: &Shell) -> Result<PathBuf> {
    let how: String = CRATES.iter().flat_map(|each| [each.package, each.features]).collect();
    timed(sh, &cache::key(sh, "crates", &how, [])?, |partial| {
        let (whole, build) = (partial.join("whole"), partial.join("build"));
        for Crate { package, features, .. } in &CRATES {
            cargo(sh, &["install", "--quiet", "--locked", "--debug", "--no-default-features"])
                .args(["--features", features, package])
                .arg("--root")
                .arg(&whole)
                .arg("--target-dir")
                .arg(&build)
                .env("CARGO_PROFILE_DEV_DEBUG", "0")
                .quiet()
                .run()?;
        }
        Ok(whole)
    })
}

/// Installs Python packages into a folder for `PYTHONPATH`.
fn alembic(sh: &Shell, pins: &Path, whole: &Path) -> Result<()> {
    let requirements = pins.join("requirements.txt");
    // Only the listed packages, so that every version is pinned.
    let flags = ["--quiet", "--disable-pip-version-check", "--root-user-action=ignore", "--no-deps"];
    cmd!(sh, "python3 -m pip install {flags...} --target {whole} --requirement {requirements}")
        .quiet()
        .run()?;
    Ok(())
}

/// Installs Flyway and Liquibase into a folder for the class path.
fn java(sh: &Shell, pins: &Path, whole: &Path) -> Result<()> {
    let (pom, source) = (pins.join("pom.xml"), pins.join("Migrate.java"));
    let copy = "org.apache.maven.plugins:maven-dependency-plugin:3.11.0:copy-dependencies";
    cmd!(sh, "mvn --quiet --batch-mode --file {pom} {copy} -DoutputDirectory={whole}").quiet().run()?;
    cmd!(sh, "javac -cp {whole}/* -d {whole} {source}").quiet().run()?;
    Ok(())
}

/// Installs Prisma's engine, and the script that calls it.
fn prisma(sh: &Shell, pins: &Path, whole: &Path) -> Result<()> {
    for file in ["package.json", "package-lock.json", "deploy.mjs"] {
        sh.copy_file(pins.join(file), whole)?;
    }
    cmd!(sh, "npm --prefix {whole} ci --silent --ignore-scripts --no-audit --no-fund").quiet().run()?;
    Ok(())
}

/// What the folder in `xtask/migrators` pins, in the cache, under a name that changes with the folder's contents.
fn installed(
    sh: &Shell,
    name: &str,
    install: impl FnOnce(&Shell, &Path, &Path) -> Result<()>,
) -> Result<PathBuf> {
    let pins = crate::project::root().join("xtask/migrators").join(name);
    let key = cache::key(sh, name, "", sh.read_dir(&pins)?)?;
    timed(sh, &key, |partial| {
        let whole = partial.join("whole");
        sh.create_dir(&whole)?;
        install(sh, &pins, &whole)?;
        Ok(whole)
    })
}

fn timed(sh: &Shell, key: &str, make: impl FnOnce(&Path) -> Result<PathBuf>) -> Result<PathBuf> {
    cache::folder(sh, key, |partial| {
        let start = Instant::now();
        writeln!(stderr(), "{key}: installing")?;
        let whole = make(partial).with_context(|| format!("{key} cannot be installed"))?;
        writeln!(stderr(), "{key}: installed in {} s", start.elapsed().as_secs())?;
        Ok(whole)
    })
}
