//! Who may what in which schema, in letters.

use crate::catalog::RoleId;
use crate::effective::{Access, Along, Grants, How};
use policy::spec::{Kind, Privileges};
use std::collections::HashMap;

/// What a role may in one schema. A capital letter is about everything there, a small one about a part.
pub struct Cell {
    /// Which schema.
    pub schema: usize,
    /// What it may, memberships included and PUBLIC left out.
    pub letters: String,
    /// Those of the letters that it needs no membership for.
    pub direct: String,
    /// Whether it may use the schema at all; without that nothing else counts.
    pub usable: bool,
}

/// Works cells out.
pub struct Matrix<'a> {
    access: &'a Access<'a>,
    grants: &'a Grants,
    /// The objects of each schema.
    schemas: Vec<Vec<usize>>,
}

/// For each object what is held on it; and what of that by owning it.
struct Holdings {
    held: Vec<Privileges>,
    owned: Vec<bool>,
}

impl<'a> Matrix<'a> {
    /// For the schemas in this order.
    pub fn new(access: &'a Access<'a>, grants: &'a Grants, schemas: &[&str]) -> Self {
        let places: HashMap<&str, usize> = schemas.iter().enumerate().map(|(place, name)| (*name, place)).collect();
        let mut objects = vec![Vec::new(); schemas.len()];
        for (number, object) in access.present.objects.iter().enumerate() {
            let schema =
                if object.kind == Kind::Schema { Some(object.name.as_str()) } else { object.schema.as_deref() };
            if let Some(place) = schema.and_then(|schema| places.get(schema)) {
                objects[*place].push(number);
            }
        }
        Self { access, grants, schemas: objects }
    }

    /// The cells of a role in which there is anything.
    pub fn row(&self, role: RoleId) -> Vec<Cell> {
        let all = self.holdings(&self.access.graph.reach(role, Along::Inherit));
        let direct = self.holdings(&[role]);
        let public = self.holdings(&[RoleId::PUBLIC]);
        let cell = |(schema, objects): (usize, &Vec<usize>)| {
            let letters = self.letters(objects, &all);
            let usable = objects.iter().any(|number| {
                let is_schema = self.access.present.objects[*number].kind == Kind::Schema;
                is_schema && (all.held[*number] | public.held[*number]).contains(Privileges::USAGE)
            });
            let direct = self.letters(objects, &direct);
            (!letters.is_empty()).then_some(Cell { schema, letters, direct, usable })
        };
        self.schemas.iter().enumerate().filter_map(cell).collect()
    }

    fn holdings(&self, holders: &[RoleId]) -> Holdings {
        let count = self.access.present.objects.len();
        let mut holdings = Holdings { held: vec![Privileges::NONE; count], owned: vec![false; count] };
        for line in holders.iter().flat_map(|holder| self.grants.of(*holder)) {
            for (number, columns) in &line.on {
                // A privilege on columns counts as one on a part, which all of the table's is more than.
                if columns.is_empty() {
                    holdings.held[*number] |= line.privileges;
                    holdings.owned[*number] |= line.how == How::Owner;
                }
            }
        }
        holdings
    }

    fn letters(&self, objects: &[usize], holdings: &Holdings) -> String {
        let write = Privileges::INSERT | Privileges::UPDATE | Privileges::DELETE;
        let of_kind = |wanted: fn(Kind) -> bool| {
            objects.iter().filter(move |number| wanted(self.access.present.objects[**number].kind))
        };
        let relations = || of_kind(|kind| matches!(kind, Kind::Relation(_)));
        let schema = || of_kind(|kind| kind == Kind::Schema);
        let may = |number: &usize, privilege| holdings.held[*number].contains(privilege);
        let mut letters = String::new();
        let mut add = |all: bool, some: bool, letter: char| {
            if all && some {
                letters.push(letter);
            } else if some {
                letters.push(letter.to_ascii_lowercase());
            }
        };
        let reads = |number: &usize| may(number, Privileges::SELECT);
        add(relations().all(reads), relations().any(reads), 'R');
        let writes_all = |number: &usize| may(number, write);
        let writes = |number: &usize| !(holdings.held[*number] & write).is_empty();
        add(relations().all(writes_all), relations().any(writes), 'W');
        let routines = || of_kind(|kind| matches!(kind, Kind::Routine(_)));
        let executes = |number: &usize| may(number, Privileges::EXECUTE);
        add(routines().all(executes), routines().any(executes), 'X');
        add(true, schema().any(|number| may(number, Privileges::CREATE)), 'C');
        add(true, schema().any(|number| holdings.owned[*number]), 'O');
        add(true, schema().any(|number| may(number, Privileges::USAGE)), 'U');
        letters
    }
}
