//! Values of the gate: the migration Job, and the pods that wait for it.

use corveil::env;

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
        "The history table `_sqlx_migrations`, for the migration Job, `wait-for-db` and the app",
        vec![
            text(
                "schema",
                "",
                "Schema of the history table `_sqlx_migrations`, for a database with one per tenant or app; \
                 if empty, the first schema of the search path that has the table",
            )
            .sets(&[env::HISTORY_SCHEMA]),
            text(
                "owner",
                "",
                "Role that is trusted as the owner of the history table, in addition to the role that \
                 connects and the owner of the database",
            )
            .sets(&[env::HISTORY_OWNER]),
        ],
    )
}

fn migrate() -> Key {
    let mut keys = vec![
        flag(
            "enabled",
            true,
            "Run the migration Job; if false, pods wait until something else has migrated the database",
        ),
        section(
            "argocd",
            "How Argo CD runs the migration Job",
            vec![value(
                "phase",
                OneOf(&["", "PreSync", "Sync", "Wave"]),
                "",
                "How Argo CD runs the migration Job: as a hook of `PreSync` or `Sync`, or as a plain Job in \
                 a sync wave (`Wave`); if empty, PreSync, or Sync with the bundled PostgreSQL, which does \
                 not exist before the first sync",
            )],
        ),
        section(
            "database",
            "Credentials for the migration Job alone: a role with DDL rights, over a direct connection",
            vec![
                formed(
                    "existingSecret",
                    Pattern::Name,
                    "",
                    "Name of a Secret with the database URL for the migration Job; if empty, the Job uses \
                     the app's `DATABASE_URL`",
                ),
                formed(
                    "key",
                    Pattern::DataKey,
                    env::MIGRATE_DATABASE_URL,
                    "Key of the URL in the Secret `migrate.database.existingSecret`",
                ),
            ],
        ),
        adopt(),
    ];
    keys.extend(account());
    keys.extend(run());
    keys.extend(pod());
    section("migrate", "The Job that migrates the database before the Deployment rolls out", keys)
}

fn adopt() -> Key {
    section(
        "adopt",
        "Adoption of a database that something else migrated, as chart 1.0.0's app did: the migration \
         Job compares the schema with these migrations, and records those that the database contains as \
         applied, before it migrates",
        vec![
            flag(
                "enabled",
                false,
                "Adopt a database that another tool migrated: record the migrations that it contains as \
                 applied without running them; no effect on a database that is empty or has Corveil's \
                 history",
            ),
            value(
                "from",
                OneOf(ADOPT_FROM),
                "auto",
                "Tool that migrated the database before its adoption; `auto` detects the tool by its \
                 history table",
            )
            .sets(&[env::ADOPT]),
            text(
                "to",
                "",
                "Version of the newest migration that the adopted database contains; if empty, Corveil \
                 detects the version",
            )
            .sets(&[env::ADOPT_TO]),
        ],
    )
}

/// As whom the Job runs, and its annotations.
fn account() -> Vec<Key> {
    vec![
        formed(
            "serviceAccount",
            Pattern::Name,
            "",
            "ServiceAccount of the migration Job, never the app's: an existing one, or the name for \
             `migrate.createServiceAccount`; if empty, the namespace's default, or the name of the Job for \
             an account that is created",
        ),
        flag(
            "createServiceAccount",
            false,
            "Create a ServiceAccount for the migration Job before the Job runs; no rights are bound to the \
             account, which is for workload identity in a cloud",
        ),
        annotations(
            "serviceAccountAnnotations",
            "Annotations of the ServiceAccount that `migrate.createServiceAccount` creates",
        ),
        annotations(
            "annotations",
            "Additional annotations of the migration Job; annotations of Helm and Argo CD are refused, \
             because the chart sets them",
        ),
    ]
}

/// How long the Job runs, and what it does about what it finds.
fn run() -> Vec<Key> {
    vec![
        integer(
            "activeDeadlineSeconds",
            1,
            270,
            "Seconds until Kubernetes ends the migration Job: below the timeout of Helm, which is 300 s by \
             default, and above the sum of `migrate.waitForDb` and `migrate.lockWait`",
        ),
        integer(
            "backoffLimit",
            0,
            1,
            "Number of times that Kubernetes retries the migration Job after a temporary failure (exit code \
             75)",
        ),
        value(
            "waitForDb",
            Duration,
            "60s",
            "Time for which the migration Job waits until the database accepts connections",
        )
        .sets(&[env::WAIT_FOR_DB]),
        value(
            "lockWait",
            Duration,
            "120s",
            "Time for which the migration Job waits until another migration run has ended",
        )
        .sets(&[env::LOCK_WAIT]),
        value(
            "lockTimeout",
            DurationOrNone,
            "2s",
            "Time for which a statement of a migration waits for a lock on a table",
        )
        .sets(&[env::LOCK_TIMEOUT]),
        value(
            "statementTimeout",
            DurationOrNone,
            "none",
            "Time for which a statement of a migration may run; `none` is without limit",
        )
        .sets(&[env::STATEMENT_TIMEOUT]),
        integer(
            "retries",
            0,
            10,
            "Number of times that the migration Job retries a migration file after a lock timeout or a \
             deadlock",
        )
        .sets(&[env::RETRIES]),
        value(
            "outOfOrder",
            OneOf(OUT_OF_ORDER),
            "fail",
            "What the migration Job does with a pending migration that is older than the newest applied \
             one: `fail` ends with exit code 4, `apply` applies the migration, as projects need that merge \
             branches",
        )
        .sets(&[env::OUT_OF_ORDER]),
        flag(
            "errorDetail",
            false,
            "Show the DETAIL of an error in the migration Job's log and Helm's output even where it may \
             quote a row, and with it personal data; the server's log always has it",
        )
        .sets(&[env::DETAIL]),
    ]
}

/// What the Job's pod is made of.
fn pod() -> Vec<Key> {
    vec![
        resources(
            "resources",
            "{requests: {cpu: 50m, memory: 32Mi}, limits: {cpu: 500m, memory: 128Mi}}",
            "CPU and memory requests and limits of the migration Job's container",
        ),
        env_list(
            "extraEnv",
            "Additional environment variables for the migration Job, as in a container's `env`",
        ),
        list_of(
            "extraEnvFrom",
            Part::EnvFrom,
            "Secrets and ConfigMaps with additional environment variables for the migration Job, as in a \
             container's `envFrom`; variables that the chart sets take precedence",
        ),
        objects(
            "extraInitContainers",
            "Init containers of the migration Job's pod; one with `restartPolicy: Always` is a sidecar, \
             such as a proxy to the database, and ends with the migration",
        ),
        formed("priorityClassName", Pattern::Name, "", "Priority class of the migration Job's pod"),
        list_of(
            "extraVolumes",
            Part::Volumes,
            "Volumes of the migration Job's pod, such as a certificate and a key that the database's URL \
             names",
        ),
        list_of(
            "extraVolumeMounts",
            Part::VolumeMounts,
            "Volume mounts of the migration Job's container, for `migrate.extraVolumes`",
        ),
        labels("podLabels", "Additional labels of the migration Job's pod"),
        annotations("podAnnotations", "Additional annotations of the migration Job's pod"),
    ]
}

fn wait() -> Key {
    section(
        "wait",
        "The init container `wait-for-db`: the app starts only when every migration of its build is applied",
        vec![
            flag(
                "enabled",
                true,
                "Add the init container `wait-for-db`; if false, a pod starts even when the migrations of \
                 its build are not applied, and serves on a schema that it does not know",
            ),
            value(
                "timeout",
                Duration,
                0,
                "Time after which `wait-for-db` fails and Kubernetes restarts it; 0 is without limit",
            )
            .sets(&[env::TIMEOUT]),
            integer(
                "progressDeadlineSeconds",
                1,
                240,
                "Seconds until Kubernetes reports that a rollout makes no progress: below Helm's timeout, \
                 so that Helm reports the reason",
            ),
            resources(
                "resources",
                "{requests: {cpu: 50m, memory: 32Mi}, limits: {cpu: 500m, memory: 128Mi}}",
                "CPU and memory requests and limits of `wait-for-db`",
            ),
        ],
    )
}

#[cfg(test)]
mod tests {
    use crate::gate::bounds::Bounds;

    use corveil::other_tool::Tool;

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
