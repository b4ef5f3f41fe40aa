//! Medians, ratios and goals as tables, readable both in a terminal and as Markdown.

use std::fmt::{self, Display, Formatter, Write as _};
use std::io::{self, Write as _};

use crate::bench::case::Case;
use crate::bench::machine::Machine;
use crate::bench::program::{Kind, Program};

/// The columns of a table, including the goal.
const COLUMNS: usize = 5;

/// The smallest ratio that is printed as more than 1.00.
const LEAST_MORE: f64 = 1.005;

/// The figures of one case.
pub(crate) struct Table {
    case: Case,
    rows: Vec<Row>,
}

struct Row {
    kind: Kind,
    samples: Vec<f64>,
    /// Why the program has no figures.
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

    /// Adds a row for each program that is not installed, above corveil, which is always last.
    pub(crate) fn add_absent(&mut self, absent: &[(Kind, String)]) {
        for (kind, reason) in absent {
            let row = Row { kind: *kind, samples: Vec::new(), failure: Some(reason.clone()) };
            self.rows.insert(self.rows.len().saturating_sub(1), row);
        }
    }

    pub(crate) fn has_failed(&self, kind: Kind) -> bool {
        self.rows.iter().any(|row| row.kind == kind && row.failure.is_some())
    }

    pub(crate) fn corveils_failure(&self) -> Option<&str> {
        self.rows.iter().find(|row| row.kind == Kind::Corveil)?.failure.as_deref()
    }

    fn median_of(&self, kind: Kind) -> Option<f64> {
        self.rows.iter().find(|row| row.kind == kind)?.median()
    }

    fn cells(&self, row: &Row) -> [String; COLUMNS] {
        let unit = self.case.unit();
        let name = row.kind.name().to_owned();
        let Some(median) = row.median() else {
            let reason = row.failure.as_deref().unwrap_or("not measured");
            return [name, reason.replace(['|', '\n'], " "), String::new(), String::new(), String::new()];
        };
        let spread = format!("{} – {}", unit.write(row.least()), unit.write(row.greatest()));
        let (ratio, goal) = if row.kind == Kind::Corveil {
            (String::new(), self.case.most().map(|most| (unit.write(most), median <= most)))
        } else if let Some(own) = self.median_of(Kind::Corveil).filter(|_| median.is_finite()) {
            let ratio = own / median;
            (
                format!("{ratio:.2}"),
                self.case.most_of(row.kind).map(|most| (format!("{most:.2}"), ratio <= most)),
            )
        } else {
            (String::new(), None)
        };
        let goal = goal
            .map(|(most, reached)| format!("at most {most}: {}", if reached { "reached" } else { "missed" }));
        [name, unit.write(median), spread, ratio, goal.unwrap_or_default()]
    }

    /// The table with its first columns. The goal, which is for those who change corveil, is the last one.
    fn lines(&self, columns: usize) -> String {
        let header = ["program", "median", "least – most", "corveil ÷ it", "goal"].map(str::to_owned);
        let body: Vec<_> = self.rows.iter().map(|row| self.cells(row)).collect();
        let width = |column: usize| {
            let cells = std::iter::once(&header).chain(&body);
            cells.map(|cells| cells[column].chars().count()).max().unwrap_or(0)
        };
        let widths: [usize; COLUMNS] = std::array::from_fn(width);
        let dashes = widths.map(|width| "-".repeat(width));

        let samples = self.rows.iter().map(|row| row.samples.len()).max().unwrap_or(0);
        let plural = if samples == 1 { "" } else { "s" };
        let mut text = format!("## {} ({samples} sample{plural} each)\n\n", self.case.title());
        for cells in [&header, &dashes].into_iter().chain(&body) {
            for (cell, width) in cells.iter().zip(widths).take(columns) {
                write!(text, "| {cell:<width$} ").expect("a string takes any text");
            }
            text.push_str("|\n");
        }
        text
    }

    /// The programs that take less than corveil, with both figures; none if there are none.
    fn takes_more(&self) -> Option<String> {
        let unit = self.case.unit();
        let own = self.median_of(Kind::Corveil)?;
        let peers = self.rows.iter().filter(|row| row.kind != Kind::Corveil);
        let more: Vec<_> = peers
            .filter_map(|row| Some((row.kind.name(), row.median()?)))
            .filter(|(_, median)| own / median >= LEAST_MORE)
            .map(|(name, median)| {
                format!("{:.2} times that of {name} ({})", own / median, unit.write(median))
            })
            .collect();
        let title = self.case.title();
        (!more.is_empty()).then(|| format!("- {title}: {}, {}", unit.write(own), more.join(", ")))
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
        formatter.write_str(&self.lines(COLUMNS))
    }
}

/// The whole report as a page of the documentation. The figures where corveil takes more come first.
pub(crate) fn markdown(machine: &Machine, tables: &[Table]) -> String {
    let mut text = "<!-- Written by `cargo xtask bench --markdown docs/benchmarks.md`, do not edit by hand. -->\n\n\
         # Benchmarks\n\n\
         Each figure is a median of one run. The programs take turns, each with a fresh database on a server with\n\
         default durability. psql runs one script in one session, with `BEGIN`, the file's statements, its history row\n\
         and `COMMIT` for every file. For a start with everything applied, psql runs one query of the history table.\n\
         The ratio in the column “corveil ÷ it” is below 1 where corveil takes less. Compare ratios: times depend on\n\
         the machine. [CONTRIBUTING.md](../CONTRIBUTING.md#benchmarks) shows how to run the measurements.\n\n"
        .to_owned();
    let widest = machine.0.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let mut add = |line: &str| writeln!(text, "{line}").expect("a string takes any text");
    add(&format!("| {:widest$} | |", ""));
    add(&format!("| {} | - |", "-".repeat(widest)));
    for (name, value) in &machine.0 {
        add(&format!("| {name:widest$} | {value} |"));
    }
    let more: Vec<_> = tables.iter().filter_map(Table::takes_more).collect();
    if !more.is_empty() {
        add(&format!("\n## Where corveil takes more\n\n{}", more.join("\n")));
    }
    for table in tables {
        add(&format!("\n{}", table.lines(COLUMNS - 1).trim_end()));
    }
    text
}

/// Prints the report to stdout.
pub(crate) fn print(text: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{text}")
}

/// Prints progress to stderr.
pub(crate) fn progress(text: &str) -> io::Result<()> {
    writeln!(io::stderr(), "bench: {text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_lists_where_corveil_takes_more_and_has_no_goals() {
        let row = |kind, sample| Row { kind, samples: vec![sample], failure: None };
        let rows = vec![row(Kind::Psql, 1.0), row(Kind::Sqlx, 2.0), row(Kind::Corveil, 1.5)];
        let table = Table { case: Case::Files, rows };
        assert!(table.to_string().contains("| goal"), "{table}");

        let page = markdown(&Machine(Vec::new()), &[table]);
        assert!(!page.contains("goal") && !page.contains("missed"), "{page}");
        let expected = "- 300 files of a table and an index: 1.50 s, 1.50 times that of psql (1.00 s)\n";
        assert!(page.contains(expected), "{page}");
        assert!(page.contains("| sqlx-cli | 2.00 s | 2.00 s – 2.00 s | 0.75         |\n"), "{page}");
    }

    #[test]
    fn a_page_without_such_a_figure_has_no_such_section() {
        let row = |kind, sample| Row { kind, samples: vec![sample], failure: None };
        let rows = vec![row(Kind::Psql, 1.0), row(Kind::Corveil, 1.0)];
        let page = markdown(&Machine(Vec::new()), &[Table { case: Case::Files, rows }]);
        assert!(!page.contains("takes more"), "{page}");
    }
}
