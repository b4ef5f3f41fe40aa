//! Values of what leads to the app: Service, Ingress, Istio, network policies.

use crate::generate::values::Shape::{HostList, Interval, ObjectList, OneOf, Port, TextList};
use crate::generate::values::kubernetes::Part;
use crate::generate::values::{
    Key, Pattern, annotations, flag, formed, from_yaml, labels, list_of, objects, removed, section, unset,
    value,
};

pub(crate) fn keys() -> Vec<Key> {
    vec![
        section(
            "service",
            "The Service",
            vec![
                value(
                    "type",
                    OneOf(&["ClusterIP", "NodePort", "LoadBalancer"]),
                    "ClusterIP",
                    "Type of the Service",
                ),
                value("port", Port, 8000, "Port of the Service; the container's is 8000"),
                unset("nodePort", Port, 30080, "Port on every node, for type NodePort or LoadBalancer"),
                formed(
                    "loadBalancerClass",
                    Pattern::QualifiedName,
                    "",
                    "Class of the load balancer, for type LoadBalancer",
                ),
                value(
                    "loadBalancerSourceRanges",
                    TextList(Pattern::Cidr),
                    from_yaml("[]"),
                    "Networks that may use the load balancer, for type LoadBalancer",
                ),
                value(
                    "externalTrafficPolicy",
                    OneOf(&["", "Cluster", "Local"]),
                    "",
                    "Whether nodes pass traffic on to others, for type NodePort or LoadBalancer; empty is Kubernetes' default",
                ),
                value(
                    "ipFamilyPolicy",
                    OneOf(&["", "SingleStack", "PreferDualStack", "RequireDualStack"]),
                    "",
                    "Whether the Service has addresses of IPv4, IPv6 or both; empty is the cluster's default",
                ),
                value(
                    "ipFamilies",
                    TextList(Pattern::IpFamily),
                    from_yaml("[]"),
                    "Families of the Service's addresses, in order: `[IPv6, IPv4]`; empty is the cluster's default",
                ),
                annotations("annotations", "Annotations of the Service"),
            ],
        ),
        http_route(),
        service_monitor(),
        section(
            "ingress",
            "An Ingress",
            vec![
                flag("enabled", false, "Create an Ingress"),
                formed("className", Pattern::Name, "", "Class of the Ingress"),
                annotations("annotations", "Annotations of the Ingress"),
                value(
                    "hosts",
                    HostList,
                    from_yaml("[{host: corveil.local, paths: [{path: /, pathType: Prefix}]}]"),
                    "Hosts of the Ingress with their paths",
                ),
                list_of("tls", Part::Tls, "Certificates of the Ingress: `[{secretName: …, hosts: […]}]`"),
            ],
        ),
        istio(),
        section(
            "networkPolicy",
            "NetworkPolicies: traffic to port 8000, and to DNS, PostgreSQL, Redis and HTTPS, nothing else",
            vec![
                flag(
                    "enabled",
                    false,
                    "Create NetworkPolicies for the app, the migration Job and the bundled servers",
                ),
                list_of(
                    "additionalEgressRules",
                    Part::EgressRules,
                    "What else the app and the migration Job may reach, such as a database on another port",
                ),
            ],
        ),
    ]
}

/// As in the chart that `helm create` writes.
fn http_route() -> Key {
    section(
        "httpRoute",
        "An HTTPRoute of the Gateway API, instead of an Ingress",
        vec![
            flag("enabled", false, "Create an HTTPRoute"),
            annotations("annotations", "Annotations of the HTTPRoute"),
            objects("parentRefs", "Gateways that the HTTPRoute attaches to: `[{name: …, namespace: …}]`"),
            value(
                "hostnames",
                TextList(Pattern::HostTemplate),
                from_yaml("[]"),
                "Hosts of the HTTPRoute; empty is those of the Gateway",
            ),
            value(
                "rules",
                ObjectList,
                from_yaml("[{matches: [{path: {type: PathPrefix, value: /}}]}]"),
                "Rules of the HTTPRoute, with matches, filters and timeouts; requests go to the app's Service",
            ),
        ],
    )
}

fn service_monitor() -> Key {
    section(
        "serviceMonitor",
        "A ServiceMonitor of the Prometheus operator, for the app's `/metrics`",
        vec![
            flag("enabled", false, "Create a ServiceMonitor"),
            labels("labels", "Labels that the Prometheus selects ServiceMonitors by"),
            value("interval", Interval, "", "Interval between two scrapes; empty is that of the Prometheus"),
            value("scrapeTimeout", Interval, "", "Timeout of a scrape; empty is that of the Prometheus"),
            objects("relabelings", "Relabelings of the target"),
            objects("metricRelabelings", "Relabelings of the metrics"),
        ],
    )
}

fn istio() -> Key {
    section(
        "istio",
        "A VirtualService and a PeerAuthentication",
        vec![
            flag(
                "enabled",
                false,
                "Create a VirtualService and a PeerAuthentication, and let the pods' connections to the database go past the sidecar, to port 5432 or that of \
                 `externalDatabase.url`; `podAnnotations` may name other ports in \
                 `traffic.sidecar.istio.io/excludeOutboundPorts`",
            ),
            section(
                "corveil",
                "The VirtualService",
                vec![
                    value(
                        "gateways",
                        TextList(Pattern::Gateway),
                        from_yaml("[istio-system/public]"),
                        "Gateways of the VirtualService",
                    ),
                    value(
                        "hosts",
                        TextList(Pattern::HostTemplate),
                        from_yaml("['corveil.{{ .Values.domain }}']"),
                        "Hosts of the VirtualService; templates are allowed",
                    ),
                ],
            ),
            section(
                "mtls",
                "The PeerAuthentication of the app's pods",
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
