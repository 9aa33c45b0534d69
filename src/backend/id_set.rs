//! Related rows' keys, collected once per query, in which each row's key is looked for.
//!
//! PostgreSQL's own forms are each good at half of it: `= ANY (ARRAY(…))` can use an index but compares with one element
//! after the other, a hashed `IN (SELECT …)` does not but can use no index. [`super::relations`] tells the planner when
//! `is_in` is the former.

use super::memory::require;
use super::varlena::{bytes, version_1};
use pgrx::prelude::*;
use policy::id_set::{Id, Set, build};

/// Whether ids of a type are kept as their bytes; None for types that have no sets.
fn is_bytes(kind: pg_sys::Oid) -> Option<bool> {
    match kind {
        pg_sys::INT2OID | pg_sys::INT4OID | pg_sys::INT8OID => Some(false),
        pg_sys::UUIDOID | pg_sys::TEXTOID | pg_sys::VARCHAROID => Some(true),
        _ => None,
    }
}

/// The id behind a datum.
///
/// # Safety
/// `datum` is of the type `kind` and lives as long as `'a`.
unsafe fn id<'a>(datum: pg_sys::Datum, kind: pg_sys::Oid) -> Id<'a> {
    // SAFETY: see above.
    unsafe {
        match kind {
            pg_sys::INT2OID => Id::Integer((datum.value() as i16).into()),
            pg_sys::INT4OID => Id::Integer((datum.value() as i32).into()),
            pg_sys::INT8OID => Id::Integer(datum.value() as i64),
            pg_sys::UUIDOID => Id::Bytes(std::slice::from_raw_parts(datum.cast_mut_ptr(), 16)),
            _ => Id::Bytes(bytes(datum)),
        }
    }
}

/// `id_set(ids anyarray) → bytea`; NULLs are left out.
#[unsafe(no_mangle)]
#[doc(hidden)]
#[pg_guard]
pub unsafe extern "C-unwind" fn id_set(call: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: PostgreSQL passes one array, not NULL since the function is strict, and deconstruct_array fills what it
    // is given with as many elements as it says.
    unsafe {
        let array =
            pg_sys::pg_detoast_datum((*call).args.as_slice(1)[0].value.cast_mut_ptr()).cast::<pg_sys::ArrayType>();
        let kind = (*array).elemtype;
        if is_bytes(kind).is_none() {
            error!("id_set() has no sets of this type");
        }
        let (mut length, mut by_value, mut alignment) = (0, false, 0);
        pg_sys::get_typlenbyvalalign(kind, &mut length, &mut by_value, &mut alignment);
        let (mut elements, mut nulls, mut count) = (std::ptr::null_mut(), std::ptr::null_mut(), 0);
        pg_sys::deconstruct_array(
            array,
            kind,
            length.into(),
            by_value,
            alignment,
            &mut elements,
            &mut nulls,
            &mut count,
        );
        // A vector that grows is copied to one of twice its size; the set has a quarter of its slots free or more.
        require(count as usize * (3 * size_of::<Id>() + 4 * size_of::<i64>()) + pgrx::varsize_any_exhdr(array.cast()));
        let ids: Vec<_> =
            (0..count as usize).filter(|at| !*nulls.add(*at)).map(|at| id(*elements.add(at), kind)).collect();
        match build(kind.to_u32(), &ids).and_then(IntoDatum::into_datum) {
            Some(set) => set,
            None => error!("a rule's related rows are too many to be collected"),
        }
    }
}

/// `ids_of(ids bytea, "like" anyelement) → anyarray`: what is in the set, for an index.
#[unsafe(no_mangle)]
#[doc(hidden)]
#[pg_guard]
pub unsafe extern "C-unwind" fn ids_of(call: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: PostgreSQL passes a bytea and something of the element type, of which nothing is read. A set's bytes are
    // taken for what the array's type says only if the set says the same.
    unsafe {
        let arguments = (*call).args.as_slice(2);
        if arguments[0].isnull {
            (*call).isnull = true;
            return pg_sys::Datum::from(0);
        }
        let kind = pg_sys::get_element_type(pg_sys::get_fn_expr_rettype((*call).flinfo));
        let set = Set::of(bytes(arguments[0].value));
        let is_text = |kind| matches!(kind, pg_sys::TEXTOID | pg_sys::VARCHAROID);
        let set = set.filter(|set| {
            let found = pg_sys::Oid::from(set.kind());
            found == kind || (is_text(found) && is_text(kind))
        });
        let (Some(set), Some(is_bytes)) = (set, is_bytes(kind)) else { error!("ids_of() got no set of this type") };
        require(2 * bytes(arguments[0].value).len());
        let mut elements: Vec<pg_sys::Datum> = set
            .ids(is_bytes)
            .filter_map(|id| match id {
                Id::Integer(value) => Some(pg_sys::Datum::from(value)),
                Id::Bytes(bytes) if kind == pg_sys::UUIDOID => (bytes.len() == 16).then(|| bytes.as_ptr().into()),
                Id::Bytes(bytes) => {
                    Some(pg_sys::cstring_to_text_with_len(bytes.as_ptr().cast(), bytes.len() as i32).into())
                }
            })
            .collect();
        let (mut length, mut by_value, mut alignment) = (0, false, 0);
        pg_sys::get_typlenbyvalalign(kind, &mut length, &mut by_value, &mut alignment);
        let count = elements.len() as i32;
        pg_sys::construct_array(elements.as_mut_ptr(), count, kind, length.into(), by_value, alignment).into()
    }
}

/// Defines `is_in(value, ids bytea)` for a type: false for NULL, so that its negation is true. It has no guard of its
/// own: nothing in it can fail but unpacking, whose error passes over a frame with nothing to drop.
macro_rules! is_in {
    ($name:ident, $kind:expr) => {
        #[unsafe(no_mangle)]
        #[doc(hidden)]
        pub unsafe extern "C-unwind" fn $name(call: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
            // SAFETY: PostgreSQL passes the frame of this call: a value of the type declared in sql/ and a bytea.
            unsafe {
                let arguments = (*call).args.as_slice(2);
                (*call).isnull = arguments[1].isnull;
                if arguments[0].isnull || arguments[1].isnull {
                    return pg_sys::Datum::from(false);
                }
                let found =
                    Set::of(bytes(arguments[1].value)).is_some_and(|set| set.contains(id(arguments[0].value, $kind)));
                pg_sys::Datum::from(found)
            }
        }
    };
}
is_in!(is_in_int2, pg_sys::INT2OID);
is_in!(is_in_int4, pg_sys::INT4OID);
is_in!(is_in_int8, pg_sys::INT8OID);
is_in!(is_in_uuid, pg_sys::UUIDOID);
is_in!(is_in_text, pg_sys::TEXTOID);
version_1!(
    pg_finfo_id_set,
    pg_finfo_ids_of,
    pg_finfo_is_in_int2,
    pg_finfo_is_in_int4,
    pg_finfo_is_in_int8,
    pg_finfo_is_in_uuid,
    pg_finfo_is_in_text
);
