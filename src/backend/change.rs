//! Changing single rows of rolecall's own tables without a statement.
//!
//! Preparing a statement's plan to run costs more than what it does to one row. What PostgreSQL's logical replication
//! calls to change a row is called here, with the same locks and the same checks as a statement's. The plan cannot be a
//! bad one either: the index is named.

use super::caller;
pub use super::catalog::Column;
use super::catalog::relation_oid;
use super::jsonb::Object;
use super::owner::Caller;
use super::varlena;
use crate::error::Error;
use pgrx::datum::FromDatum;
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;
use pgrx::prelude::*;
use std::ffi::{CStr, c_int};
use std::ptr;

const LOCK: pg_sys::LOCKMODE = pg_sys::RowExclusiveLock as pg_sys::LOCKMODE;

/// What is done about a row that somebody else has locked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Locked {
    Skip,
    Wait,
}

/// A table of rolecall's, open for changes.
pub struct Table {
    relation: pg_sys::Relation,
}

/// A row in its latest version, locked.
pub struct Row<'a> {
    table: &'a Table,
    slot: *mut pg_sys::TupleTableSlot,
}

impl Table {
    /// Opens `rolecall.name`; `what` wants to write, which a standby and a read-only transaction refuse.
    pub fn open(name: &CStr, what: &CStr) -> Result<Self, Error> {
        let oid = relation_oid(name)?;
        // SAFETY: the name is NUL-terminated; table_open locks the table and raises an error if it went away meanwhile.
        unsafe {
            if pg_sys::XactReadOnly {
                pg_sys::PreventCommandIfReadOnly(what.as_ptr());
            }
            pg_sys::PreventCommandIfParallelMode(what.as_ptr());
            Ok(Self { relation: pg_sys::table_open(oid, LOCK) })
        }
    }

    /// A column by its name.
    pub fn column(&self, name: &CStr) -> Column {
        // SAFETY: the relation is open as long as self lives, and its description with it.
        unsafe { Column::find((*self.relation).rd_att, name) }
    }

    /// The first row, in the order of `index`, whose first column there is `key` and which is `wanted`: locked, and wanted
    /// also in its latest version. As a statement `FOR UPDATE` would find it.
    pub fn lock_first(
        &self,
        index: &CStr,
        key: i64,
        locked: Locked,
        wanted: impl Fn(&Row) -> bool,
    ) -> Result<Option<Row<'_>>, Error> {
        let index = relation_oid(index)?;
        let mut entry = pg_sys::ScanKeyData::default();
        let mut found = Ok(false);
        // SAFETY: the index is one of the open table, its first column an int8 (that is how it is declared in sql/). The
        // slot is of the table's kind. What is opened here is closed here, or by PostgreSQL after an error.
        unsafe {
            pg_sys::CommandCounterIncrement();
            pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
            let snapshot = pg_sys::GetActiveSnapshot();
            let index = pg_sys::index_open(index, LOCK);
            let row = Row { table: self, slot: pg_sys::table_slot_create(self.relation, ptr::null_mut()) };
            let equals = pg_sys::BTEqualStrategyNumber as _;
            pg_sys::ScanKeyInit(&mut entry, 1, equals, pg_sys::Oid::from(pg_sys::F_INT8EQ), key.into());
            #[cfg(not(feature = "pg18"))]
            let scan = pg_sys::index_beginscan(self.relation, index, snapshot, 1, 0);
            #[cfg(feature = "pg18")]
            let scan = pg_sys::index_beginscan(self.relation, index, snapshot, ptr::null_mut(), 1, 0);
            pg_sys::index_rescan(scan, &mut entry, 1, ptr::null_mut(), 0);
            while pg_sys::index_getnext_slot(scan, pg_sys::ScanDirection::ForwardScanDirection, row.slot) {
                pgrx::check_for_interrupts!();
                if wanted(&row) {
                    found = row.lock(snapshot, locked, &wanted);
                    if !matches!(found, Ok(false)) {
                        break;
                    }
                }
            }
            pg_sys::index_endscan(scan);
            pg_sys::index_close(index, LOCK);
            pg_sys::PopActiveSnapshot();
            found.map(|found| found.then_some(row))
        }
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        // SAFETY: opened in `open`, closed once; the lock stays until the transaction ends, as a statement's would. While
        // an error passes, PostgreSQL closes it with the transaction.
        if !std::thread::panicking() {
            unsafe { pg_sys::table_close(self.relation, pg_sys::NoLock as _) };
        }
    }
}

impl Row<'_> {
    /// A column's value; None where it is NULL.
    pub fn get<T: FromDatum + 'static>(&self, column: Column) -> Option<T> {
        // SAFETY: valid as long as the row; T borrows nothing, so it copies what it reads.
        self.datum(column).and_then(|datum| unsafe { T::from_datum(datum, false) })
    }

    /// Whether a text column has that text.
    pub fn has_text(&self, column: Column, text: &str) -> bool {
        assert_eq!(self.kind(column), pg_sys::TEXTOID);
        // SAFETY: a text, as just checked, valid as long as the row.
        self.datum(column).is_some_and(|datum| unsafe { varlena::bytes(datum) } == text.as_bytes())
    }

    /// Copies a `jsonb` column into an object.
    pub fn copy_jsonb(&self, column: Column, key: &'static str, object: &mut Object) {
        assert_eq!(self.kind(column), pg_sys::JSONBOID);
        match self.datum(column) {
            // SAFETY: a jsonb, as just checked.
            Some(datum) => unsafe { object.jsonb(key, datum) },
            None => object.text(key, None),
        }
    }

    fn kind(&self, column: Column) -> pg_sys::Oid {
        // SAFETY: the relation is open as long as self lives, and its description with it.
        unsafe { pg_sys::SPI_gettypeid((*self.table.relation).rd_att, column.number()) }
    }

    /// A column's value where it lies, valid as long as the row; None where it is NULL.
    fn datum(&self, column: Column) -> Option<pg_sys::Datum> {
        let number = column.number();
        // SAFETY: the slot holds a row of the table, which has that column; once they are read, the arrays have them.
        unsafe {
            if i32::from((*self.slot).tts_nvalid) < number {
                pg_sys::slot_getsomeattrs_int(self.slot, number);
            }
            let place = number as usize - 1;
            let is_null = *(*self.slot).tts_isnull.add(place);
            (!is_null).then(|| *(*self.slot).tts_values.add(place))
        }
    }

    /// Locks the row that the slot holds, and puts its latest version there. False: somebody else has it, or it is gone or
    /// not wanted any more.
    ///
    /// # Safety
    /// The slot holds a row that `snapshot` shows, which is active.
    unsafe fn lock(
        &self,
        snapshot: pg_sys::Snapshot,
        locked: Locked,
        wanted: &impl Fn(&Row) -> bool,
    ) -> Result<bool, Error> {
        let flags = if caller::sees_what_is() { pg_sys::TUPLE_LOCK_FLAG_FIND_LAST_VERSION } else { 0 };
        let policy = match locked {
            Locked::Skip => pg_sys::LockWaitPolicy::LockWaitSkip,
            Locked::Wait => pg_sys::LockWaitPolicy::LockWaitBlock,
        };
        let mut failure = pg_sys::TM_FailureData::default();
        // SAFETY: see above; every kind of table has that function, which is called as table_tuple_lock() would.
        let result = unsafe {
            let lock = (*(*self.table.relation).rd_tableam).tuple_lock.expect("tables can be locked");
            let mut place = (*self.slot).tts_tid;
            let command = pg_sys::GetCurrentCommandId(false);
            let mode = pg_sys::LockTupleMode::LockTupleExclusive;
            pg_guard_ffi_boundary(|| {
                lock(
                    self.table.relation,
                    &mut place,
                    snapshot,
                    self.slot,
                    command,
                    mode,
                    policy,
                    flags as u8,
                    &mut failure,
                )
            })
        };
        match result {
            pg_sys::TM_Result::TM_Ok => Ok(!failure.traversed || wanted(self)),
            pg_sys::TM_Result::TM_Updated | pg_sys::TM_Result::TM_Deleted if !caller::sees_what_is() => {
                Err(Error::ConcurrentUpdate)
            }
            _ => Ok(false),
        }
    }

    /// Writes the row again with some columns changed; None is NULL.
    pub fn update(self, changes: &[(Column, Option<pg_sys::Datum>)]) {
        // SAFETY: the slot holds a whole row of the table, locked; the copy has its values, which stay where they are until
        // it was written. Each change is of its column's type.
        unsafe {
            let description = (*self.table.relation).rd_att;
            let columns = (*description).natts as usize;
            pg_sys::slot_getsomeattrs_int(self.slot, columns as c_int);
            let new = pg_sys::MakeSingleTupleTableSlot(description, &raw const pg_sys::TTSOpsVirtual);
            ptr::copy_nonoverlapping((*self.slot).tts_values, (*new).tts_values, columns);
            ptr::copy_nonoverlapping((*self.slot).tts_isnull, (*new).tts_isnull, columns);
            for (column, datum) in changes {
                let place = column.number() as usize - 1;
                *(*new).tts_values.add(place) = datum.unwrap_or(pg_sys::Datum::null());
                *(*new).tts_isnull.add(place) = datum.is_none();
            }
            pg_sys::ExecStoreVirtualTuple(new);
            self.change(|info, state, recheck| pg_sys::ExecSimpleRelationUpdate(info, state, recheck, self.slot, new));
            pg_sys::ExecDropSingleTupleTableSlot(new);
        }
    }

    /// Deletes the row.
    pub fn delete(self) {
        // SAFETY: the slot holds a row of the table, locked.
        unsafe {
            self.change(|info, state, recheck| pg_sys::ExecSimpleRelationDelete(info, state, recheck, self.slot));
        }
    }

    /// Has a change made as the table's owner, as whom triggers would run.
    ///
    /// # Safety
    /// `make` changes this row.
    unsafe fn change(&self, make: impl FnOnce(*mut pg_sys::ResultRelInfo, *mut pg_sys::EState, *mut pg_sys::EPQState)) {
        let relation = self.table.relation;
        // SAFETY: the relation is open; what is made here is freed here, or by PostgreSQL after an error.
        unsafe {
            let _caller = Caller::leave_for((*(*relation).rd_rel).relowner);
            let state = pg_sys::CreateExecutorState();
            let info = pg_sys::palloc0(size_of::<pg_sys::ResultRelInfo>()).cast::<pg_sys::ResultRelInfo>();
            pg_sys::InitResultRelInfo(info, relation, 0, ptr::null_mut(), 0);
            pg_sys::ExecOpenIndices(info, false);
            let mut recheck = pg_sys::EPQState::default();
            #[cfg(feature = "pg15")]
            pg_sys::EvalPlanQualInit(&mut recheck, state, ptr::null_mut(), ptr::null_mut(), -1);
            #[cfg(not(feature = "pg15"))]
            pg_sys::EvalPlanQualInit(&mut recheck, state, ptr::null_mut(), ptr::null_mut(), -1, ptr::null_mut());
            pg_sys::AfterTriggerBeginQuery();
            make(info, state, &mut recheck);
            pg_sys::AfterTriggerEndQuery(state);
            pg_sys::EvalPlanQualEnd(&mut recheck);
            pg_sys::ExecCloseIndices(info);
            pg_sys::FreeExecutorState(state);
            pg_sys::CommandCounterIncrement();
        }
    }
}

impl Drop for Row<'_> {
    fn drop(&mut self) {
        // SAFETY: made in `lock_first`, dropped once, before the table is closed. While an error passes, PostgreSQL lets go
        // of the page with the transaction.
        if !std::thread::panicking() {
            unsafe { pg_sys::ExecDropSingleTupleTableSlot(self.slot) };
        }
    }
}
