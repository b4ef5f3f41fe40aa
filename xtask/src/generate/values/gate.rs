//! Values of the gate: the migration Job, and the pods that wait for it.

use corveil::config::env;

use crate::generate::values::Shape::{Duration, DurationOrNone, OneOf};
use crate::generate::values::kubernetes::Part;
use crate::generate::values::{
    Key, Pattern, annotations, env_list, flag, formed, integer, labels, list_of, objects, resources, section,
    text, value,
};

/// What `corveil adopt --from` takes.
const ADOPT_FROM: &[&str] = &[
    "auto",
    "golang-migrate",
    "goose",
    "tern",
    "dbmate",
    "rails",
    "flyway",
    "liquibase",
    "refinery",
    "diesel",
    "alembic",
    "prisma",
    "schema-migrations",
];

/// What `corveil migrate --out-of-order` takes.
const OUT_OF_ORDER: &[&str] = &["fail", "apply"];

pub(crate) fn keys() -> Vec<Key> {
    vec![history(), migrate(), wait()]
}

fn history() -> Key {
    section(
        "history",
        "The table of applied migrations, `_sqlx_migrations`, for the Job, the pods that wait for it, and the app",
        vec![
            text(
                "schema",
                "",
                "Schema of the table, where a database has several, one per tenant or app; empty is the first schema of the \
                 search path that has one",
            )
            .sets(&[env::HISTORY_SCHEMA]),
            text(
                "owner",
                "",
                "Role that is trusted as the owner of the table, next to the role that connects and the owner of the database",
            )
            .sets(&[env::HISTORY_OWNER]),
        ],
    )
}

fn migrate() -> Key {
    let mut keys = vec![
            flag("enabled", true, "Run the migration Job; without it pods wait until another run has migrated the database"),
            section(
                "argocd",
                "How the Job runs under Argo CD",
                vec![value(
                    "phase",
                    OneOf(&["", "PreSync", "Sync", "Wave"]),
                    "",
                    "`PreSync` and `Sync` are hooks, `Wave` is a plain Job in a sync wave; empty is PreSync, or Sync \
                     with the bundled database, which a PreSync cannot see",
                )],
            ),
            section(
                "database",
                "A role of its own for the Job: with DDL rights, over a direct connection",
                vec![
                    formed("existingSecret", Pattern::Name, "", "Secret with the URL that the Job migrates with; empty uses the app's `DATABASE_URL`"),
                    formed("key", Pattern::DataKey, env::MIGRATE_DATABASE_URL, "Key of the URL in `migrate.database.existingSecret`"),
                ],
            ),
            section(
                "adopt",
                "Whether the Job takes over a database that something else migrated, as chart 1.0.0's app did, before it \
                 migrates. The schema is compared with these migrations first",
                vec![
                    flag(
                        "enabled",
                        false,
                        "Adopt the database; nothing happens where it is empty or has Corveil's history already",
                    ),
                    value(
                        "from",
                        OneOf(ADOPT_FROM),
                        "auto",
                        "The tool that migrated the database so far; `auto` finds the tool's table",
                    )
                    .sets(&[env::ADOPT]),
                    text("to", "", "The version that the adopted database contains; empty finds out").sets(&[env::ADOPT_TO]),
                ],
            ),
            formed(
                "serviceAccount",
                Pattern::Name,
                "",
                "An account for the Job, never the app's: one that exists, or the name for `migrate.createServiceAccount`; \
                 empty is the namespace's default, or the Job's own name",
            ),
            flag(
                "createServiceAccount",
                false,
                "Create an account for the Job, before it runs, that no rights are bound to: for an identity of your cloud",
            ),
            annotations(
                "serviceAccountAnnotations",
                "Annotations of the account that `migrate.createServiceAccount` creates",
            ),
            annotations("annotations", "More annotations of the Job; those that make it a gate stay the chart's"),
            integer(
                "activeDeadlineSeconds",
                1,
                270,
                "Seconds until Kubernetes ends the Job: below the timeout of Helm, 300 s unless you set it, and above the waits \
                 of one attempt",
            ),
            integer(
                "backoffLimit",
                0,
                1,
                "How often the Job is tried again when the cause may pass (exit code 75)",
            ),
            value("waitForDb", Duration, "60s", "How long the Job waits for the database")
                .sets(&[env::WAIT_FOR_DB]),
            value("lockWait", Duration, "120s", "How long the Job waits for another run to end")
                .sets(&[env::LOCK_WAIT]),
            value("lockTimeout", DurationOrNone, "2s", "How long a statement of a migration waits for a lock on a table")
                .sets(&[env::LOCK_TIMEOUT]),
            value("statementTimeout", DurationOrNone, "none", "How long a statement of a migration may run")
                .sets(&[env::STATEMENT_TIMEOUT]),
            integer("retries", 0, 10, "How often the Job tries a file again after a timeout or a deadlock")
                .sets(&[env::RETRIES]),
            value(
                "outOfOrder",
                OneOf(OUT_OF_ORDER),
                "fail",
                "What the Job does with a file that is older than the newest applied one: `fail` ends with exit code 4, `apply` \
                 applies it, as projects need that merge branches",
            )
            .sets(&[env::OUT_OF_ORDER]),
            flag(
                "errorDetail",
                false,
                "Whether the Job's log and Helm's output show the DETAIL of an error where it may quote a row, and personal data with \
                 it; the server's log has it either way",
            )
            .sets(&[env::DETAIL]),
    ];
    keys.extend(pod());
    section("migrate", "The Job that migrates the database before the Deployment rolls", keys)
}

/// What the Job's pod is made of.
fn pod() -> Vec<Key> {
    vec![
        resources(
            "resources",
            "{requests: {cpu: 50m, memory: 32Mi}, limits: {cpu: 500m, memory: 128Mi}}",
            "Requests and limits of the Job's container",
        ),
        env_list("extraEnv", "More environment variables of the Job, as in a container's `env`"),
        list_of(
            "extraEnvFrom",
            Part::EnvFrom,
            "Secrets and ConfigMaps with more environment variables of the Job, as in a container's `envFrom`; the Job's own win",
        ),
        objects(
            "extraInitContainers",
            "Init containers of the Job's pod; with `restartPolicy: Always` a sidecar, such as a proxy to the database, \
                 which ends with the migration",
        ),
        formed("priorityClassName", Pattern::Name, "", "Priority class of the Job's pod"),
        list_of(
            "extraVolumes",
            Part::Volumes,
            "Volumes of the Job's pod, for what the database's URL names: a certificate, a key",
        ),
        list_of(
            "extraVolumeMounts",
            Part::VolumeMounts,
            "Where the Job's container has `migrate.extraVolumes`",
        ),
        labels("podLabels", "More labels of the Job's pod"),
        annotations("podAnnotations", "More annotations of the Job's pod"),
    ]
}

fn wait() -> Key {
    section(
        "wait",
        "The init container `wait-for-db`: a pod starts only when every migration of its build is applied",
        vec![
            flag(
                "enabled",
                true,
                "Whether pods wait; without it a pod whose migrations were skipped starts, and serves on a schema that it does \
                 not know",
            ),
            value(
                "timeout",
                Duration,
                0,
                "How long `wait-for-db` waits before it starts again; 0 is without limit",
            )
            .sets(&[env::TIMEOUT]),
            integer(
                "progressDeadlineSeconds",
                1,
                240,
                "Seconds until Kubernetes reports a rollout without progress: below Helm's timeout, so that Helm names the reason",
            ),
            resources(
                "resources",
                "{requests: {cpu: 50m, memory: 32Mi}, limits: {cpu: 500m, memory: 128Mi}}",
                "Requests and limits of `wait-for-db`",
            ),
        ],
    )
}

#[cfg(test)]
mod tests {
    use crate::gate::bounds::Bounds;

    use corveil::core::foreign::Tool;

    use super::{ADOPT_FROM, migrate};
    use crate::generate::values::Kind;

    #[test]
    fn what_can_be_adopted_from_is_what_the_program_reads() {
        let names = Tool::READABLE.into_iter().filter_map(Tool::name);
        assert!(std::iter::once("auto").chain(names).eq(ADOPT_FROM.iter().copied()));
    }

    #[test]
    fn the_bounds_are_those_of_the_gate() {
        let Kind::Section(keys, _) = migrate().kind else { panic!("`migrate` has keys") };
        let default = |name: &str| match &keys.iter().find(|key| key.name == name).expect("a key").kind {
            Kind::Value(_, default) => default.clone(),
            _ => panic!("`migrate.{name}` has no default"),
        };
        let Bounds { wait_for_db, lock_wait, active_deadline } = Bounds::DEFAULT;
        assert_eq!(default("waitForDb"), format!("{}s", wait_for_db.as_secs()));
        assert_eq!(default("lockWait"), format!("{}s", lock_wait.as_secs()));
        assert_eq!(default("activeDeadlineSeconds"), active_deadline.as_secs());
    }
}
