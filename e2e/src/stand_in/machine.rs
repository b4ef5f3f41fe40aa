//! Programs of this machine, with the files that they need to run in an otherwise empty image.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use xshell::{Shell, cmd};

use xtask::image::layer::Entry;

/// The packages of the programs.
pub(crate) const BUSYBOX: &str = "busybox-static";
pub(crate) const CLIENT: &str = "postgresql-client";

/// Debian's programs of each major version.
const MAJORS: &str = "/usr/lib/postgresql";

/// A shell and small programs in one file. It must be linked statically: the sandbox has no libraries.
pub(crate) fn busybox(sh: &Shell) -> Result<PathBuf> {
    let path = ["/bin/busybox", "/usr/bin/busybox"].iter().map(PathBuf::from).find(|path| path.exists());
    let path = path.with_context(|| format!("no `busybox`\nhint: `apt-get install {BUSYBOX}`"))?;
    if !libraries(sh, &path)?.is_empty() {
        bail!("{} needs libraries\nhint: `apt-get install {BUSYBOX}`", path.display());
    }
    Ok(path)
}

/// `BusyBox`, with a link for each of its programs.
pub(crate) fn shell(sh: &Shell) -> Result<Vec<Entry>> {
    let path = busybox(sh)?;
    let mut entries = vec![Entry::file("/bin/busybox", 0o755, fs::read(&path)?)];
    for name in cmd!(sh, "{path} --list").quiet().read()?.lines().filter(|name| *name != "busybox") {
        entries.push(Entry::link(&format!("/bin/{name}"), "busybox"));
    }
    Ok(entries)
}

/// A program of the newest PostgreSQL client that Debian installed. The one on the PATH is a script that searches for it.
pub(crate) fn client(name: &str) -> Result<PathBuf> {
    let versions = fs::read_dir(MAJORS).into_iter().flatten().flatten();
    let paths = versions.filter_map(|version| {
        let major: u32 = version.file_name().to_str()?.parse().ok()?;
        Some((major, version.path().join("bin").join(name)))
    });
    let newest = paths.filter(|(_, path)| path.exists()).max();
    let (_, path) = newest
        .with_context(|| format!("no `{name}` in `{MAJORS}/*/bin`\nhint: `apt-get install {CLIENT}`"))?;
    Ok(path)
}

/// Everything in the folder, as entries below `to` in the image.
pub(crate) fn folder(from: &Path, to: &str) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(from).with_context(|| format!("read {}", from.display()))? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let to = format!("{to}/{}", name.with_context(|| format!("{}: not UTF-8", path.display()))?);
        let metadata = path.symlink_metadata()?;
        if metadata.is_dir() {
            entries.push(Entry::folder(&to, 0o755));
            entries.extend(folder(&path, &to)?);
        } else if metadata.is_symlink() {
            let target = fs::read_link(&path)?;
            entries.push(Entry::link(&to, target.to_str().context("a link to what is not UTF-8")?));
        } else {
            // Not the mode itself, which depends on the umask of the process that unpacked it.
            let mode = if metadata.permissions().mode() & 0o100 == 0 { 0o644 } else { 0o755 };
            entries.push(Entry::file(&to, mode, fs::read(&path)?));
        }
    }
    Ok(entries)
}

/// The loader and the libraries of these programs, at the paths where the programs expect them. Libraries in the program's
/// folder `own` are left out.
pub(crate) fn closure(sh: &Shell, programs: &[PathBuf], own: &Path) -> Result<Vec<Entry>> {
    let mut paths = BTreeMap::new();
    for program in programs {
        for library in libraries(sh, program)? {
            // `bin/../lib` is in the folder too.
            let real = library.canonicalize().with_context(|| format!("find {}", library.display()))?;
            if !real.starts_with(own) {
                paths.insert(library, real);
            }
        }
    }
    let entry = |(path, real): (PathBuf, PathBuf)| {
        let path = path.to_str().context("a library whose path is not UTF-8")?;
        Ok(Entry::file(path, 0o755, fs::read(real)?))
    };
    paths.into_iter().map(entry).collect()
}

/// The libraries of a program and its loader; none where it is linked statically.
fn libraries(sh: &Shell, program: &Path) -> Result<Vec<PathBuf>> {
    let output = cmd!(sh, "ldd {program}").env("LC_ALL", "C").quiet().ignore_status().output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        if error.contains("not a dynamic executable") {
            return Ok(Vec::new());
        }
        bail!("`ldd {}`: {}", program.display(), error.trim());
    }
    parse(&text).with_context(|| format!("`ldd {}`", program.display()))
}

/// Reads `name => /path (0x…)` and `/path (0x…)`. The kernel's library has no path.
fn parse(text: &str) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some((name, "not found")) = line.split_once(" => ") {
            bail!("`{name}` is missing");
        }
        let path = line.split_once(" => ").map_or(line, |(_, path)| path);
        if let Some((path, _)) = path.split_once(" (0x").filter(|(path, _)| path.starts_with('/')) {
            paths.push(PathBuf::from(path));
        }
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_output_of_ldd() {
        let text = "\tlinux-vdso.so.1 (0x00007f22b5da1000)\n\
                    \tlibz.so.1 => /opt/a/bin/../lib/libz.so.1 (0x00007f22b4e00000)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f22b5da3000)\n";
        let paths = ["/opt/a/bin/../lib/libz.so.1", "/lib64/ld-linux-x86-64.so.2"].map(PathBuf::from);
        assert_eq!(parse(text).expect("libraries"), paths);
        assert_eq!(parse("\tstatically linked\n").expect("libraries"), Vec::<PathBuf>::new());
        assert!(parse("\tliba.so => not found\n").is_err());
    }
}
