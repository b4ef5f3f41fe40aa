//! The engines by name, and how each names what it rolls out.

use clap::ValueEnum;
use xtask::tools::Tool;

/// What rolls out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Engine {
    Helm3,
    Helm4,
    /// With Helm 4.
    Helmfile,
    /// With Helm 3.
    Helmfile3,
    Argocd,
}

/// The release's name. It is not that of the chart, nor of its objects.
pub(crate) const RELEASE: &str = "prod";

/// The Deployment, the Service, and where names of the Job begin: the chart's full name.
pub(crate) const APP: &str = "corveil";

/// The hook's Job.
pub(crate) const JOB: &str = "corveil-migrate";

impl Engine {
    pub(crate) const NONE: &'static [Self] = &[];
    pub(crate) const HELMS: &'static [Self] = &[Self::Helm3, Self::Helm4];
    /// Those that make a Helm release.
    pub(crate) const RELEASES: &'static [Self] = &[Self::Helm3, Self::Helm4, Self::Helmfile];
    pub(crate) const HELMFILES: &'static [Self] = &[Self::Helmfile, Self::Helmfile3];
    pub(crate) const ARGOCD: &'static [Self] = &[Self::Argocd];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Helm3 => "helm3",
            Self::Helm4 => "helm4",
            Self::Helmfile => "helmfile",
            Self::Helmfile3 => "helmfile3",
            Self::Argocd => "argocd",
        }
    }

    pub(crate) const fn is_helmfile(self) -> bool {
        matches!(self, Self::Helmfile | Self::Helmfile3)
    }

    /// The Helm that does the work.
    pub(crate) const fn helm(self) -> Tool {
        match self {
            Self::Helm3 | Self::Helmfile3 => Tool::Helm3,
            Self::Helm4 | Self::Helmfile | Self::Argocd => Tool::Helm4,
        }
    }
}
