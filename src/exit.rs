//! The exit codes, one meaning each: scripts, the Job's `podFailurePolicy` and the tests all take them from here.

/// How a command ends, as a number for the shell and for Kubernetes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitCode {
    /// The schema is as this build requires.
    Ok,
    /// Migrations are pending. Only `corveil status` ends with this code.
    Pending,
    /// Usage or configuration is wrong, or a file was refused before anything ran.
    Usage,
    /// A migration failed, and would fail again.
    Failed,
    /// The database does not match the files: its history, an INVALID index, its schema, something else migrated it, or the app's role
    /// would not find it ready.
    Mismatch,
    /// The cause may pass: database unreachable, lock not obtained, timeout, cancelled by a signal.
    TryAgain,
}

impl ExitCode {
    /// Every code, in the order of its number.
    pub const ALL: [Self; 6] =
        [Self::Ok, Self::Pending, Self::Usage, Self::Failed, Self::Mismatch, Self::TryAgain];

    /// The number itself. 75 is `EX_TEMPFAIL` of BSD's `sysexits.h`.
    pub const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Pending => 1,
            Self::Usage => 2,
            Self::Failed => 3,
            Self::Mismatch => 4,
            Self::TryAgain => 75,
        }
    }

    /// Whether trying again without a change cannot help, so that a Job should fail at once.
    pub const fn is_permanent(self) -> bool {
        matches!(self, Self::Usage | Self::Failed | Self::Mismatch)
    }

    /// What the code means, in half a sentence for help texts and documentation.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Ok => "the schema is as this build requires",
            Self::Pending => "migrations are pending (`status` only)",
            Self::Usage => "usage or configuration is wrong, or a file was refused before anything ran",
            Self::Failed => "a migration failed, and would fail again",
            Self::Mismatch => {
                "the database does not match the files: its history, an INVALID index, drift, something else migrated it, or the \
                 app's role would not find it ready"
            }
            Self::TryAgain => {
                "try again: database unreachable, lock not obtained, timeout, cancelled by a signal"
            }
        }
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code.code())
    }
}

#[cfg(test)]
mod tests {
    use super::ExitCode;

    #[test]
    fn numbers_are_the_documented_ones() {
        assert_eq!(ExitCode::ALL.map(ExitCode::code), [0, 1, 2, 3, 4, 75]);
    }

    #[test]
    fn a_job_fails_at_once_on_exactly_the_permanent_codes() {
        let permanent: Vec<_> =
            ExitCode::ALL.into_iter().filter(|c| c.is_permanent()).map(ExitCode::code).collect();
        assert_eq!(permanent, [2, 3, 4]);
    }
}
