//! The node's network: a loopback and one address, with nothing beyond.

use std::fs;
use std::path::Path;

use anyhow::Result;
use xshell::{Shell, cmd};

use crate::cluster::local::layout::{ADDRESS, NODE, SERVICES};

/// Runs in the node's namespaces.
pub(crate) fn prepare(sh: &Shell) -> Result<()> {
    fs::write("/proc/sys/kernel/hostname", NODE)?;
    cmd!(sh, "ip link set lo up").quiet().run()?;
    // Kubernetes accepts no loopback address for a node. Not every kernel has dummy devices; both ends of this pair stay
    // here.
    cmd!(sh, "ip link add eth0 type veth peer name eth0-peer").quiet().run()?;
    cmd!(sh, "ip address add {ADDRESS}/24 dev eth0").quiet().run()?;
    cmd!(sh, "ip link set eth0-peer up").quiet().run()?;
    cmd!(sh, "ip link set eth0 up").quiet().run()?;
    // A Service has no device, but without a route to it nothing is sent for kube-proxy's rules to redirect. An address of
    // neither a Service nor a pod is unreachable, and a client gets that error at once.
    cmd!(sh, "ip route add {SERVICES} dev eth0").quiet().run()?;
    fs::write("/proc/sys/net/ipv4/ip_forward", "1")?;
    let bridge = Path::new("/proc/sys/net/bridge/bridge-nf-call-iptables");
    if bridge.exists() {
        fs::write(bridge, "1")?;
    }
    Ok(())
}
