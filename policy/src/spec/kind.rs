//! Kinds of objects that carry privileges, as a spec names them.

use super::privilege::Privileges;

/// What a privilege is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A database.
    Database,
    /// A schema.
    Schema,
    /// A table or what is read like one.
    Relation(RelationKind),
    /// A sequence.
    Sequence,
    /// A function, procedure or aggregate.
    Routine(RoutineKind),
    /// A type or domain.
    Type,
    /// A procedural language.
    Language,
    /// A foreign-data wrapper.
    ForeignDataWrapper,
    /// A foreign server.
    ForeignServer,
    /// A tablespace.
    Tablespace,
    /// A server setting, from PostgreSQL 15 on.
    Parameter,
    /// A large object, named by its number.
    LargeObject,
}

/// Which relations are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RelationKind {
    /// All that follow.
    Any,
    /// Tables, partitioned ones and partitions included.
    Table,
    /// Views.
    View,
    /// Materialized views.
    MaterializedView,
    /// Foreign tables.
    ForeignTable,
}

/// Which routines are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RoutineKind {
    /// All of them.
    Any,
    /// Functions, aggregates and window functions.
    Function,
    /// Procedures.
    Procedure,
}

/// Words of the spec, the first of each kind being the one that is printed.
pub(super) const WORDS: &[(&str, Kind)] = &[
    ("database", Kind::Database),
    ("schema", Kind::Schema),
    ("relation", Kind::Relation(RelationKind::Any)),
    ("table", Kind::Relation(RelationKind::Table)),
    ("view", Kind::Relation(RelationKind::View)),
    ("materialized_view", Kind::Relation(RelationKind::MaterializedView)),
    ("foreign_table", Kind::Relation(RelationKind::ForeignTable)),
    ("sequence", Kind::Sequence),
    ("routine", Kind::Routine(RoutineKind::Any)),
    ("function", Kind::Routine(RoutineKind::Function)),
    ("procedure", Kind::Routine(RoutineKind::Procedure)),
    ("type", Kind::Type),
    ("domain", Kind::Type),
    ("language", Kind::Language),
    ("foreign_data_wrapper", Kind::ForeignDataWrapper),
    ("foreign_server", Kind::ForeignServer),
    ("tablespace", Kind::Tablespace),
    ("parameter", Kind::Parameter),
    ("large_object", Kind::LargeObject),
];

impl Kind {
    /// Its word in a spec and in messages.
    pub fn word(self) -> &'static str {
        WORDS.iter().find(|(_, kind)| *kind == self).map_or("object", |(word, _)| *word)
    }

    /// The privileges there are on it, in the newest server known.
    pub fn privileges(self) -> Privileges {
        use Privileges as P;
        match self {
            Self::Database => P::CREATE.union(P::CONNECT).union(P::TEMPORARY),
            Self::Schema => P::USAGE.union(P::CREATE),
            Self::Relation(_) => P::SELECT
                .union(P::INSERT)
                .union(P::UPDATE)
                .union(P::DELETE)
                .union(P::TRUNCATE)
                .union(P::REFERENCES)
                .union(P::TRIGGER)
                .union(P::MAINTAIN),
            Self::Sequence => P::USAGE.union(P::SELECT).union(P::UPDATE),
            Self::Routine(_) => P::EXECUTE,
            Self::Type | Self::Language | Self::ForeignDataWrapper | Self::ForeignServer => P::USAGE,
            Self::Tablespace => P::CREATE,
            Self::Parameter => P::SET.union(P::ALTER_SYSTEM),
            Self::LargeObject => P::SELECT.union(P::UPDATE),
        }
    }

    /// The privileges there are on single columns.
    pub const COLUMN: Privileges =
        Privileges::SELECT.union(Privileges::INSERT).union(Privileges::UPDATE).union(Privileges::REFERENCES);

    /// What PUBLIC holds on a new object unless something else was said.
    pub fn public_default(self) -> Privileges {
        match self {
            Self::Database => Privileges::CONNECT.union(Privileges::TEMPORARY),
            Self::Routine(_) => Privileges::EXECUTE,
            Self::Type | Self::Language => Privileges::USAGE,
            _ => Privileges::NONE,
        }
    }

    /// Whether such an object lies in a schema.
    pub fn lies_in_schema(self) -> bool {
        matches!(self, Self::Relation(_) | Self::Sequence | Self::Routine(_) | Self::Type)
    }

    /// Whether default privileges exist for it.
    pub fn has_default_privileges(self) -> bool {
        self.lies_in_schema() || matches!(self, Self::Schema | Self::LargeObject)
    }

    /// Whether an object of the exact kind `other` is one of these.
    pub fn covers(self, other: Self) -> bool {
        match (self, other) {
            (Self::Relation(RelationKind::Any), Self::Relation(_)) => true,
            (Self::Routine(RoutineKind::Any), Self::Routine(_)) => true,
            _ => self == other,
        }
    }

    /// The kind without finer distinction: default privileges and SQL know only that.
    pub fn broad(self) -> Self {
        match self {
            Self::Relation(_) => Self::Relation(RelationKind::Any),
            Self::Routine(_) => Self::Routine(RoutineKind::Any),
            other => other,
        }
    }
}
