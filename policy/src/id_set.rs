//! A set of ids in one piece of memory, which a query hands to its parallel workers and looks into for every row.
//!
//! Layout, in the machine's byte order: what the ids are (4 bytes), the number of slots (4 bytes, a power of two), a tag
//! for each slot (0: empty), then for each slot an integer (8 bytes) or where in the set a text starts (4 bytes), each
//! text preceded by its length (4 bytes). Nobody has to trust it: whatever the bytes, reading stays inside them.

use foldhash::fast::FixedState;
use std::hash::BuildHasher;

const HEADER: usize = 8;

/// An id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Id<'a> {
    /// An integer of any width.
    Integer(i64),
    /// A text or a UUID.
    Bytes(&'a [u8]),
}

impl Id<'_> {
    fn hash(self) -> u64 {
        // Another process has to find what this one has put in.
        let hasher = FixedState::with_seed(0x726f_6c65_6361_6c6c);
        match self {
            Self::Integer(value) => hasher.hash_one(value),
            Self::Bytes(bytes) => hasher.hash_one(bytes),
        }
    }
}

/// Makes a set of ids, which are all of one kind; `kind` is kept with them. None where it would be too large.
pub fn build(kind: u32, ids: &[Id]) -> Option<Vec<u8>> {
    let slots = (ids.len() * 2).next_power_of_two();
    let is_bytes = matches!(ids.first(), Some(Id::Bytes(_)));
    let width = if is_bytes { 4 } else { 8 };
    let texts: usize = ids.iter().map(|id| if let Id::Bytes(bytes) = id { 4 + bytes.len() } else { 0 }).sum();
    let values = HEADER + slots;
    // PostgreSQL's largest value is 1 GB.
    let size = values.checked_add(slots * width)?.checked_add(texts).filter(|size| *size < 1_000_000_000)?;
    let mut set = Vec::with_capacity(size);
    set.extend(kind.to_ne_bytes());
    set.extend(u32::try_from(slots).ok()?.to_ne_bytes());
    set.resize(values + slots * width, 0);
    for id in ids {
        let mut probe = Probe::new(*id, slots);
        let free = loop {
            let slot = probe.next()?;
            match set[HEADER + slot] {
                0 => break Some(slot),
                tag if tag == probe.tag && Set::of(&set)?.id(slot, is_bytes) == Some(*id) => break None,
                _ => {}
            }
        };
        let Some(slot) = free else { continue };
        set[HEADER + slot] = probe.tag;
        let at = values + slot * width;
        match id {
            Id::Integer(value) => set[at..at + 8].copy_from_slice(&value.to_ne_bytes()),
            Id::Bytes(bytes) => {
                let start = u32::try_from(set.len()).ok()?;
                set[at..at + 4].copy_from_slice(&start.to_ne_bytes());
                set.extend(u32::try_from(bytes.len()).ok()?.to_ne_bytes());
                set.extend(*bytes);
            }
        }
    }
    Some(set)
}

/// The slots where an id may be, each once.
struct Probe {
    tag: u8,
    slot: usize,
    mask: usize,
    left: usize,
}

impl Probe {
    fn new(id: Id, slots: usize) -> Self {
        let hash = id.hash();
        let mask = slots.wrapping_sub(1);
        Self { tag: (hash >> 57) as u8 | 0x80, slot: hash as usize & mask, mask, left: slots }
    }
}

impl Iterator for Probe {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        self.left = self.left.checked_sub(1)?;
        let slot = self.slot;
        self.slot = (slot + 1) & self.mask;
        Some(slot)
    }
}

/// A set that [`build`] has made, or any bytes.
#[derive(Clone, Copy)]
pub struct Set<'a> {
    bytes: &'a [u8],
    slots: usize,
}

impl<'a> Set<'a> {
    /// The set in `bytes`; None where there is none.
    pub fn of(bytes: &'a [u8]) -> Option<Self> {
        let slots = number(bytes, 4)?;
        (slots.is_power_of_two() && HEADER + slots <= bytes.len()).then_some(Self { bytes, slots })
    }

    /// What [`build`] was told that the ids are.
    pub fn kind(self) -> u32 {
        number(self.bytes, 0).map_or(0, |kind| kind as u32)
    }

    /// Whether it holds `id`.
    pub fn contains(self, id: Id) -> bool {
        let probe = Probe::new(id, self.slots);
        let (tag, is_bytes) = (probe.tag, matches!(id, Id::Bytes(_)));
        for slot in probe {
            match self.bytes[HEADER + slot] {
                0 => return false,
                found if found == tag && self.id(slot, is_bytes) == Some(id) => return true,
                _ => {}
            }
        }
        false
    }

    /// All ids, each once; `is_bytes` says of which kind.
    pub fn ids(self, is_bytes: bool) -> impl Iterator<Item = Id<'a>> {
        let used = move |slot: &usize| self.bytes[HEADER + slot] != 0;
        (0..self.slots).filter(used).filter_map(move |slot| self.id(slot, is_bytes))
    }

    fn id(self, slot: usize, is_bytes: bool) -> Option<Id<'a>> {
        let values = HEADER + self.slots;
        if is_bytes {
            let start = number(self.bytes, values + slot * 4)?;
            let length = number(self.bytes, start)?;
            self.bytes.get(start + 4..start + 4 + length).map(Id::Bytes)
        } else {
            let at = values + slot * 8;
            Some(Id::Integer(i64::from_ne_bytes(self.bytes.get(at..at + 8)?.try_into().ok()?)))
        }
    }
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn integers_are_found_and_no_others(ids in prop::collection::vec(-40_i64..40, 0..60), others in prop::collection::vec(any::<i64>(), 20)) {
            let list: Vec<_> = ids.iter().chain(&others[..10]).map(|id| Id::Integer(*id)).collect();
            let bytes = build(20, &list).unwrap();
            let set = Set::of(&bytes).unwrap();
            prop_assert_eq!(set.kind(), 20);
            for id in (-50..50).chain(others.iter().copied()) {
                prop_assert_eq!(set.contains(Id::Integer(id)), ids.contains(&id) || others[..10].contains(&id));
            }
            let members: Vec<_> = set.ids(false).collect();
            prop_assert_eq!(members.len(), list.iter().map(|id| format!("{id:?}")).collect::<BTreeSet<_>>().len());
            prop_assert!(members.iter().all(|id| list.contains(id)));
        }

        #[test]
        fn texts_are_found_and_no_others(ids in prop::collection::vec("[ab]{0,4}", 0..60), other in "[ab]{0,5}") {
            let list: Vec<_> = ids.iter().map(|id| Id::Bytes(id.as_bytes())).collect();
            let bytes = build(25, &list).unwrap();
            let set = Set::of(&bytes).unwrap();
            prop_assert!(ids.iter().all(|id| set.contains(Id::Bytes(id.as_bytes()))));
            prop_assert_eq!(set.contains(Id::Bytes(other.as_bytes())), ids.contains(&other));
            prop_assert_eq!(set.ids(true).count(), ids.iter().collect::<BTreeSet<_>>().len());
        }

        #[test]
        fn any_bytes_are_read_without_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..80), power in 0..6_u32, id in any::<i64>()) {
            if bytes.len() > 8 {
                bytes[4..8].copy_from_slice(&(1_u32 << power).to_ne_bytes());
            }
            if let Some(set) = Set::of(&bytes) {
                set.contains(Id::Integer(id));
                set.contains(Id::Bytes(&bytes));
                set.ids(true).count();
                set.ids(false).count();
            }
        }
    }
}
