//! Values of what leads to the app: Service, Ingress, Istio, network policies.

use crate::generate::values::Shape::{HostList, OneOf, Port, TextList};
use crate::generate::values::kubernetes::Part;
use crate::generate::values::{
    Key, Pattern, annotations, flag, formed, from_yaml, list_of, removed, section, value,
};

pub(crate) fn keys() -> Vec<Key> {
    vec![
        section(
            "service",
            "The Service",
            vec![
                value("type", OneOf(&["ClusterIP", "NodePort", "LoadBalancer"]), "ClusterIP", "Its type"),
                value("port", Port, 8000, "Its port; the container's is 8000"),
            ],
        ),
        section(
            "ingress",
            "An Ingress",
            vec![
                flag("enabled", false, "Render it"),
                formed("className", Pattern::Name, "", "Ingress class"),
                annotations("annotations", "Annotations"),
                value(
                    "hosts",
                    HostList,
                    from_yaml("[{host: corveil.local, paths: [{path: /, pathType: Prefix}]}]"),
                    "Hosts with their paths",
                ),
                list_of("tls", Part::Tls, "Certificates: `[{secretName: …, hosts: […]}]`"),
            ],
        ),
        istio(),
        section(
            "networkPolicy",
            "NetworkPolicies: traffic to port 8000, and to DNS, PostgreSQL, Redis and HTTPS, nothing else",
            vec![
                flag("enabled", false, "Render them"),
                list_of(
                    "additionalEgressRules",
                    Part::EgressRules,
                    "More that the app and the migration Job may reach, such as a database on another port",
                ),
            ],
        ),
    ]
}

fn istio() -> Key {
    section(
        "istio",
        "A VirtualService and a PeerAuthentication",
        vec![
            flag("enabled", false, "Render them"),
            section(
                "corveil",
                "The VirtualService",
                vec![
                    value(
                        "gateways",
                        TextList(Pattern::Gateway),
                        from_yaml("[istio-system/public]"),
                        "Gateways",
                    ),
                    value(
                        "hosts",
                        TextList(Pattern::HostTemplate),
                        from_yaml("['corveil.{{ .Values.domain }}']"),
                        "Hosts; templates are allowed",
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
                    "Its mode",
                )],
            ),
            removed("citadel", "Renamed to `istio.corveil` in chart 1.0.0"),
        ],
    )
}
