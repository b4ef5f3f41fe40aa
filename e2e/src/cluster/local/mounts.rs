//! The node's view of the machine's files: all of them, except the folders outside of its own in which it would write.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context, Result, bail};
use xshell::{Shell, cmd};

const CGROUPS: &str = "/sys/fs/cgroup";

/// Folders in which components write regardless of their settings. They are empty in the node and vanish with it.
const OWN: [&str; 4] = ["/run", "/tmp", "/var/lib", "/var/log"];

/// Settings of the whole machine that the kubelet would write, and the values that it expects.
const SETTINGS: [(&str, &str); 4] = [
    ("/proc/sys/vm/overcommit_memory", "1"),
    ("/proc/sys/vm/panic_on_oom", "0"),
    ("/proc/sys/kernel/panic", "10"),
    ("/proc/sys/kernel/panic_on_oops", "1"),
];

/// Runs in the node's namespaces, whose mounts are invisible outside.
pub(crate) fn prepare(sh: &Shell) -> Result<()> {
    // So pods see what is mounted for them while they run.
    cmd!(sh, "mount --make-rshared /").quiet().run()?;
    // Shows the devices of the node's network.
    cmd!(sh, "mount -t sysfs sysfs /sys").quiet().run()?;
    cgroups(sh, &fs::read_to_string("/proc/self/cgroup")?)?;
    for folder in OWN {
        cmd!(sh, "mount -t tmpfs tmpfs {folder}").quiet().run()?;
    }
    sh.create_dir("/run/lock")?;
    for (setting, value) in SETTINGS {
        let name = Path::new(setting).file_name().context("a setting is a file")?;
        let shown = Path::new("/run/settings").join(name);
        sh.write_file(&shown, value)?;
        cmd!(sh, "mount --bind {shown} {setting}").quiet().run()?;
    }
    Ok(())
}

/// Fails where the node could not see its folder. A link may place it elsewhere than its path shows.
pub(crate) fn expect_seen(state: &Path) -> Result<()> {
    let real = state.canonicalize().with_context(|| format!("find {}", state.display()))?;
    if let Some(own) = hidden_by(&real) {
        bail!(
            "the cluster's folder {} is hidden in a node, which has a separate `{own}`\n\
             hint: make `{}` a link to another folder",
            real.display(),
            state.display()
        );
    }
    Ok(())
}

fn hidden_by(folder: &Path) -> Option<&'static str> {
    OWN.into_iter().find(|own| folder.starts_with(own))
}

/// The node's mounts vanish with it. A mount that is still there belongs to something else, or the node still runs.
pub(crate) fn expect_none_below(state: &Path) -> Result<()> {
    if let Some(mount) = below(state, &fs::read_to_string("/proc/self/mountinfo")?) {
        bail!("{mount} is still mounted\nhint: `umount {mount}`, then `cargo xtask cluster down`");
    }
    Ok(())
}

/// The last one is the innermost.
fn below<'a>(folder: &Path, mountinfo: &'a str) -> Option<&'a str> {
    let mut mounted = mountinfo.lines().filter_map(|line| line.split(' ').nth(4));
    mounted.rfind(|mounted| Path::new(mounted).starts_with(folder))
}

/// Mounts the hierarchies as the node's cgroup namespace shows them.
fn cgroups(sh: &Shell, own: &str) -> Result<()> {
    let hierarchies = controllers(own);
    if hierarchies.is_empty() {
        cmd!(sh, "mount -t cgroup2 cgroup2 {CGROUPS}").quiet().run()?;
        return Ok(());
    }
    cmd!(sh, "mount -t tmpfs -o mode=755 tmpfs {CGROUPS}").quiet().run()?;
    for controllers in hierarchies {
        let name = controllers.trim_start_matches("name=");
        let folder = Path::new(CGROUPS).join(name);
        sh.create_dir(&folder)?;
        let named = if name == controllers { "" } else { "none," };
        let options = format!("{named}{controllers}");
        cmd!(sh, "mount -t cgroup -o {options} cgroup {folder}").quiet().run()?;
        if name.contains(',') {
            for controller in name.split(',') {
                symlink(name, Path::new(CGROUPS).join(controller))?;
            }
        }
    }
    Ok(())
}

/// The hierarchies of version 1; none on a machine of version 2.
fn controllers(cgroup: &str) -> Vec<&str> {
    let all = cgroup.lines().filter_map(|line| line.split(':').nth(1));
    let all: Vec<_> = all.filter(|controllers| !controllers.is_empty()).collect();
    // A lone `name=systemd` next to version 2 limits nothing.
    let limits = all.iter().any(|controllers| !controllers.starts_with("name="));
    if limits { all } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_hidden_below_one_that_a_node_has_separately() {
        assert_eq!(hidden_by(Path::new("/var/lib/cache/corveil")), Some("/var/lib"));
        assert_eq!(hidden_by(Path::new("/var/cache/corveil")), None);
        assert_eq!(hidden_by(Path::new("/tmpfs")), None);
    }

    #[test]
    fn finds_what_is_mounted_below_a_folder() {
        let mountinfo = "20 1 0:1 / / rw - ext4 /dev/a rw\n\
                         21 20 0:2 / /state/data rw,relatime shared:1 - overlay overlay rw\n\
                         22 21 0:3 / /state/data/a rw - tmpfs tmpfs rw\n\
                         23 20 0:4 / /stateless rw - tmpfs tmpfs rw\n";
        assert_eq!(below(Path::new("/state"), mountinfo), Some("/state/data/a"));
        assert_eq!(below(Path::new("/state/pki"), mountinfo), None);
    }

    #[test]
    fn version_1_has_hierarchies_and_version_2_none() {
        let hybrid = "3:cpu,cpuacct:/\n2:memory:/\n1:name=systemd:/\n0::/\n";
        assert_eq!(controllers(hybrid), ["cpu,cpuacct", "memory", "name=systemd"]);
        assert!(controllers("0::/\n").is_empty());
        assert!(controllers("1:name=systemd:/\n0::/\n").is_empty());
    }
}
