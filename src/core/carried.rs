//! Settings that a file leaves set in its session, as far as later files could depend on them.
//!
//! sqlx-cli runs all pending files in one session and resets nothing between them, so a `SET search_path` or `SET ROLE`
//! reaches the next files of the same run. Here every file starts from the same session state.

use crate::core::catalog::{Catalog, Migration};
use crate::core::sql::carried::{Effect, LeftBehind, Setting};
use crate::core::sql::position::position;
use crate::core::sql::split::{Statement, each};
use crate::core::sql::strings::Strings;
use crate::error::failure::{Cause, ServerError};
use crate::error::sqlstate;

/// The errors for a name that does not exist, or that the role may not use: undefined table, schema, function, and type or
/// other object, and a missing right.
const NOT_FOUND: [&str; 5] = [
    sqlstate::UNDEFINED_TABLE,
    sqlstate::INVALID_SCHEMA_NAME,
    sqlstate::UNDEFINED_FUNCTION,
    sqlstate::UNDEFINED_OBJECT,
    sqlstate::INSUFFICIENT_PRIVILEGE,
];

const SETTINGS: [Setting; 2] = [Setting::SearchPath, Setting::Role];

/// The settings that a file leaves set, read statement by statement.
#[derive(Debug)]
pub(crate) struct Leaves([Effect; 2]);

impl Default for Leaves {
    fn default() -> Self {
        Self(SETTINGS.map(|_| Effect::None))
    }
}

impl Leaves {
    pub(crate) fn follow(&mut self, statement: &Statement<'_>) {
        for (effect, setting) in self.0.iter_mut().zip(SETTINGS) {
            effect.follow(statement, setting);
        }
    }

    /// The warnings about the file, if other files follow it.
    pub(crate) fn warnings(&self, sql: &str) -> Vec<String> {
        let left = self.0.iter().filter_map(|effect| match effect {
            Effect::Leaves(left) => Some(left),
            Effect::None | Effect::Default => None,
        });
        left.map(|left| {
            format!(
                "line {} leaves the {} set (`{}`): the files after it start without that here, and with it in a run of \
                 sqlx-cli, so they may mean other objects; use `SET LOCAL`, or set it in each file that needs it",
                line(sql, left),
                name(left.setting),
                left.sql
            )
        })
        .collect()
    }
}

/// The setting that a file leaves set, if any, as a sentence with the possible consequence.
pub(crate) fn leaves(file: &Migration) -> Option<String> {
    SETTINGS.into_iter().find_map(|setting| match effect_of(file, setting) {
        Effect::Leaves(left) => Some(format!(
            "{}, and sqlx-cli keeps that for the next files of a run, so one of them may have created this",
            sentence(file, &left)
        )),
        Effect::None | Effect::Default => None,
    })
}

/// The earlier file that leaves a setting that this one may lack, if the failure is of that kind.
pub(crate) fn cause(catalog: &Catalog, version: i64, server: &ServerError) -> Option<Cause> {
    server.sqlstate.as_deref().filter(|code| NOT_FOUND.contains(code))?;
    let failed = catalog.get(version)?;
    SETTINGS.into_iter().find_map(|setting| of_setting(catalog, failed, setting))
}

fn of_setting(catalog: &Catalog, failed: &Migration, setting: Setting) -> Option<Cause> {
    // A file that sets it does not depend on earlier files.
    if !matches!(effect_of(failed, setting), Effect::None) {
        return None;
    }
    let before = catalog.migrations().iter().rev().skip_while(|file| file.version >= failed.version);
    let (file, left) = before
        .map(|file| (file, effect_of(file, setting)))
        .find(|(_, effect)| *effect != Effect::None)
        .and_then(|(file, effect)| match effect {
            Effect::Leaves(left) => Some((file, left)),
            Effect::None | Effect::Default => None,
        })?;
    let (sql, name, failed) = (&left.sql, name(setting), &failed.file);
    let as_default = match setting {
        Setting::SearchPath => {
            ", or, if the file must not change, make it the default with `ALTER ROLE … SET search_path` or `ALTER DATABASE … SET search_path`"
        }
        Setting::Role => "",
    };
    Some(Cause {
        sentence: format!(
            "{}; sqlx-cli keeps that for the next files of a run, and Corveil resets it after each file",
            sentence(file, &left)
        ),
        remedy: format!(
            "if `{failed}` needs that {name}, put `{sql};` before the failed statement{as_default}, and run `corveil migrate` again"
        ),
    })
}

fn effect_of(file: &Migration, setting: Setting) -> Effect {
    let mut effect = Effect::None;
    for statement in file.content.as_deref().ok().into_iter().flat_map(|sql| each(sql, Strings::Standard)) {
        // A file that ends inside a token does not run.
        let Ok(statement) = statement else { return Effect::None };
        effect.follow(&statement, setting);
    }
    effect
}

fn sentence(file: &Migration, left: &LeftBehind) -> String {
    let (sql, name) = (file.content.as_deref().unwrap_or_default(), name(left.setting));
    format!("`{}` line {} leaves the {name} set (`{}`)", file.file, line(sql, left), left.sql)
}

fn line(sql: &str, left: &LeftBehind) -> usize {
    position(sql, left.start).line
}

const fn name(setting: Setting) -> &'static str {
    match setting {
        Setting::SearchPath => "search path",
        Setting::Role => "role",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETS_PATH: &str = "CREATE SCHEMA depot;\nSET search_path TO depot, public;";

    fn cause_of(files: &[&str], version: i64, sqlstate: &str) -> Option<Cause> {
        let file = |(version, sql): (i64, &&str)| (format!("{version}_m.sql"), Ok(sql.as_bytes().to_vec()));
        let catalog = Catalog::from_files((1..).zip(files).map(file)).unwrap();
        let server = ServerError {
            sqlstate: Some(sqlstate.into()),
            message: "m".into(),
            detail: None,
            hint: None,
            fatal: false,
            context: None,
        };
        cause(&catalog, version, &server)
    }

    #[test]
    fn the_file_that_last_set_what_is_missing_is_named() {
        let cause = cause_of(&[SETS_PATH, "SELECT 1", "TABLE parcels"], 3, "42P01").unwrap();
        assert_eq!(
            cause.sentence,
            "`1_m.sql` line 2 leaves the search path set (`SET search_path TO depot, public`); sqlx-cli keeps that for \
             the next files of a run, and Corveil resets it after each file"
        );
        assert_eq!(
            cause.remedy,
            "if `3_m.sql` needs that search path, put `SET search_path TO depot, public;` before the failed statement, or, if the file \
             must not change, make it the default with `ALTER ROLE … SET search_path` or `ALTER DATABASE … SET \
             search_path`, and run `corveil migrate` again"
        );
        let role = cause_of(&["SET ROLE app", "TABLE t"], 2, "42501").unwrap();
        assert!(
            role.sentence.starts_with("`1_m.sql` line 1 leaves the role set (`SET ROLE app`)"),
            "{role:?}"
        );
        assert!(
            role.remedy.ends_with("before the failed statement, and run `corveil migrate` again"),
            "{role:?}"
        );
    }

    #[test]
    fn only_what_may_be_missing_is_a_cause() {
        for (files, version, sqlstate, expected) in [
            (&[SETS_PATH, "TABLE t"][..], 2, "42P01", true),
            (&[SETS_PATH, "TABLE t"], 2, "3F000", true),
            (&[SETS_PATH, "TABLE t"], 2, "42883", true),
            (&[SETS_PATH, "TABLE t"], 2, "42704", true),
            (&[SETS_PATH, "TABLE t"], 2, "23505", false),
            // Its own path, the path of a later file, and one that was reset in between.
            (&[SETS_PATH], 1, "42P01", false),
            (&["TABLE t", SETS_PATH], 1, "42P01", false),
            (&[SETS_PATH, "RESET search_path", "TABLE t"], 3, "42P01", false),
            (&[SETS_PATH, "SET search_path TO other; TABLE t"], 2, "42P01", false),
            (&[SETS_PATH, "SET ROLE app", "TABLE t"], 3, "42P01", true),
            (&[SETS_PATH, "SELECT 'never closed", "TABLE t"], 3, "42P01", true),
            (&["SELECT 1", "TABLE t"], 2, "42P01", false),
        ] {
            assert_eq!(cause_of(files, version, sqlstate).is_some(), expected, "{files:?} {sqlstate}");
        }
    }

    #[test]
    fn a_warning_names_the_line_and_the_statement() {
        let warnings = |sql| {
            let mut leaves = Leaves::default();
            for statement in each(sql, Strings::Standard) {
                leaves.follow(&statement.unwrap());
            }
            leaves.warnings(sql)
        };
        let warned = warnings(SETS_PATH);
        assert!(
            warned[0].starts_with("line 2 leaves the search path set (`SET search_path TO depot, public`)")
        );
        assert_eq!(warned.len(), 1);
        assert_eq!(warnings("SET search_path TO a; SET ROLE b").len(), 2);
        assert_eq!(warnings("SET LOCAL search_path TO a; SET ROLE b; RESET ROLE"), [""; 0]);
    }
}
