//! Reading rolecall's own tables.
//!
//! With the catalog snapshot instead of SPI's: always fresh, also in REPEATABLE READ, so that a cache never keeps what an
//! old snapshot showed; it sees the transaction's own changes, needs no privilege, obeys no row-level security, and works
//! on a standby and in parallel workers.

use super::memory;
use crate::error::Error;
use pgrx::prelude::*;
use std::cell::Cell;
use std::ffi::CStr;
use std::ptr;

/// How much is asked for, for each byte of as many rows again: a short name takes some six times as much as its row.
const ROOM: usize = 8;

thread_local! {
    /// The snapshot that scans use while one is held; else each takes a new one.
    static HELD: Cell<pg_sys::Snapshot> = const { Cell::new(ptr::null_mut()) };
}

/// Makes all scans see the tables as they are at one moment. Without it, of two tables that one transaction changed the
/// first may be read before and the second after.
pub struct OneMoment {
    /// Another one after every commit.
    pub number: u64,
    snapshot: pg_sys::Snapshot,
}

impl OneMoment {
    pub fn hold() -> Result<Self, Error> {
        let table = Table::open(c"users")?;
        // SAFETY: called inside a transaction. A catalog snapshot is fresh for a table without a system cache; it is
        // registered, so that it stays until `drop`, or until PostgreSQL cleans up after an error.
        // The copy that is registered has no count of transactions any more.
        let (number, snapshot) = unsafe {
            let latest = pg_sys::GetCatalogSnapshot(table.oid());
            ((*latest).snapXactCompletionCount, pg_sys::RegisterSnapshot(latest))
        };
        HELD.set(snapshot);
        Ok(Self { number, snapshot })
    }
}

impl Drop for OneMoment {
    fn drop(&mut self) {
        HELD.set(ptr::null_mut());
        // While an error passes, PostgreSQL releases it with the transaction.
        if !std::thread::panicking() {
            // SAFETY: registered in `hold`, released once.
            unsafe { pg_sys::UnregisterSnapshot(self.snapshot) };
        }
    }
}

/// A table of rolecall's, open for reading.
pub struct Table {
    relation: pg_sys::Relation,
}

impl Table {
    /// Opens `rolecall.name`.
    pub fn open(name: &CStr) -> Result<Self, Error> {
        let oid = relation_oid(name)?;
        // SAFETY: the relation exists and is locked by table_open, which raises an error if it went away meanwhile.
        let relation = unsafe { pg_sys::table_open(oid, pg_sys::AccessShareLock as _) };
        Ok(Self { relation })
    }

    pub fn oid(&self) -> pg_sys::Oid {
        // SAFETY: the relation is open as long as self lives.
        unsafe { (*self.relation).rd_id }
    }

    /// A column by its name, for [`Row::text`].
    pub fn column(&self, name: &CStr) -> Column {
        // SAFETY: the relation is open as long as self lives, and its description with it.
        unsafe { Column::find((*self.relation).rd_att, name) }
    }

    /// The database role that owns the table: the extension's owner.
    pub fn owner(&self) -> pg_sys::Oid {
        // SAFETY: the relation is open as long as self lives, and its description with it.
        unsafe { (*(*self.relation).rd_rel).relowner }
    }

    /// Calls `visit` for every row whose first column of `index` equals `key`, in the index's order; for all rows of
    /// the index without a key. The index is used even where PostgreSQL does without: a heap scan knows no list of keys.
    pub fn scan(&self, index: &CStr, key: Option<Key>, mut visit: impl FnMut(Row)) -> Result<(), Error> {
        self.scan_while(index, key, |row| {
            visit(row);
            true
        })
    }

    /// The same until `visit` returns false.
    pub fn scan_while(&self, index: &CStr, key: Option<Key>, mut visit: impl FnMut(Row) -> bool) -> Result<(), Error> {
        memory::check()?;
        let index = relation_oid(index)?;
        let mut entry = pg_sys::ScanKeyData::default();
        // SAFETY: the key's datum lives until the scan has ended; the index is a B-tree of the open table, so that it stays,
        // and has at least one column. The scan key names that by its heap attribute number, as systable_beginscan_ordered
        // wants it.
        unsafe {
            let index = pg_sys::index_open(index, pg_sys::AccessShareLock as _);
            if let Some(key) = key {
                let attribute = (*(*index).rd_index).indkey.values.as_slice(1)[0];
                let (operator, datum, flags) = match key {
                    Key::Text(text) => (pg_sys::F_TEXTEQ, text.into_datum(), 0),
                    Key::Texts(texts) => (pg_sys::F_TEXTEQ, texts.into_datum(), pg_sys::SK_SEARCHARRAY),
                    Key::Oid(oid) => (pg_sys::F_OIDEQ, oid.into_datum(), 0),
                };
                let datum = datum.expect("a key is never NULL");
                let strategy = pg_sys::BTEqualStrategyNumber as _;
                pg_sys::ScanKeyInit(&mut entry, attribute, strategy, pg_sys::Oid::from(operator), datum);
                entry.sk_flags |= flags as i32;
            }
            let keys = i32::from(key.is_some());
            let scan = pg_sys::systable_beginscan_ordered(self.relation, index, HELD.get(), keys, &mut entry);
            let (mut seen, mut foreseen) = (0, 0);
            loop {
                let tuple = pg_sys::systable_getnext_ordered(scan, pg_sys::ScanDirection::ForwardScanDirection);
                if tuple.is_null() {
                    break;
                }
                seen += (*tuple).t_len as usize;
                if seen > foreseen {
                    memory::require(seen * ROOM);
                    foreseen = seen * 2;
                }
                if !visit(Row { tuple, description: (*self.relation).rd_att }) {
                    break;
                }
            }
            pg_sys::systable_endscan_ordered(scan);
            pg_sys::index_close(index, pg_sys::AccessShareLock as _);
        }
        Ok(())
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        // SAFETY: opened in `open`, closed once. While an error passes, PostgreSQL closes it with the transaction.
        if !std::thread::panicking() {
            unsafe { pg_sys::table_close(self.relation, pg_sys::AccessShareLock as _) };
        }
    }
}

/// Whether a query with one text parameter finds a row: read fresh, also in REPEATABLE READ.
pub fn finds(query: &CStr, argument: &str) -> bool {
    Spi::connect(|_| {
        let (mut kind, mut value) = (pg_sys::TEXTOID, text_datum(argument));
        // SAFETY: SPI is connected; a read-only query sees the active snapshot, which is the latest. While an error
        // passes, PostgreSQL pops the snapshot with the transaction.
        unsafe {
            pg_sys::PushActiveSnapshot(pg_sys::GetLatestSnapshot());
            pg_sys::SPI_execute_with_args(query.as_ptr(), 1, &mut kind, &mut value, ptr::null(), true, 1);
            let found = pg_sys::SPI_processed > 0;
            pg_sys::PopActiveSnapshot();
            found
        }
    })
}

/// What a scan looks for.
#[derive(Clone, Copy)]
pub enum Key<'a> {
    Text(&'a str),
    /// Any of them.
    Texts(&'a [&'a str]),
    Oid(pg_sys::Oid),
}

/// A row, valid while [`Table::scan`] visits it.
pub struct Row {
    tuple: pg_sys::HeapTuple,
    description: pg_sys::TupleDesc,
}

/// A column of a table, found once for all rows.
#[derive(Clone, Copy)]
pub struct Column(i32);

impl Column {
    /// # Safety
    /// `description` is a valid description.
    pub(super) unsafe fn find(description: pg_sys::TupleDesc, name: &CStr) -> Self {
        // SAFETY: see above; the name is NUL-terminated. A column that is not there has number <= 0 and is refused.
        let number = unsafe { pg_sys::SPI_fnumber(description, name.as_ptr()) };
        assert!(number > 0, "rolecall's tables are of another version: no column {name:?}");
        Self(number)
    }

    /// Counted from 1.
    pub(super) fn number(self) -> i32 {
        self.0
    }
}

impl Row {
    /// A column's value; None where it is NULL.
    pub fn get<T: FromDatum>(&self, column: &CStr) -> Option<T> {
        // SAFETY: the tuple is of this description and valid during the visit; T copies what it reads.
        unsafe { self.value(Column::find(self.description, column)) }
    }

    /// A text without a copy; None where it is NULL.
    pub fn text(&self, column: Column) -> Option<&str> {
        // SAFETY: the text lives as long as the visit, and the borrow no longer.
        unsafe { self.value(column) }
    }

    /// # Safety
    /// The column is one of this row's table; T may point into the row.
    unsafe fn value<T: FromDatum>(&self, column: Column) -> Option<T> {
        let mut is_null = false;
        // SAFETY: see above; the tuple is of this description and valid during the visit.
        unsafe {
            let datum = pg_sys::heap_getattr(self.tuple, column.0, self.description, &mut is_null);
            T::from_datum(datum, is_null)
        }
    }
}

pub(super) fn relation_oid(name: &CStr) -> Result<pg_sys::Oid, Error> {
    // SAFETY: plain lookups of NUL-terminated names in the system caches.
    let oid = unsafe {
        let schema = pg_sys::get_namespace_oid(c"rolecall".as_ptr(), true);
        pg_sys::get_relname_relid(name.as_ptr(), schema)
    };
    if oid == pg_sys::InvalidOid {
        let name = format!("rolecall.{}", name.to_string_lossy());
        return Err(Error::Missing { kind: "relation", name });
    }
    Ok(oid)
}

fn text_datum(text: &str) -> pg_sys::Datum {
    text.into_datum().expect("a string is never NULL")
}
