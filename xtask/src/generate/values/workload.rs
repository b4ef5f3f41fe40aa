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
            "Number of pods, unless `autoscaling.enabled`; null leaves it to what scales the Deployment, such as KEDA",
        ),
        strategy(),
        integer(
            "minReadySeconds",
            0,
            0,
            "Seconds for which a new pod has to be ready before the next one is replaced",
        ),
        integer(
            "revisionHistoryLimit",
            0,
            10,
            "Number of old ReplicaSets that Kubernetes keeps of the Deployment",
        ),
        integer(
            "terminationGracePeriodSeconds",
            1,
            30,
            "Seconds that an app's pod has to end, `lifecycle.preStop` included",
        ),
        section(
            "autoscaling",
            "A HorizontalPodAutoscaler",
            vec![
                flag("enabled", false, "Create a HorizontalPodAutoscaler"),
                integer("minReplicas", 1, 1, "Least number of pods under the HorizontalPodAutoscaler"),
                integer("maxReplicas", 1, 3, "Greatest number of pods under the HorizontalPodAutoscaler"),
                integer(
                    "targetCPUUtilizationPercentage",
                    1,
                    70,
                    "CPU in use, as percent of the request, that the HorizontalPodAutoscaler aims at",
                ),
            ],
        ),
        section(
            "podDisruptionBudget",
            "A PodDisruptionBudget",
            vec![
                flag("enabled", false, "Create a PodDisruptionBudget"),
                value(
                    "minAvailable",
                    IntegerOrPercent,
                    1,
                    "Pods that stay while a node is drained; without effect if `podDisruptionBudget.maxUnavailable` is set",
                ),
                unset(
                    "maxUnavailable",
                    IntegerOrPercent,
                    1,
                    "Pods that may be missing while a node is drained",
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
                    "Name of the app's ServiceAccount; empty is the full name, or `default` if none is created",
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
            "Security context of the app's pods, of which the migration Job takes user and groups",
        ),
        part(
            "securityContext",
            Part::SecurityContext,
            "{allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}",
            "Security context of the containers, of which the migration Job takes user and group; `wait-for-db` adds a read-only root file system",
        ),
        resources(
            "resources",
            "{requests: {cpu: 250m, memory: 512Mi}, limits: {cpu: '1', memory: 1Gi}}",
            "Requests and limits of the app",
        ),
        labels("nodeSelector", "Labels of the nodes that may run the app and the migration Job"),
        list_of(
            "tolerations",
            Part::Tolerations,
            "Taints of nodes that the app and the migration Job tolerate",
        ),
        part(
            "affinity",
            Part::Affinity,
            "{}",
            "Affinity of the app's pods, of which the migration Job takes the node affinity",
        ),
        list_of(
            "topologySpreadConstraints",
            Part::TopologySpread,
            "How the app's pods are spread over nodes and zones",
        ),
        formed(
            "priorityClassName",
            Pattern::Name,
            "",
            "Priority class of the app's pods; the Job's is `migrate.priorityClassName`",
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
            "DNS settings of the pods of the app, the migration Job and `helm test`",
        ),
        value(
            "dnsPolicy",
            OneOf(&["", "ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"]),
            "",
            "DNS policy of the pods of the app, the migration Job and `helm test`; empty is Kubernetes' default",
        ),
        flag(
            "automountServiceAccountToken",
            true,
            "Mount the token of the ServiceAccount in the app's pods; the migration Job's pod never has one",
        ),
    ]
}

/// Kubernetes' own shape. Another type than this would end old pods before a new one is ready, which no gate survives.
fn strategy() -> Key {
    section(
        "strategy",
        "How the Deployment replaces pods",
        vec![
            value(
                "type",
                OneOf(&["RollingUpdate"]),
                "RollingUpdate",
                "Only `RollingUpdate`: `Recreate` would end the old pods while the new ones wait for their migrations",
            ),
            section(
                "rollingUpdate",
                "Bounds of a rolling update",
                vec![
                    value(
                        "maxSurge",
                        IntegerOrPercent,
                        "25%",
                        "Pods above the number of replicas, or their share, while pods are replaced",
                    ),
                    value(
                        "maxUnavailable",
                        IntegerOrPercent,
                        0,
                        "Pods below the number of replicas, or their share, while pods are replaced; 0 keeps every old pod \
                         until a new one is ready",
                    ),
                ],
            ),
        ],
    )
}
