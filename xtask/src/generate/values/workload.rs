//! Values of the pods: how many, with which rights, where.

use crate::generate::values::Shape::IntegerOrPercent;
use crate::generate::values::app::extras;
use crate::generate::values::kubernetes::Part;
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
        section(
            "autoscaling",
            "A HorizontalPodAutoscaler",
            vec![
                flag("enabled", false, "Render it"),
                integer("minReplicas", 1, 1, "At least so many pods"),
                integer("maxReplicas", 1, 3, "At most so many pods"),
                integer("targetCPUUtilizationPercentage", 1, 70, "CPU in use, as a share of the request"),
            ],
        ),
        section(
            "podDisruptionBudget",
            "A PodDisruptionBudget",
            vec![
                flag("enabled", false, "Render it"),
                value(
                    "minAvailable",
                    IntegerOrPercent,
                    1,
                    "Pods that stay; without effect if `maxUnavailable` is set",
                ),
                unset("maxUnavailable", IntegerOrPercent, 1, "Pods that may go"),
            ],
        ),
        section(
            "serviceAccount",
            "The app's ServiceAccount; the migration Job never uses it",
            vec![
                flag("create", true, "Render it"),
                annotations("annotations", "Annotations"),
                formed(
                    "name",
                    Pattern::Name,
                    "",
                    "Its name; empty is the full name, or `default` if none is rendered",
                ),
            ],
        ),
        part(
            "podSecurityContext",
            Part::PodSecurityContext,
            "{runAsNonRoot: true, runAsUser: 1000, runAsGroup: 1000, fsGroup: 1000, seccompProfile: {type: RuntimeDefault}}",
            "Security context of the pods; of it the migration Job takes user and group",
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
        labels("nodeSelector", "Labels of the nodes that may run it, and the migration Job"),
        list_of("tolerations", Part::Tolerations, "Taints of nodes that it tolerates, and the migration Job"),
        part(
            "affinity",
            Part::Affinity,
            "{}",
            "Affinity of the pods; of it the migration Job takes that to nodes",
        ),
    ];
    keys.extend(extras());
    keys
}
