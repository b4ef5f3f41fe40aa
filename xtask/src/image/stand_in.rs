//! Images that the end-to-end tests run in place of published ones, made from what is on this machine.
//!
//! They are made of programs that are not ours to publish in this form. They stay where they were made.

pub(crate) mod machine;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xshell::Shell;

use crate::image::archive::{self, Defaults, Image};
use crate::image::layer::{self, Entry, Layer};
use crate::postgres::programs;

/// As the chart has it.
pub(crate) const POSTGRES: &str = "docker.io/library/postgres:18-bookworm";

/// The sandbox of a pod, as the node's containerd is told.
pub(crate) const PAUSE: &str = "localhost/pause:1";

/// Where the server is in the image. It finds its other files from there.
const SERVER: &str = "/usr/lib/postgresql/18";

/// PostgreSQL 18 with `psql` and a shell, behaving as the official image as far as the chart asks. Kept while nothing in it
/// changes.
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
        // At its true path, from where it finds its own files.
        let path = client.to_str().context("a path in Debian's folder is UTF-8")?;
        let name = client.file_name().and_then(|name| name.to_str()).context("a program has a name")?;
        entries.push(Entry::file(path, 0o755, std::fs::read(&client)?));
        entries.push(Entry::link(&format!("/usr/bin/{name}"), path));
    }
    entries.extend([
        Entry::file("/usr/local/bin/docker-entrypoint.sh", 0o755, include_str!("stand_in/postgres.sh")),
        Entry::file("/etc/passwd", 0o644, include_str!("stand_in/etc/passwd")),
        Entry::file("/etc/group", 0o644, include_str!("stand_in/etc/group")),
        Entry::file("/etc/nsswitch.conf", 0o644, include_str!("etc/nsswitch.conf")),
        Entry::folder("/tmp", 0o1777),
        Entry::folder("/var/lib/postgresql", 0o1777),
        Entry::folder("/var/run/postgresql", 0o1777),
    ]);
    let mut defaults = Defaults {
        user: "999:999".to_owned(),
        entrypoint: vec!["docker-entrypoint.sh".to_owned()],
        cmd: vec!["postgres".to_owned()],
        working_dir: "/".to_owned(),
        // Ends sessions; with a SIGTERM the server would wait for them.
        stop_signal: "SIGINT".to_owned(),
        ..Defaults::default()
    };
    defaults.set_env("PATH", &format!("/usr/local/bin:{SERVER}/bin:/usr/bin:/bin"));
    defaults.set_env("PGDATA", "/var/lib/postgresql/18/docker");

    let tar = layer::pack(entries)?;
    // Compressing takes most of the time, and is the only part that an image which is there already spares.
    let there = archive::read(output).ok();
    let is_current = |there: Image| {
        let [layer] = &*there.layers else { return false };
        there.reference == POSTGRES && there.defaults == defaults && layer.diff_id == layer::digest(&tar)
    };
    if !there.is_some_and(is_current) {
        let image = Image { reference: POSTGRES.to_owned(), defaults, layers: vec![Layer::compress(&tar)?] };
        archive::write(&image, output)?;
    }
    Ok(())
}

/// The same programs with the volume's layout and the variables that chart 1.0.0 used. `base` is what [`postgres`] wrote.
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
        // The longest that fits.
        cmd: ["/bin/busybox", "sleep", "2147483647"].map(str::to_owned).into(),
        working_dir: "/".to_owned(),
        user: "65535:65535".to_owned(),
        ..Defaults::default()
    };
    defaults.set_env("PATH", "/bin");
    archive::write(&Image { reference: PAUSE.to_owned(), defaults, layers: vec![layer] }, output)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn shell() -> Shell {
        let sh = Shell::new().expect("a working folder");
        sh.change_dir(crate::root());
        sh
    }

    fn paths(layer: &Layer) -> Vec<String> {
        layer.entries().expect("a layer").into_iter().map(|entry| entry.path).collect()
    }

    #[test]
    fn postgres_has_what_the_chart_asks_of_it_and_is_made_once() {
        let path = crate::root().join("target/image/postgres.tar");
        postgres(&shell(), &path).unwrap_or_else(|error| panic!("{error:#}"));
        let made = fs::metadata(&path).and_then(|made| made.modified()).expect("an archive");
        let image = archive::read(&path).expect("an image");
        let paths = paths(&image.layers[0]);
        for wanted in ["bin/sh", "usr/bin/psql", "usr/bin/pg_isready", "usr/lib/postgresql/18/bin/initdb"] {
            assert!(paths.iter().any(|path| path == wanted), "no {wanted}");
        }
        postgres(&shell(), &path).unwrap_or_else(|error| panic!("{error:#}"));
        assert_eq!(fs::metadata(&path).and_then(|again| again.modified()).expect("an archive"), made);

        let other = crate::root().join("target/image/bitnami.tar");
        bitnami(&path, "docker.io/bitnami/postgresql:18", &other).expect("an archive");
        let other = archive::read(&other).expect("an image");
        assert_eq!(other.layers[0].digest, image.layers[0].digest);
        assert_eq!(other.defaults.user, "1001:1001");
    }

    #[test]
    fn pause_is_one_file() {
        let path = crate::root().join("target/image/pause.tar");
        pause(&shell(), &path).unwrap_or_else(|error| panic!("{error:#}"));
        let image = archive::read(&path).expect("an image");
        let paths = paths(&image.layers[0]);
        assert_eq!((&*image.reference, &*paths), (PAUSE, &["bin".to_owned(), "bin/busybox".to_owned()][..]));
    }
}
