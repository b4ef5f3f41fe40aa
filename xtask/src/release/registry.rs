//! The registry: skopeo copies the image as it is, so that its digest stays, and Helm pushes the chart.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Error, Result, bail, ensure};
use xshell::{Cmd, Shell, cmd};

use crate::image::layer::digest;
use crate::release::chart::{self, Chart};
use crate::release::credentials::Credentials;
use crate::release::image::Image;
use crate::release::version::Version;

/// The chart's name, which `Chart.yaml` has too.
const CHART: &str = "corveil-chart";

/// What is before the names of image and chart: `ghcr.io/corveil`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Address(String);

pub(super) struct Registry {
    pub(super) address: Address,
    pub(super) credentials: Credentials,
    pub(super) helm: PathBuf,
}

impl FromStr for Address {
    type Err = Error;

    /// With `oci://`, as on the command line and for Helm, or without, as images have it.
    fn from_str(text: &str) -> Result<Self> {
        let address = text.strip_prefix("oci://").unwrap_or(text);
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-:[]".contains(c);
        let is_sound =
            |part: &str| part.chars().all(is_plain) && part.contains(|c: char| c.is_ascii_alphanumeric());
        // Whoever writes a password into an address does not want to see it again.
        ensure!(
            address.split('/').all(is_sound) && !address.contains("://"),
            "this is no address of a registry\nhint: `oci://ghcr.io/corveil`, in lower case and without credentials"
        );
        Ok(Self(address.to_owned()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Address {
    pub(super) fn repository(&self) -> String {
        format!("{self}/corveil")
    }

    pub(super) fn image(&self, version: Version) -> String {
        format!("{self}/corveil:{version}")
    }

    pub(super) fn chart(&self, version: Version) -> String {
        format!("{self}/charts/{CHART}:{version}")
    }

    /// One on this machine has no certificate, and nobody listens on the way.
    fn is_local(&self) -> bool {
        let host = self.0.split('/').next().unwrap_or_default();
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.chars().all(|c| c.is_ascii_digit()) => name,
            _ => host,
        };
        name == "localhost" || name == "[::1]" || name.starts_with("127.")
    }
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

    /// The tag leads to the digest, and everything that the digest names can be fetched and is of this version.
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
        // Checks every digest on the way.
        self.pull_image_command(sh, image, &pulled).run()?;
        let config = cmd!(sh, "skopeo inspect --config oci:{pulled}").read()?;
        let config: serde_json::Value = serde_json::from_str(&config)?;
        let label = &config["config"]["Labels"]["org.opencontainers.image.version"];
        ensure!(*label == *version.to_string(), "`{reference}` calls itself {label}");
        Ok(())
    }

    /// It is what was packaged, and what it renders runs the image by its digest.
    pub(super) fn verify_chart(
        &self,
        sh: &Shell,
        version: Version,
        image: &Image,
        chart: &Chart,
        folder: &Path,
    ) -> Result<()> {
        let pulled = self.pull(sh, version, &pulled(sh, folder)?)?;
        ensure!(chart.is_same_as(&pulled)?, "the chart that comes back is not the one that was pushed");
        let image = format!("{}@{}", self.address.repository(), image.digest);
        chart::expect_image(sh, &self.helm, &pulled, &image)
    }

    /// What a release runs, in this order.
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
            .arg("--preserve-digests")
            .arg(format!("oci-archive:{}", archive.display()))
            .arg(format!("docker://{reference}"))
    }

    fn push_chart_command<'a>(&self, sh: &'a Shell, chart: &Chart) -> Cmd<'a> {
        let charts = format!("oci://{}/charts", self.address);
        self.helm(sh, "push").arg(&chart.archive).arg(charts)
    }

    fn pull_image_command<'a>(&self, sh: &'a Shell, image: &Image, to: &Path) -> Cmd<'a> {
        self.skopeo(sh, "copy", "--src-tls-verify=false")
            .arg("--preserve-digests")
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

    /// As the registry has it; nothing where it has none. Every other failure is one: what cannot be read may be there.
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

/// An empty folder for what comes back.
fn pulled(sh: &Shell, folder: &Path) -> Result<PathBuf> {
    let pulled = folder.join("pulled");
    sh.remove_path(&pulled)?;
    sh.create_dir(&pulled)?;
    Ok(pulled)
}

/// The two codes of the distribution specification for what is not there.
fn is_absent(error: &str) -> bool {
    ["manifest unknown", "name unknown"].iter().any(|code| error.contains(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        text.parse().expect(text)
    }

    #[test]
    fn an_address_leads_to_image_and_chart() {
        let version = "2.1.0".parse().expect("a version");
        let ghcr = address("oci://ghcr.io/corveil");
        assert_eq!(ghcr, address("ghcr.io/corveil"));
        assert_eq!(ghcr.image(version), "ghcr.io/corveil/corveil:2.1.0");
        assert_eq!(ghcr.chart(version), "ghcr.io/corveil/charts/corveil-chart:2.1.0");
    }

    #[test]
    fn an_address_has_no_credentials_and_an_error_does_not_repeat_them() {
        for wrong in
            ["", "oci://", "https://ghcr.io", "oci://user:secret@ghcr.io/a", "ghcr.io//a", "Ghcr.io/a"]
        {
            let error = wrong.parse::<Address>().expect_err(wrong).to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn only_a_registry_on_this_machine_is_spoken_to_in_plain() {
        for local in ["localhost:5000/a", "127.0.0.1:5000", "[::1]:5000/a", "localhost"] {
            assert!(address(local).is_local(), "{local}");
        }
        for remote in ["ghcr.io/localhost", "localhost.example/a", "10.0.0.1:5000/a", "127x.example"] {
            assert!(!address(remote).is_local(), "{remote}");
        }
    }

    #[test]
    fn only_what_the_registry_says_is_absent_is() {
        assert!(is_absent("reading manifest 1 in localhost:5000/a: manifest unknown: manifest unknown"));
        assert!(is_absent("name unknown: repository name not known to registry"));
        assert!(!is_absent("dial tcp 127.0.0.1:5000: connect: connection refused"));
        assert!(!is_absent("unauthorized: authentication required"));
    }
}
