//! The node's cgroup in every hierarchy: each process in it belongs to the node.
//!
//! Within the node it is the root, so that several nodes, or a kubelet of the machine, do not see each other's pods.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use xshell::{Shell, cmd};

use crate::cluster::local::files;

/// The kernel takes a moment to end a process that waits for a disk.
const BOUND: Duration = Duration::from_secs(30);

/// Where the processes of the node itself go in a unified hierarchy.
const INIT: &str = "init";

/// The node's folder in every hierarchy. It is next to others of the machine, so that the limits of this process apply to the
/// node too.
pub(crate) fn folders(name: &str) -> Result<Vec<PathBuf>> {
    let cgroup = fs::read_to_string("/proc/self/cgroup")?;
    let mountinfo = fs::read_to_string("/proc/self/mountinfo")?;
    let parents = parents(&cgroup, &mountinfo);
    if parents.is_empty() {
        bail!("no cgroups are mounted here\nhint: mount them on /sys/fs/cgroup");
    }
    Ok(parents.into_iter().map(|parent| parent.join(name)).collect())
}

pub(crate) fn create(folders: &[PathBuf]) -> Result<()> {
    for folder in folders {
        let parent = folder.parent().context("a cgroup has a parent")?;
        if is_unified(parent) {
            delegate(parent)?;
        }
        fs::create_dir(folder).with_context(|| format!("create {}", folder.display()))?;
        // A new cpuset of version 1 is empty and takes no process.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let own = folder.join(file);
            if own.exists() && !is_unified(folder) {
                fs::copy(parent.join(file), &own).with_context(|| format!("fill {}", own.display()))?;
            }
        }
    }
    Ok(())
}

/// Moves this process into the cgroups, and with it the processes that it starts.
pub(crate) fn enter(folders: &[PathBuf]) -> Result<()> {
    folders.iter().try_for_each(|folder| join(folder, "0"))
}

/// Makes a unified hierarchy ready for pods: there a cgroup has either processes or children with limits.
///
/// So the node's processes move one level down. It is done from outside: processes outside of the PID namespace are invisible
/// from inside. Written by the documentation of version 2. The machines that it was tried on have version 1, where this
/// happens in a hierarchy without controllers.
pub(crate) fn make_ready_for_pods(folders: &[PathBuf]) -> Result<()> {
    for folder in folders.iter().filter(|folder| is_unified(folder)) {
        let init = folder.join(INIT);
        fs::create_dir(&init).with_context(|| format!("create {}", init.display()))?;
        for process in members(folder) {
            join(&init, &process.to_string())?;
        }
        delegate(folder)?;
    }
    Ok(())
}

/// The processes in any of these cgroups and below.
pub(crate) fn processes(folders: &[PathBuf]) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    for folder in folders.iter().flat_map(|folder| tree(folder)) {
        found.extend(members(&folder));
    }
    found
}

/// Ends every process in these cgroups, and removes them.
pub(crate) fn remove(sh: &Shell, folders: &[PathBuf]) -> Result<()> {
    let start = Instant::now();
    loop {
        let processes: Vec<_> = processes(folders).iter().map(u32::to_string).collect();
        if processes.is_empty() {
            break;
        }
        if start.elapsed() > BOUND {
            bail!("processes {} in {} do not end", processes.join(", "), list(folders));
        }
        // Some end by themselves once the first process of their namespace has ended.
        let kill = "kill -KILL \"$@\"";
        cmd!(sh, "sh -c {kill} kill {processes...}").quiet().ignore_status().ignore_stderr().run()?;
        thread::sleep(files::POLL);
    }
    for folder in folders.iter().flat_map(|folder| tree(folder)) {
        // A cgroup stays busy for a moment after its last process has ended.
        while let Err(error) = fs::remove_dir(&folder) {
            if start.elapsed() > BOUND {
                return Err(error).with_context(|| {
                    format!(
                        "cannot empty the cgroup {}\n\
                         hint: it may hold processes of a container; run this on the machine itself",
                        folder.display()
                    )
                });
            }
            thread::sleep(files::POLL);
        }
    }
    Ok(())
}

/// Reads the cgroups of every process too: after its removal a folder lists no processes.
pub(crate) fn expect_gone(folders: &[PathBuf]) -> Result<()> {
    if let Some(folder) = folders.iter().find(|folder| folder.exists()) {
        bail!("the cgroup {} is still there", folder.display());
    }
    let Some(name) = folders.first().and_then(|folder| folder.file_name()?.to_str()) else {
        return Ok(());
    };
    for process in fs::read_dir("/proc")?.flatten() {
        // A process that has ended meanwhile is in none.
        let cgroup = fs::read_to_string(process.path().join("cgroup")).unwrap_or_default();
        if is_within(name, &cgroup) {
            bail!("process {} is still in the cgroup `{name}`", process.file_name().display());
        }
    }
    Ok(())
}

/// Whether a process with these cgroups is in the cgroup of this name, or below. A process that has ended and that its parent
/// has not waited for keeps the name of a removed cgroup.
fn is_within(name: &str, cgroup: &str) -> bool {
    let mut there = cgroup.lines().filter(|line| !line.ends_with(" (deleted)"));
    there.any(|line| line.split('/').skip(1).any(|part| part == name))
}

fn list(folders: &[PathBuf]) -> String {
    let folders: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
    folders.join(", ")
}

/// The cgroup and those below it, the innermost first.
fn tree(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in folder.read_dir().into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            all.extend(tree(&entry.path()));
        }
    }
    if folder.exists() {
        all.push(folder.to_owned());
    }
    all
}

fn members(folder: &Path) -> Vec<u32> {
    numbers(&fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default())
}

/// Leaves out processes of other PID namespaces. They have the number 0 here, which means the caller's process group to
/// `kill`.
fn numbers(procs: &str) -> Vec<u32> {
    procs.lines().filter_map(|line| line.parse().ok()).filter(|number| *number != 0).collect()
}

fn join(folder: &Path, process: &str) -> Result<()> {
    fs::write(folder.join("cgroup.procs"), process)
        .with_context(|| format!("move process {process} to {}", folder.display()))
}

/// Enables for the children of a unified cgroup every controller that it has itself.
fn delegate(folder: &Path) -> Result<()> {
    let control = folder.join("cgroup.subtree_control");
    for controller in fs::read_to_string(folder.join("cgroup.controllers"))?.split_whitespace() {
        fs::write(&control, format!("+{controller}"))
            .with_context(|| format!("enable {controller} in {}", control.display()))?;
    }
    Ok(())
}

fn is_unified(folder: &Path) -> bool {
    folder.join("cgroup.controllers").exists()
}

/// Where the node's cgroups can be: below the cgroup of this process, or at the root of a unified hierarchy. There a cgroup
/// with processes, such as that of this process, cannot have children with limits.
fn parents(cgroup: &str, mountinfo: &str) -> Vec<PathBuf> {
    let is_shown = |options: &str| {
        cgroup.lines().find_map(|line| {
            let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
            let is_this = controllers.split(',').all(|it| options.split(',').any(|option| option == it));
            (is_this && !controllers.is_empty()).then_some(path)
        })
    };
    let parent = |line: &str| {
        let (place, source) = line.split_once(" - ")?;
        let mut place = place.split(' ').skip(3);
        let (root, mounted) = (place.next()?, place.next()?);
        let mut source = source.split(' ');
        match (source.next()?, source.nth(1)?) {
            ("cgroup2", _) => Some(PathBuf::from(mounted)),
            ("cgroup", options) => {
                let path = is_shown(options)?.strip_prefix(root)?;
                Some(Path::new(mounted).join(path.trim_start_matches('/')))
            }
            _ => None,
        }
    };
    let mut parents: Vec<_> = mountinfo.lines().filter_map(parent).collect();
    // A hierarchy that is mounted twice counts once.
    parents.sort();
    parents.dedup();
    parents
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_below_this_process_or_at_the_root_of_a_unified_hierarchy() {
        let cgroup = "5:cpu,cpuacct:/a\n4:memory:/a/b\n1:name=systemd:/\n0::/user.slice\n";
        let mountinfo = "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n\
            32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
            35 31 0:32 /a /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n\
            40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd\n\
            41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate\n";
        let folders = ["cpu,cpuacct/a", "memory/b", "systemd", "unified"];
        let folders = folders.map(|folder| Path::new("/sys/fs/cgroup").join(folder));
        assert_eq!(parents(cgroup, mountinfo), folders);

        let mountinfo = "35 24 0:30 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(parents("0::/user.slice\n", mountinfo), [Path::new("/sys/fs/cgroup")]);
        assert!(parents("", "").is_empty());
    }

    #[test]
    fn a_process_of_another_namespace_has_no_number() {
        assert_eq!(numbers("0\n12\n0\n7\n"), [12, 7]);
        assert!(numbers("0\n").is_empty());
    }

    #[test]
    fn a_process_is_found_by_its_cgroups() {
        assert!(is_within("node-1", "4:memory:/a/node-1/kubepods/b\n0::/\n"));
        assert!(is_within("node-1", "0::/node-1\n"));
        assert!(!is_within("node-1", "4:memory:/a/node-1/kubepods (deleted)\n0::/\n"));
        assert!(!is_within("node-1", "4:memory:/a/node-12\n0::/\n"));
    }
}
