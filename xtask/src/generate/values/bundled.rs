//! Values of the database and of Redis: bundled or external.

use crate::generate::values::Shape::{TemplateMap, TextList};
use crate::generate::values::kubernetes::Part;
use crate::generate::values::{
    Key, Pattern, flag, formed, former_subchart, from_yaml, part, section, text, value,
};

pub(crate) fn keys() -> Vec<Key> {
    vec![
        former_subchart(
            "postgresql",
            "PostgreSQL of the release's own, for trying things out; it takes over the volume of chart 1.0.0",
            vec![
                flag("enabled", true, "Run it; otherwise `externalDatabase` or `existingSecret`"),
                auth(),
                primary(),
            ],
        ),
        section(
            "externalDatabase",
            "A database that is there already; read when `postgresql.enabled` is false",
            vec![
                text("url", "", "`postgres://user:password@host:5432/database?sslmode=verify-full`")
                    .sets(&["DATABASE_URL"]),
            ],
        ),
        former_subchart(
            "redis",
            "Redis of the release's own, as a cache: without a password, without a volume",
            vec![flag("enabled", false, "Run it; otherwise `externalRedis`")],
        ),
        section(
            "externalRedis",
            "A Redis that is there already; read when `redis.enabled` is false",
            vec![text("url", "", "`redis://:password@host:6379`").sets(&["REDIS_URL"])],
        ),
    ]
}

fn auth() -> Key {
    former_subchart(
        "auth",
        "What the database is created with; later changes have no effect on it",
        vec![
            text("database", "citadel", "Name of the database"),
            text("username", "citadel", "The app's user"),
            text("password", "citadel", "The user's password"),
        ],
    )
}

/// The claim of a `StatefulSet` can never change. So every key that formed the claim of 1.0.0's subchart has its effect
/// here too: leaving one out would make the upgrade fail half way, after the Deployment was written.
fn primary() -> Key {
    former_subchart(
        "primary",
        "The one server",
        vec![former_subchart(
            "persistence",
            "Its volume; Kubernetes allows no change once it exists",
            vec![
                flag("enabled", true, "Keep data in a volume; otherwise they go with the pod"),
                text("existingClaim", "", "A claim that is there already"),
                formed("size", Pattern::Quantity, "8Gi", "Size of the volume"),
                text("storageClass", "", "Storage class; `-` is none, empty is the cluster's default"),
                value(
                    "accessModes",
                    TextList(Pattern::AccessMode),
                    from_yaml("[ReadWriteOnce]"),
                    "Access modes of the volume",
                ),
                value("annotations", TemplateMap, from_yaml("{}"), "Annotations of the claim"),
                value("labels", TemplateMap, from_yaml("{}"), "Labels of the claim"),
                part("selector", Part::Selector, "{}", "Selects the volume by its labels"),
            ],
        )],
    )
}
