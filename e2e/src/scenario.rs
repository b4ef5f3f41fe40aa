//! The list of the scenarios, and the setup and assertions that several of them share.

mod adoption;
mod argocd;
mod deployer;
mod disturbed;
mod first_install;
mod latency;
mod outage;
mod release;
mod restricted;
mod rollback;
mod shared_database;
mod skipped;
mod uninstall;
mod upgrade;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::builds::Build;
use crate::database::Database;
use crate::engine::{APP, Engine};
use crate::rollout::Rollout;
use crate::traffic::Traffic;
use crate::wait::until;
use crate::watch::{self, Event, Watch, is_of};
use crate::world::World;
use xtask::project::objects::merge;

/// One event in the life of a rollout, under the engines that it can happen with.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// What the scenario checks, for the published table.
    pub(crate) about: &'static str,
    pub(crate) engines: &'static [Engine],
    /// The engines under which it belongs to the core: the shortest set of scenarios that notices a broken gate.
    pub(crate) core: &'static [Engine],
    /// Returns what was measured, in a few words.
    pub(crate) run: fn(&World) -> Result<String>,
}

const fn scenario(
    name: &'static str,
    engines: &'static [Engine],
    core: &'static [Engine],
    run: fn(&World) -> Result<String>,
    about: &'static str,
) -> Scenario {
    Scenario { name, about, engines, core, run }
}

/// The scenarios, the longest first: one that starts late would run alone at the end.
const ALL: &[Scenario] = &[
    scenario(
        "published",
        Engine::RELEASES,
        Engine::NONE,
        release::helms,
        "three releases from a registry: the chart by its version, the image by its digest; a new migration, then a broken one",
    ),
    scenario(
        "from-1-0-0",
        Engine::HELMS,
        &[Engine::Helm3],
        adoption::run,
        "one upgrade from chart 1.0.0 keeps its volume, its rows and its names, baselines the schema that its app migrated, and no request fails",
    ),
    scenario(
        "from-1-0-0-differs",
        Engine::HELMS,
        Engine::NONE,
        adoption::differs,
        "where the schema of chart 1.0.0 differs from every version, the upgrade fails and names each difference, nothing is written, and the old pods serve; once repaired, the schema is baselined",
    ),
    scenario(
        "first-without-database",
        Engine::HELMS,
        Engine::NONE,
        first_install::without_database,
        "a first install whose bundled database never came up is repaired by `helm upgrade --install`",
    ),
    scenario(
        "first-broken-bundled",
        Engine::HELMS,
        Engine::NONE,
        first_install::broken_bundled,
        "a broken first install with the bundled database fails at the timeout, NOTES has a command that shows the cause, and a fixed image repairs it",
    ),
    scenario(
        "deadline",
        Engine::HELMS,
        Engine::NONE,
        disturbed::deadline,
        "a migration that runs past its deadline fails with the cause in the output, and its statement is canceled on the server",
    ),
    scenario(
        "stale-job",
        Engine::HELMS,
        Engine::NONE,
        skipped::stale_job,
        "an old, completed Job held by a finalizer lets no unmigrated pod become ready",
    ),
    scenario(
        "job-deleted",
        Engine::HELMS,
        Engine::NONE,
        skipped::job_deleted,
        "a Job deleted while the engine waits lets no unmigrated pod become ready",
    ),
    scenario(
        "no-hooks",
        Engine::RELEASES,
        Engine::RELEASES,
        skipped::no_hooks,
        "`--no-hooks` lets no unmigrated pod become ready, the blocked pod names what is missing, and the next upgrade recovers",
    ),
    scenario(
        "rollback",
        Engine::HELMS,
        Engine::NONE,
        rollback::run,
        "`kubectl rollout undo` and `helm rollback` bring the old build back on the newer schema",
    ),
    scenario(
        "restricted",
        Engine::HELMS,
        &[Engine::Helm4],
        restricted::run,
        "everything runs under Pod Security `restricted`, a quota and default-deny policies",
    ),
    scenario(
        "deployer",
        Engine::HELMS,
        Engine::NONE,
        deployer::run,
        "the Role in the docs is enough to install, upgrade, test and uninstall; without the right to read logs the gate still holds",
    ),
    scenario(
        "uninstall",
        Engine::HELMS,
        Engine::NONE,
        uninstall::run,
        "`helm uninstall` leaves the volume; after a failure it also leaves objects that one command removes",
    ),
    scenario(
        "broken",
        Engine::RELEASES,
        Engine::RELEASES,
        upgrade::broken_then_fixed,
        "a broken migration fails the upgrade, nothing is rolled or written, every request is served; the fixed image recovers",
    ),
    scenario(
        "next",
        Engine::RELEASES,
        Engine::RELEASES,
        upgrade::next,
        "a new migration completes before the first new pod exists, and no request fails",
    ),
    scenario(
        "next-bundled",
        Engine::RELEASES,
        Engine::NONE,
        upgrade::next_bundled,
        "the same with the bundled database",
    ),
    scenario(
        "repeated-broken",
        Engine::HELMFILES,
        &[Engine::Helmfile],
        upgrade::broken_repeated,
        "`helmfile apply` of the same broken migration fails each time it is repeated; the fixed image recovers, and then nothing differs",
    ),
    scenario(
        "repeated-lock",
        Engine::HELMFILES,
        Engine::NONE,
        outage::lock_kept,
        "`helmfile apply` that failed with exit code 75 rolls out when it is repeated, and then nothing differs",
    ),
    scenario(
        "repeated-rollout",
        Engine::HELMFILES,
        Engine::NONE,
        upgrade::rollout_repeated,
        "`helmfile apply` after pods that never became ready fails too, until a `helmfile sync` with ready pods",
    ),
    scenario(
        "database-returns",
        Engine::HELMS,
        Engine::NONE,
        outage::database_returns,
        "a database that comes back within the wait delays the upgrade",
    ),
    scenario(
        "database-gone",
        Engine::HELMS,
        Engine::NONE,
        outage::database_gone,
        "a database that stays away fails the upgrade with exit code 75 and an error that names it",
    ),
    scenario(
        "lock-released",
        Engine::HELMS,
        Engine::NONE,
        outage::lock_released,
        "a migration lock that another session releases in time delays the upgrade",
    ),
    scenario(
        "lock-kept",
        Engine::HELMS,
        Engine::NONE,
        outage::lock_kept,
        "a migration lock that another session keeps fails the upgrade with exit code 75 and an error that names the session",
    ),
    scenario(
        "pod-deleted",
        Engine::HELMS,
        Engine::NONE,
        disturbed::pod_deleted,
        "a Job whose pod is deleted during the migration applies the migration once, in another pod",
    ),
    scenario(
        "two-releases",
        Engine::HELMS,
        Engine::NONE,
        shared_database::run,
        "two releases upgraded at once on one database apply each migration once",
    ),
    scenario(
        "first-broken",
        Engine::HELMS,
        Engine::NONE,
        first_install::broken_external,
        "a broken first install fails at once with the cause in the output, and a fixed image repairs it",
    ),
    scenario(
        "first",
        Engine::RELEASES,
        Engine::NONE,
        first_install::external,
        "a first install migrates before the first pod exists",
    ),
    scenario(
        "first-bundled",
        Engine::RELEASES,
        Engine::NONE,
        first_install::bundled,
        "a first install with the bundled database, and an upgrade without a change",
    ),
];

/// Every scenario of every engine.
pub(crate) fn all() -> impl Iterator<Item = &'static Scenario> {
    argocd::ALL.iter().chain(ALL)
}

/// Measures how long the gate takes. It runs alone, and only with `--evidence`.
pub(crate) const LATENCY: Scenario =
    scenario("latency", Engine::HELMS, Engine::NONE, latency::run, "how long the gate takes");

/// The app's pods.
const APP_PODS: &str = "app.kubernetes.io/name=corveil-chart";

/// What Helmfile prints where it finds a difference.
const UPGRADES: &str = "Upgrading release=corveil";

/// A release, and a record of everything that happens to its pods and Jobs.
struct Gated<'a> {
    world: &'a World<'a>,
    values: Value,
    pods: Watch<'a>,
    jobs: Watch<'a>,
    policies: Watch<'a>,
}

impl<'a> Gated<'a> {
    fn new(world: &'a World<'a>, values: Value) -> Result<Self> {
        let watch = |kind| Watch::start(world, kind);
        let (pods, jobs, policies) = (watch("pods")?, watch("jobs")?, watch("networkpolicies")?);
        Ok(Self { world, values, pods, jobs, policies })
    }

    /// With an existing database. `helmfile.yaml` and `argocd/` expect the URLs in Secrets, and two roles.
    fn external(world: &'a World<'a>, database: &Database) -> Result<Self> {
        let off = json!({"postgresql": {"enabled": false}});
        if matches!(world.engine, Engine::Helm3 | Engine::Helm4) {
            let url = json!({"externalDatabase": {"url": database.url()}});
            return Self::new(world, merge(off, url));
        }
        world.secret("corveil", &json!({"DATABASE_URL": database.app_url(), "SECRET_KEY": "e2e-only"}))?;
        world.secret("corveil-migrate", &json!({"MIGRATE_DATABASE_URL": database.url()}))?;
        Self::new(world, off)
    }

    /// With the bundled database.
    fn bundled(world: &'a World<'a>) -> Result<Self> {
        Self::new(world, json!({"postgresql": {"enabled": true}}))
    }

    fn rollout(&self, build: Build) -> Rollout {
        Rollout::of(build, &self.values)
    }

    fn rollout_with(&self, build: Build, values: &Value) -> Rollout {
        Rollout::of(build, &merge(self.values.clone(), values.clone()))
    }

    /// Rolls out the first build, from which every upgrade starts.
    fn installed(self) -> Result<Self> {
        self.world.roll(&self.rollout(Build::First))?.expect_success()?;
        Ok(self)
    }

    /// The Deployment as it is now.
    fn deployment(&self) -> Result<Value> {
        self.world.get("deployment", APP)?.context("there is no Deployment")
    }

    /// Fails unless the Job completed before the first pod of this build existed, both in the order in which the API server
    /// reported them and by their time stamps.
    fn expect_job_before_pods(&self, build: Build) -> Result<()> {
        let events = self.pods.events()?;
        let has_migrated = |event: &Event| event.is_migration(build) && event.exit_code() == Some(0);
        let done = events.iter().position(has_migrated).context("no migration pod succeeded")?;
        let pod = events.iter().position(|event| event.is_app(build));
        let pod = pod.context("no pod of the new build ever existed")?;
        ensure!(done < pod, "a pod of the new build existed before the migration had ended");

        let jobs = self.jobs.events()?;
        let mut migrations = jobs.iter().filter(|job| job.is_migration(build));
        let completed = migrations.find_map(|job| job.object.pointer("/status/completionTime")?.as_str());
        let completed = completed.context("no Job of the new build completed")?;
        let created = events[pod].object.pointer("/metadata/creationTimestamp").and_then(Value::as_str);
        // Both are UTC, in one format, to the second.
        ensure!(
            Some(completed) <= created,
            "the Job completed at {completed}, the pod was created at {created:?}"
        );
        Ok(())
    }

    /// Fails if a pod of this build ever existed, or a `ReplicaSet` that would create one.
    fn expect_no_pod(&self, build: Build) -> Result<()> {
        ensure!(!self.pods.events()?.iter().any(|pod| pod.is_app(build)), "a pod of the new build existed");
        let sets = self.world.list("replicasets", "")?;
        ensure!(!sets.iter().any(|set| is_of(set, build)), "there is a ReplicaSet of the new build");
        Ok(())
    }

    /// Fails if a pod of this build was ever ready.
    fn expect_never_ready(&self, build: Build) -> Result<()> {
        let events = self.pods.events()?;
        let ready = events.iter().find(|pod| pod.is_app(build) && pod.is("Ready"));
        ensure!(ready.is_none(), "an unmigrated pod became ready: {}", ready.map_or("", Event::name));
        Ok(())
    }

    /// Fails if a pod of this build was ever ready, or if no pod of the first build is.
    fn expect_blocked(&self, build: Build) -> Result<()> {
        self.expect_never_ready(build)?;
        let pods = self.world.list("pods", APP_PODS)?;
        let serves = |pod: &Value| {
            is_of(pod, Build::First)
                && watch::is(pod, "Ready")
                && pod["metadata"]["deletionTimestamp"].is_null()
        };
        ensure!(pods.iter().any(serves), "no old pod is ready");
        Ok(())
    }

    /// Waits until no pod of another build is left, which is later than engines wait. Fails unless every request was
    /// answered. Returns how many there were.
    fn expect_served(&self, traffic: &Traffic, build: Build) -> Result<usize> {
        until("the old pods to go", Duration::from_mins(1), || {
            let pods = self.world.list("pods", APP_PODS)?;
            Ok(pods.iter().all(|pod| is_of(pod, build)).then_some(()))
        })?;
        traffic.expect_no_failure()
    }

    /// The exit codes of this build's migration pods, in the order in which they ended.
    fn exit_codes(&self, build: Build) -> Result<Vec<i64>> {
        let mut ended: Vec<(String, i64)> = Vec::new();
        for event in self.pods.events()?.into_iter().filter(|event| event.is_migration(build)) {
            let code = event.exit_code().map(|code| (event.name().to_owned(), code));
            ended.extend(code.filter(|(name, _)| !ended.iter().any(|(known, _)| known == name)));
        }
        Ok(ended.into_iter().map(|(_, code)| code).collect())
    }

    /// The number of Jobs so far.
    fn jobs_so_far(&self) -> Result<usize> {
        Ok(self.jobs.events()?.iter().filter(|job| job.change == "ADDED").count())
    }

    /// Fails unless a second `helmfile apply` finds no difference and runs nothing.
    fn expect_second_apply_without_diff(&self, build: Build) -> Result<()> {
        self.expect_no_difference(&self.rollout(build))
    }

    /// The same for a rollout with other values.
    fn expect_no_difference(&self, rollout: &Rollout) -> Result<()> {
        if !self.world.engine.is_helmfile() {
            return Ok(());
        }
        let before = self.jobs_so_far()?;
        let again = self.world.roll(rollout)?.expect_success()?;
        ensure!(!again.text.contains(UPGRADES), "a second apply found a difference: {}", again.text);
        ensure!(self.jobs_so_far()? == before, "a second apply ran a Job");
        Ok(())
    }
}

/// Fails unless the Deployment is unchanged: both its spec and its generation, which counts changes of the spec.
fn expect_untouched(before: &Value, after: &Value) -> Result<()> {
    for part in ["/metadata/generation", "/spec"] {
        ensure!(before.pointer(part) == after.pointer(part), "the Deployment's `{part}` was changed");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The engines under which one of these scenarios belongs to the core.
    fn core(names: &[&str]) -> Vec<Engine> {
        let chosen = all().filter(|scenario| names.contains(&scenario.name));
        let mut engines: Vec<_> = chosen.flat_map(|scenario| scenario.core).copied().collect();
        engines.sort_unstable();
        engines
    }

    #[test]
    fn the_core_notices_a_broken_gate() {
        for (what, names) in [
            ("a new migration", ["next", "argocd-next"]),
            ("a broken one and its fix", ["broken", "argocd-broken"]),
            ("a skipped hook", ["no-hooks", "argocd-selective"]),
        ] {
            assert_eq!(
                core(&names),
                [Engine::Helm3, Engine::Helm4, Engine::Helmfile, Engine::Argocd],
                "{what}"
            );
        }
        for name in ["from-1-0-0", "restricted"] {
            assert_eq!(core(&[name]).len(), 1, "{name}");
        }
    }

    #[test]
    fn the_core_is_a_part_of_the_whole() {
        for Scenario { name, engines, core, .. } in all() {
            assert!(core.iter().all(|engine| engines.contains(engine)), "{name}");
        }
    }
}
