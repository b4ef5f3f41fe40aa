//! The cases that are measured, and the goals for corveil.

use std::time::Duration;

use crate::bench::program::Kind;

/// The bench does not wait longer than this for a session that outlives its program.
pub(crate) const LONGEST_AFTERLIFE: Duration = Duration::from_secs(3);

/// One table of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Case {
    /// A start that finds everything applied. psql's equivalent reads the history table with one query.
    NoOp,
    /// 300 files of a table and an index each, on an empty database.
    Files,
    /// The no-op start, through a proxy that adds a round trip of 2 ms.
    #[value(name = "no-op-2ms")]
    NoOpFar,
    /// The 300 files, through the same proxy.
    #[value(name = "files-2ms")]
    FilesFar,
    /// Peak memory of the program while it applies the 300 files.
    Memory,
    /// One file of 2 MiB of rows.
    #[value(name = "rows-2")]
    Rows2,
    /// One file of 10 MiB of rows.
    #[value(name = "rows-10")]
    Rows10,
    /// One file of 60 MiB of rows.
    #[value(name = "rows-60")]
    Rows60,
    /// Peak memory of the program while it applies the 2 MiB of rows.
    #[value(name = "rows-2-memory")]
    Rows2Memory,
    /// The same for the 10 MiB.
    #[value(name = "rows-10-memory")]
    Rows10Memory,
    /// The same for the 60 MiB.
    #[value(name = "rows-60-memory")]
    Rows60Memory,
    /// Size of the program's file.
    Size,
    /// From SIGKILL of the program in a long statement until its session and locks are gone.
    Kill,
    /// `verify --schema` on 500 tables with 5,000 columns, beyond what applying their files takes.
    Schema,
    /// Transactions a second of 200 `wait`s on a server with 20 connections.
    Waiting,
    /// From the end of the run that these wait for until the last of them has ended.
    Started,
}

/// The unit of a case's figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Milliseconds,
    Seconds,
    Mebibytes,
    PerSecond,
}

impl Case {
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::NoOp => "Start with everything applied",
            Self::Files => "300 files of a table and an index",
            Self::NoOpFar => "Start with everything applied, 2 ms away",
            Self::FilesFar => "300 files of a table and an index, 2 ms away",
            Self::Memory => "Peak memory over the 300 files",
            Self::Rows2 => "One file of 2 MiB of rows",
            Self::Rows10 => "One file of 10 MiB of rows",
            Self::Rows60 => "One file of 60 MiB of rows",
            Self::Rows2Memory => "Peak memory over the file of 2 MiB of rows",
            Self::Rows10Memory => "Peak memory over the file of 10 MiB of rows",
            Self::Rows60Memory => "Peak memory over the file of 60 MiB of rows",
            Self::Size => "Size of the program",
            Self::Schema => "Comparing 500 tables with 5,000 columns, beyond the replay of their files",
            Self::Waiting => "Load of 200 waiting pods on a server with 20 connections, in transactions",
            Self::Started => {
                "Last of 200 waiting pods started after the run, on a server with 20 connections"
            }
            Self::Kill => "Session and locks gone after SIGKILL in a long statement",
        }
    }

    pub(crate) const fn unit(self) -> Unit {
        match self {
            Self::NoOp | Self::NoOpFar => Unit::Milliseconds,
            Self::Files
            | Self::FilesFar
            | Self::Kill
            | Self::Schema
            | Self::Started
            | Self::Rows2
            | Self::Rows10
            | Self::Rows60 => Unit::Seconds,
            Self::Memory | Self::Size | Self::Rows2Memory | Self::Rows10Memory | Self::Rows60Memory => {
                Unit::Mebibytes
            }
            Self::Waiting => Unit::PerSecond,
        }
    }

    pub(crate) const fn is_far(self) -> bool {
        matches!(self, Self::NoOpFar | Self::FilesFar)
    }

    /// The size of the case's file of rows, in MiB.
    pub(crate) const fn rows(self) -> Option<u32> {
        match self {
            Self::Rows2 | Self::Rows2Memory => Some(2),
            Self::Rows10 | Self::Rows10Memory => Some(10),
            Self::Rows60 | Self::Rows60Memory => Some(60),
            _ => None,
        }
    }

    /// Whether a program is measured in this case. The largest files would take the other programs most of an hour.
    pub(crate) const fn is_for(self, kind: Kind) -> bool {
        match (self.rows(), kind) {
            (None, _) => !self.is_only_corveils() || matches!(kind, Kind::Corveil),
            (Some(_), kind) => matches!(kind, Kind::Psql | Kind::Sqlx | Kind::Corveil),
        }
    }

    /// Whether only corveil can do what is measured.
    pub(crate) const fn is_only_corveils(self) -> bool {
        matches!(self, Self::Schema | Self::Waiting | Self::Started)
    }

    /// The most that corveil may take, as a ratio of what this program takes. A start 2 ms away has no goal: logging in and
    /// one query are four round trips for every program.
    pub(crate) const fn most_of(self, peer: Kind) -> Option<f64> {
        match (self, peer) {
            (Self::NoOp, Kind::Psql) => Some(0.60),
            (Self::Files, Kind::Psql) => Some(0.92),
            (Self::FilesFar, Kind::Psql) => Some(0.56),
            (Self::NoOp | Self::FilesFar, Kind::Sqlx) => Some(0.50),
            (Self::Rows2 | Self::Rows10 | Self::Rows60, Kind::Sqlx) => Some(1.0),
            _ => None,
        }
    }

    /// The most that corveil may take regardless of the others, in the case's unit. Memory is the peak resident memory of the
    /// process from its start. For a file of rows it is three times the file and 8 MiB.
    pub(crate) const fn most(self) -> Option<f64> {
        match self {
            Self::Rows2Memory => Some(14.0),
            Self::Rows10Memory => Some(38.0),
            Self::Rows60Memory => Some(188.0),
            Self::Memory => Some(8.0),
            Self::Size | Self::Started => Some(10.0),
            Self::Kill => Some(1.5),
            Self::Schema => Some(1.0),
            Self::Waiting => Some(250.0),
            Self::NoOp
            | Self::Files
            | Self::NoOpFar
            | Self::FilesFar
            | Self::Rows2
            | Self::Rows10
            | Self::Rows60 => None,
        }
    }
}

impl Unit {
    pub(crate) fn write(self, figure: f64) -> String {
        if figure.is_infinite() {
            return format!("over {} s", LONGEST_AFTERLIFE.as_secs());
        }
        match self {
            Self::Milliseconds => format!("{figure:.1} ms"),
            Self::Seconds => format!("{figure:.2} s"),
            Self::Mebibytes => format!("{figure:.1} MiB"),
            Self::PerSecond => format!("{figure:.0} a second"),
        }
    }
}
