//! Histories of tools that cannot be installed here, in tables as they document them, and what may be wrong with any.

use corveil::other_tool::{Mapping, Tool, ToolHistory, histories, map, only};
use corveil::{Catalog, Result};

use crate::support::Database;

/// <https://github.com/amacneil/dbmate>, `pkg/driver/postgres/postgres.go`.
const DBMATE: &str = "CREATE TABLE schema_migrations (version varchar(128) PRIMARY KEY)";
/// <https://github.com/rails/rails>, `activerecord/lib/active_record/schema_migration.rb` and `internal_metadata.rb`.
const RAILS: &str = "CREATE TABLE schema_migrations (version varchar NOT NULL PRIMARY KEY);
    CREATE TABLE ar_internal_metadata (key varchar NOT NULL PRIMARY KEY, value varchar,
        created_at timestamp(6) NOT NULL, updated_at timestamp(6) NOT NULL)";
/// <https://github.com/golang-migrate/migrate>, `database/pgx/v5/pgx.go`.
const GOLANG_MIGRATE: &str =
    "CREATE TABLE schema_migrations (version bigint NOT NULL PRIMARY KEY, dirty boolean NOT NULL)";
/// <https://github.com/flyway/flyway>, as versions before 5 named it.
const OLD_FLYWAY: &str = "CREATE TABLE schema_version (installed_rank int PRIMARY KEY, version varchar(50),
    description varchar(200) NOT NULL, type varchar(20) NOT NULL, script varchar(1000) NOT NULL, checksum int,
    installed_by varchar(100) NOT NULL, installed_on timestamp NOT NULL DEFAULT now(), execution_time int NOT NULL,
    success boolean NOT NULL)";

fn catalog() -> Catalog {
    let file = |name: &str| (name.to_owned(), Ok(Vec::new()));
    let names = ["20240101000000_a.sql", "20240202000000_b.sql", "20240303000000_c.sql"];
    Catalog::from_files(names.map(file)).unwrap()
}

async fn found(database: &Database, from: Option<Tool>) -> Result<Option<ToolHistory>> {
    Ok(only(&histories(&mut database.connect().await, &["public".into()], from).await?, from)?.cloned())
}

async fn expect_mapped(database: &Database, tool: Tool, version: i64) {
    let history = found(database, None).await.unwrap().expect("a history");
    assert_eq!(history.tool, tool);
    history.expect_clean().unwrap();
    let mapping = map(&history, &catalog());
    assert!(matches!(mapping, Mapping::To { version: to, .. } if to == version), "{mapping:?}");
}

#[tokio::test]
async fn documented_tables_are_read_and_mapped() {
    let database = Database::fresh().await;
    let two = "INSERT INTO schema_migrations VALUES ('20240202000000'), ('20240101000000')";
    for (tool, sql) in [
        (Tool::Dbmate, format!("{DBMATE}; {two}")),
        (Tool::Rails, format!("{RAILS}; {two}")),
        (
            Tool::Flyway,
            format!(
                "{OLD_FLYWAY}; INSERT INTO schema_version VALUES
                 (1, '20240101000000', '<< Flyway Baseline >>', 'BASELINE', '<< Flyway Baseline >>', NULL, '', now(), 0, true),
                 (2, NULL, 'views', 'SQL', 'R__views.sql', 1, '', now(), 0, true),
                 (3, '20240202000000', 'b', 'SQL', 'V20240202000000__b.sql', 1, '', now(), 0, true)"
            ),
        ),
        (
            Tool::SchemaMigrations,
            "CREATE TABLE schema_migrations (id serial, name text, applied_at timestamptz DEFAULT now());
             INSERT INTO schema_migrations (name) VALUES ('20240101000000_a.sql'), ('20240202000000_b.sql')"
                .into(),
        ),
        (
            Tool::SchemaMigrations,
            "CREATE TABLE schema_migrations (version bigint); INSERT INTO schema_migrations VALUES (20240202000000)"
                .into(),
        ),
    ] {
        database.clear().await;
        database.execute(&sql).await;
        expect_mapped(&database, tool, 20_240_202_000_000).await;
    }
}

#[tokio::test]
async fn a_table_is_found_in_any_schema_and_in_any_case() {
    let database = Database::fresh().await;
    database
        .execute(
            "CREATE SCHEMA \"App\"; CREATE TABLE \"App\".\"DATABASECHANGELOG\"
               (\"ID\" text, \"AUTHOR\" text, \"FILENAME\" text, \"ORDEREXECUTED\" int, \"EXECTYPE\" text);
             CREATE TABLE \"App\".\"DATABASECHANGELOGLOCK\" (\"ID\" int, \"LOCKED\" boolean);
             INSERT INTO \"App\".\"DATABASECHANGELOG\" VALUES ('20240101000000', 'me', 'changelog.xml', 1, 'EXECUTED')",
        )
        .await;
    expect_mapped(&database, Tool::Liquibase, 20_240_101_000_000).await;
    database.execute("INSERT INTO \"App\".\"DATABASECHANGELOGLOCK\" VALUES (1, true)").await;
    let history = found(&database, None).await.unwrap().unwrap();
    assert_eq!(history.table, "\"App\".\"DATABASECHANGELOG\"");
    history.expect_clean().unwrap_err();
}

#[tokio::test]
async fn where_there_are_several_the_one_that_is_meant_has_to_be_named() {
    let database = Database::fresh().await;
    assert_eq!(found(&database, None).await.unwrap(), None);
    database.execute(&format!("{RAILS}; CREATE TABLE alembic_version (version_num varchar(32))")).await;
    let error = found(&database, None).await.unwrap_err();
    assert_eq!(error.exit_code().code(), 2);
    assert!(
        error.to_string().contains("public.alembic_version of Alembic, public.schema_migrations of Rails")
    );
    assert!(error.hint().unwrap().contains("`--from alembic` or `--from rails`"));
    assert_eq!(found(&database, Some(Tool::Rails)).await.unwrap().unwrap().tool, Tool::Rails);

    let error = found(&database, Some(Tool::Goose)).await.unwrap_err();
    assert!(error.to_string().contains("no migration history of goose"), "{error}");
}

#[tokio::test]
async fn of_one_tool_the_history_on_the_search_path_is_meant() {
    let database = Database::fresh().await;
    database.execute(&format!("CREATE SCHEMA a; SET search_path = a; {GOLANG_MIGRATE}")).await;
    assert_eq!(found(&database, None).await.unwrap().unwrap().table, "a.schema_migrations");
    database.execute(GOLANG_MIGRATE).await;
    assert_eq!(found(&database, None).await.unwrap().unwrap().table, "public.schema_migrations");
    database
        .execute(&format!(
            "DROP TABLE schema_migrations; CREATE SCHEMA b; SET search_path = b; {GOLANG_MIGRATE}"
        ))
        .await;
    let error = found(&database, Some(Tool::GolangMigrate)).await.unwrap_err();
    assert!(error.hint().unwrap().contains("search_path"), "{error}");
}

#[tokio::test]
async fn a_history_that_may_not_be_read_names_the_right() {
    let database = Database::fresh().await;
    let role = database.create_role("").await;
    database.execute(&format!("{DBMATE}; CREATE SCHEMA hidden; CREATE TABLE hidden.goose_db_version (id int, version_id int, is_applied boolean)")).await;
    let mut connection = database.url_as(&role).connect().await.unwrap();
    for (tool, right) in
        [(Tool::Dbmate, "SELECT ON public.schema_migrations"), (Tool::Goose, "USAGE ON SCHEMA hidden")]
    {
        let error = histories(&mut connection, &["public".into()], Some(tool)).await.unwrap_err();
        assert_eq!(error.exit_code().code(), 2);
        assert!(error.to_string().contains(right), "{error}");
        assert!(error.hint().unwrap().contains(&format!("GRANT {right} TO ")), "{error}");
    }
}

#[tokio::test]
async fn what_is_known_and_not_read_is_reported() {
    let database = Database::fresh().await;
    for (sql, why) in [
        ("CREATE TABLE knex_migrations ()", "the history of Knex is not read"),
        ("CREATE TABLE goose_db_version ()", "its columns are those of no version of goose that is known"),
        (
            "CREATE TABLE schema_migrations (a int); INSERT INTO schema_migrations VALUES (1)",
            "none of its columns (a)",
        ),
        (DBMATE, "records nothing as applied"),
    ] {
        database.clear().await;
        database.execute(sql).await;
        let history = found(&database, None).await.unwrap().expect(sql);
        let mapping = map(&history, &catalog());
        assert!(
            matches!(&mapping, Mapping::Unknown { why: reason } if reason.contains(why)),
            "{sql}: {mapping:?}"
        );
    }
}
