//! The files in the product's image next to the program, and how it runs.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::image::architecture::Architecture;
use crate::image::archive::{Defaults, Exposed, Image};
use crate::image::layer::{Entry, Layer};
use crate::project::released;

/// Where TLS libraries read the certificates, on Debian as in the image.
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Debian's certificates one by one. The bundle of a machine may have more of them, such as that of a company's proxy.
pub const DEBIAN: &str = "/usr/share/ca-certificates/mozilla";

/// Bundles of machines that are not Debian.
const BUNDLES: [&str; 2] = ["/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/etc/ssl/cert.pem"];

/// Resolves names from `/etc/hosts`, then by DNS.
pub const NSSWITCH: &str = include_str!("etc/nsswitch.conf");

/// The image around this program.
pub fn image(architecture: Architecture, program: Vec<u8>, certificates: Vec<u8>) -> Result<Image> {
    let layer = Layer::new(vec![
        Entry::file("/usr/bin/corveil", 0o755, program),
        Entry::file(CERTIFICATES, 0o644, certificates),
        Entry::file("/etc/passwd", 0o644, include_str!("etc/passwd")),
        Entry::file("/etc/group", 0o644, include_str!("etc/group")),
        Entry::file("/etc/nsswitch.conf", 0o644, NSSWITCH),
        Entry::folder("/tmp", 0o1777),
    ])?;
    let reference = format!("{}:{}", released::current().repository(), released::version());
    Ok(Image { reference, architecture, defaults: defaults(), layers: vec![layer] })
}

/// How the image runs. The version label is that of the workspace. A commit in it would make every build another image.
fn defaults() -> Defaults {
    let label = |name: &str, value: &str| (format!("org.opencontainers.image.{name}"), value.to_owned());
    Defaults {
        user: "1000:1000".to_owned(),
        exposed_ports: [("8000/tcp".to_owned(), Exposed {})].into(),
        env: vec!["PATH=/usr/bin".to_owned()],
        cmd: vec!["corveil".to_owned(), "serve".to_owned()],
        working_dir: "/".to_owned(),
        labels: [
            label("title", "corveil"),
            label(
                "description",
                "Schema migrations that gate rollouts, the same way under Helm, Helmfile and Argo CD",
            ),
            label("version", released::version()),
            label("licenses", env!("CARGO_PKG_LICENSE")),
            label("source", env!("CARGO_PKG_REPOSITORY")),
        ]
        .into(),
        ..Defaults::default()
    }
}

/// The public certificate authorities that this machine trusts.
pub fn certificates() -> Result<Vec<u8>> {
    let single = fs::read_dir(DEBIAN).into_iter().flatten().flatten();
    let mut paths: Vec<_> = single.map(|entry| entry.path()).collect();
    paths.sort();
    if paths.is_empty() {
        paths.extend(BUNDLES.iter().map(Path::new).find(|path| path.exists()).map(Path::to_owned));
    }
    if paths.is_empty() {
        bail!("no CA certificates on this machine\nhint: `apt-get install ca-certificates`");
    }
    let mut bundle = Vec::new();
    for path in paths {
        bundle.extend(fs::read(&path).with_context(|| format!("read {}", path.display()))?);
        if !bundle.ends_with(b"\n") {
            bundle.push(b'\n');
        }
    }
    Ok(bundle)
}
