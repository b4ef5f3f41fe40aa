//! Every tool: how it is built, and how an installed one is recognized.

use clap::ValueEnum;

use crate::tools::version::Version;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Tool {
    Actionlint,
    Argocd,
    Coredns,
    Etcd,
    GolangMigrate,
    Goose,
    Helm3,
    Helm4,
    Helmfile,
    Kubeconform,
    Kubernetes,
    Kustomize,
    Tern,
}

/// The tools of the tests of the chart and of the workflows. The shortest build is first.
pub const CHART: [Tool; 6] =
    [Tool::Actionlint, Tool::Kubeconform, Tool::Kustomize, Tool::Helm4, Tool::Helm3, Tool::Helmfile];

/// The programs of a node. The shortest build is first, so that a machine without Go, or with too old a Go, fails at once.
/// Building Kubernetes compiles most of Helm too, so these come before those of the chart.
pub const NODE: [Tool; 3] = [Tool::Etcd, Tool::Kubernetes, Tool::Coredns];

/// An API server without a node, which the tests of the chart ask whether it accepts the rendered objects.
pub const API: [Tool; 2] = [Tool::Etcd, Tool::Kubernetes];

/// The tools that follow a git repository.
pub const GITOPS: [Tool; 1] = [Tool::Argocd];

/// The migration tools of other projects.
pub const MIGRATORS: [Tool; 3] = [Tool::Tern, Tool::Goose, Tool::GolangMigrate];

/// A Go module in `xtask/tools`, and the programs that are built from it.
pub struct Module {
    /// The name of its folder in `xtask/tools` and in the cache.
    pub name: &'static str,
    /// The required module whose version in `go.mod` is that of the programs.
    pub pins: &'static str,
    /// The packages. A single one becomes a program with the module's name; several keep the names that Go gives them.
    pub packages: &'static [&'static str],
    /// Build tags, comma-separated, such as a database's driver.
    pub tags: &'static str,
    /// Variables that are set when the programs are linked. Without them a program reports a development build, and Helm
    /// refuses every chart that has a `kubeVersion`.
    pub variables: &'static [(&'static str, Setting)],
    /// How to recognize a program of the machine that can be used instead. Those of a node are always built: a mix of
    /// versions would not be a realistic node.
    pub installed: Option<Installed>,
}

/// How to recognize a program on the PATH.
pub struct Installed {
    /// Both Helms are called `helm`.
    pub names: &'static [&'static str],
    /// The arguments that print the version, in any format.
    pub ask: &'static [&'static str],
    /// The required major version, and the least minor version.
    pub least: Version,
}

/// The value of a variable.
#[derive(Clone, Copy)]
pub enum Setting {
    /// The version in `go.mod`: `v1.2.3`.
    Version,
    /// The same without the letter: `1.2.3`.
    Number,
    Major,
    Minor,
    /// The minor version of the Kubernetes to which the client in `go.mod` belongs.
    Kubernetes,
    Is(&'static str),
}

impl Module {
    /// The names of the programs, in the order of their packages.
    pub fn programs(&self) -> Vec<&'static str> {
        match self.packages {
            [_] => vec![self.name],
            several => several.iter().filter_map(|package| package.rsplit('/').next()).collect(),
        }
    }
}

impl Tool {
    /// The name of its module, and of its program where that is the only one.
    pub fn name(self) -> &'static str {
        self.module().name
    }

    #[expect(clippy::too_many_lines, reason = "it is a table")]
    pub fn module(self) -> Module {
        match self {
            Self::Actionlint => Module {
                name: "actionlint",
                pins: "github.com/rhysd/actionlint",
                packages: &["github.com/rhysd/actionlint/cmd/actionlint"],
                tags: "",
                variables: &[("github.com/rhysd/actionlint.version", Setting::Version)],
                installed: Some(Installed {
                    names: &["actionlint"],
                    ask: &["-version"],
                    least: Version { major: 1, minor: 7 },
                }),
            },
            // All components and the CLI in one program. 3.6 needs a newer Go.
            Self::Argocd => Module {
                name: "argocd",
                pins: "github.com/argoproj/argo-cd/v3",
                packages: &["github.com/argoproj/argo-cd/v3/cmd"],
                tags: "",
                variables: &[("github.com/argoproj/argo-cd/v3/common.version", Setting::Number)],
                installed: None,
            },
            Self::Coredns => Module {
                name: "coredns",
                pins: "github.com/coredns/coredns",
                packages: &["github.com/coredns/coredns"],
                tags: "",
                variables: &[],
                installed: None,
            },
            Self::Etcd => Module {
                name: "etcd",
                pins: "go.etcd.io/etcd/server/v3",
                packages: &["go.etcd.io/etcd/server/v3"],
                tags: "",
                variables: &[],
                installed: None,
            },
            Self::GolangMigrate => Module {
                name: "golang-migrate",
                pins: "github.com/golang-migrate/migrate/v4",
                packages: &["github.com/golang-migrate/migrate/v4/cmd/migrate"],
                tags: "pgx5",
                variables: &[("main.Version", Setting::Version)],
                installed: None,
            },
            Self::Goose => Module {
                name: "goose",
                pins: "github.com/pressly/goose/v3",
                packages: &["github.com/pressly/goose/v3/cmd/goose"],
                tags: "no_azuresql,no_clickhouse,no_libsql,no_mssql,no_mysql,no_sqlite3,no_vertica,no_ydb",
                variables: &[("main.version", Setting::Version)],
                installed: None,
            },
            // The chart supports Helm from 3.18 on.
            Self::Helm3 => Module {
                name: "helm3",
                pins: "helm.sh/helm/v3",
                packages: &["helm.sh/helm/v3/cmd/helm"],
                tags: "",
                // The Kubernetes version that Helm assumes without a cluster. Helm 4 sets it by itself.
                variables: &[
                    ("helm.sh/helm/v3/internal/version.version", Setting::Version),
                    ("helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor", Setting::Is("1")),
                    ("helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor", Setting::Kubernetes),
                    ("helm.sh/helm/v3/pkg/lint/rules.k8sVersionMajor", Setting::Is("1")),
                    ("helm.sh/helm/v3/pkg/lint/rules.k8sVersionMinor", Setting::Kubernetes),
                ],
                installed: Some(Installed {
                    names: &["helm3", "helm"],
                    ask: &["version", "--template", "{{.Version}}"],
                    least: Version { major: 3, minor: 18 },
                }),
            },
            Self::Helm4 => Module {
                name: "helm4",
                pins: "helm.sh/helm/v4",
                packages: &["helm.sh/helm/v4/cmd/helm"],
                tags: "",
                variables: &[("helm.sh/helm/v4/internal/version.version", Setting::Version)],
                installed: Some(Installed {
                    names: &["helm4", "helm"],
                    ask: &["version", "--template", "{{.Version}}"],
                    least: Version { major: 4, minor: 0 },
                }),
            },
            // The newest version known to work with both Helms.
            Self::Helmfile => Module {
                name: "helmfile",
                pins: "github.com/helmfile/helmfile",
                packages: &["github.com/helmfile/helmfile"],
                tags: "",
                variables: &[("go.szostok.io/version.version", Setting::Version)],
                installed: Some(Installed {
                    names: &["helmfile"],
                    // `helmfile version` asks the network for a newer one first.
                    ask: &["--version"],
                    least: Version { major: 1, minor: 8 },
                }),
            },
            Self::Kubeconform => Module {
                name: "kubeconform",
                pins: "github.com/yannh/kubeconform",
                packages: &["github.com/yannh/kubeconform/cmd/kubeconform"],
                tags: "",
                variables: &[("main.version", Setting::Version)],
                installed: Some(Installed {
                    names: &["kubeconform"],
                    ask: &["-v"],
                    least: Version { major: 0, minor: 7 },
                }),
            },
            Self::Kubernetes => Module {
                name: "kubernetes",
                pins: "k8s.io/kubernetes",
                packages: &[
                    "k8s.io/kubernetes/cmd/kube-apiserver",
                    "k8s.io/kubernetes/cmd/kube-controller-manager",
                    "k8s.io/kubernetes/cmd/kube-proxy",
                    "k8s.io/kubernetes/cmd/kube-scheduler",
                    "k8s.io/kubernetes/cmd/kubectl",
                    "k8s.io/kubernetes/cmd/kubelet",
                ],
                tags: "",
                variables: &[
                    ("k8s.io/component-base/version.gitVersion", Setting::Version),
                    ("k8s.io/component-base/version.gitMajor", Setting::Major),
                    ("k8s.io/component-base/version.gitMinor", Setting::Minor),
                    ("k8s.io/component-base/version.gitTreeState", Setting::Is("clean")),
                ],
                installed: None,
            },
            Self::Kustomize => Module {
                name: "kustomize",
                pins: "sigs.k8s.io/kustomize/kustomize/v5",
                packages: &["sigs.k8s.io/kustomize/kustomize/v5"],
                tags: "",
                variables: &[("sigs.k8s.io/kustomize/api/provenance.version", Setting::Version)],
                installed: Some(Installed {
                    names: &["kustomize"],
                    ask: &["version"],
                    least: Version { major: 5, minor: 4 },
                }),
            },
            Self::Tern => Module {
                name: "tern",
                pins: "github.com/jackc/tern/v2",
                packages: &["github.com/jackc/tern/v2"],
                tags: "",
                variables: &[],
                installed: None,
            },
        }
    }
}
