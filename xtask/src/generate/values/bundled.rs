//! Values of the database and of Redis: bundled or external.

use crate::generate::values::Shape::{TemplateMap, TextList};
use crate::generate::values::app::PULL_POLICY;
use crate::generate::values::kubernetes::Part;
use crate::generate::values::{
    Key, Pattern, flag, formed, former_subchart, from_yaml, integer, labels, list_of, part, pull_secrets,
    quoted, resources, section, text, value,
};

pub(crate) fn keys() -> Vec<Key> {
    vec![
        former_subchart(
            "postgresql",
            "PostgreSQL of the release's own, for trying things out; it takes over the volume of chart 1.0.0",
            vec![
                flag(
                    "enabled",
                    true,
                    "Run the bundled PostgreSQL; otherwise `externalDatabase` or `existingSecret` names a database",
                ),
                image(
                    "library/postgres",
                    "18-bookworm",
                    "Image of the bundled PostgreSQL: the official one, or a copy of it",
                    // Debian 12, as the image that wrote the volumes of 1.0.0: another libc sorts text differently, and breaks indexes.
                    "Tag: PostgreSQL 18 on Debian 12, as the volume of chart 1.0.0 was written by it",
                ),
                auth(),
                primary(),
            ],
        ),
        section(
            "externalDatabase",
            "A database that is there already; read when `postgresql.enabled` is false",
            vec![
                text(
                    "url",
                    "",
                    "URL of the database: `postgres://user:password@host:5432/database?sslmode=verify-full`",
                )
                .sets(&["DATABASE_URL"]),
            ],
        ),
        former_subchart(
            "redis",
            "Redis of the release's own, as a cache: without a password, without a volume",
            vec![
                flag("enabled", false, "Run the bundled Redis; otherwise `externalRedis` may name one"),
                image(
                    "library/redis",
                    "7-bookworm",
                    "Image of the bundled Redis: the official one, or a copy of it",
                    "Tag of the bundled Redis' image",
                ),
                former_subchart(
                    "master",
                    "The one server of Redis",
                    placement("{requests: {cpu: 50m, memory: 64Mi}, limits: {cpu: 500m, memory: 256Mi}}"),
                ),
            ],
        ),
        section(
            "externalRedis",
            "A Redis that is there already; read when `redis.enabled` is false",
            vec![text("url", "", "URL of Redis: `redis://:password@host:6379`").sets(&["REDIS_URL"])],
        ),
    ]
}

/// Keys of the former subcharts. An empty registry is that of the repository.
fn image(repository: &'static str, tag: &'static str, doc: &'static str, tag_doc: &'static str) -> Key {
    former_subchart(
        "image",
        doc,
        vec![
            formed(
                "registry",
                Pattern::Registry,
                "docker.io",
                "Registry of the bundled server's image, unless `global.imageRegistry` is set",
            ),
            formed(
                "repository",
                Pattern::Repository,
                repository,
                "Repository of the bundled server's image; one that names a registry is used as it is",
            ),
            quoted("tag", Pattern::Tag, tag, tag_doc),
            quoted("digest", Pattern::Digest, "", "Digest of the bundled server's image, instead of the tag"),
            value("pullPolicy", PULL_POLICY, "IfNotPresent", "When the bundled server's image is pulled"),
            pull_secrets(
                "pullSecrets",
                "Secrets to pull the bundled server's image with, in addition to `imagePullSecrets`",
            ),
        ],
    )
}

/// What a server needs, and where it may run.
fn placement(bounds: &'static str) -> Vec<Key> {
    vec![
        former_subchart(
            "containerSecurityContext",
            "The user that the server runs as",
            vec![
                flag(
                    "enabled",
                    true,
                    "Name a user and a group for the bundled server; otherwise the cluster has to choose them, as OpenShift does, because the image's \
                     own user is root",
                ),
                integer("runAsUser", 1, 1001, "User that the bundled server runs as, and that owns the data"),
                integer("runAsGroup", 0, 1001, "Group that the bundled server runs as"),
            ],
        ),
        resources("resources", bounds, "Requests and limits of the bundled server"),
        labels("nodeSelector", "Labels of the nodes that may run the bundled server"),
        list_of("tolerations", Part::Tolerations, "Taints of nodes that the bundled server tolerates"),
        part("affinity", Part::Affinity, "{}", "Affinity of the bundled server's pod"),
        formed("priorityClassName", Pattern::Name, "", "Priority class of the bundled server's pod"),
    ]
}

fn auth() -> Key {
    former_subchart(
        "auth",
        "What the database is created with; later changes have no effect on it",
        vec![
            text("database", "citadel", "Name of the database that the bundled PostgreSQL creates"),
            text("username", "citadel", "User that the bundled PostgreSQL creates for the app"),
            text("password", "citadel", "Password of the user that the bundled PostgreSQL creates"),
            formed(
                "existingSecret",
                Pattern::Name,
                "",
                "Secret with the password that the database is created with; the app reads its own URL from the Secret that \
                 the top-level `existingSecret` names",
            ),
            former_subchart(
                "secretKeys",
                "Keys of `postgresql.auth.existingSecret`",
                vec![formed(
                    "userPasswordKey",
                    Pattern::DataKey,
                    "password",
                    "Key of the password in `postgresql.auth.existingSecret`",
                )],
            ),
        ],
    )
}

/// The claim of a `StatefulSet` can never change. So every key that formed the claim of 1.0.0's subchart has its effect
/// here too: leaving one out would make the upgrade fail half way, after the Deployment was written.
fn primary() -> Key {
    let mut keys = placement("{requests: {cpu: 100m, memory: 256Mi}, limits: {cpu: '1', memory: 1Gi}}");
    keys.push(former_subchart(
        "podSecurityContext",
        "The group that owns the volume",
        vec![
            flag(
                "enabled",
                true,
                "Name a group for the bundled server's volume; otherwise the cluster has to choose one, as OpenShift does",
            ),
            integer("fsGroup", 1, 1001, "Group that the bundled server's volume is given to"),
        ],
    ));
    keys.push(persistence());
    former_subchart("primary", "The one server of PostgreSQL", keys)
}

fn persistence() -> Key {
    former_subchart(
        "persistence",
        "Its volume; Kubernetes allows no change once it exists",
        vec![
            flag(
                "enabled",
                true,
                "Keep the bundled database in a volume; otherwise the data are lost with the pod",
            ),
            text("existingClaim", "", "Claim with the bundled database's volume that exists already"),
            formed("size", Pattern::Quantity, "8Gi", "Size of the bundled database's volume"),
            text(
                "storageClass",
                "",
                "Storage class of the bundled database's volume; `-` is none, empty is the cluster's default",
            ),
            value(
                "accessModes",
                TextList(Pattern::AccessMode),
                from_yaml("[ReadWriteOnce]"),
                "Access modes of the bundled database's volume",
            ),
            value("annotations", TemplateMap, from_yaml("{}"), "Annotations of the bundled database's claim"),
            value("labels", TemplateMap, from_yaml("{}"), "Labels of the bundled database's claim"),
            part("selector", Part::Selector, "{}", "Selects the bundled database's volume by labels"),
        ],
    )
}
