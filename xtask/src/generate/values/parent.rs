//! Values that a parent chart sets.

use crate::generate::values::Shape::OneOf;
use crate::generate::values::{Key, Kind, Others, Pattern, flag, formed, pull_secrets, text, value};

pub(crate) fn keys() -> Vec<Key> {
    vec![
        flag(
            "enabled",
            true,
            "For the `condition` of a parent chart that has this one as a dependency; the chart itself refuses `false`",
        ),
        global(),
    ]
}

/// Bitnami's names, because chart 1.0.0's subcharts read these, and other charts under the same parent do.
fn global() -> Key {
    let keys = vec![
        formed(
            "imageRegistry",
            Pattern::Registry,
            "",
            "Registry, with a path if it has one, that all images are pulled from: the app's, PostgreSQL's and Redis'",
        ),
        pull_secrets("imagePullSecrets", "Secrets to pull images with, in addition to `imagePullSecrets`"),
        text(
            "storageClass",
            "",
            "Storage class of the bundled PostgreSQL's volume, instead of `postgresql.primary.persistence.storageClass`",
        ),
        text(
            "defaultStorageClass",
            "",
            "Storage class of the bundled PostgreSQL's volume, where `postgresql.primary.persistence.storageClass` is empty",
        ),
        compatibility(),
    ];
    Key::new(
        "global",
        "Settings that a parent chart passes to all its charts",
        Kind::Section(keys, Others::Passed),
    )
}

fn compatibility() -> Key {
    let adapt = value(
        "adaptSecurityContext",
        OneOf(&["auto", "force", "disabled"]),
        "auto",
        "Whether pods leave out the chart's default users and groups, which OpenShift chooses: `auto` where the cluster is \
         OpenShift",
    );
    let openshift =
        Key::new("openshift", "Settings for OpenShift", Kind::Section(vec![adapt], Others::Passed));
    Key::new(
        "compatibility",
        "Settings for platforms that choose users themselves",
        Kind::Section(vec![openshift], Others::Passed),
    )
}
