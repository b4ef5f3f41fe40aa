//! Writes the configuration files of the components: settings that have no flag, or read better in a file.

use anyhow::Result;
use serde_json::{Value, json};

use crate::cluster::local::files;
use crate::cluster::local::layout::{ADDRESS, Layout, PODS};
use crate::packages::CNI;
use crate::stand_in::PAUSE;

pub(crate) fn write(node: &Layout) -> Result<()> {
    files::write(&node.config("containerd.toml"), &containerd(node))?;
    files::write(&node.config("cni/10-pods.conflist"), &cni().to_string())?;
    files::write(&node.config("kubelet.yaml"), &serde_yaml::to_string(&kubelet(node))?)?;
    files::write(&node.config("kube-proxy.yaml"), &serde_yaml::to_string(&kube_proxy(node))?)?;
    files::write(&node.config("Corefile"), &corefile(node))?;
    // Pods ask CoreDNS and no other name server.
    files::write(&node.config("resolv.conf"), "")
}

/// containerd 1.6 reads this file. Later releases convert version 2 of the format.
fn containerd(node: &Layout) -> String {
    let root = node.data("containerd");
    let (root, socket, cni) = (root.display(), node.containerd_socket(), node.config("cni"));
    let (socket, cni) = (socket.display(), cni.display());
    // Not every container that runs a node may lower an OOM score (which decides what the kernel kills first when memory runs
    // out), or load AppArmor's profiles.
    format!(
        r#"version = 2
root = "{root}"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.internal.v1.tracing",
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]

[grpc]
  address = "{socket}"
[ttrpc]
  address = "{socket}.ttrpc"
[plugins."io.containerd.internal.v1.opt"]
  path = "{root}/opt"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{CNI}"
    conf_dir = "{cni}"
"#
    )
}

/// All pods are on one bridge. Nothing is beyond it, so nothing is masqueraded.
fn cni() -> Value {
    json!({
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [{
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": true,
            "hairpinMode": true,
            "ipMasq": false,
            "ipam": {
                "type": "host-local",
                "dataDir": "/run/cni-ipam",
                "ranges": [[{ "subnet": PODS }]],
                "routes": [{ "dst": "0.0.0.0/0" }],
            },
        }],
    })
}

fn kubelet(node: &Layout) -> Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": "0.0.0.0",
        "authentication": {
            "anonymous": { "enabled": false },
            "webhook": { "enabled": true },
            "x509": { "clientCAFile": node.pki("ca.crt") },
        },
        "authorization": { "mode": "Webhook" },
        "tlsCertFile": node.pki("kubelet-server.crt"),
        "tlsPrivateKeyFile": node.pki("kubelet-server.key"),
        "healthzBindAddress": "127.0.0.1",
        "readOnlyPort": 0,
        "containerRuntimeEndpoint": format!("unix://{}", node.containerd_socket().display()),
        // There is no systemd in the node to ask for cgroups, and the machine's may be of either version.
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": false,
        "failSwapOn": false,
        "resolvConf": node.config("resolv.conf"),
        "clusterDNS": [ADDRESS],
        "clusterDomain": "cluster.local",
        "podLogsDir": node.data("pod-logs"),
        "volumePluginDir": node.data("kubelet/volume-plugins"),
        // One for each address.
        "maxPods": 250,
        // Tests start and end many pods at once.
        "kubeAPIQPS": 200,
        "kubeAPIBurst": 400,
        "serializeImagePulls": false,
        "nodeStatusUpdateFrequency": "5s",
        "syncFrequency": "10s",
        // A removed image cannot be pulled again, and a full disk is not the node's to clean up.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "evictionHard": { "memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%" },
    })
}

fn kube_proxy(node: &Layout) -> Value {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "iptables": { "minSyncPeriod": "100ms" },
        "clientConnection": { "kubeconfig": node.pki("kube-proxy.kubeconfig") },
        "clusterCIDR": PODS,
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        // These settings belong to the whole machine; the node must not change them.
        "conntrack": { "maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s" },
    })
}

/// CoreDNS answers for names of the cluster. For every other name it answers at once that the name does not exist.
fn corefile(node: &Layout) -> String {
    let kubeconfig = node.pki("admin.kubeconfig");
    format!(
        "cluster.local:53 in-addr.arpa:53 {{
    bind {ADDRESS}
    errors
    kubernetes cluster.local in-addr.arpa {{
        kubeconfig {}
        pods insecure
    }}
}}
.:53 {{
    bind {ADDRESS}
    errors
    template IN ANY . {{
        rcode NXDOMAIN
    }}
}}
",
        kubeconfig.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_addresses_for_as_many_pods_as_the_node_takes() {
        let node = Layout::at("/state".into());
        let pods = kubelet(&node)["maxPods"].as_u64().expect("a number");
        let (_, bits) = PODS.split_once('/').expect("a subnet");
        let addresses = 1_u64 << (32 - bits.parse::<u32>().expect("a number"));
        // No pod gets the first address, the last address or that of the bridge.
        assert!(pods <= addresses - 3, "{pods} pods, {addresses} addresses");
    }

    #[test]
    fn everything_is_kept_in_the_node_s_folder() {
        let node = Layout::at("/state".into());
        let containerd = containerd(&node);
        for setting in ["root = \"", "address = \"", "path = \"", "conf_dir = \""] {
            for (at, _) in containerd.match_indices(setting) {
                let value = &containerd[at + setting.len()..];
                assert!(value.starts_with("/state/"), "{setting}{value}");
            }
        }
        assert!(corefile(&node).contains("kubeconfig /state/pki/admin.kubeconfig\n"));
    }
}
