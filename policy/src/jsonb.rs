//! PostgreSQL's `jsonb`, read where it lies (`src/include/utils/jsonb.h`).
//!
//! A container is a word with its kind and the number of its elements, a word for each (of an object: all keys, then all
//! values) with its type and its length or its end, and the elements' bytes. Containers and numbers begin at multiples of
//! four. What is not like that reads as nothing.

/// A value inside a container.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Boolean(bool),
    /// A string's bytes, in the database's encoding.
    String(&'a [u8]),
    /// A number.
    Number(Number<'a>),
    /// An array or object.
    Container(Container<'a>),
}

/// An array or object.
#[derive(Clone, Copy, Debug)]
pub struct Container<'a> {
    kind: u32,
    /// Elements, or pairs.
    count: usize,
    /// The word of each value.
    words: &'a [u8],
    data: &'a [u8],
}

const COUNT: u32 = 0x0fff_ffff;
const SCALAR: u32 = 0x1000_0000;
const OBJECT: u32 = 0x2000_0000;
const ARRAY: u32 = 0x4000_0000;

impl<'a> Container<'a> {
    /// The container that begins with these bytes.
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        let header = word(bytes, 0)?;
        let count = (header & COUNT) as usize;
        let (kind, words) = match header & !COUNT {
            OBJECT => (OBJECT, count * 2),
            ARRAY => (ARRAY, count),
            // A value alone is stored as an array of one.
            scalar if scalar == ARRAY | SCALAR => (SCALAR, count),
            _ => return None,
        };
        let (words, data) = bytes[4..].split_at_checked(words * 4)?;
        Some(Self { kind, count, words, data })
    }

    /// Whether it is an array.
    pub fn is_list(&self) -> bool {
        self.kind == ARRAY
    }

    /// An array's elements.
    pub fn elements(self) -> impl Iterator<Item = Value<'a>> {
        self.values().map_while(|value| value)
    }

    /// The values of an object's fields; None where it is no object.
    pub fn fields<const N: usize>(self, names: [&[u8]; N]) -> Option<[Option<Value<'a>>; N]> {
        if self.kind != OBJECT {
            return None;
        }
        let mut places = [usize::MAX; N];
        let mut found = [None; N];
        for (at, value) in self.values().enumerate() {
            if at < self.count {
                let Some(Value::String(key)) = value else { return None };
                for (name, place) in names.iter().zip(&mut places) {
                    if *name == key {
                        *place = at + self.count;
                    }
                }
            } else if let Some(number) = places.iter().position(|place| *place == at) {
                found[number] = value;
            }
        }
        Some(found)
    }

    /// All values, an object's keys first; None is one that cannot be read.
    fn values(self) -> impl Iterator<Item = Option<Value<'a>>> {
        let mut start = 0;
        self.words.chunks_exact(4).map(move |entry| {
            let entry = word(entry, 0)?;
            let length = (entry & COUNT) as usize;
            let end = if entry & 0x8000_0000 == 0 { start + length } else { length };
            let aligned = start.next_multiple_of(4);
            let (plain, padded) = (self.data.get(start..end), self.data.get(aligned..end));
            start = end;
            match entry & 0x7000_0000 {
                0 => plain.map(Value::String),
                0x1000_0000 => padded.map(|bytes| Value::Number(Number(bytes))),
                0x2000_0000 => Some(Value::Boolean(false)),
                0x3000_0000 => Some(Value::Boolean(true)),
                0x4000_0000 => Some(Value::Null),
                0x5000_0000 => padded.and_then(Container::new).map(Value::Container),
                _ => None,
            }
        })
    }
}

/// A `numeric`.
#[derive(Clone, Copy, Debug)]
pub struct Number<'a>(&'a [u8]);

impl Number<'_> {
    /// Its value, where that is an integer of at most 16 digits.
    pub fn integer(self) -> Option<i64> {
        // The length before it takes four bytes, or one.
        let first = *self.0.first()?;
        let short = if cfg!(target_endian = "little") { first & 1 == 1 } else { first & 0x80 != 0 };
        let bytes = self.0.get(if short { 1 } else { 4 }..)?;
        let header = half(bytes, 0)?;
        let (negative, weight, digits) = match header & 0xc000 {
            0x8000 => {
                let weight = i32::from(header & 0x3f) - if header & 0x40 == 0 { 0 } else { 0x40 };
                (header & 0x2000 != 0, weight, &bytes[2..])
            }
            0xc000 => return None,
            sign => (sign == 0x4000, i32::from(half(bytes, 2)? as i16), &bytes[4..]),
        };
        // Digits of base 10,000; those after the first `weight` + 1 are the fraction, those that lack are zero.
        let digits: &[u8] = digits;
        let count = digits.len() / 2;
        if count == 0 {
            return Some(0);
        }
        let places = usize::try_from(weight).ok()? + 1;
        if places > 4 || count > places {
            return None;
        }
        let mut value = 0_i64;
        for place in 0..places {
            let digit = if place < count { half(digits, place * 2)? } else { 0 };
            value = value * 10_000 + i64::from(digit);
        }
        Some(if negative { -value } else { value })
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_ne_bytes)
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2).and_then(|bytes| bytes.try_into().ok()).map(u16::from_ne_bytes)
}
