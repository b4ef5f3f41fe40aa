//! Databases that exist before a release: on a server in a separate namespace, which every provider can run.

use std::io::Write;
use std::process::{Child, ChildStdin, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::server::{PASSWORD, SHARED, server};
use crate::wait::until;
use crate::world::World;

/// One database of a server.
pub(crate) struct Database<'a> {
    world: &'a World<'a>,
    /// The namespace of the server.
    server: String,
    name: String,
}

impl<'a> Database<'a> {
    /// Creates a database on the shared server, with a role that owns it and a role for the app.
    pub(crate) fn create(world: &'a World<'a>) -> Result<Self> {
        Self::create_on(world, SHARED)
    }

    /// Creates a database on the server of this namespace.
    pub(crate) fn create_on(world: &'a World<'a>, server: &str) -> Result<Self> {
        Self::create_named(world, server, world.namespace.replace('-', "_"))
    }

    /// Creates a second database on the shared server, with other contents.
    pub(crate) fn create_other(world: &'a World<'a>) -> Result<Self> {
        Self::create_named(world, SHARED, format!("{}_other", world.namespace.replace('-', "_")))
    }

    fn create_named(world: &'a World<'a>, server: &str, name: String) -> Result<Self> {
        let database = Self { world, server: server.to_owned(), name };
        let name = &database.name;
        let (owner, app) = (database.owner(), database.app());
        for statement in [
            format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
            format!("DROP ROLE IF EXISTS {owner}"),
            format!("DROP ROLE IF EXISTS {app}"),
            format!("CREATE ROLE {owner} LOGIN PASSWORD '{PASSWORD}'"),
            format!("CREATE ROLE {app} LOGIN PASSWORD '{PASSWORD}'"),
            format!("CREATE DATABASE {name} OWNER {owner}"),
        ] {
            database.psql("postgres", &statement)?;
        }
        Ok(database)
    }

    fn owner(&self) -> String {
        format!("{}_owner", self.name)
    }

    fn app(&self) -> String {
        format!("{}_app", self.name)
    }

    /// The URL for the role that may change the schema.
    pub(crate) fn url(&self) -> String {
        self.url_of(&self.owner())
    }

    /// The URL for the app's role, which may not.
    pub(crate) fn app_url(&self) -> String {
        self.url_of(&self.app())
    }

    fn url_of(&self, role: &str) -> String {
        format!("postgres://{role}:{PASSWORD}@postgres.{}.svc:5432/{}", self.server, self.name)
    }

    /// Returns the rows of a query, without headers or alignment.
    pub(crate) fn query(&self, sql: &str) -> Result<String> {
        self.psql(&self.name, sql)
    }

    fn psql(&self, database: &str, sql: &str) -> Result<String> {
        let psql = ["exec", "postgres-0", "--", "psql", "--no-psqlrc", "--quiet", "--tuples-only"];
        let options = ["--no-align", "--set", "ON_ERROR_STOP=1", "--username", "postgres"];
        let (namespace, rest) = (["--namespace", &self.server], ["--dbname", database, "--command", sql]);
        let arguments: Vec<&str> =
            namespace.iter().chain(&psql).chain(&options).chain(&rest).copied().collect();
        self.world.kubectl_anywhere(&arguments)
    }

    /// The number of migrations in the history.
    pub(crate) fn applied(&self) -> Result<usize> {
        let count = self.query("SELECT count(*) FROM _sqlx_migrations WHERE success")?;
        count.trim().parse().with_context(|| format!("`{count}` is not a number"))
    }

    /// Everything in the schema that a migration could have changed, as text to compare.
    pub(crate) fn schema(&self) -> Result<String> {
        self.query(
            "SELECT table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable
               FROM information_schema.columns WHERE table_schema = 'public' AND table_name NOT LIKE '\\_%'
             UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename NOT LIKE '\\_%'
             UNION ALL SELECT conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
              WHERE connamespace = 'public'::regnamespace
             UNION ALL SELECT version || ' ' || encode(checksum, 'hex') FROM _sqlx_migrations
              ORDER BY 1",
        )
    }

    /// The number of sessions that run a statement with this text in it.
    pub(crate) fn running(&self, statement: &str) -> Result<usize> {
        let count = self.query(&format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'
               AND pid <> pg_backend_pid() AND query LIKE '%{statement}%'"
        ))?;
        count.trim().parse().with_context(|| format!("`{count}` is not a number"))
    }

    /// Opens another session that holds the migration lock until [`Held`] is dropped.
    pub(crate) fn hold_lock(&self) -> Result<Held> {
        let key = corveil::lock::key(&self.name);
        let exec = ["--namespace", &self.server, "exec", "--stdin", "postgres-0", "--"];
        let psql = ["psql", "--quiet", "--username", "postgres", "--dbname", &self.name];
        let world = self.world;
        let mut command = world.program(&world.stage.kubectl, &[&exec[..], &psql].concat());
        let mut process =
            command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let mut input = process.stdin.take().context("a pipe was asked for")?;
        writeln!(input, "SELECT pg_advisory_lock({key});")?;
        input.flush()?;
        until("another session to hold the lock", Duration::from_secs(20), || {
            let held = self.query(&corveil::lock::lock_holders_sql(&self.name))?;
            Ok((!held.trim().is_empty()).then_some(()))
        })?;
        Ok(Held { process, input: Some(input) })
    }
}

/// A session that holds the lock.
pub(crate) struct Held {
    process: Child,
    input: Option<ChildStdin>,
}

impl Drop for Held {
    fn drop(&mut self) {
        // psql ends at the end of its input, and its session releases the lock.
        self.input.take();
        let _ = self.process.wait();
    }
}

/// Starts a server in the scenario's namespace, which the scenario can stop.
pub(crate) fn own_server(world: &World) -> Result<()> {
    world.apply(&server())?;
    ready(world, &world.namespace)
}

/// Waits until the server of the namespace answers.
pub(crate) fn ready(world: &World, namespace: &str) -> Result<()> {
    let wait = ["wait", "--for=condition=Ready", "pod/postgres-0", "--timeout=90s", "--namespace", namespace];
    until("the server's pod", Duration::from_mins(1), || {
        let get =
            ["get", "pod", "postgres-0", "--namespace", namespace, "--ignore-not-found", "--output=name"];
        Ok((!world.kubectl_anywhere(&get)?.trim().is_empty()).then_some(()))
    })?;
    world.kubectl_anywhere(&wait).map(drop)
}

/// Stops the server in the scenario's namespace.
pub(crate) fn stop(world: &World) -> Result<()> {
    world.kubectl(&["scale", "statefulset/postgres", "--replicas=0"])?;
    world.kubectl(&["wait", "--for=delete", "pod/postgres-0", "--timeout=60s"]).map(drop)
}

/// Starts it again, with its data.
pub(crate) fn start(world: &World) -> Result<()> {
    world.kubectl(&["scale", "statefulset/postgres", "--replicas=1"]).map(drop)
}
