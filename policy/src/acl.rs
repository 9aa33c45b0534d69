//! Access-control lists of objects, read where they lie.
//!
//! An ACL is a `jsonb` array of `{"id": USER-OR-ROLE, "rights": ["read", …], "deny": false}`, or of OpenFlow's
//! `{"_id", "rights": NUMBER, "deny"}`, whose number has the bit *n* - 1 for the right of number *n* (create 1, read 2,
//! update 3, delete 4, invoke 5; -1 is all). It is evaluated for every row a query looks at, so its bytes are walked as
//! PostgreSQL stores them, without a copy.
//!
//! A deny wins. What cannot be understood allows nothing and, in a deny, denies everything.

use crate::jsonb::{Container, Value};

/// What one can do with an object: a set of rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights(u8);

/// The rights by name, in the order of their bits.
pub const RIGHTS: [&str; 5] = ["create", "read", "update", "delete", "invoke"];

impl Rights {
    /// No right at all.
    pub const NONE: Self = Self(0);
    /// Full control.
    pub const ALL: Self = Self((1 << RIGHTS.len()) - 1);

    /// The right of that name; `full_control` is all of them.
    pub fn named(name: &str) -> Option<Self> {
        if name == "full_control" {
            return Some(Self::ALL);
        }
        RIGHTS.iter().position(|right| *right == name).map(|bit| Self(1 << bit))
    }

    /// The rights of OpenFlow's number: bits beyond the known ones are no rights of ours.
    pub(crate) fn numbered(number: i64) -> Option<Self> {
        match number {
            -1 => Some(Self::ALL),
            0..=0xffff => Some(Self(number as u8 & Self::ALL.0)),
            _ => None,
        }
    }

    /// OpenFlow's number.
    pub fn number(self) -> i64 {
        if self == Self::ALL { -1 } else { self.0.into() }
    }

    /// Whether all of `other` are among these.
    pub fn cover(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether some of `other` are among these.
    pub fn touch(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// These and `other`.
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// These but not `other`.
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Their names.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        RIGHTS.into_iter().enumerate().filter(move |(bit, _)| self.0 & (1 << bit) != 0).map(|(_, name)| name)
    }
}

/// How sure it is that an entry's name is one's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mine {
    /// It is somebody else's.
    No,
    /// It could be somebody else's as well: enough to be denied, not to be allowed.
    Perhaps,
    /// It is.
    Yes,
}

/// What an ACL says about somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    allowed: Rights,
    denied: Rights,
}

impl Verdict {
    /// Whether he may: allowed and not denied.
    pub fn allows(self, right: Rights) -> bool {
        self.allowed.without(self.denied).cover(right)
    }

    /// Whether it is denied to him.
    pub fn denies(self, right: Rights) -> bool {
        self.denied.touch(right)
    }

    /// The rights that he has.
    pub fn rights(self) -> Rights {
        self.allowed.without(self.denied)
    }
}

/// What the ACL says about whoever has the names that are `mine`. `acl` are the bytes of a `jsonb` value, without the
/// length before them.
pub fn judge(acl: &[u8], mine: impl Fn(&[u8]) -> Mine) -> Verdict {
    let mut verdict = Verdict { allowed: Rights::NONE, denied: Rights::NONE };
    for entry in Container::new(acl).filter(Container::is_list).into_iter().flat_map(Container::elements) {
        let Value::Container(entry) = entry else { continue };
        let Some(entry) = Entry::read(entry) else { continue };
        let mut names = entry.names.into_iter().flatten().map(&mine);
        if entry.denies {
            if names.any(|mine| mine != Mine::No) {
                verdict.denied = verdict.denied.with(entry.rights.unwrap_or(Rights::ALL));
            }
        } else if entry.names != [None, None] && names.all(|mine| mine == Mine::Yes) {
            verdict.allowed = verdict.allowed.with(entry.rights.unwrap_or(Rights::NONE));
        }
    }
    verdict
}

/// One entry, as far as it can be understood.
struct Entry<'a> {
    /// What `id` and `_id` say.
    names: [Option<&'a [u8]>; 2],
    /// None: some of it is no right.
    rights: Option<Rights>,
    denies: bool,
}

impl<'a> Entry<'a> {
    fn read(entry: Container<'a>) -> Option<Self> {
        let [id, openflow_id, rights, deny] = entry.fields([b"id", b"_id", b"rights", b"deny"])?;
        let name = |value| match value {
            Some(Value::String(name)) => Some(name),
            _ => None,
        };
        Some(Self {
            names: [name(id), name(openflow_id)],
            rights: rights.and_then(self::rights),
            denies: !matches!(deny, None | Some(Value::Null | Value::Boolean(false))),
        })
    }
}

fn rights(value: Value) -> Option<Rights> {
    match value {
        Value::Number(number) => number.integer().and_then(Rights::numbered),
        Value::Container(list) if list.is_list() => {
            let mut rights = Rights::NONE;
            for name in list.elements() {
                let Value::String(name) = name else { return None };
                rights = rights.with(Rights::named(std::str::from_utf8(name).ok()?)?);
            }
            Some(rights)
        }
        _ => None,
    }
}
