//! How fast passwords may be tried.
//!
//! The first failures are free; from then on each attempt has to wait for a turn, and the turns get further apart. Turns
//! are given out before the password is checked, so that many connections at once try no faster than one. Nobody is
//! locked out for long: the right password gets in at its turn.

/// The attempts of one name or address, as they are remembered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    /// Failures in a row.
    pub failures: u32,
    /// When the last turn was given out, in milliseconds since the epoch.
    pub last: i64,
}

/// How strict to be.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// How many failures are free.
    pub free: u32,
    /// The longest time between two turns, in milliseconds.
    pub slowest: i64,
}

/// For one user name from one address: somebody elsewhere who guesses does not keep the user himself out.
pub const NAME_AT_ADDRESS: Limit = Limit { free: 4, slowest: 8_000 };
/// For one user name from everywhere.
pub const NAME: Limit = Limit { free: 40, slowest: 2_000 };
/// For one address: many people may share it.
pub const ADDRESS: Limit = Limit { free: 100, slowest: 1_000 };

/// The time between two turns after the first failure that is not free, in milliseconds.
const FIRST: i64 = 250;
/// An attempt whose turn is further away is refused, in milliseconds.
const PATIENCE: i64 = 10_000;
/// Failures are forgotten after so long a rest, in milliseconds.
const MEMORY: i64 = 15 * 60 * 1000;

impl Attempts {
    /// Takes a turn at time `now`; how long to wait for it, in milliseconds. None: too many are waiting already.
    pub fn take_turn(&mut self, now: i64, limit: Limit) -> Option<i64> {
        let rest = now.saturating_sub(self.last);
        // A clock that was set back forgets nothing, but makes nobody wait for ever either.
        if !(-MEMORY..=MEMORY).contains(&rest) {
            *self = Self { failures: 0, last: now };
        }
        let turn = self.last.saturating_add(self.gap(limit)).max(now);
        let wait = turn - now;
        if wait > PATIENCE {
            return None;
        }
        self.last = turn;
        // Counted as a failure until it turns out otherwise: a backend that is killed meanwhile has tried, too.
        self.failures = self.failures.saturating_add(1);
        Some(wait)
    }

    /// The password was right.
    pub fn succeed(&mut self, all: bool) {
        self.failures = if all { 0 } else { self.failures.saturating_sub(1) };
    }

    fn gap(self, limit: Limit) -> i64 {
        match self.failures.checked_sub(limit.free) {
            None => 0,
            Some(steps) => (FIRST << steps.min(16)).min(limit.slowest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000_000;

    #[test]
    fn the_first_failures_are_free_and_then_it_slows_down() {
        let mut attempts = Attempts::default();
        let mut now = NOW;
        let waits: Vec<_> = std::iter::repeat_with(|| {
            let wait = attempts.take_turn(now, NAME_AT_ADDRESS).unwrap();
            now += wait;
            wait
        })
        .take(12)
        .collect();
        assert_eq!(waits, [0, 0, 0, 0, 250, 500, 1000, 2000, 4000, 8000, 8000, 8000]);
    }

    #[test]
    fn many_at_once_are_no_faster_and_in_the_end_refused() {
        let mut attempts = Attempts { failures: 10, last: NOW };
        assert_eq!(attempts.take_turn(NOW, NAME_AT_ADDRESS), Some(8000));
        let full = attempts;
        assert_eq!(attempts.take_turn(NOW, NAME_AT_ADDRESS), None);
        assert_eq!(attempts, full, "a refused attempt puts nobody off further");
        assert_eq!(attempts.take_turn(NOW + 8000, NAME_AT_ADDRESS), Some(8000));
    }

    #[test]
    fn success_and_rest_forget() {
        let mut attempts = Attempts { failures: 10, last: NOW };
        attempts.succeed(true);
        assert_eq!(attempts.take_turn(NOW, NAME_AT_ADDRESS), Some(0));
        let mut attempts = Attempts { failures: 10, last: NOW };
        assert_eq!(attempts.take_turn(NOW + MEMORY + 1, NAME_AT_ADDRESS), Some(0));
        let mut shared = Attempts { failures: 200, last: NOW };
        shared.succeed(false);
        assert_eq!(shared.failures, 199, "one's own login does not free an address");
    }

    #[test]
    fn a_clock_set_back_blocks_nobody() {
        let mut attempts = Attempts { failures: 10, last: NOW };
        assert_eq!(attempts.take_turn(NOW - 2 * MEMORY, NAME_AT_ADDRESS), Some(0));
    }
}
