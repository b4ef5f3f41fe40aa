//! Parts of Kubernetes' objects that values pass on, typed so that what the API server would refuse is refused before the
//! database is migrated.
//!
//! Sources: the API reference, and `pkg/apis/core/validation` of Kubernetes for what its types do not say.

use serde_json::{Map, Value, json};

use crate::generate::values::patterns::{
    ANNOTATION_KEY, DATA_KEY, DNS_LABEL, LABEL, LABEL_KEY, PORT_NAME, QUANTITY, RELATIVE, RESOURCE,
    SUBDOMAIN, VARIABLE, address, cidr, whole, whole_or_none,
};
use crate::generate::values::volumes;

/// A part, which the schema defines once and refers to by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Affinity,
    Annotations,
    DnsConfig,
    EgressRules,
    /// Environment variables, as in a container's `env`.
    Env,
    /// Secrets and `ConfigMaps`, as in a container's `envFrom`.
    EnvFrom,
    HostAliases,
    Labels,
    PodSecurityContext,
    /// Names of Secrets, as in `imagePullSecrets`.
    References,
    /// Requests and limits of a container.
    Resources,
    SecurityContext,
    Selector,
    Tls,
    Tolerations,
    TopologySpread,
    VolumeMounts,
    Volumes,
}

impl Part {
    pub(crate) const ALL: [Self; 18] = [
        Self::Affinity,
        Self::Annotations,
        Self::DnsConfig,
        Self::EgressRules,
        Self::Env,
        Self::EnvFrom,
        Self::HostAliases,
        Self::Labels,
        Self::PodSecurityContext,
        Self::References,
        Self::Resources,
        Self::SecurityContext,
        Self::Selector,
        Self::Tls,
        Self::Tolerations,
        Self::TopologySpread,
        Self::VolumeMounts,
        Self::Volumes,
    ];

    /// Of its definition.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Affinity => "affinity",
            Self::Annotations => "annotations",
            Self::DnsConfig => "dnsConfig",
            Self::EgressRules => "egressRules",
            Self::Env => "env",
            Self::EnvFrom => "envFrom",
            Self::HostAliases => "hostAliases",
            Self::Labels => "labels",
            Self::PodSecurityContext => "podSecurityContext",
            Self::References => "references",
            Self::Resources => "resources",
            Self::SecurityContext => "securityContext",
            Self::Selector => "selector",
            Self::Tls => "tls",
            Self::Tolerations => "tolerations",
            Self::TopologySpread => "topologySpread",
            Self::VolumeMounts => "volumeMounts",
            Self::Volumes => "volumes",
        }
    }

    pub(crate) fn schema(self) -> Value {
        match self {
            Self::Affinity => affinity(),
            Self::Annotations => json!({
                "type": "object",
                "propertyNames": {"pattern": whole(ANNOTATION_KEY), "not": {"pattern": LONG_DOMAIN}},
                "additionalProperties": {"type": "string"},
            }),
            Self::DnsConfig => dns_config(),
            Self::EgressRules => egress_rules(),
            Self::Env => env(),
            Self::EnvFrom => env_from(),
            Self::HostAliases => {
                list(&fields(&["ip"], json!({"ip": matching(&address()), "hostnames": list(&name())})))
            }
            Self::Labels => labels(),
            Self::PodSecurityContext => pod_security_context(),
            Self::References => list(&fields(&["name"], json!({"name": name()}))),
            Self::Resources => fields(&[], json!({"requests": quantities(), "limits": quantities()})),
            Self::SecurityContext => security_context(),
            Self::Selector => selector(),
            Self::Tls => {
                let mut named_host = host();
                named_host["minLength"] = 1.into();
                list(&fields(&[], json!({"hosts": list(&named_host), "secretName": name()})))
            }
            Self::Tolerations => tolerations(),
            Self::TopologySpread => topology_spread(),
            Self::VolumeMounts => volumes::mounts(),
            Self::Volumes => volumes::volumes(),
        }
    }
}

/// The part before the `/` of a key has at most 253 characters.
pub(super) const LONG_DOMAIN: &str = "^[^/]{254,}";

/// A name of the DNS, of which the first part may be `*`; empty is every host.
const HOST: &str = r"^((\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)?$";

/// An object with these fields and no others. Those that are not required may be null, which many write for what they leave unset.
pub(super) fn fields(required: &[&str], properties: Value) -> Value {
    let Value::Object(mut properties) = properties else { unreachable!("fields are an object") };
    for (name, property) in &mut properties {
        if !required.contains(&name.as_str()) {
            or_null(property);
        }
    }
    json!({"type": "object", "additionalProperties": false, "required": required, "properties": properties})
}

fn or_null(property: &mut Value) {
    if let Some(Value::String(kind)) = property.get("type") {
        property["type"] = json!([kind, "null"]);
    }
    if let Some(Value::Array(words)) = property.get_mut("enum") {
        words.push(Value::Null);
    }
}

pub(super) fn list(items: &Value) -> Value {
    json!({"type": "array", "items": items})
}

fn list_of_some(items: &Value) -> Value {
    json!({"type": "array", "minItems": 1, "items": items})
}

/// The name of an object.
pub(super) fn name() -> Value {
    json!({"type": "string", "maxLength": 253, "pattern": whole(SUBDOMAIN)})
}

pub(super) fn matching(pattern: &str) -> Value {
    json!({"type": "string", "pattern": whole(pattern)})
}

pub(super) fn one_of(words: &[&str]) -> Value {
    json!({"type": "string", "enum": words})
}

pub(super) fn flag() -> Value {
    json!({"type": "boolean"})
}

pub(super) fn number(least: i64, most: i64) -> Value {
    json!({"type": "integer", "minimum": least, "maximum": most})
}

pub(super) fn text() -> Value {
    json!({"type": "string"})
}

pub(super) fn data_key() -> Value {
    json!({"type": "string", "maxLength": 253, "pattern": whole(DATA_KEY)})
}

pub(super) fn relative() -> Value {
    matching(RELATIVE)
}

/// A key of a Secret or a `ConfigMap`.
fn reference() -> Value {
    fields(&["name", "key"], json!({"name": name(), "key": data_key(), "optional": flag()}))
}

/// A host of an Ingress, which is no address.
pub(super) fn host() -> Value {
    json!({"type": "string", "maxLength": 253, "pattern": HOST, "not": {"pattern": r"^([0-9]+\.){3}[0-9]+$"}})
}

pub(super) fn quantity() -> Value {
    json!({"type": ["string", "number"], "pattern": whole(QUANTITY), "minimum": 0, "maximum": 1_000_000_000_000_000_000_i64})
}

fn quantities() -> Value {
    json!({
        "type": "object",
        "propertyNames": {"pattern": whole(RESOURCE)},
        // Devices are whole.
        "patternProperties": {"/": {"type": ["string", "integer"], "pattern": "^[0-9]{1,6}$", "minimum": 0, "maximum": 999_999}},
        "additionalProperties": quantity(),
    })
}

fn label_key() -> Value {
    json!({"type": "string", "pattern": whole(LABEL_KEY), "not": {"pattern": LONG_DOMAIN}})
}

fn label() -> Value {
    matching(LABEL)
}

fn labels() -> Value {
    json!({
        "type": "object",
        "propertyNames": {"pattern": whole(LABEL_KEY), "not": {"pattern": LONG_DOMAIN}},
        "additionalProperties": label(),
    })
}

/// The operator decides about the values.
fn expression(operators: &[&str], values: &Value, more: &[Value]) -> Value {
    let mut schema = fields(
        &["key", "operator"],
        json!({"key": label_key(), "operator": one_of(operators), "values": list(values)}),
    );
    let when = |operators: &[&str], then: Value| json!({"if": {"properties": {"operator": {"enum": operators}}}, "then": then});
    let mut rules = vec![
        when(
            &["In", "NotIn"],
            json!({"required": ["values"], "properties": {"values": {"type": "array", "minItems": 1}}}),
        ),
        when(&["Exists", "DoesNotExist"], json!({"properties": {"values": {"maxItems": 0}}})),
    ];
    rules.extend_from_slice(more);
    schema["allOf"] = rules.into();
    schema
}

fn selector() -> Value {
    let expression = expression(&["In", "NotIn", "Exists", "DoesNotExist"], &label(), &[]);
    fields(&[], json!({"matchLabels": refer(Part::Labels), "matchExpressions": list(&expression)}))
}

/// Defined once; affinities have many.
fn refer(part: Part) -> Value {
    json!({"$ref": format!("#/definitions/{}", part.name())})
}

fn affinity() -> Value {
    let numbers = json!({"if": {"properties": {"operator": {"enum": ["Gt", "Lt"]}}}, "then": {
        "required": ["values"],
        "properties": {"values": {"type": "array", "minItems": 1, "maxItems": 1, "items": {"pattern": "^[0-9]{1,9}$"}}},
    }});
    let by_label = expression(&["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"], &label(), &[numbers]);
    let by_name = fields(
        &["key", "operator", "values"],
        json!({
            "key": one_of(&["metadata.name"]),
            "operator": one_of(&["In", "NotIn"]),
            "values": {"type": "array", "minItems": 1, "maxItems": 1, "items": name()},
        }),
    );
    let term = fields(&[], json!({"matchExpressions": list(&by_label), "matchFields": list(&by_name)}));
    let weighted = |name: &str, term: &Value| {
        list(&fields(&["weight", name], json!({"weight": number(1, 100), name: term})))
    };
    let pods = fields(
        &["topologyKey"],
        json!({
            "labelSelector": refer(Part::Selector),
            "matchLabelKeys": list(&label_key()),
            "mismatchLabelKeys": list(&label_key()),
            "namespaceSelector": refer(Part::Selector),
            "namespaces": list(&matching(DNS_LABEL)),
            "topologyKey": label_key(),
        }),
    );
    let of_pods = fields(
        &[],
        json!({
            "requiredDuringSchedulingIgnoredDuringExecution": list(&pods),
            "preferredDuringSchedulingIgnoredDuringExecution": weighted("podAffinityTerm", &pods),
        }),
    );
    let of_nodes = fields(
        &[],
        json!({
            "requiredDuringSchedulingIgnoredDuringExecution":
                fields(&["nodeSelectorTerms"], json!({"nodeSelectorTerms": list_of_some(&term)})),
            "preferredDuringSchedulingIgnoredDuringExecution": weighted("preference", &term),
        }),
    );
    fields(&[], json!({"nodeAffinity": of_nodes, "podAffinity": of_pods, "podAntiAffinity": of_pods}))
}

fn tolerations() -> Value {
    let key = json!({"type": "string", "pattern": whole_or_none(LABEL_KEY), "not": {"pattern": LONG_DOMAIN}});
    let mut toleration = fields(
        &[],
        json!({
            "key": key,
            "operator": one_of(&["Exists", "Equal"]),
            "value": label(),
            "effect": one_of(&["", "NoSchedule", "PreferNoSchedule", "NoExecute"]),
            "tolerationSeconds": {"type": "integer"},
        }),
    );
    toleration["allOf"] = json!([
        {
            "if": {"required": ["operator"], "properties": {"operator": {"const": "Exists"}}},
            "then": {"properties": {"value": {"enum": ["", null]}}},
            "else": {"required": ["key"], "properties": {"key": {"type": "string", "minLength": 1}}},
        },
        {
            "if": {"required": ["tolerationSeconds"], "properties": {"tolerationSeconds": {"type": "integer"}}},
            "then": {"required": ["effect"], "properties": {"effect": {"const": "NoExecute"}}},
        },
    ]);
    list(&toleration)
}

fn topology_spread() -> Value {
    let policy = one_of(&["Honor", "Ignore"]);
    let mut constraint = fields(
        &["maxSkew", "topologyKey", "whenUnsatisfiable"],
        json!({
            "labelSelector": refer(Part::Selector),
            "matchLabelKeys": list(&label_key()),
            "maxSkew": number(1, i32::MAX.into()),
            "minDomains": number(1, i32::MAX.into()),
            "nodeAffinityPolicy": policy,
            "nodeTaintsPolicy": policy,
            "topologyKey": label_key(),
            "whenUnsatisfiable": one_of(&["DoNotSchedule", "ScheduleAnyway"]),
        }),
    );
    constraint["if"] = json!({"required": ["minDomains"], "properties": {"minDomains": {"type": "integer"}}});
    constraint["then"] = json!({"properties": {"whenUnsatisfiable": {"const": "DoNotSchedule"}}});
    list(&constraint)
}

/// The most that Kubernetes takes of each (`MaxDNSNameservers`, `MaxDNSSearchPaths`).
fn dns_config() -> Value {
    let mut servers = list(&matching(&address()));
    servers["maxItems"] = 3.into();
    let mut searches = list(&name());
    searches["maxItems"] = 32.into();
    let option = fields(&["name"], json!({"name": {"type": "string", "minLength": 1}, "value": text()}));
    fields(&[], json!({"nameservers": servers, "searches": searches, "options": list(&option)}))
}

fn env_from() -> Value {
    let source = fields(&["name"], json!({"name": name(), "optional": flag()}));
    let mut from = fields(
        &[],
        json!({"configMapRef": source, "prefix": {"type": "string", "pattern": whole_or_none(VARIABLE)}, "secretRef": source}),
    );
    from["oneOf"] = json!([
        {"required": ["configMapRef"], "properties": {"configMapRef": {"type": "object"}}},
        {"required": ["secretRef"], "properties": {"secretRef": {"type": "object"}}},
    ]);
    list(&from)
}

fn env() -> Value {
    let paths = r"metadata\.(name|namespace|uid|(labels|annotations)\['[a-z0-9]([-a-z0-9./]*[a-z0-9])?'\])|spec\.(nodeName|serviceAccountName)|status\.(hostIP|hostIPs|podIP|podIPs)";
    let resources = r"(limits|requests)\.(cpu|memory|ephemeral-storage)";
    let source = json!({
        "type": "object",
        "additionalProperties": false,
        "minProperties": 1,
        "maxProperties": 1,
        "properties": {
            "configMapKeyRef": reference(),
            "fieldRef": fields(&["fieldPath"], json!({"apiVersion": one_of(&["v1"]), "fieldPath": matching(paths)})),
            "resourceFieldRef": fields(
                &["resource"],
                json!({"containerName": matching(DNS_LABEL), "divisor": {"type": ["string", "number"]}, "resource": matching(resources)}),
            ),
            "secretKeyRef": reference(),
        },
    });
    list(&json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["name"],
        // A name with a value, or with where to find it.
        "maxProperties": 2,
        "properties": {
            "name": matching(VARIABLE),
            "value": {"type": ["string", "number", "boolean", "null"]},
            "valueFrom": source,
        },
    }))
}

/// What pods and containers have in common.
fn identity() -> Map<String, Value> {
    let profile = |names: &[&str]| {
        let mut schema = fields(&["type"], json!({"type": one_of(names), "localhostProfile": relative()}));
        schema["if"] = json!({"properties": {"type": {"const": "Localhost"}}});
        schema["then"] =
            json!({"required": ["localhostProfile"], "properties": {"localhostProfile": {"type": "string"}}});
        schema["else"] = json!({"properties": {"localhostProfile": {"type": "null"}}});
        schema
    };
    let identity = json!({
        "appArmorProfile": profile(&["Localhost", "RuntimeDefault", "Unconfined"]),
        "runAsGroup": number(0, i32::MAX.into()),
        "runAsNonRoot": flag(),
        "runAsUser": number(0, i32::MAX.into()),
        "seLinuxOptions": fields(&[], json!({"level": text(), "role": text(), "type": text(), "user": text()})),
        "seccompProfile": profile(&["Localhost", "RuntimeDefault", "Unconfined"]),
        "windowsOptions": {"type": "object"},
    });
    let Value::Object(identity) = identity else { unreachable!("fields are an object") };
    identity
}

fn pod_security_context() -> Value {
    let more = json!({
        "fsGroup": number(0, i32::MAX.into()),
        "fsGroupChangePolicy": one_of(&["Always", "OnRootMismatch"]),
        "supplementalGroups": list(&number(0, i32::MAX.into())),
        "supplementalGroupsPolicy": one_of(&["Merge", "Strict"]),
        "sysctls": list(&fields(
            &["name", "value"],
            json!({"name": {"type": "string", "maxLength": 253, "pattern": whole("[a-z0-9]([-_a-z0-9]*[a-z0-9])?([./][a-z0-9]([-_a-z0-9]*[a-z0-9])?)*")}, "value": text()}),
        )),
    });
    with(identity(), more)
}

fn security_context() -> Value {
    let capabilities = list(&text());
    let more = json!({
        "allowPrivilegeEscalation": flag(),
        "capabilities": fields(&[], json!({"add": capabilities, "drop": capabilities})),
        "privileged": flag(),
        // Another one needs a user namespace, which the chart does not ask for.
        "procMount": one_of(&["Default"]),
        "readOnlyRootFilesystem": flag(),
    });
    with(identity(), more)
}

fn with(mut properties: Map<String, Value>, more: Value) -> Value {
    let Value::Object(more) = more else { unreachable!("fields are an object") };
    properties.extend(more);
    fields(&[], properties.into())
}

fn egress_rules() -> Value {
    let cidr = matching(&cidr());
    let peer = json!({
        "type": "object",
        "additionalProperties": false,
        "minProperties": 1,
        "properties": {
            "ipBlock": fields(&["cidr"], json!({"cidr": cidr, "except": list(&cidr)})),
            "namespaceSelector": refer(Part::Selector),
            "podSelector": refer(Part::Selector),
        },
        // A block is an alternative to the selectors.
        "if": {"required": ["ipBlock"]},
        "then": {"maxProperties": 1},
    });
    let mut port = fields(
        &[],
        json!({
            "port": {"type": ["string", "integer"], "minimum": 1, "maximum": u16::MAX, "maxLength": 15, "pattern": whole(PORT_NAME)},
            "endPort": number(1, u16::MAX.into()),
            "protocol": one_of(&["TCP", "UDP", "SCTP"]),
        }),
    );
    port["if"] = json!({"required": ["endPort"], "properties": {"endPort": {"type": "integer"}}});
    port["then"] = json!({"required": ["port"], "properties": {"port": {"type": "integer"}}});
    list(&fields(&[], json!({"to": list(&peer), "ports": list(&port)})))
}
