//! Values of what leads to the app: Service, Ingress, Istio, network policies.

use crate::generate::values::Shape::{HostList, Interval, ObjectList, OneOf, Port, TextList};
use crate::generate::values::kubernetes::Part;
use crate::generate::values::{
    Key, Pattern, annotations, flag, formed, from_yaml, labels, list_of, objects, removed, section, unset,
    value,
};

pub(crate) fn keys() -> Vec<Key> {
    vec![
        service(),
        http_route(),
        service_monitor(),
        section(
            "ingress",
            "An Ingress",
            vec![
                flag("enabled", false, "Create an Ingress for the app"),
                formed("className", Pattern::Name, "", "Name of the IngressClass of the app's Ingress"),
                annotations("annotations", "Annotations of the app's Ingress"),
                value(
                    "hosts",
                    HostList,
                    from_yaml("[{host: corveil.local, paths: [{path: /, pathType: Prefix}]}]"),
                    "Hosts of the app's Ingress, each with its paths",
                ),
                list_of(
                    "tls",
                    Part::Tls,
                    "TLS certificates of the app's Ingress: `[{secretName: …, hosts: […]}]`",
                ),
            ],
        ),
        istio(),
        section(
            "networkPolicy",
            "NetworkPolicies, which allow connections to port 8000, and from the pods to DNS, PostgreSQL, \
             Redis and HTTPS, and no others",
            vec![
                flag(
                    "enabled",
                    false,
                    "Create NetworkPolicies for the app, the migration Job and the bundled servers",
                ),
                list_of(
                    "additionalEgressRules",
                    Part::EgressRules,
                    "Additional egress rules for the app and the migration Job, such as for a database on \
                     another port",
                ),
            ],
        ),
    ]
}

fn service() -> Key {
    section(
        "service",
        "The app's Service",
        vec![
            value(
                "type",
                OneOf(&["ClusterIP", "NodePort", "LoadBalancer"]),
                "ClusterIP",
                "Type of the app's Service",
            ),
            value(
                "port",
                Port,
                8000,
                "Port of the app's Service, which forwards to port 8000 of the container",
            ),
            unset(
                "nodePort",
                Port,
                30080,
                "Port of the app's Service on every node, for type NodePort or LoadBalancer",
            ),
            formed(
                "loadBalancerClass",
                Pattern::QualifiedName,
                "",
                "Load balancer class of the app's Service, for type LoadBalancer",
            ),
            value(
                "loadBalancerSourceRanges",
                TextList(Pattern::Cidr),
                from_yaml("[]"),
                "Networks that may connect to the load balancer of the app's Service, as CIDR, for type \
                 LoadBalancer",
            ),
            value(
                "externalTrafficPolicy",
                OneOf(&["", "Cluster", "Local"]),
                "",
                "External traffic policy of the app's Service, for type NodePort or LoadBalancer; empty \
                 is Kubernetes' default, `Cluster`",
            ),
            value(
                "ipFamilyPolicy",
                OneOf(&["", "SingleStack", "PreferDualStack", "RequireDualStack"]),
                "",
                "IP family policy of the app's Service: IPv4, IPv6 or both; empty is the cluster's \
                 default",
            ),
            value(
                "ipFamilies",
                TextList(Pattern::IpFamily),
                from_yaml("[]"),
                "IP families of the app's Service in order, such as `[IPv6, IPv4]`; empty is the \
                 cluster's default",
            ),
            annotations("annotations", "Annotations of the app's Service"),
        ],
    )
}

/// As in the chart that `helm create` writes.
fn http_route() -> Key {
    section(
        "httpRoute",
        "An HTTPRoute of the Gateway API, instead of an Ingress",
        vec![
            flag("enabled", false, "Create an HTTPRoute of the Gateway API for the app"),
            annotations("annotations", "Annotations of the app's HTTPRoute"),
            objects(
                "parentRefs",
                "Gateways that the app's HTTPRoute attaches to: `[{name: …, namespace: …}]`",
            ),
            value(
                "hostnames",
                TextList(Pattern::HostTemplate),
                from_yaml("[]"),
                "Host names of the app's HTTPRoute; if empty, those of the Gateway",
            ),
            value(
                "rules",
                ObjectList,
                from_yaml("[{matches: [{path: {type: PathPrefix, value: /}}]}]"),
                "Rules of the app's HTTPRoute, with matches, filters and timeouts; the backend is always \
                 the app's Service",
            ),
        ],
    )
}

fn service_monitor() -> Key {
    section(
        "serviceMonitor",
        "A ServiceMonitor of the Prometheus Operator for the app's `/metrics`",
        vec![
            flag(
                "enabled",
                false,
                "Create a ServiceMonitor of the Prometheus Operator for the app's `/metrics`",
            ),
            labels("labels", "Labels of the ServiceMonitor, by which Prometheus selects it"),
            value(
                "interval",
                Interval,
                "",
                "Scrape interval of the ServiceMonitor; empty is the default of Prometheus",
            ),
            value(
                "scrapeTimeout",
                Interval,
                "",
                "Scrape timeout of the ServiceMonitor; empty is the default of Prometheus",
            ),
            objects("relabelings", "Relabelings of the ServiceMonitor's target"),
            objects("metricRelabelings", "Relabelings of the ServiceMonitor's metrics"),
        ],
    )
}

fn istio() -> Key {
    section(
        "istio",
        "An Istio VirtualService and a PeerAuthentication for the app",
        vec![
            flag(
                "enabled",
                false,
                "Create an Istio VirtualService and a PeerAuthentication for the app, and exclude the \
                 database's port (5432, or that of `externalDatabase.url`) from the sidecar; \
                 `podAnnotations` may name other ports in `traffic.sidecar.istio.io/excludeOutboundPorts`",
            ),
            section(
                "corveil",
                "The app's Istio VirtualService",
                vec![
                    value(
                        "gateways",
                        TextList(Pattern::Gateway),
                        from_yaml("[istio-system/public]"),
                        "Gateways of the app's Istio VirtualService",
                    ),
                    value(
                        "hosts",
                        TextList(Pattern::HostTemplate),
                        from_yaml("['corveil.{{ .Values.domain }}']"),
                        "Host names of the app's Istio VirtualService; templates are evaluated",
                    ),
                ],
            ),
            section(
                "mtls",
                "The Istio PeerAuthentication of the app's pods",
                vec![value(
                    "mode",
                    OneOf(&["STRICT", "PERMISSIVE", "DISABLE", "UNSET"]),
                    "STRICT",
                    "Istio mTLS mode of the app's pods",
                )],
            ),
            removed("citadel", "Renamed to `istio.corveil` in chart 1.0.0"),
        ],
    )
}
