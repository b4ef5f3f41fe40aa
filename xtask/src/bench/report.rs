//! Medians, ratios and goals as tables that read alike in a terminal and in Markdown.

use std::fmt::{self, Display, Formatter, Write as _};
use std::io::{self, Write as _};

use crate::bench::case::Case;
use crate::bench::machine::Machine;
use crate::bench::program::{Kind, Program};

/// The figures of one case.
pub(crate) struct Table {
    case: Case,
    rows: Vec<Row>,
}

struct Row {
    kind: Kind,
    samples: Vec<f64>,
    /// Why there are no figures.
    failure: Option<String>,
}

impl Table {
    pub(crate) fn new(case: Case, programs: &[Program]) -> Self {
        let rows = programs.iter().map(|it| Row { kind: it.kind, samples: Vec::new(), failure: None });
        Self { case, rows: rows.collect() }
    }

    pub(crate) fn add(&mut self, kind: Kind, sample: anyhow::Result<f64>) {
        let row = self.rows.iter_mut().find(|row| row.kind == kind).expect("every program has a row");
        match sample {
            Ok(figure) => row.samples.push(figure),
            Err(error) => row.failure = Some(format!("{error:#}")),
        }
    }

    /// A program that is not here is said to be missing, above corveil, which is always last.
    pub(crate) fn add_absent(&mut self, absent: &[(Kind, String)]) {
        for (kind, reason) in absent {
            let row = Row { kind: *kind, samples: Vec::new(), failure: Some(reason.clone()) };
            self.rows.insert(self.rows.len().saturating_sub(1), row);
        }
    }

    pub(crate) fn has_failed(&self, kind: Kind) -> bool {
        self.rows.iter().any(|row| row.kind == kind && row.failure.is_some())
    }

    pub(crate) fn failure_of_ours(&self) -> Option<&str> {
        self.rows.iter().find(|row| row.kind == Kind::Corveil)?.failure.as_deref()
    }

    fn median_of(&self, kind: Kind) -> Option<f64> {
        self.rows.iter().find(|row| row.kind == kind)?.median()
    }

    fn cells(&self, row: &Row) -> [String; 5] {
        let unit = self.case.unit();
        let name = row.kind.name().to_owned();
        let Some(median) = row.median() else {
            let reason = row.failure.as_deref().unwrap_or("not measured");
            return [name, reason.replace(['|', '\n'], " "), String::new(), String::new(), String::new()];
        };
        let spread = format!("{} – {}", unit.write(row.least()), unit.write(row.greatest()));
        let (ratio, goal) = if row.kind == Kind::Corveil {
            (String::new(), self.case.most().map(|most| (unit.write(most), median <= most)))
        } else if let Some(ours) = self.median_of(Kind::Corveil).filter(|_| median.is_finite()) {
            let ratio = ours / median;
            (
                format!("{ratio:.2}"),
                self.case.most_of(row.kind).map(|most| (format!("{most:.2}"), ratio <= most)),
            )
        } else {
            (String::new(), None)
        };
        let goal = goal.map(|(most, met)| format!("at most {most}: {}", if met { "met" } else { "missed" }));
        [name, unit.write(median), spread, ratio, goal.unwrap_or_default()]
    }
}

impl Row {
    fn median(&self) -> Option<f64> {
        if self.failure.is_some() || self.samples.is_empty() {
            return None;
        }
        let mut sorted = self.samples.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        Some(if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        })
    }

    fn least(&self) -> f64 {
        self.samples.iter().copied().fold(f64::INFINITY, f64::min)
    }

    fn greatest(&self) -> f64 {
        self.samples.iter().copied().fold(0.0, f64::max)
    }
}

impl Display for Table {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let header = ["program", "median", "least – most", "corveil ÷ it", "goal"].map(str::to_owned);
        let body: Vec<_> = self.rows.iter().map(|row| self.cells(row)).collect();
        let width = |column: usize| {
            let cells = std::iter::once(&header).chain(&body);
            cells.map(|cells| cells[column].chars().count()).max().unwrap_or(0)
        };
        let widths: [usize; 5] = std::array::from_fn(width);
        let line = |formatter: &mut Formatter<'_>, cells: &[String; 5]| {
            for (cell, width) in cells.iter().zip(widths) {
                write!(formatter, "| {cell:<width$} ")?;
            }
            writeln!(formatter, "|")
        };

        let samples = self.rows.iter().map(|row| row.samples.len()).max().unwrap_or(0);
        let plural = if samples == 1 { "" } else { "s" };
        writeln!(formatter, "## {} ({samples} sample{plural} each)\n", self.case.title())?;
        line(formatter, &header)?;
        line(formatter, &widths.map(|width| "-".repeat(width)))?;
        body.iter().try_for_each(|cells| line(formatter, cells))
    }
}

/// The whole report as a file of the documentation.
pub(crate) fn markdown(machine: &Machine, tables: &[Table]) -> String {
    let mut text = "<!-- Written by `cargo xtask bench --markdown docs/benchmarks.md`, do not edit by hand. -->\n\n\
         # Benchmarks\n\n\
         Medians of one run, the programs taking turns, each with a fresh database on a server with default\n\
         durability. psql runs one script in one session, with `BEGIN`, the file's statements, its history row and\n\
         `COMMIT` for every file; for a start with everything applied it runs one query of the history table.\n\
         Ratios travel from machine to machine, times do not. The goals are our own.\n\n"
        .to_owned();
    let widest = machine.0.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let mut add = |line: &str| writeln!(text, "{line}").expect("a string takes any text");
    add(&format!("| {:widest$} | |", ""));
    add(&format!("| {} | - |", "-".repeat(widest)));
    for (name, value) in &machine.0 {
        add(&format!("| {name:widest$} | {value} |"));
    }
    for table in tables {
        add(&format!("\n{}", table.to_string().trim_end()));
    }
    text
}

/// The report goes to stdout.
pub(crate) fn print(text: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{text}")
}

/// Progress goes to stderr.
pub(crate) fn say(text: &str) -> io::Result<()> {
    writeln!(io::stderr(), "bench: {text}")
}
