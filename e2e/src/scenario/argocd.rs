//! The list of Argo CD's scenarios, and the setup and assertions that several of them share.

mod broken;
mod first;
mod moved;
mod next;
mod phases;
mod plain;
mod rollback;
mod set;
mod skipped;

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::builds::Build;
use crate::database::Database;
use crate::engine::Engine;
use crate::rollout::argocd::{Application, Commit};
use crate::scenario::{Gated, Scenario, release, scenario, uninstall};
use crate::wait::until;
use crate::world::World;

/// The scenarios, the longest first: one that starts late would run alone at the end.
pub(crate) const ALL: &[Scenario] = &[
    scenario(
        "argocd-published",
        Engine::ARGOCD,
        Engine::NONE,
        release::argocd,
        "three releases from a registry: the chart by its version, the image by its digest; a new migration, then a broken one",
    ),
    scenario(
        "argocd-retries",
        Engine::ARGOCD,
        Engine::NONE,
        broken::default_retries,
        "with auto-sync's default retries, a fix waits until the retries of the broken migration are over",
    ),
    scenario(
        "argocd-broken",
        Engine::ARGOCD,
        Engine::ARGOCD,
        broken::exhausted,
        "a broken migration fails the sync, nothing is rolled out or written, the CLI names the cause; the fix is live within 60 s",
    ),
    scenario(
        "argocd-broken-retried",
        Engine::ARGOCD,
        Engine::NONE,
        broken::fixed_between_retries,
        "a fix that is committed when the longest pause between retries begins is live within 60 s",
    ),
    scenario(
        "argocd-set",
        Engine::ARGOCD,
        Engine::NONE,
        set::run,
        "an ApplicationSet over three environments, and its progressive sync, which a broken migration stops",
    ),
    scenario(
        "argocd-rollback",
        Engine::ARGOCD,
        Engine::NONE,
        rollback::run,
        "a reverting commit and `argocd app rollback` bring the old build back on the newer schema",
    ),
    scenario(
        "argocd-moved-helm3",
        Engine::ARGOCD,
        Engine::NONE,
        moved::helm3,
        "a release moves from `helm upgrade` to Argo CD and back, with Helm 3",
    ),
    scenario(
        "argocd-moved-helm4",
        Engine::ARGOCD,
        Engine::NONE,
        moved::helm4,
        "a release moves from `helm upgrade` to Argo CD and back, with Helm 4",
    ),
    scenario(
        "argocd-selective",
        Engine::ARGOCD,
        Engine::ARGOCD,
        skipped::selective,
        "a selective sync of the Deployment alone lets no unmigrated pod become ready, and a full one recovers",
    ),
    scenario(
        "argocd-apply",
        Engine::ARGOCD,
        Engine::NONE,
        skipped::apply,
        "the same with `--strategy apply`",
    ),
    scenario(
        "argocd-self-heal",
        Engine::ARGOCD,
        Engine::NONE,
        skipped::self_heal,
        "pods of an unmigrated image that was set by hand never become ready, and self-heal reverts the image",
    ),
    scenario(
        "argocd-wave-bundled",
        Engine::ARGOCD,
        Engine::NONE,
        phases::wave_bundled,
        "phase `Wave` with the bundled database: a broken migration stops it, the fix recovers",
    ),
    scenario(
        "argocd-bundled",
        Engine::ARGOCD,
        Engine::NONE,
        phases::sync_bundled,
        "phase `Sync` with the bundled database: the same",
    ),
    scenario(
        "argocd-sync",
        Engine::ARGOCD,
        Engine::NONE,
        phases::sync,
        "phase `Sync` with an external database: the same",
    ),
    scenario(
        "argocd-wave",
        Engine::ARGOCD,
        Engine::NONE,
        phases::wave,
        "phase `Wave` with an external database: the same",
    ),
    scenario(
        "argocd-presync",
        Engine::ARGOCD,
        Engine::NONE,
        phases::presync,
        "phase `PreSync`, and a Secret that the chart creates: the same",
    ),
    scenario(
        "argocd-plain-presync",
        Engine::ARGOCD,
        Engine::NONE,
        plain::presync,
        "the plain manifests without the chart, as a PreSync hook: the same",
    ),
    scenario(
        "argocd-plain-wave",
        Engine::ARGOCD,
        Engine::NONE,
        plain::wave,
        "the plain manifests without the chart, in a wave: the same",
    ),
    scenario(
        "argocd-next",
        Engine::ARGOCD,
        Engine::ARGOCD,
        next::run,
        "a commit with a new migration: the Job completes before the first new pod exists, and no request fails",
    ),
    scenario(
        "argocd-first-bundled",
        Engine::ARGOCD,
        Engine::NONE,
        first::bundled,
        "a first sync with the bundled database, phase `Sync`",
    ),
    scenario(
        "argocd-first",
        Engine::ARGOCD,
        Engine::NONE,
        first::external,
        "a first sync with an external database, phase `PreSync`",
    ),
];

/// How long a first sync may take here: several scenarios share two cores.
const FIRST_SYNC: u64 = 180;

/// The bound for a fix, from the commit to the last new pod being ready.
const FIX: u64 = 60;

/// An Application, and a record of everything that happens to its objects.
struct Followed<'a> {
    gated: Gated<'a>,
    application: Application<'a>,
    /// The objects that were in the namespace before.
    found: Vec<(String, String)>,
}

impl<'a> Followed<'a> {
    fn new(gated: Gated<'a>, application: Application<'a>) -> Result<Self> {
        let found = uninstall::left(gated.world)?;
        Ok(Self { gated, application, found })
    }

    /// With an existing database.
    fn external(world: &'a World<'a>, database: &Database) -> Result<Self> {
        Self::new(Gated::external(world, database)?, Application::external(world)?)
    }

    /// With the bundled database.
    fn bundled(world: &'a World<'a>) -> Result<Self> {
        let url = "postgresql://citadel:citadel@corveil-postgresql:5432/citadel";
        world.secret("corveil", &json!({"DATABASE_URL": url, "SECRET_KEY": "e2e-only"}))?;
        Self::new(Gated::bundled(world)?, Application::bundled(world)?)
    }

    /// Merges these values over the scenario's.
    fn with_values(mut self, values: Value) -> Self {
        self.gated.values = xtask::project::objects::merge(self.gated.values, values);
        self
    }

    /// Commits the build, and notifies Argo CD.
    fn roll(&self, build: Build) -> Result<Commit> {
        self.application.roll(&self.gated.rollout(build))
    }

    /// Commits the first build and creates the Application. Returns how long it took until both were live.
    fn install(&self) -> Result<Duration> {
        let first = self.application.commit(&self.gated.rollout(Build::First))?;
        self.application.create()?;
        self.application.live(&first, FIRST_SYNC)
    }

    fn installed(self) -> Result<Self> {
        self.install()?;
        Ok(self)
    }

    /// Fails unless the Application is clean and deleting it leaves only objects of these kinds.
    fn end(self, kinds: &[&str]) -> Result<()> {
        self.application.expect_clean()?;
        self.application.delete()?;
        let world = self.gated.world;
        // The client of `Traffic` does not belong to the Application.
        let is_unrelated = |object: &(String, String)| self.found.contains(object) || object.1 == "client";
        let left = || -> Result<Vec<(String, String)>> {
            let left = uninstall::left(world)?;
            Ok(left
                .into_iter()
                .filter(|object| !is_unrelated(object) && !kinds.contains(&&*object.0))
                .collect())
        };
        // Pods take a moment to end.
        let waited =
            until("nothing else to be left", Duration::from_mins(1), || Ok(left()?.is_empty().then_some(())));
        waited.with_context(|| format!("left: {:?}", left().unwrap_or_default()))
    }
}

/// A duration in seconds, as a result shows it.
fn seconds(duration: Duration) -> String {
    format!("{:.0} s", duration.as_secs_f64())
}
