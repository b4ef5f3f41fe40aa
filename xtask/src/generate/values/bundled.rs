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
            "The bundled PostgreSQL, for evaluation; uses the volume that chart 1.0.0 created, if there is \
             one",
            vec![
                flag(
                    "enabled",
                    true,
                    "Run the bundled PostgreSQL; if false, `externalDatabase.url` or `existingSecret` names \
                     the database",
                ),
                image(
                    "PostgreSQL",
                    "library/postgres",
                    "18-bookworm",
                    // Debian 12, as the image that wrote the volumes of 1.0.0: another libc sorts text differently, and breaks indexes.
                    "Tag of the image of the bundled PostgreSQL: version 18 on Debian 12, which wrote the \
                     volume of chart 1.0.0",
                ),
                auth(),
                primary(),
            ],
        ),
        section(
            "externalDatabase",
            "An existing database, used if `postgresql.enabled` is false",
            vec![
                text(
                    "url",
                    "",
                    "URL of an existing database, used if `postgresql.enabled` is false: \
                     `postgres://user:password@host:5432/database?sslmode=verify-full`",
                )
                .sets(&["DATABASE_URL"]),
            ],
        ),
        former_subchart(
            "redis",
            "The bundled Redis, a cache without a password and without a volume",
            vec![
                flag(
                    "enabled",
                    false,
                    "Run the bundled Redis; if false, `externalRedis.url` may name another Redis",
                ),
                image("Redis", "library/redis", "7-bookworm", "Tag of the image of the bundled Redis"),
                former_subchart(
                    "master",
                    "The server of the bundled Redis",
                    placement(
                        "Redis",
                        "{requests: {cpu: 50m, memory: 64Mi}, limits: {cpu: 500m, memory: 256Mi}}",
                    ),
                ),
            ],
        ),
        section(
            "externalRedis",
            "An existing Redis, used if `redis.enabled` is false",
            vec![
                text(
                    "url",
                    "",
                    "URL of an existing Redis, used if `redis.enabled` is false: \
                     `redis://:password@host:6379`",
                )
                .sets(&["REDIS_URL"]),
            ],
        ),
    ]
}

/// Keys of the former subcharts. An empty registry is that of the repository.
fn image(server: &str, repository: &'static str, tag: &'static str, tag_doc: &'static str) -> Key {
    former_subchart(
        "image",
        "Image of the bundled {}: the official one, or a copy of it",
        vec![
            formed(
                "registry",
                Pattern::Registry,
                "docker.io",
                "Registry of the image of the bundled {}, unless `global.imageRegistry` is set",
            ),
            formed(
                "repository",
                Pattern::Repository,
                repository,
                "Repository of the image of the bundled {}; `global.imageRegistry` does not change one that \
                 names a registry",
            ),
            quoted("tag", Pattern::Tag, tag, tag_doc),
            quoted("digest", Pattern::Digest, "", "Digest of the image of the bundled {}; overrides the tag"),
            value("pullPolicy", PULL_POLICY, "IfNotPresent", "Pull policy of the image of the bundled {}"),
            pull_secrets("pullSecrets", "Image pull secrets for the bundled {}, added to `imagePullSecrets`"),
        ],
    )
    .about(server)
}

/// What a server needs, and where it may run.
fn placement(server: &str, bounds: &'static str) -> Vec<Key> {
    let keys = [
        former_subchart(
            "containerSecurityContext",
            "User and group of the bundled {}",
            vec![
                flag(
                    "enabled",
                    true,
                    "Set the user and group IDs of the bundled {}; if false, the cluster has to choose \
                     them, as OpenShift does, because the image's default user is root",
                ),
                integer("runAsUser", 1, 1001, "User ID that the bundled {} runs as"),
                integer("runAsGroup", 0, 1001, "Group ID that the bundled {} runs as"),
            ],
        ),
        resources("resources", bounds, "CPU and memory requests and limits of the bundled {}"),
        labels("nodeSelector", "Labels that a node needs to run the bundled {}"),
        list_of("tolerations", Part::Tolerations, "Tolerations of the pod of the bundled {}"),
        part("affinity", Part::Affinity, "{}", "Affinity of the pod of the bundled {}"),
        formed("priorityClassName", Pattern::Name, "", "Priority class of the pod of the bundled {}"),
    ];
    keys.map(|key| key.about(server)).into()
}

fn auth() -> Key {
    former_subchart(
        "auth",
        "Database and user that the bundled PostgreSQL creates in an empty volume; later changes have no \
         effect",
        vec![
            text("database", "citadel", "Name of the database that the bundled PostgreSQL creates"),
            text("username", "citadel", "Name of the user that the bundled PostgreSQL creates for the app"),
            text("password", "citadel", "Password of the user that the bundled PostgreSQL creates"),
            formed(
                "existingSecret",
                Pattern::Name,
                "",
                "Name of a Secret with the password of the user that the bundled PostgreSQL creates; the \
                 app's URL has to be in the Secret that the top-level `existingSecret` names",
            ),
            former_subchart(
                "secretKeys",
                "Keys of the Secret `postgresql.auth.existingSecret`",
                vec![formed(
                    "userPasswordKey",
                    Pattern::DataKey,
                    "password",
                    "Key of the password in the Secret `postgresql.auth.existingSecret`",
                )],
            ),
        ],
    )
}

/// The claim of a `StatefulSet` can never change. So every key that formed the claim of 1.0.0's subchart has its effect
/// here too: leaving one out would make the upgrade fail half way, after the Deployment was written.
fn primary() -> Key {
    let mut keys =
        placement("PostgreSQL", "{requests: {cpu: 100m, memory: 256Mi}, limits: {cpu: '1', memory: 1Gi}}");
    keys.push(former_subchart(
        "podSecurityContext",
        "Group of the bundled PostgreSQL's volume",
        vec![
            flag(
                "enabled",
                true,
                "Set the group ID of the bundled PostgreSQL's volume; if false, the cluster has to choose \
                 one, as OpenShift does",
            ),
            integer("fsGroup", 1, 1001, "Group ID that owns the bundled PostgreSQL's volume"),
        ],
    ));
    keys.push(persistence());
    former_subchart("primary", "The server of the bundled PostgreSQL", keys)
}

fn persistence() -> Key {
    former_subchart(
        "persistence",
        "The bundled PostgreSQL's volume; Kubernetes allows no change once the volume claim exists",
        vec![
            flag(
                "enabled",
                true,
                "Keep the bundled PostgreSQL's data in a persistent volume; if false, the data are lost \
                 with the pod",
            ),
            text(
                "existingClaim",
                "",
                "Name of an existing PersistentVolumeClaim with the bundled PostgreSQL's volume",
            ),
            formed("size", Pattern::Quantity, "8Gi", "Size of the bundled PostgreSQL's volume"),
            text(
                "storageClass",
                "",
                "Storage class of the bundled PostgreSQL's volume; empty is the cluster's default, `-` is \
                 none",
            ),
            value(
                "accessModes",
                TextList(Pattern::AccessMode),
                from_yaml("[ReadWriteOnce]"),
                "Access modes of the bundled PostgreSQL's volume",
            ),
            value(
                "annotations",
                TemplateMap,
                from_yaml("{}"),
                "Annotations of the bundled PostgreSQL's PersistentVolumeClaim; templates are evaluated",
            ),
            value(
                "labels",
                TemplateMap,
                from_yaml("{}"),
                "Labels of the bundled PostgreSQL's PersistentVolumeClaim; templates are evaluated",
            ),
            part(
                "selector",
                Part::Selector,
                "{}",
                "Label selector for the bundled PostgreSQL's persistent volume",
            ),
        ],
    )
}
