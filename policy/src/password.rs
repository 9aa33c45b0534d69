//! Which passwords people may choose.

/// How many characters a password has at least. (NIST SP 800-63B, section 5.1.1.2, asks for eight.)
const SHORTEST: usize = 8;
/// How many bytes a password has at most: hashing time grows with it.
const LONGEST: usize = 1024;
/// From this length on, one kind of characters is enough: a passphrase.
const PASSPHRASE: usize = 16;
/// A password that an attacker finds within so many guesses is refused.
const GUESSES: u64 = 100_000;

/// Why a password is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weakness {
    /// Less than eight characters.
    Short,
    /// More than 1024 bytes.
    Long,
    /// Letters only, digits only …, and not long enough for a passphrase.
    OneClass,
    /// Common, or made of the user's own names.
    Guessable,
}

impl Weakness {
    /// What to do about it.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Short => "must have at least 8 characters",
            Self::Long => "must have at most 1024 bytes",
            Self::OneClass => "must mix letters, digits or signs, or have at least 16 characters",
            Self::Guessable => "is too easy to guess",
        }
    }
}

/// Whether somebody called `names` may choose `password`.
///
/// # Errors
/// The first [`Weakness`].
pub fn check(password: &str, names: &[&str]) -> Result<(), Weakness> {
    let length = password.chars().count();
    if length < SHORTEST {
        return Err(Weakness::Short);
    }
    if password.len() > LONGEST {
        return Err(Weakness::Long);
    }
    let kinds: [fn(char) -> bool; 4] =
        [char::is_lowercase, char::is_uppercase, |c| c.is_numeric(), |c| !c.is_alphanumeric()];
    let classes = kinds.iter().filter(|kind| password.chars().any(kind)).count();
    if classes < 2 && length < PASSPHRASE {
        return Err(Weakness::OneClass);
    }
    if zxcvbn::zxcvbn(password, names).guesses() < GUESSES {
        return Err(Weakness::Guessable);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weak_ones_are_refused_for_the_right_reason() {
        for (password, weakness) in [
            ("", Weakness::Short),
            ("a1B!x9", Weakness::Short),
            ("analytical", Weakness::OneClass),
            ("4711081512", Weakness::OneClass),
            ("password1", Weakness::Guessable),
            ("Password123", Weakness::Guessable),
            ("qwerty123456", Weakness::Guessable),
            ("aaaaaaaaaaaaaaaaaaaa", Weakness::Guessable),
            ("ada.lovelace1", Weakness::Guessable),
        ] {
            assert_eq!(check(password, &["ada.lovelace", "ada@example.org"]), Err(weakness), "{password}");
        }
        assert_eq!(check(&"long and odd ".repeat(100), &[]), Err(Weakness::Long));
    }

    #[test]
    fn good_ones_pass() {
        for password in ["analytical engine no. 1", "correcthorsebatterystaple", "tr0ub4dor&three", "pässwörter-42"] {
            assert_eq!(check(password, &["ada"]), Ok(()), "{password}");
        }
    }
}
