//! The schema of a database, in the words of the catalog, and the differences of two schemas.
//!
//! Names are written as SQL needs them: `public.users`, `app."Users"`. Expressions and definitions are the server's own
//! print of them with an empty search path, so everything in them is qualified, and every text can go into a statement.
//!
//! What is not here is not compared: owners, privileges, comments, the order of columns, storage parameters, statistics,
//! and kinds of objects that few files create (aggregates, operators, casts, event triggers, publications, foreign
//! servers).

pub mod changes;
mod create;
pub(crate) mod differences;
pub(crate) mod names;
mod query;
pub mod quoting;

pub(crate) use differences::differences_where;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub(crate) use crate::error::Difference;

/// The schema of a database. Everything is keyed by its qualified name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Schema {
    /// The schemas in which objects live.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) schemas: BTreeSet<String>,
    /// Those of them that hold things which are not compared: a history table, objects of an extension. Only known of a
    /// database that was just read.
    #[serde(skip)]
    pub(crate) shared: BTreeSet<String>,
    /// The extensions, each with the schema that its objects are in.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) extensions: BTreeMap<String, String>,
    /// Enums, domains, composites and ranges.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) types: BTreeMap<String, Type>,
    /// Sequences other than those that a column brings with it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) sequences: BTreeMap<String, Sequence>,
    /// Functions and procedures, keyed with the types of their arguments.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) routines: BTreeMap<String, Routine>,
    /// Tables, partitioned and foreign ones among them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) tables: BTreeMap<String, Table>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) views: BTreeMap<String, View>,
}

impl Schema {
    /// Whether there is no object in it: schemas alone, and what extensions bring, are none.
    pub(crate) fn is_bare(&self) -> bool {
        *self == self.bare()
    }

    /// The same schema without its objects.
    pub(crate) fn bare(&self) -> Self {
        Self {
            schemas: self.schemas.clone(),
            shared: self.shared.clone(),
            extensions: self.extensions.clone(),
            ..Self::default()
        }
    }

    /// Whether any object is in both, by kind and name.
    pub(crate) fn shares_objects_with(&self, other: &Self) -> bool {
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
pub(crate) enum Type {
    /// Its labels, in the order in which they sort.
    Enum(Vec<String>),
    Domain(Domain),
    /// A row: its columns in order, each as name and type.
    Composite(Vec<String>),
    /// What follows `AS RANGE`.
    Range(String),
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Domain {
    /// The type beneath, with its collation where that is not the type's own.
    #[serde(rename = "type")]
    pub(crate) base: String,
    /// Whether it has no NULL.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) not_null: bool,
    /// What stands for a missing value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) default: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) constraints: BTreeMap<String, Constraint>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Sequence {
    /// Its definition, from `AS` on.
    pub(crate) options: String,
    /// The column with which it is dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) owned_by: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Routine {
    /// Whether it is called rather than used in an expression.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) procedure: bool,
    /// `CREATE OR REPLACE …`
    pub(crate) definition: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Table {
    /// Whether it is empty after a crash.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) unlogged: bool,
    /// What follows `PARTITION BY`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) partition_by: Option<String>,
    /// The table that it is a partition of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) partition_of: Option<Partition>,
    /// The tables that it inherits from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) inherits: Vec<String>,
    /// The server of a foreign table, and its options.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) foreign: Option<String>,
    /// Whether policies apply: to no role, to all but the owner, or to all.
    #[serde(skip_serializing_if = "RowSecurity::is_off")]
    pub(crate) row_security: RowSecurity,
    /// Its own columns; not those of a parent.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) columns: BTreeMap<String, Column>,
    /// Its constraints other than NOT NULL.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) constraints: BTreeMap<String, Constraint>,
    /// Its indexes other than those of constraints and of a partitioned parent.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) indexes: BTreeMap<String, Index>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) triggers: BTreeMap<String, Trigger>,
    /// Its policies: what follows `CREATE POLICY … ON …`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) policies: BTreeMap<String, String>,
    /// Its rules, each as its whole definition.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) rules: BTreeMap<String, String>,
}

/// A place in a partitioned table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Partition {
    pub(crate) table: String,
    /// `FOR VALUES …` or `DEFAULT`.
    pub(crate) bound: String,
}

/// Whether policies apply to a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RowSecurity {
    #[default]
    Off,
    /// To all roles but the owner.
    Enabled,
    Forced,
}

impl RowSecurity {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
    fn is_off(&self) -> bool {
        *self == Self::Off
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Column {
    /// Its place in the table, for a table that has to be created again. Not compared.
    pub(crate) position: i16,
    #[serde(rename = "type")]
    pub(crate) type_name: String,
    /// Its collation, where that is not the type's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) collation: Option<String>,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) not_null: bool,
    /// Whether it may hold a NULL from before: NOT NULL that is NOT VALID.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) not_validated: bool,
    /// What stands for a missing value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) default: Option<String>,
    /// `STORED` or `VIRTUAL`, and the expression that it is computed from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) generated: Option<Generated>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sequence: Option<OwnSequence>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Generated {
    /// Computed when it is written.
    Stored(String),
    /// Computed when it is read.
    Virtual(String),
}

/// The sequence that a column brings with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct OwnSequence {
    /// How the column uses it.
    pub(crate) kind: SequenceKind,
    /// Its qualified name. Nothing for an identity column.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// Whether the name is one that `serial` generates. Such names are not compared.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) named_by_server: bool,
    /// How it counts, where that is not as the column's type has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) options: Option<String>,
}

/// How a column uses its own sequence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SequenceKind {
    /// As its default: `serial`.
    #[default]
    Serial,
    /// `GENERATED ALWAYS AS IDENTITY`.
    Always,
    /// `GENERATED BY DEFAULT AS IDENTITY`.
    ByDefault,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Constraint {
    /// What follows `CONSTRAINT name`.
    pub(crate) definition: String,
    /// Whether the name is one that the server generates where none is given. Such names are not compared.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) named_by_server: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Index {
    /// From `USING` on.
    pub(crate) definition: String,
    /// Whether it is `UNIQUE`.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) unique: bool,
    /// Whether its build failed or is not finished.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) invalid: bool,
    /// Whether the name is one that the server generates where none is given. Such names are not compared.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) named_by_server: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Trigger {
    /// `CREATE TRIGGER …`
    pub(crate) definition: String,
    /// When it fires: `DISABLE`, `ENABLE REPLICA` or `ENABLE ALWAYS`; nothing for the usual.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) firing: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct View {
    /// Whether it keeps its rows.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) materialized: bool,
    pub(crate) query: String,
    /// Its columns, each as name and type.
    pub(crate) columns: Vec<String>,
    /// What stands between the parentheses of `WITH (…)`: `security_barrier` and its like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) options: Option<String>,
    /// The indexes of a materialized view.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) indexes: BTreeMap<String, Index>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) triggers: BTreeMap<String, Trigger>,
    /// Its rules, each as its whole definition.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) rules: BTreeMap<String, String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}
