//! Filters over the rows of another table.

use super::{Column, Filter, Table};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// A table's relation to another one, or to itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    /// What filters call it.
    pub name: String,
    /// Whether there may be several related rows.
    pub many: bool,
    /// The other table's number.
    pub other: u32,
    /// The columns of this table, each with the one that equals it: of the join table if there is one, else of the other
    /// table.
    pub columns: Vec<(String, String)>,
    /// The join table's number, and its columns, each with the one of the other table that equals it.
    pub through: Option<(u32, Vec<(String, String)>)>,
}

/// How many of the related rows must match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantifier {
    /// One: the only one, or `some` of them.
    Some,
    /// `every`: none is other than true.
    Every,
    /// `none`
    None,
}

/// A condition on related rows, with all that its SQL needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Related {
    /// The number of the table whose relation it is.
    pub of: u32,
    /// The relation.
    pub relation: Relation,
    /// How many must match.
    pub quantifier: Quantifier,
    /// From this table to the join table if there is one, else to the other table.
    pub first: Step,
    /// From the join table to the other table.
    pub second: Option<Step>,
    /// What the other table's rows must match.
    pub filter: Filter,
}

/// From a table's row to those of the next one that belong to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The next table's number.
    pub table: u32,
    /// Its name in SQL.
    pub name: String,
    /// The columns that are equal: of the table before, of the next one.
    pub columns: Vec<(Column, Column)>,
}

impl Step {
    /// The step from one table to another over columns of these names; None where one is missing or they cannot be
    /// compared.
    pub fn new(from: &Table, to: &Table, names: &[(String, String)]) -> Option<Self> {
        let columns = names.iter().map(|(left, right)| {
            let pair = (from.column(left)?.clone(), to.column(right)?.clone());
            pair.0.is_comparable(&pair.1).then_some(pair)
        });
        Some(Self { table: to.id, name: to.name.clone(), columns: columns.collect::<Option<_>>()? })
    }
}

/// What the relation over a foreign key is called: `author_id → authors` is `author`. Of several columns it is the one
/// that sounds like the other table, else the last with such an ending.
pub fn relation_name(columns: &[String], other: &str) -> String {
    let ending =
        |column: &'_ String| column.strip_suffix("_id").or_else(|| column.strip_suffix("Id")).map(str::to_owned);
    let bare: Vec<_> = columns.iter().filter_map(ending).filter(|name| !name.is_empty()).collect();
    let alike = bare.iter().find(|name| other.starts_with(name.as_str()));
    alike.or(bare.last()).or(columns.last()).map_or_else(|| other.to_owned(), String::clone)
}

/// Reads tables by their number.
pub type Tables<'a> = dyn Fn(u32) -> Option<Rc<Table>> + 'a;

/// The related tables and which of their columns a filter reads.
pub type Reads = BTreeMap<u32, BTreeSet<String>>;

impl Filter {
    /// The tables other than its own that the filter reads, with their columns.
    pub fn reads(&self) -> Reads {
        let mut reads = Reads::new();
        collect(self, None, &mut reads);
        reads
    }
}

impl Filter {
    /// The relations it walks, each with the number of the table whose it is.
    pub fn relations(&self) -> Vec<(u32, &Relation)> {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().flat_map(Self::relations).collect(),
            Self::Not(part) => part.relations(),
            Self::Related(related) => {
                let mut relations = related.filter.relations();
                relations.push((related.of, &related.relation));
                relations
            }
            _ => Vec::new(),
        }
    }
}

fn collect(filter: &Filter, table: Option<u32>, reads: &mut Reads) {
    let mut column = |column: &Column| {
        if let Some(table) = table {
            reads.entry(table).or_default().insert(column.name.clone());
        }
    };
    match filter {
        Filter::All(parts) | Filter::Any(parts) => parts.iter().for_each(|part| collect(part, table, reads)),
        Filter::Not(part) => collect(part, table, reads),
        Filter::Compare(of, ..) | Filter::In(of, _) | Filter::NotIn(of, _) | Filter::Part(of, ..) => column(of),
        Filter::Elements(of, ..) | Filter::Empty(of) | Filter::Relative(of, ..) => column(of),
        Filter::Json(json) => column(&json.column),
        Filter::Related(related) => {
            let mut from = table;
            for step in [Some(&related.first), related.second.as_ref()].into_iter().flatten() {
                for (left, right) in &step.columns {
                    if let Some(from) = from {
                        reads.entry(from).or_default().insert(left.name.clone());
                    }
                    reads.entry(step.table).or_default().insert(right.name.clone());
                }
                from = Some(step.table);
            }
            collect(&related.filter, from, reads);
        }
    }
}
