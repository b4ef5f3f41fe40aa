//! Images that the end-to-end tests run in place of published ones, made from what is on this machine.
//!
//! Their programs belong to other projects and must not be published in this form. The images stay on this machine.

pub(crate) mod machine;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xshell::Shell;

use xtask::image::architecture::Architecture;
use xtask::image::archive::{self, Defaults, Image};
use xtask::image::layer::{self, Entry, Layer};
use xtask::postgres::programs;

/// The reference in the chart.
pub(crate) const POSTGRES: &str = "docker.io/library/postgres:18-bookworm";

/// The sandbox of a pod, as the configuration of the node's containerd names it.
pub(crate) const PAUSE: &str = "localhost/pause:1";

/// Where the server is in the image. It finds its other files relative to this folder.
const SERVER: &str = "/usr/lib/postgresql/18";

/// PostgreSQL 18 with `psql` and a shell. It behaves like the official image, as far as the chart uses it. The archive is
/// kept while nothing in it changes.
pub(crate) fn postgres(sh: &Shell, output: &Path) -> Result<()> {
    let bin = programs(sh, 18)?;
    let home = bin.parent().context("the folder of programs is in another")?.canonicalize()?;
    let servers = ["initdb", "pg_ctl", "postgres"].map(|name| bin.join(name));
    let clients = [machine::client("psql")?, machine::client("pg_isready")?];
    let all: Vec<PathBuf> = servers.iter().chain(&clients).cloned().collect();

    let mut entries = machine::folder(&home, SERVER)?;
    entries.extend(machine::closure(sh, &all, &home)?);
    entries.extend(machine::shell(sh)?);
    for client in clients {
        // At its real path, relative to which it finds its files.
        let path = client.to_str().context("a path in Debian's folder is UTF-8")?;
        let name = client.file_name().and_then(|name| name.to_str()).context("a program has a name")?;
        entries.push(Entry::file(path, 0o755, std::fs::read(&client)?));
        entries.push(Entry::link(&format!("/usr/bin/{name}"), path));
    }
    entries.extend([
        Entry::file("/usr/local/bin/docker-entrypoint.sh", 0o755, include_str!("stand_in/postgres.sh")),
        Entry::file("/etc/passwd", 0o644, include_str!("stand_in/etc/passwd")),
        Entry::file("/etc/group", 0o644, include_str!("stand_in/etc/group")),
        Entry::file("/etc/nsswitch.conf", 0o644, xtask::image::product::NSSWITCH),
        Entry::folder("/tmp", 0o1777),
        Entry::folder("/var/lib/postgresql", 0o1777),
        Entry::folder("/var/run/postgresql", 0o1777),
    ]);
    let mut defaults = Defaults {
        user: "999:999".to_owned(),
        entrypoint: vec!["docker-entrypoint.sh".to_owned()],
        cmd: vec!["postgres".to_owned()],
        working_dir: "/".to_owned(),
        // A fast shutdown, which ends sessions. With a SIGTERM the server would wait for them.
        stop_signal: "SIGINT".to_owned(),
        ..Defaults::default()
    };
    defaults.set_env("PATH", &format!("/usr/local/bin:{SERVER}/bin:/usr/bin:/bin"));
    defaults.set_env("PGDATA", "/var/lib/postgresql/18/docker");

    write_unless_there(POSTGRES, defaults, &layer::pack(entries)?, output)
}

/// Writes an image of one layer, unless the archive has it already. That saves compressing, which takes most of the time.
fn write_unless_there(reference: &str, defaults: Defaults, tar: &[u8], output: &Path) -> Result<()> {
    let is_current = |there: Image| {
        let [layer] = &*there.layers else { return false };
        there.reference == reference && there.defaults == defaults && layer.diff_id == layer::digest(tar)
    };
    if !archive::read(output).is_ok_and(is_current) {
        let image = Image {
            reference: reference.to_owned(),
            architecture: Architecture::native()?,
            defaults,
            layers: vec![Layer::compress(tar)?],
        };
        archive::write(&image, output)?;
    }
    Ok(())
}

/// The same programs with the volume's layout and the environment variables of chart 1.0.0. `base` is what [`postgres`]
/// wrote.
pub(crate) fn bitnami(base: &Path, reference: &str, output: &Path) -> Result<()> {
    const ENTRYPOINT: &str = "/opt/bitnami/scripts/postgresql/entrypoint.sh";
    const SETTINGS: &str = "/opt/bitnami/postgresql/conf";
    let setting = |name: &str, text: &str| Entry::file(&format!("{SETTINGS}/{name}"), 0o644, text);
    let mut image = archive::read(base)?;
    image.layers.push(Layer::new(vec![
        Entry::file(ENTRYPOINT, 0o755, include_str!("stand_in/bitnami.sh")),
        setting("postgresql.conf", include_str!("stand_in/conf/postgresql.conf")),
        setting("pg_hba.conf", include_str!("stand_in/conf/pg_hba.conf")),
        Entry::folder("/bitnami/postgresql", 0o755).owned_by(1001),
    ])?);
    "1001:1001".clone_into(&mut image.defaults.user);
    image.defaults.entrypoint = vec![ENTRYPOINT.to_owned()];
    image.defaults.cmd = Vec::new();
    image.defaults.stop_signal = String::new();
    image.defaults.set_env("PGDATA", "/bitnami/postgresql/data");
    reference.clone_into(&mut image.reference);
    archive::write(&image, output)?;
    Ok(())
}

/// A process that does nothing, to hold the namespaces of a pod.
pub(crate) fn pause(sh: &Shell, output: &Path) -> Result<()> {
    let busybox = std::fs::read(machine::busybox(sh)?)?;
    let layer = Layer::new(vec![Entry::file("/bin/busybox", 0o755, busybox)])?;
    let mut defaults = Defaults {
        // The longest time that fits.
        cmd: ["/bin/busybox", "sleep", "2147483647"].map(str::to_owned).into(),
        working_dir: "/".to_owned(),
        user: "65535:65535".to_owned(),
        ..Defaults::default()
    };
    defaults.set_env("PATH", "/bin");
    let architecture = Architecture::native()?;
    let image = Image { reference: PAUSE.to_owned(), architecture, defaults, layers: vec![layer] };
    archive::write(&image, output)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn tar(text: &str) -> Vec<u8> {
        layer::pack(vec![Entry::file("/a", 0o644, text)]).expect("a tar")
    }

    #[test]
    fn an_image_is_made_again_once_anything_in_it_changed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("image.tar");
        let defaults = |user: &str| Defaults { user: user.to_owned(), ..Defaults::default() };
        let is_made = |reference, user, text| {
            let inode = || fs::metadata(&path).map(|made| made.ino()).ok();
            // Keeps the old file's inode in use, so that a file in its place gets another one.
            let held = fs::File::open(&path).ok();
            let before = inode();
            write_unless_there(reference, defaults(user), &tar(text), &path).expect("an archive");
            drop(held);
            inode() != before
        };
        assert!(is_made("localhost/a:1", "1", "1"));
        assert!(!is_made("localhost/a:1", "1", "1"));
        assert!(is_made("localhost/a:1", "1", "2"));
        assert!(is_made("localhost/a:1", "2", "2"));
        assert!(is_made("localhost/a:2", "2", "2"));
        fs::write(&path, "").expect("half an archive");
        assert!(is_made("localhost/a:2", "2", "2"));
    }

    #[test]
    fn the_older_server_is_a_layer_on_the_same_programs() {
        let folder = tempfile::tempdir().expect("a folder");
        let [base, derived] = ["base", "derived"].map(|name| folder.path().join(name));
        let defaults = Defaults { stop_signal: "SIGINT".to_owned(), ..Defaults::default() };
        write_unless_there(POSTGRES, defaults, &tar("1"), &base).expect("an archive");
        bitnami(&base, "docker.io/bitnami/postgresql:18", &derived).expect("an archive");
        let [base, derived] = [base, derived].map(|path| archive::read(&path).expect("an image"));
        assert_eq!(derived.reference, "docker.io/bitnami/postgresql:18");
        assert_eq!(derived.layers[0].digest, base.layers[0].digest);
        assert_eq!(&*derived.defaults.user, "1001:1001");
        assert_eq!(derived.defaults.stop_signal, "");
        let entries = derived.layers[1].entries().expect("a layer");
        let [entrypoint] = &*derived.defaults.entrypoint else { panic!("an entrypoint") };
        assert!(entries.iter().any(|entry| format!("/{}", entry.path) == *entrypoint));
    }
}
