//! Values that a parent chart sets.

use crate::generate::values::Shape::OneOf;
use crate::generate::values::{Key, Kind, Others, Pattern, flag, formed, pull_secrets, text, value};

pub(crate) fn keys() -> Vec<Key> {
    vec![
        flag(
            "enabled",
            true,
            "Condition that a parent chart can name for its dependency on this chart; the chart itself does \
             not render with `false`",
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
            "Registry, with an optional path, from which all images are pulled: the app's and those of the \
             bundled PostgreSQL and Redis",
        ),
        pull_secrets(
            "imagePullSecrets",
            "Image pull secrets that a parent chart sets for all its charts, added to `imagePullSecrets`",
        ),
        text(
            "storageClass",
            "",
            "Storage class of the bundled PostgreSQL's volume; overrides \
             `postgresql.primary.persistence.storageClass`",
        ),
        text(
            "defaultStorageClass",
            "",
            "Storage class of the bundled PostgreSQL's volume if \
             `postgresql.primary.persistence.storageClass` is empty",
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
        "When pods leave out the chart's default user and group IDs, so that OpenShift chooses them: `auto` \
         only on OpenShift, `force` always, `disabled` never",
    );
    let openshift =
        Key::new("openshift", "Settings for OpenShift", Kind::Section(vec![adapt], Others::Passed));
    Key::new(
        "compatibility",
        "Settings for platforms that choose the user IDs of pods",
        Kind::Section(vec![openshift], Others::Passed),
    )
}
