//! Privileges and sets of them.

use std::fmt;
use std::ops::{BitAnd, BitOr, BitOrAssign, Not, Sub, SubAssign};

/// A set of privileges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Privileges(u16);

/// One privilege.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Privilege {
    /// The set that holds just it.
    pub set: Privileges,
    /// Its SQL word.
    pub word: &'static str,
    /// Its letter in an `aclitem`.
    pub letter: char,
}

macro_rules! privileges {
    ($($(#[$doc:meta])* $name:ident = $bit:literal, $word:literal, $letter:literal;)*) => {
        impl Privileges {
            $($(#[$doc])* pub const $name: Self = Self(1 << $bit);)*

            /// Every privilege there is, in the order they are written.
            pub const KNOWN: &'static [Privilege] =
                &[$(Privilege { set: Self::$name, word: $word, letter: $letter }),*];
        }
    };
}

privileges! {
    /// SELECT
    SELECT = 0, "SELECT", 'r';
    /// INSERT
    INSERT = 1, "INSERT", 'a';
    /// UPDATE
    UPDATE = 2, "UPDATE", 'w';
    /// DELETE
    DELETE = 3, "DELETE", 'd';
    /// TRUNCATE
    TRUNCATE = 4, "TRUNCATE", 'D';
    /// REFERENCES
    REFERENCES = 5, "REFERENCES", 'x';
    /// TRIGGER
    TRIGGER = 6, "TRIGGER", 't';
    /// MAINTAIN, from PostgreSQL 17 on
    MAINTAIN = 7, "MAINTAIN", 'm';
    /// USAGE
    USAGE = 8, "USAGE", 'U';
    /// CREATE
    CREATE = 9, "CREATE", 'C';
    /// CONNECT
    CONNECT = 10, "CONNECT", 'c';
    /// TEMPORARY
    TEMPORARY = 11, "TEMPORARY", 'T';
    /// EXECUTE
    EXECUTE = 12, "EXECUTE", 'X';
    /// SET, from PostgreSQL 15 on
    SET = 13, "SET", 's';
    /// ALTER SYSTEM, from PostgreSQL 15 on
    ALTER_SYSTEM = 14, "ALTER SYSTEM", 'A';
}

impl Privileges {
    /// No privilege.
    pub const NONE: Self = Self(0);

    /// The privilege of an SQL word, whatever its case; TEMP is TEMPORARY.
    pub fn from_word(word: &str) -> Option<Self> {
        let word = if word.eq_ignore_ascii_case("temp") { "TEMPORARY" } else { word };
        let words = |text: &str| text.split_whitespace().map(str::to_ascii_uppercase).collect::<Vec<_>>();
        Self::KNOWN.iter().find(|known| words(known.word) == words(word)).map(|known| known.set)
    }

    /// The privilege of an `aclitem`'s letter.
    pub fn from_letter(letter: char) -> Option<Self> {
        Self::KNOWN.iter().find(|known| known.letter == letter).map(|known| known.set)
    }

    /// All of several sets.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether nothing is in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether all of `other` is in it.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The words of what is in it.
    pub fn words(self) -> Vec<&'static str> {
        Self::KNOWN.iter().filter(|known| self.contains(known.set)).map(|known| known.word).collect()
    }
}

impl fmt::Display for Privileges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words().join(", "))
    }
}

impl BitOr for Privileges {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        self.union(other)
    }
}

impl BitOrAssign for Privileges {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl BitAnd for Privileges {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Not for Privileges {
    type Output = Self;
    fn not(self) -> Self {
        Self(!self.0)
    }
}

impl Sub for Privileges {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl SubAssign for Privileges {
    fn sub_assign(&mut self, other: Self) {
        self.0 &= !other.0;
    }
}
