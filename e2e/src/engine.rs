//! The engines, their names, and the names of what they roll out.

use clap::ValueEnum;
use xtask::tools::Tool;

/// The tool that rolls out.
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

/// The release's name. It differs from the names of the chart and of its objects.
pub(crate) const RELEASE: &str = "prod";

/// The chart's full name: that of the Deployment and the Service, and the prefix of the Job's name.
pub(crate) const APP: &str = "corveil";

/// The hook's Job.
pub(crate) const JOB: &str = "corveil-migrate";

impl Engine {
    pub(crate) const NONE: &'static [Self] = &[];
    pub(crate) const HELMS: &'static [Self] = &[Self::Helm3, Self::Helm4];
    /// The engines that create a Helm release.
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

    /// The Helm that the engine uses.
    pub(crate) const fn helm(self) -> Tool {
        match self {
            Self::Helm3 | Self::Helmfile3 => Tool::Helm3,
            Self::Helm4 | Self::Helmfile | Self::Argocd => Tool::Helm4,
        }
    }
}
