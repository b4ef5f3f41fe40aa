//! Every odd setting that a role, a database or a server may have.
//!
//! With [`EVERYWHERE`] in the environment each test's database has them all, so that every scenario is one under odd
//! settings, too.

use std::sync::LazyLock;

use crate::support::Database;

/// The variable that gives them to every test's database.
const EVERYWHERE: &str = "CORVEIL_TEST_ODD_SETTINGS";

/// A setting, an odd value, and the usual one. They exist in every version that is tested, and any role may set them.
pub(crate) const ODD: &[(&str, &str, &str)] = &[
    // How values are written.
    ("bytea_output", "escape", "hex"),
    ("datestyle", "SQL, DMY", "ISO, MDY"),
    ("intervalstyle", "sql_standard", "postgres"),
    ("timezone", "Asia/Kathmandu", "UTC"),
    ("timezone_abbreviations", "India", "Default"),
    ("extra_float_digits", "-15", "1"),
    ("xmlbinary", "hex", "base64"),
    ("xmloption", "document", "content"),
    ("lc_monetary", "POSIX", "C"),
    ("lc_numeric", "POSIX", "C"),
    ("lc_time", "POSIX", "C"),
    // How statements are read.
    ("standard_conforming_strings", "off", "on"),
    ("escape_string_warning", "off", "on"),
    ("backslash_quote", "off", "safe_encoding"),
    ("quote_all_identifiers", "on", "off"),
    ("transform_null_equals", "on", "off"),
    ("array_nulls", "off", "on"),
    ("check_function_bodies", "off", "on"),
    ("default_text_search_config", "pg_catalog.german", "pg_catalog.simple"),
    // What transactions and sessions are.
    ("default_transaction_deferrable", "on", "off"),
    ("default_transaction_isolation", "repeatable read", "read committed"),
    ("exit_on_error", "on", "off"),
    ("synchronous_commit", "off", "on"),
    ("idle_in_transaction_session_timeout", "20s", "0"),
    ("idle_session_timeout", "20s", "0"),
    ("lock_timeout", "20s", "0"),
    ("statement_timeout", "30s", "0"),
    ("row_security", "off", "on"),
    ("lo_compat_privileges", "on", "off"),
    ("password_encryption", "md5", "scram-sha-256"),
    ("client_min_messages", "log", "notice"),
    ("application_name", "odd", "it"),
    // How answers are found.
    ("constraint_exclusion", "on", "partition"),
    ("cursor_tuple_fraction", "1", "0.1"),
    ("default_statistics_target", "1", "100"),
    ("enable_hashagg", "off", "on"),
    ("enable_hashjoin", "off", "on"),
    ("enable_indexscan", "off", "on"),
    ("enable_material", "off", "on"),
    ("enable_mergejoin", "off", "on"),
    ("enable_seqscan", "off", "on"),
    ("enable_sort", "off", "on"),
    ("from_collapse_limit", "1", "8"),
    ("geqo_threshold", "2", "12"),
    ("gin_fuzzy_search_limit", "1", "0"),
    ("join_collapse_limit", "1", "8"),
    ("jit", "off", "on"),
    ("maintenance_work_mem", "1MB", "64MB"),
    ("max_parallel_workers_per_gather", "0", "2"),
    ("plan_cache_mode", "force_generic_plan", "auto"),
    ("temp_buffers", "800kB", "8MB"),
    ("work_mem", "64kB", "4MB"),
];

/// Not in every scenario: a file of the scenario means something else with these, or another tool does not work,
/// such as Liquibase, whose session `exit_on_error` ends.
/// [`crate::settings`] has them for every command.
const NOT_EVERYWHERE: [&str; 7] = [
    "backslash_quote",
    "exit_on_error",
    "quote_all_identifiers",
    "standard_conforming_strings",
    "array_nulls",
    "transform_null_equals",
    "row_security",
];

/// How a statement begins that changes a setting, given the names of a role and a database.
type Alter = fn(&str, &str) -> String;

/// What may keep a setting.
pub(crate) const KEEPERS: [(&str, Alter); 2] = [
    ("role", |role, _| format!("ALTER ROLE {role}")),
    ("database", |_, database| format!("ALTER DATABASE {database}")),
];

/// A role that owns the schema and may make databases, after this SQL, given its name and the database's.
pub(crate) async fn with_settings(sql: impl Fn(&str, &str) -> String) -> (Database, String) {
    let database = Database::fresh().await;
    let role = database.create_role("CREATEDB").await;
    database.execute(&format!("GRANT ALL ON SCHEMA public TO {role}")).await;
    database.execute(&sql(&role, database.name())).await;
    (database, role)
}

/// Gives them to a role or a database: `ALTER ROLE x`.
pub(crate) fn give(alter: &str) -> String {
    some(alter, |_| true)
}

fn some(alter: &str, is_given: impl Fn(&str) -> bool) -> String {
    let given = ODD.iter().filter(|(name, ..)| is_given(name));
    let set = |(name, odd, _): &(&str, &str, &str)| format!("{alter} SET {name} = {};", value(name, odd));
    given.map(set).collect::<Vec<_>>().concat()
}

/// Gives them to a test's database, where they are to be everywhere.
pub(super) fn everywhere(database: &str) -> String {
    let alter = format!("ALTER DATABASE {database}");
    if is_everywhere() { some(&alter, |name| !NOT_EVERYWHERE.contains(&name)) } else { String::new() }
}

/// Resets them in a test's own session, which reads the database; does nothing where they are not set.
pub(super) fn usual() -> Option<&'static str> {
    static USUAL: LazyLock<String> = LazyLock::new(|| {
        let set = |(name, _, usual): &(&str, &str, &str)| format!("SET {name} = {};", value(name, usual));
        ODD.iter().map(set).collect::<Vec<_>>().concat()
    });
    is_everywhere().then_some(USUAL.as_str())
}

fn is_everywhere() -> bool {
    static IS: LazyLock<bool> =
        LazyLock::new(|| std::env::var_os(EVERYWHERE).is_some_and(|value| value == "1"));
    *IS
}

/// A list is no string.
fn value(name: &str, value: &str) -> String {
    if name == "datestyle" { value.to_owned() } else { format!("'{value}'") }
}
