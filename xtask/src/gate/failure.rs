//! What a failed pod means for its Job: the exit codes as Kubernetes' `podFailurePolicy`, in which the first rule that
//! matches decides. <https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-failure-policy>

use crate::gate::Job;
use corveil::ExitCode;

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What happens.
    pub action: Action,
    /// When.
    pub on: On,
}

/// What happens to the Job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It fails at once, whatever its `backoffLimit`.
    FailJob,
    /// The pod is replaced, and not counted.
    Ignore,
}

/// How the pod ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum On {
    /// With one of these exit codes.
    Codes(Vec<u8>),
    /// By a drain, an eviction or a preemption: the condition `DisruptionTarget`.
    Disruption,
}

impl Action {
    /// As Kubernetes names it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FailJob => "FailJob",
            Self::Ignore => "Ignore",
        }
    }
}

/// The rules of a Job.
///
/// Permanent codes come first: a migration that failed just before its node was drained has failed. With the rule such a
/// Job ends after 4 s and one pod, without it after 14 s and two (seen).
#[must_use]
pub fn rules(job: Job) -> Vec<Rule> {
    let codes = |is_wanted: fn(ExitCode) -> bool| {
        On::Codes(ExitCode::ALL.into_iter().filter(|code| is_wanted(*code)).map(ExitCode::code).collect())
    };
    let mut rules = vec![
        Rule { action: Action::FailJob, on: codes(ExitCode::is_permanent) },
        Rule { action: Action::Ignore, on: On::Disruption },
    ];
    if !job.has_deadline() {
        // It waits for the database of the same release, however long that takes.
        rules.push(Rule { action: Action::Ignore, on: codes(|code| code == ExitCode::TryAgain) });
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permanent_codes_fail_the_job_and_disruptions_do_not_count() {
        for job in Job::ALL {
            let rules = rules(job);
            assert_eq!(rules[0], Rule { action: Action::FailJob, on: On::Codes(vec![2, 3, 4]) });
            assert_eq!(rules[1], Rule { action: Action::Ignore, on: On::Disruption });
        }
    }

    #[test]
    fn only_a_job_without_a_deadline_tries_again_for_ever() {
        assert_eq!(rules(Job::Hook).len(), 2);
        assert_eq!(rules(Job::Wave).len(), 2);
        assert_eq!(rules(Job::Bootstrap)[2], Rule { action: Action::Ignore, on: On::Codes(vec![75]) });
    }
}
