//! What a database is made of, in the words of the catalog, and how two of them differ.
//!
//! Names are written as SQL needs them: `public.users`, `app."Users"`. Expressions and definitions are the server's own
//! print of them with an empty search path, so everything in them is qualified, and every text can go into a statement.
//!
//! What is not here is not compared: owners, privileges, comments, the order of columns, storage parameters, statistics,
//! and kinds of objects that few files create (aggregates, operators, casts, event triggers, publications, foreign
//! servers).

pub mod changes;
mod create;
mod differences;
pub mod names;
mod query;
pub mod quoting;

pub use differences::{differences, differences_where};

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use crate::error::Difference;

/// The schema of a database. Everything is keyed by its qualified name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Schema {
    /// The schemas in which objects live.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub schemas: BTreeSet<String>,
    /// Those of them that hold things which are not compared: a history table, objects of an extension. Only known of a
    /// database that was just read.
    #[serde(skip)]
    pub shared: BTreeSet<String>,
    /// The extensions, each with the schema that its objects are in.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub extensions: BTreeMap<String, String>,
    /// Enums, domains, composites and ranges.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub types: BTreeMap<String, Type>,
    /// Sequences other than those that a column brings with it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sequences: BTreeMap<String, Sequence>,
    /// Functions and procedures, keyed with the types of their arguments.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub routines: BTreeMap<String, Routine>,
    /// Tables, partitioned and foreign ones among them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tables: BTreeMap<String, Table>,
    /// Views and materialized views.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub views: BTreeMap<String, View>,
}

impl Schema {
    /// Whether there is no object in it: schemas alone, and what extensions bring, are none.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        *self == self.bare()
    }

    /// The same without an object.
    #[must_use]
    pub fn bare(&self) -> Self {
        Self {
            schemas: self.schemas.clone(),
            shared: self.shared.clone(),
            extensions: self.extensions.clone(),
            ..Self::default()
        }
    }

    /// Whether any object is in both, by kind and name.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        self.tables.keys().any(|name| other.tables.contains_key(name))
            || self.views.keys().any(|name| other.views.contains_key(name))
            || self.types.keys().any(|name| other.types.contains_key(name))
            || self.sequences.keys().any(|name| other.sequences.contains_key(name))
            || self.routines.keys().any(|name| other.routines.contains_key(name))
    }

    /// Whether anything is in the schema of this name.
    fn uses(&self, schema: &str) -> bool {
        let is_in = |name: &String| quoting::split(name).0 == schema;
        self.tables.keys().any(is_in)
            || self.views.keys().any(is_in)
            || self.types.keys().any(is_in)
            || self.sequences.keys().any(is_in)
            || self.routines.keys().any(is_in)
    }
}

/// A type that was created by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Type {
    /// Its labels, in the order in which they sort.
    Enum(Vec<String>),
    /// A type with conditions.
    Domain(Domain),
    /// A row: its columns in order, each as name and type.
    Composite(Vec<String>),
    /// What follows `AS RANGE`.
    Range(String),
}

/// A type with conditions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Domain {
    /// The type beneath, with its collation where that is not the type's own.
    #[serde(rename = "type")]
    pub base: String,
    /// Whether it has no NULL.
    #[serde(skip_serializing_if = "is_false")]
    pub not_null: bool,
    /// What stands for a missing value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// Its conditions by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub constraints: BTreeMap<String, Constraint>,
}

/// How a sequence counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sequence {
    /// Everything that its definition says, from `AS` on.
    pub options: String,
    /// The column with which it is dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owned_by: Option<String>,
}

/// A function or procedure.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Routine {
    /// Whether it is called rather than used in an expression.
    #[serde(skip_serializing_if = "is_false")]
    pub procedure: bool,
    /// `CREATE OR REPLACE …`
    pub definition: String,
}

/// A table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Table {
    /// Whether it is empty after a crash.
    #[serde(skip_serializing_if = "is_false")]
    pub unlogged: bool,
    /// What follows `PARTITION BY`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition_by: Option<String>,
    /// The table that it is a partition of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition_of: Option<Partition>,
    /// The tables that it inherits from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inherits: Vec<String>,
    /// The server of a foreign table, and its options.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub foreign: Option<String>,
    /// Whether policies apply: not, to all but the owner, or to everybody.
    #[serde(skip_serializing_if = "RowSecurity::is_off")]
    pub row_security: RowSecurity,
    /// Its own columns; not those of a parent.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<String, Column>,
    /// Its constraints other than NOT NULL.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub constraints: BTreeMap<String, Constraint>,
    /// Its indexes other than those of constraints and of a partitioned parent.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub indexes: BTreeMap<String, Index>,
    /// Its triggers.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub triggers: BTreeMap<String, Trigger>,
    /// Its policies: what follows `CREATE POLICY … ON …`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub policies: BTreeMap<String, String>,
    /// Its rules, each as its whole definition.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rules: BTreeMap<String, String>,
}

/// A place in a partitioned table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Partition {
    /// The partitioned table.
    pub table: String,
    /// `FOR VALUES …` or `DEFAULT`.
    pub bound: String,
}

/// Whether policies apply to a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowSecurity {
    /// They do not.
    #[default]
    Off,
    /// To everybody but the owner.
    Enabled,
    /// To everybody.
    Forced,
}

impl RowSecurity {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
    fn is_off(&self) -> bool {
        *self == Self::Off
    }
}

/// A column.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Column {
    /// Its place in the table, for a table that has to be made anew. Not compared.
    pub position: i16,
    /// Its type.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Its collation, where that is not the type's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collation: Option<String>,
    /// Whether it refuses NULL.
    #[serde(skip_serializing_if = "is_false")]
    pub not_null: bool,
    /// Whether it may hold a NULL from before: NOT NULL that is NOT VALID.
    #[serde(skip_serializing_if = "is_false")]
    pub not_validated: bool,
    /// What stands for a missing value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// `STORED` or `VIRTUAL`, and the expression that it is made from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generated: Option<Generated>,
    /// Its own sequence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<OwnSequence>,
}

/// A generated column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Generated {
    /// Computed when it is written.
    Stored(String),
    /// Computed when it is read.
    Virtual(String),
}

/// The sequence that a column brings with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OwnSequence {
    /// How the column uses it.
    pub kind: SequenceKind,
    /// Its qualified name. Nothing for an identity column.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether the name is one that `serial` makes. Such names are not compared.
    #[serde(skip_serializing_if = "is_false")]
    pub named_by_server: bool,
    /// How it counts, where that is not as the column's type has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub options: Option<String>,
}

/// How a column uses its own sequence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SequenceKind {
    /// As its default: `serial`.
    #[default]
    Serial,
    /// `GENERATED ALWAYS AS IDENTITY`.
    Always,
    /// `GENERATED BY DEFAULT AS IDENTITY`.
    ByDefault,
}

/// A constraint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Constraint {
    /// What follows `CONSTRAINT name`.
    pub definition: String,
    /// Whether the name is one that the server makes where none is given. Such names are not compared.
    #[serde(skip_serializing_if = "is_false")]
    pub named_by_server: bool,
}

/// An index.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Index {
    /// From `USING` on.
    pub definition: String,
    /// Whether it is `UNIQUE`.
    #[serde(skip_serializing_if = "is_false")]
    pub unique: bool,
    /// Whether its build failed or is not finished.
    #[serde(skip_serializing_if = "is_false")]
    pub invalid: bool,
    /// Whether the name is one that the server makes where none is given. Such names are not compared.
    #[serde(skip_serializing_if = "is_false")]
    pub named_by_server: bool,
}

/// A trigger.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Trigger {
    /// `CREATE TRIGGER …`
    pub definition: String,
    /// When it fires: `DISABLE`, `ENABLE REPLICA` or `ENABLE ALWAYS`; nothing for the usual.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firing: Option<String>,
}

/// A view.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct View {
    /// Whether it keeps its rows.
    #[serde(skip_serializing_if = "is_false")]
    pub materialized: bool,
    /// Its query.
    pub query: String,
    /// Its columns, each as name and type.
    pub columns: Vec<String>,
    /// What stands between the parentheses of `WITH (…)`: `security_barrier` and its like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub options: Option<String>,
    /// The indexes of a materialized view.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub indexes: BTreeMap<String, Index>,
    /// Its triggers.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub triggers: BTreeMap<String, Trigger>,
    /// Its rules, each as its whole definition.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rules: BTreeMap<String, String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}
