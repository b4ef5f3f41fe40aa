//! The registry. skopeo copies the image unchanged, so that its digest stays, and Helm pushes the chart.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use xshell::{Cmd, Shell, cmd};

use crate::image::layer::digest;
use crate::release::address::{Address, CHART};
use crate::release::chart::{self, Chart};
use crate::release::credentials::Credentials;
use crate::release::image::Image;
use crate::release::version::Version;

pub(super) struct Registry {
    pub(super) address: Address,
    pub(super) credentials: Credentials,
    pub(super) helm: PathBuf,
}

impl Registry {
    /// The image's reference if the registry has it; an error if it has another one of that version.
    pub(super) fn find_image(&self, sh: &Shell, version: Version, image: &Image) -> Result<Option<String>> {
        let reference = self.address.image(version);
        let Some(manifest) = self.manifest(sh, &reference)? else { return Ok(None) };
        let found = digest(&manifest);
        ensure!(
            found == image.digest,
            "the registry has another image as `{reference}`: {found}, not {}\nhint: release the next version",
            image.digest
        );
        Ok(Some(reference))
    }

    /// The chart's reference if the registry has it; an error if it has another one of that version.
    pub(super) fn find_chart(&self, sh: &Shell, version: Version, chart: &Chart) -> Result<Option<String>> {
        let reference = self.address.chart(version);
        if self.manifest(sh, &reference)?.is_none() {
            return Ok(None);
        }
        let folder = sh.create_temp_dir()?;
        let pulled = self.pull(sh, version, folder.path())?;
        ensure!(
            chart.is_same_as(&pulled)?,
            "the registry has another chart as `{reference}`\nhint: release the next version"
        );
        Ok(Some(reference))
    }

    pub(super) fn push_image(&self, sh: &Shell, version: Version, image: &Image) -> Result<()> {
        Ok(self.push_image_command(sh, version, image).run()?)
    }

    pub(super) fn push_chart(&self, sh: &Shell, chart: &Chart) -> Result<()> {
        Ok(self.push_chart_command(sh, chart).run()?)
    }

    /// Fails unless the tag has the digest, and everything that the digest names can be pulled and is of this version.
    pub(super) fn verify_image(
        &self,
        sh: &Shell,
        version: Version,
        image: &Image,
        folder: &Path,
    ) -> Result<()> {
        let reference = self.find_image(sh, version, image)?;
        let reference =
            reference.with_context(|| format!("the registry does not have {version} after the push"))?;
        let pulled = pulled(sh, folder)?.join("image");
        // skopeo checks every digest.
        self.pull_image_command(sh, image, &pulled).run()?;
        let config = cmd!(sh, "skopeo inspect --config oci:{pulled}").read()?;
        let config: serde_json::Value = serde_json::from_str(&config)?;
        let label = &config["config"]["Labels"]["org.opencontainers.image.version"];
        ensure!(*label == *version.to_string(), "`{reference}` has the version label {label}");
        Ok(())
    }

    /// Fails unless the registry's chart is the packaged one, and renders the image by its digest.
    pub(super) fn verify_chart(
        &self,
        sh: &Shell,
        version: Version,
        image: &Image,
        chart: &Chart,
        folder: &Path,
    ) -> Result<()> {
        let pulled = self.pull(sh, version, &pulled(sh, folder)?)?;
        ensure!(
            chart.is_same_as(&pulled)?,
            "the registry returns another chart than the one that was pushed"
        );
        let image = format!("{}@{}", self.address.repository(), image.digest);
        chart::expect_image(sh, &self.helm, &pulled, &image)
    }

    /// The commands of a release, in this order.
    pub(super) fn commands<'a>(
        &self,
        sh: &'a Shell,
        version: Version,
        image: &Image,
        chart: &Chart,
        folder: &Path,
    ) -> Vec<Cmd<'a>> {
        let pulled = folder.join("pulled");
        let helm = &self.helm;
        let archive = pulled.join(format!("{CHART}-{version}.tgz"));
        vec![
            self.manifest_command(sh, &self.address.image(version)),
            self.manifest_command(sh, &self.address.chart(version)),
            self.push_image_command(sh, version, image),
            self.push_chart_command(sh, chart),
            self.pull_image_command(sh, image, &pulled.join("image")),
            self.pull_command(sh, version, &pulled),
            cmd!(sh, "{helm} template corveil {archive}"),
        ]
    }

    fn push_image_command<'a>(&self, sh: &'a Shell, version: Version, image: &Image) -> Cmd<'a> {
        let (archive, reference) = (&image.archive, self.address.image(version));
        self.skopeo(sh, "copy", "--dest-tls-verify=false")
            .args(["--all", "--preserve-digests"])
            .arg(format!("oci-archive:{}", archive.display()))
            .arg(format!("docker://{reference}"))
    }

    fn push_chart_command<'a>(&self, sh: &'a Shell, chart: &Chart) -> Cmd<'a> {
        let charts = format!("oci://{}/charts", self.address);
        self.helm(sh, "push").arg(&chart.archive).arg(charts)
    }

    fn pull_image_command<'a>(&self, sh: &'a Shell, image: &Image, to: &Path) -> Cmd<'a> {
        self.skopeo(sh, "copy", "--src-tls-verify=false")
            .args(["--all", "--preserve-digests"])
            .arg(format!("docker://{}@{}", self.address.repository(), image.digest))
            .arg(format!("oci:{}", to.display()))
    }

    fn pull_command<'a>(&self, sh: &'a Shell, version: Version, folder: &Path) -> Cmd<'a> {
        let (chart, version) = (format!("oci://{}/charts/{CHART}", self.address), version.to_string());
        self.helm(sh, "pull").arg(chart).args(["--version", &version]).arg("--destination").arg(folder)
    }

    fn manifest_command<'a>(&self, sh: &'a Shell, reference: &str) -> Cmd<'a> {
        self.skopeo(sh, "inspect", "--tls-verify=false").arg("--raw").arg(format!("docker://{reference}"))
    }

    fn pull(&self, sh: &Shell, version: Version, folder: &Path) -> Result<PathBuf> {
        self.pull_command(sh, version, folder).run()?;
        Ok(folder.join(format!("{CHART}-{version}.tgz")))
    }

    /// The manifest in the registry; none where the registry reports that it does not exist. Any other failure is an error:
    /// the manifest may exist although it cannot be read.
    fn manifest(&self, sh: &Shell, reference: &str) -> Result<Option<Vec<u8>>> {
        let output = self.manifest_command(sh, reference).ignore_status().output()?;
        if output.status.success() {
            return Ok(Some(output.stdout));
        }
        let error = String::from_utf8_lossy(&output.stderr);
        if is_absent(&error) {
            return Ok(None);
        }
        bail!("the registry does not answer for `{reference}`: {}", error.trim())
    }

    fn skopeo<'a>(&self, sh: &'a Shell, action: &str, plain: &str) -> Cmd<'a> {
        let plain = self.address.is_local().then_some(plain);
        let credentials = self.credentials.argument();
        cmd!(sh, "skopeo {action} {credentials...} {plain...}")
    }

    fn helm<'a>(&self, sh: &'a Shell, action: &str) -> Cmd<'a> {
        let (helm, plain) = (&self.helm, self.address.is_local().then_some("--plain-http"));
        self.credentials.environment(cmd!(sh, "{helm} {action} {plain...}"))
    }
}

/// An empty folder for pulled files.
fn pulled(sh: &Shell, folder: &Path) -> Result<PathBuf> {
    let pulled = folder.join("pulled");
    sh.remove_path(&pulled)?;
    sh.create_dir(&pulled)?;
    Ok(pulled)
}

/// The two error codes of the distribution specification for a missing manifest or repository.
fn is_absent(error: &str) -> bool {
    ["manifest unknown", "name unknown"].iter().any(|code| error.contains(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_registrys_own_codes_mean_absent() {
        assert!(is_absent("reading manifest 1 in localhost:5000/a: manifest unknown: manifest unknown"));
        assert!(is_absent("name unknown: repository name not known to registry"));
        assert!(!is_absent("dial tcp 127.0.0.1:5000: connect: connection refused"));
        assert!(!is_absent("unauthorized: authentication required"));
    }
}
