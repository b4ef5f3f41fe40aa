//! Values of the pods: how many, with which rights, where.

use crate::generate::values::Shape::{IntegerOrPercent, OneOf};
use crate::generate::values::app::extras;
use crate::generate::values::kubernetes::Part;
use crate::generate::values::probes;
use crate::generate::values::{
    Key, Pattern, annotations, flag, formed, integer, labels, list_of, part, resources, section, unset, value,
};

pub(crate) fn keys() -> Vec<Key> {
    let mut keys = vec![
        integer(
            "replicaCount",
            0,
            1,
            "Number of the app's pods unless `autoscaling.enabled`; null leaves the number to another \
             autoscaler, such as KEDA",
        ),
        strategy(),
        integer(
            "minReadySeconds",
            0,
            0,
            "Seconds for which a new pod has to be ready before the rollout continues",
        ),
        integer(
            "revisionHistoryLimit",
            0,
            10,
            "Number of old ReplicaSets that Kubernetes keeps for the Deployment",
        ),
        integer(
            "terminationGracePeriodSeconds",
            1,
            30,
            "Seconds in which a pod of the app has to shut down, `lifecycle.preStop` included",
        ),
        section(
            "autoscaling",
            "A HorizontalPodAutoscaler for the app",
            vec![
                flag("enabled", false, "Create a HorizontalPodAutoscaler for the app"),
                integer("minReplicas", 1, 1, "Minimum number of pods under the HorizontalPodAutoscaler"),
                integer("maxReplicas", 1, 3, "Maximum number of pods under the HorizontalPodAutoscaler"),
                integer(
                    "targetCPUUtilizationPercentage",
                    1,
                    70,
                    "Target CPU utilization of the HorizontalPodAutoscaler, in percent of the CPU request",
                ),
            ],
        ),
        section(
            "podDisruptionBudget",
            "A PodDisruptionBudget for the app",
            vec![
                flag("enabled", false, "Create a PodDisruptionBudget for the app"),
                value(
                    "minAvailable",
                    IntegerOrPercent,
                    1,
                    "Number or percentage of the app's pods that stay available while a node is drained; no \
                     effect if `podDisruptionBudget.maxUnavailable` is set",
                ),
                unset(
                    "maxUnavailable",
                    IntegerOrPercent,
                    1,
                    "Number or percentage of the app's pods that may be unavailable while a node is drained",
                ),
            ],
        ),
        section(
            "serviceAccount",
            "The app's ServiceAccount; the migration Job never uses it",
            vec![
                flag("create", true, "Create a ServiceAccount for the app"),
                annotations("annotations", "Annotations of the app's ServiceAccount"),
                formed(
                    "name",
                    Pattern::Name,
                    "",
                    "Name of the app's ServiceAccount; if empty, the name of the app's objects, or \
                     `default` if none is created",
                ),
            ],
        ),
    ];
    keys.extend(pod());
    keys.extend(probes::keys());
    keys.extend(extras());
    keys
}

/// Rights and place of the app's pods.
fn pod() -> Vec<Key> {
    vec![
        part(
            "podSecurityContext",
            Part::PodSecurityContext,
            "{runAsNonRoot: true, runAsUser: 1000, runAsGroup: 1000, fsGroup: 1000, seccompProfile: {type: RuntimeDefault}}",
            "Security context of the app's pods; the migration Job takes only the user and group IDs from it",
        ),
        part(
            "securityContext",
            Part::SecurityContext,
            "{allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}",
            "Security context of the app's containers; the migration Job takes only the user and group IDs \
             from it, and `wait-for-db` adds a read-only root file system",
        ),
        resources(
            "resources",
            "{requests: {cpu: 250m, memory: 512Mi}, limits: {cpu: '1', memory: 1Gi}}",
            "CPU and memory requests and limits of the app's container",
        ),
        labels("nodeSelector", "Labels that a node needs to run the app and the migration Job"),
        list_of("tolerations", Part::Tolerations, "Tolerations of the pods of the app and the migration Job"),
        part(
            "affinity",
            Part::Affinity,
            "{}",
            "Affinity of the app's pods; the migration Job takes only the node affinity from it",
        ),
        list_of(
            "topologySpreadConstraints",
            Part::TopologySpread,
            "Topology spread constraints of the app's pods",
        ),
        formed(
            "priorityClassName",
            Pattern::Name,
            "",
            "Priority class of the app's pods; for the migration Job, set `migrate.priorityClassName`",
        ),
        list_of(
            "hostAliases",
            Part::HostAliases,
            "Entries of `/etc/hosts` in the pods of the app, the migration Job and `helm test`",
        ),
        part(
            "dnsConfig",
            Part::DnsConfig,
            "{}",
            "DNS configuration of the pods of the app, the migration Job and `helm test`",
        ),
        value(
            "dnsPolicy",
            OneOf(&["", "ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"]),
            "",
            "DNS policy of the pods of the app, the migration Job and `helm test`; empty is Kubernetes' \
             default",
        ),
        flag(
            "automountServiceAccountToken",
            true,
            "Mount the token of the ServiceAccount in the app's pods; the migration Job's pod never has a \
             token",
        ),
    ]
}

/// Kubernetes' own shape. Another type than this would end old pods before a new one is ready, which no gate survives.
fn strategy() -> Key {
    section(
        "strategy",
        "How the Deployment replaces the app's pods",
        vec![
            value(
                "type",
                OneOf(&["RollingUpdate"]),
                "RollingUpdate",
                "Update strategy of the Deployment, always `RollingUpdate`: `Recreate` would end the old \
                 pods while the new ones wait for their migrations",
            ),
            section(
                "rollingUpdate",
                "Limits of a rolling update",
                vec![
                    value(
                        "maxSurge",
                        IntegerOrPercent,
                        "25%",
                        "Number or percentage of pods that a rolling update may run above the number of \
                         replicas",
                    ),
                    value(
                        "maxUnavailable",
                        IntegerOrPercent,
                        0,
                        "Number or percentage of replicas that may be unavailable during a rolling update; \
                         0 keeps every old pod until a new one is ready",
                    ),
                ],
            ),
        ],
    )
}
