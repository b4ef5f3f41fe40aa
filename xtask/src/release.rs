//! `cargo xtask release`: makes a release from a clean working tree. Its image, chart, manifests and Helmfile name one
//! another.
//!
//! Everything is written and built in a copy of the checkout. Only the last step changes the checkout, and only the steps
//! that push change the registry. A release that ends early can be run again.

mod address;
mod changelog;
mod chart;
mod checkout;
mod copy;
mod credentials;
mod image;
mod migrations;
mod places;
mod registry;
mod sbom;
mod steps;
mod version;

use std::fs::File;
use std::io::{Write, stdout};
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use xshell::{Shell, cmd};

use crate::generate;
use crate::project::cargo::{by_hand, xtask};
use crate::project::packages::{install, itself, missing};
use crate::project::released;
use crate::release::chart::Chart;
use crate::release::checkout::Start;
use crate::release::copy::Copy;
use crate::release::credentials::Credentials;
use crate::release::image::Image;
use crate::release::registry::Registry;
use crate::release::steps::{Reached, Steps};
use crate::release::version::Version;
use crate::tools::{self, Tool};

/// The folder of the release's files, and of the copy of the checkout in which they are made.
const FOLDER: &str = "target/publish";

/// The check of a change, and then all scenarios on a cluster: the check of a change runs only their core.
const CHECKS: [&str; 2] = [".ci/run", "cargo xtask e2e"];

#[derive(clap::Args)]
pub struct Args {
    /// Release this version, such as `2.1.0`; it is greater than that of the checkout, or equal for the first release
    version: Version,
    /// Show every change and every command, and change neither the checkout nor the registry
    #[arg(long)]
    dry_run: bool,
    /// Push image and chart to this registry from now on, such as `oci://ghcr.io/corveil`; the default is that of the
    /// previous release
    #[arg(long, value_name = "OCI")]
    registry: Option<String>,
    /// Run this command in the checkout first, split at spaces and without a shell; it has to succeed; can be given several
    /// times
    #[arg(long, value_name = "COMMAND", default_values = CHECKS)]
    check: Vec<String>,
}

pub fn run(sh: &Shell, args: &Args) -> Result<()> {
    let folder = crate::project::root().join(FOLDER);
    sh.create_dir(&folder)?;
    let lock = File::create(folder.join("lock"))?;
    ensure!(lock.try_lock().is_ok(), "another release runs in this checkout\nhint: wait for it to end");
    packages(sh)?;
    let programs = tools::ensure(sh, &[Tool::Helm4])?;
    let helm = programs.first().context("Helm is one program")?.clone();
    // Parsed here and not by clap, whose error would repeat the argument, which may have a password.
    let address = args.registry.as_ref().unwrap_or(&released::current().registry).parse()?;
    let credentials = Credentials::find(&folder)?;
    let registry = Registry { address, credentials, helm };
    let mut reached = Reached::default();
    let release = Release { version: args.version, args, registry, folder };
    let Err(error) = release.make(sh, &mut reached) else { return Ok(()) };
    bail!("{error:#}\nthe checkout is as it was; {reached}")
}

/// Installs the programs that a release needs.
pub(crate) fn packages(sh: &Shell) -> Result<()> {
    install(
        sh,
        &missing(&["git", "skopeo"].map(itself)),
        "a release needs `git` and `skopeo`\nhint: `dnf install git skopeo`, or `brew install git skopeo`",
    )
}

struct Release<'a> {
    version: Version,
    args: &'a Args,
    registry: Registry,
    folder: PathBuf,
}

impl Release<'_> {
    fn make(&self, sh: &Shell, reached: &mut Reached) -> Result<()> {
        let Self { version, args, registry, folder } = self;
        let mut steps = Steps::default();
        let start = steps.step("inspect the checkout", || checkout::inspect(sh, *version, args.dry_run))?;
        self.check(sh, &start, &mut steps)?;

        let copy = steps.step("copy the checkout", || Copy::of(sh, &folder.join("tree"), start.commit()))?;
        match start {
            Start::New { .. } => {
                steps.step("write the version and the changelog", || self.write_version(&copy))?;
            }
            Start::Tagged { .. } => {
                steps.skip("write the version and the changelog", "they are in the tag")?;
            }
        }
        let made = folder.join(version.to_string());
        sh.create_dir(&made)?;
        let image = steps.step("build the image and the programs", || {
            let image = Image::build(&copy, &made)?;
            Image::write_programs(&copy, &made, *version)?;
            Ok(image)
        })?;
        steps.step("list the contents of the image", || {
            let file = made.join(format!("corveil-{version}.cdx.json"));
            sbom::write(&copy, &image, &registry.address.image(*version), &file)
        })?;
        let chart = steps.step("write the digest and package the chart", || {
            self.write_digest(&copy, &start, &image)?;
            Chart::package(&copy, &registry.helm, &made, *version)
        })?;
        if args.dry_run {
            return self.print_remaining(sh, &copy, &start, &image, &chart);
        }

        steps.step("check what the registry has", || {
            reached.image = registry.find_image(sh, *version, &image)?;
            reached.chart = registry.find_chart(sh, *version, &chart)?;
            Ok(())
        })?;
        match reached.image {
            Some(_) => steps.skip("push the image", "the registry has it")?,
            None => steps.step("push the image", || {
                let name = registry.address.image(*version);
                reached.image = Some(reached.push(name, || registry.push_image(sh, *version, &image))?);
                Ok(())
            })?,
        }
        match reached.chart {
            Some(_) => steps.skip("push the chart", "the registry has it")?,
            None => steps.step("push the chart", || {
                let name = registry.address.chart(*version);
                reached.chart = Some(reached.push(name, || registry.push_chart(sh, &chart))?);
                Ok(())
            })?,
        }
        steps.step("pull both and render the chart", || {
            registry.verify_image(sh, *version, &image, folder)?;
            registry.verify_chart(sh, *version, &image, &chart, folder)
        })?;
        steps.step("commit and tag", || match &start {
            Start::New { commit } => checkout::finish(sh, &copy, *version, commit),
            Start::Tagged { .. } => Ok(()),
        })?;
        self.print_next_steps(sh, &image)
    }

    /// Checks whether the version can be released. A tagged version has passed already.
    fn check(&self, sh: &Shell, start: &Start, steps: &mut Steps) -> Result<()> {
        if let Start::Tagged { .. } = start {
            steps.skip(
                "check the changelog, the migrations and the generated files",
                "the version is released already",
            )?;
            return steps.skip("run the checks", "the version is released already");
        }
        steps.step("check the changelog, the migrations and the generated files", || {
            let text = sh.read_file(crate::project::root().join(changelog::FILE))?;
            changelog::unreleased(&text)?;
            migrations::expect_kept(sh)?;
            generate::check(sh)
        })?;
        if self.args.dry_run {
            return steps
                .skip("run the checks", &format!("not in a dry run: $ {}", self.args.check.join(" && ")));
        }
        steps.step("run the checks", || self.args.check.iter().try_for_each(|check| pass(sh, check)))
    }

    fn write_version(&self, copy: &Copy) -> Result<()> {
        let (root, version) = (copy.root(), self.version.to_string());
        let (before, old) = (released::read(root)?, released::version_of(root)?);
        let registry = self.registry.address.to_string();
        places::write(
            root,
            places::Names { version: &old, registry: &before.registry },
            places::Names { version: &version, registry: &registry },
        )?;
        let text = copy.read(changelog::FILE)?;
        let changes = changelog::unreleased(&text)?;
        let day = cmd!(copy.shell(), "date --utc +%F").read()?;
        copy.write(changelog::FILE, &changelog::roll(&text, self.version, &day)?)?;
        copy.write(chart::MANIFEST, &changelog::into_chart(&copy.read(chart::MANIFEST)?, &changes)?)?;
        // No file names an image until this version has one.
        self.write_image(copy, "")
    }

    /// Writes the digest into the files that name the image. A tagged version has to have it already.
    fn write_digest(&self, copy: &Copy, start: &Start, image: &Image) -> Result<()> {
        match start {
            Start::New { .. } => self.write_image(copy, &image.digest),
            Start::Tagged { commit } => {
                let named = released::read(copy.root())?.digest;
                ensure!(
                    named == image.digest,
                    "{commit} names the image {named}, and building it gave {}\n\
                     hint: use the versions of Rust, the C library and the certificates that it was built with",
                    image.digest
                );
                let there = released::read(copy.root())?.registry;
                ensure!(
                    there == self.registry.address.to_string(),
                    "{} was released in `oci://{there}`\nhint: leave out `--registry`",
                    self.version
                );
                Ok(())
            }
        }
    }

    fn write_image(&self, copy: &Copy, digest: &str) -> Result<()> {
        let image =
            released::Released { registry: self.registry.address.to_string(), digest: digest.to_owned() };
        copy.write(released::FILE, &image.in_text(&copy.read(released::FILE)?)?)?;
        let reference = image.image(&self.version.to_string());
        copy.write(chart::MANIFEST, &chart::with_image(&copy.read(chart::MANIFEST)?, &reference)?)?;
        xtask(copy.shell(), &["gen"])?.run()?;
        Ok(())
    }

    /// Prints the end of a dry run: the changes in the copy, and the commands that were not run.
    fn print_remaining(
        &self,
        sh: &Shell,
        copy: &Copy,
        start: &Start,
        image: &Image,
        chart: &Chart,
    ) -> Result<()> {
        let mut out = stdout().lock();
        writeln!(out, "{}", copy.diff()?)?;
        writeln!(out, "A release would now run:")?;
        for command in self.registry.commands(sh, self.version, image, chart, &self.folder) {
            writeln!(out, "$ {command}")?;
        }
        if let Start::New { .. } = start {
            for command in checkout::commands(sh, copy, self.version) {
                writeln!(out, "$ {command}")?;
            }
        }
        writeln!(out, "Nothing was changed.")?;
        Ok(())
    }

    fn print_next_steps(&self, sh: &Shell, image: &Image) -> Result<()> {
        let Self { version, registry, .. } = self;
        let (address, tag) = (&registry.address, version.tag());
        let branch = checkout::branch(sh)?;
        let notes = self.folder.join(version.to_string()).join("notes.md");
        let text = sh.read_file(crate::project::root().join(changelog::FILE))?;
        let text = changelog::of(&text, *version).context("the changelog has the version")?;
        sh.write_file(&notes, text)?;
        writeln!(
            stdout(),
            "corveil {version} is released:\n\
             \x20 image  {}@{}\n\
             \x20 chart  {}\n\
             \x20 notes  {}, and next to it the programs\n\
             next:\n\
             \x20 git push origin {branch} {tag}\n\
             \x20 kubectl apply --filename argocd/application.yaml && argocd app sync corveil\n\
             \x20 helmfile --environment production apply\n\
             \x20 helm upgrade corveil oci://{address}/charts/corveil-chart --version {version} --values …",
            address.repository(),
            image.digest,
            address.chart(*version),
            notes.display(),
        )?;
        Ok(())
    }
}

/// Runs one of the checks.
fn pass(sh: &Shell, check: &str) -> Result<()> {
    let words: Vec<_> = check.split_whitespace().collect();
    let (program, arguments) = words.split_first().context("`--check` names no command")?;
    let passed = by_hand(cmd!(sh, "{program} {arguments...}")).run();
    passed.with_context(|| format!("`{check}` has to succeed before a release"))
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, Command};

    use super::*;

    #[test]
    fn a_release_runs_every_scenario_by_default() {
        let checks = |arguments: &[&str]| {
            let command = Args::augment_args(Command::new("release"));
            let parsed = command.get_matches_from([&["release", "9.9.9"], arguments].concat());
            parsed.get_many::<String>("check").into_iter().flatten().cloned().collect::<Vec<_>>()
        };
        assert_eq!(checks(&[]), [".ci/run", "cargo xtask e2e"]);
        assert_eq!(checks(&["--check", "git status"]), ["git status"]);
    }
}
