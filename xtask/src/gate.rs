//! The gate as Helm and Argo CD see it: which objects it has, in which order, and when they go. The chart, `argocd/` and
//! their documentation are generated from here, so that none of them can differ.
//!
//! Each rule names its source. "Seen" means: run with Helm 3.22 and 4.3, or Argo CD 3.5, on a cluster.

pub mod bounds;
pub mod failure;

/// Annotations in the order in which they are written.
pub type Annotations = Vec<(&'static str, String)>;

/// Helm: when the hook runs. <https://helm.sh/docs/topics/charts_hooks/>
pub const HELM_HOOK: &str = "helm.sh/hook";
/// Helm: the order among hooks; Argo CD reads it as a sync wave where the object has none.
pub const HELM_WEIGHT: &str = "helm.sh/hook-weight";
/// Helm: when the hook goes. Argo CD unites it with its own policy (`gitops-engine/pkg/sync/hook/delete_policy.go`).
pub const HELM_DELETE: &str = "helm.sh/hook-delete-policy";
/// Helm 3.18 and later: whose log is printed. Argo CD ignores it.
pub const HELM_LOG: &str = "helm.sh/hook-output-log-policy";
/// Argo CD: the phase. With it on an object, Argo CD ignores that object's Helm events
/// (`gitops-engine/pkg/sync/hook/hook.go`).
pub const ARGOCD_HOOK: &str = "argocd.argoproj.io/hook";
/// Argo CD: the order within a phase.
pub const ARGOCD_WAVE: &str = "argocd.argoproj.io/sync-wave";
/// Argo CD: when the hook goes.
pub const ARGOCD_DELETE: &str = "argocd.argoproj.io/hook-delete-policy";
/// Argo CD: how an object that is no hook is applied.
pub const ARGOCD_OPTIONS: &str = "argocd.argoproj.io/sync-options";

/// What follows the full name in that of the Secret that lives as long as the hook. No user's Secret should have this name:
/// `before-hook-creation` would delete it.
pub const COPY_SUFFIX: &str = "-migrate-copy";

/// Where the database is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Database {
    /// Somewhere else: it answers before the release exists.
    External,
    /// In the release itself: at the first install nothing answers before the release's objects are written.
    Bundled,
}

/// When Argo CD runs the Job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Before anything is applied.
    PreSync,
    /// Among the objects that are applied, as a hook in a wave before the Deployment.
    Sync,
    /// The same as a plain object: for rules that forbid hooks, and for a selective sync, which can name it and no hook
    /// (argo-cd's `controller/sync.go`).
    Wave,
}

/// The Jobs of the chart. One body, three wrappers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Job {
    /// A hook of both families: what gates a rollout.
    Hook,
    /// A plain object next to the hook, for the first install with a bundled database: it waits for the database as long as
    /// it takes. Later it finds nothing to do.
    Bootstrap,
    /// A plain object in a separate wave, for Argo CD.
    Wave,
}

/// What the hook consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// What the Job needs: the copy of the Secret and the `NetworkPolicy`.
    Inputs,
    /// The Job.
    Job,
}

/// What is applied before the rest, in this order. Everything else has no wave, which is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Secrets and settings.
    Inputs,
    /// The bundled database: Argo CD continues once it is healthy.
    Database,
    /// The migration.
    Job,
}

impl Database {
    /// The events of Helm at which the hook runs.
    ///
    /// Always both with an external database: after a first install that failed, `upgrade --install` is an upgrade, and a
    /// hook for `pre-install` alone would be skipped (seen). With a bundled one nothing could answer a `pre-install` hook;
    /// [`Job::Bootstrap`] takes its place.
    #[must_use]
    pub const fn helm_events(self) -> &'static str {
        match self {
            Self::External => "pre-install,pre-upgrade",
            Self::Bundled => "pre-upgrade",
        }
    }

    /// The phase of Argo CD where the values name none.
    #[must_use]
    pub const fn default_phase(self) -> Phase {
        match self {
            Self::External => Phase::PreSync,
            Self::Bundled => Phase::Sync,
        }
    }

    /// Whether the phase can work: `PreSync` runs before a bundled database exists, on every first sync.
    #[must_use]
    pub fn allows(self, phase: Phase) -> bool {
        self == Self::External || phase != Phase::PreSync
    }
}

impl Phase {
    /// Every phase.
    pub const ALL: [Self; 3] = [Self::PreSync, Self::Sync, Self::Wave];

    /// As the values name it, and, except for `Wave`, Argo CD too.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PreSync => "PreSync",
            Self::Sync => "Sync",
            Self::Wave => "Wave",
        }
    }
}

impl Job {
    /// Every Job.
    pub const ALL: [Self; 3] = [Self::Hook, Self::Bootstrap, Self::Wave];

    /// What follows the full name in the Job's. The bootstrap's is followed by a hash of its content: a Job cannot be
    /// changed, only replaced.
    ///
    /// Three names, because an object that is a hook in one revision and a plain one in the next is refused ("invalid
    /// ownership metadata") or deleted (seen). The wave's is fixed: with a hash in it the failed Job of the commit before
    /// stays and, without pruning, so does the application's state Degraded (seen).
    #[must_use]
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Hook => "-migrate",
            Self::Bootstrap => "-migrate-",
            Self::Wave => "-migrate-wave",
        }
    }

    /// Whether the Job has a deadline. The bootstrap has none: its database may come up late, an image pulled slowly or a
    /// quota raised after a day.
    #[must_use]
    pub fn has_deadline(self) -> bool {
        self != Self::Bootstrap
    }
}

impl Step {
    /// The wave, and the weight of a hook.
    #[must_use]
    pub const fn wave(self) -> i32 {
        match self {
            Self::Inputs => -10,
            Self::Database => -8,
            Self::Job => -5,
        }
    }
}

impl Part {
    const fn step(self) -> Step {
        match self {
            Self::Inputs => Step::Inputs,
            Self::Job => Step::Job,
        }
    }

    /// When Helm removes it.
    ///
    /// `before-hook-creation` always: without it one failure blocks every later upgrade (seen). `hook-succeeded` acts on
    /// the Job's inputs after the Job has ended, also when it failed (seen); a failed Job stays, with its log.
    #[must_use]
    pub const fn helm_delete(self) -> &'static str {
        "before-hook-creation,hook-succeeded"
    }

    /// When Argo CD removes it, which also follows Helm's policy on the same object.
    ///
    /// Inputs with `HookSucceeded` alone would stay after a failed sync (seen). They live until the Job ends.
    #[must_use]
    pub const fn argocd_delete(self) -> &'static str {
        match self {
            Self::Inputs => "BeforeHookCreation,HookSucceeded,HookFailed",
            Self::Job => "BeforeHookCreation",
        }
    }
}

/// The annotations of both families for a part of the hook. Under [`Phase::Wave`] Helm alone reads them, and Argo CD's are
/// those of the database's own phase.
#[must_use]
pub fn hook(part: Part, database: Database, phase: Phase) -> Annotations {
    let phase = if phase == Phase::Wave { database.default_phase() } else { phase };
    let mut annotations = vec![
        (HELM_HOOK, database.helm_events().to_owned()),
        (HELM_WEIGHT, part.step().wave().to_string()),
        (HELM_DELETE, part.helm_delete().to_owned()),
    ];
    if part == Part::Job {
        // Helm's own message names no cause, and the delete policy takes the log of a Job that succeeded.
        annotations.push((HELM_LOG, "hook-failed,hook-succeeded".to_owned()));
    }
    annotations.extend([
        (ARGOCD_HOOK, phase.name().to_owned()),
        (ARGOCD_WAVE, part.step().wave().to_string()),
        (ARGOCD_DELETE, part.argocd_delete().to_owned()),
    ]);
    annotations
}

/// The annotations of a plain object that Argo CD applies before the rest. Helm ignores them.
#[must_use]
pub fn wave(step: Step) -> Annotations {
    let mut annotations = vec![(ARGOCD_WAVE, step.wave().to_string())];
    if step == Step::Job {
        // A Job cannot be changed. Replaced by force it runs again at each sync, retries too, and needs no pruning (seen).
        annotations.push((ARGOCD_OPTIONS, "Force=true,Replace=true".to_owned()));
    }
    annotations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pre_sync_with_a_bundled_database_cannot_work() {
        let impossible: Vec<_> = [Database::External, Database::Bundled]
            .into_iter()
            .flat_map(|database| Phase::ALL.map(|phase| (database, phase)))
            .filter(|(database, phase)| !database.allows(*phase))
            .collect();
        assert_eq!(impossible, [(Database::Bundled, Phase::PreSync)]);
    }

    #[test]
    fn a_default_phase_is_one_that_works_and_a_hook() {
        for database in [Database::External, Database::Bundled] {
            assert!(database.allows(database.default_phase()));
            assert_ne!(database.default_phase(), Phase::Wave);
        }
    }

    #[test]
    fn steps_follow_one_another_before_everything_else() {
        let waves = [Step::Inputs, Step::Database, Step::Job].map(Step::wave);
        assert!(waves.is_sorted() && waves.iter().all(|wave| *wave < 0), "{waves:?}");
    }

    #[test]
    fn the_hook_carries_both_families() {
        let seen = hook(Part::Job, Database::External, Phase::PreSync);
        let seen: Vec<_> = seen.iter().map(|(key, value)| format!("{key}: {value}")).collect();
        assert_eq!(
            seen,
            [
                "helm.sh/hook: pre-install,pre-upgrade",
                "helm.sh/hook-weight: -5",
                "helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded",
                "helm.sh/hook-output-log-policy: hook-failed,hook-succeeded",
                "argocd.argoproj.io/hook: PreSync",
                "argocd.argoproj.io/sync-wave: -5",
                "argocd.argoproj.io/hook-delete-policy: BeforeHookCreation",
            ]
        );
    }

    #[test]
    fn a_wave_carries_no_hook_of_either_family() {
        assert!(wave(Step::Job).iter().all(|(key, _)| !key.contains("hook")));
    }
}
