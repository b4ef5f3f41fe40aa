//! Values that a parent chart sets.

use crate::generate::values::{Key, Kind, Others, flag, pull_secrets, text};

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
        text(
            "imageRegistry",
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
    ];
    Key::new(
        "global",
        "Settings that a parent chart passes to all its charts",
        Kind::Section(keys, Others::Passed),
    )
}
