//! What names and other texts have to look like, as Kubernetes checks them.
//!
//! The rules are those of `k8s.io/apimachinery/pkg/util/validation`. Go's expressions have no look-ahead, so neither do these.

/// A DNS label that starts with a letter, as a Service is named (RFC 1035).
pub(crate) const SERVICE: &str = "[a-z]([-a-z0-9]*[a-z0-9])?";
/// A DNS label (RFC 1123).
pub(crate) const DNS_LABEL: &str = "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?";
/// A DNS subdomain: what most objects are named.
pub(crate) const SUBDOMAIN: &str = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
/// The value of a label.
pub(crate) const LABEL: &str = "([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?";
/// The key of a label, with or without a domain.
pub(crate) const LABEL_KEY: &str = r"([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?";
/// The key of an annotation, whose domain may have capitals.
pub(crate) const ANNOTATION_KEY: &str = r"([A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?(\.[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?";
/// A key of a Secret or a `ConfigMap`: not `.`, `..`, or what starts so.
pub(crate) const DATA_KEY: &str = r"(\.?[-_a-zA-Z0-9][-._a-zA-Z0-9]*)";
/// An environment variable, as versions before 1.34 want it.
pub(crate) const VARIABLE: &str = r"(\.?[-_a-zA-Z][-._a-zA-Z0-9]*)";
/// The repository of an image, as the
/// [specification](https://github.com/distribution/reference/blob/main/regexp.go) has it.
pub(crate) const REPOSITORY: &str = r"(([a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?(\.[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?)*|\[[a-fA-F0-9:]+\])(:[0-9]+)?/)?[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*";
/// What stands before the repository: a host, with or without a port and a path.
pub(crate) const REGISTRY: &str = r"([a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?(\.[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?)*|\[[a-fA-F0-9:]+\])(:[0-9]{1,5})?(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*/?";
/// An [amount](https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/), not below zero.
pub(crate) const QUANTITY: &str = "[0-9]{1,18}([.][0-9]{0,9})?([eE][+-]?[0-9]{1,2}|[numkMGTPE]|[KMGTPE]i)?";
/// What a container may ask for. Huge pages have rules of their own, and nothing here uses them.
pub(crate) const RESOURCE: &str = "(cpu|memory|ephemeral-storage|[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+/[A-Za-z0-9]([-A-Za-z0-9_.]{0,54}[A-Za-z0-9])?)";
/// The name of a port: at least one letter, at most 15 characters.
pub(crate) const PORT_NAME: &str = "[a-z][a-z0-9]{0,6}(-[a-z0-9]{1,7})?";
/// A relative path that does not lead out of its folder.
pub(crate) const RELATIVE: &str =
    r"([-_a-zA-Z0-9]|\.[-_a-zA-Z0-9])[-_.a-zA-Z0-9]*(/[-_a-zA-Z0-9][-_.a-zA-Z0-9]*)*";
/// An address of IPv4.
const IPV4: &str =
    r"((25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])\.){3}(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";
/// An address of IPv6, as it is mostly written.
const IPV6: &str = "(([0-9a-f]{1,4}:){1,4}:|::)(([0-9a-f]{1,4}:){0,2}[0-9a-f]{1,4})?";

/// An address.
pub(crate) fn address() -> String {
    format!("{IPV4}|{IPV6}")
}

/// A network in CIDR notation.
pub(crate) fn cidr() -> String {
    format!("{IPV4}/(3[0-2]|[12]?[0-9])|{IPV6}/(12[0-8]|1[01][0-9]|[1-9]?[0-9])")
}

/// The whole text is one of these.
pub(crate) fn whole(pattern: &str) -> String {
    format!("^({pattern})$")
}

/// The same, or there is no text.
pub(crate) fn whole_or_none(pattern: &str) -> String {
    format!("^({pattern})?$")
}
