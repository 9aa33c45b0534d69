//! Failed passwords, counted beyond the transaction that fails.
//!
//! What a transaction writes goes with its rollback, and a failed login is one. So the counts lie in a small file in
//! `pg_stat_tmp`, the directory where PostgreSQL lets extensions keep what is neither data nor backed up; hot standbys
//! have their own. It has slots for names and addresses by their hash; who shares a slot shares its pace.

use crate::error::Error;
use crate::query;
use policy::throttle::{ADDRESS, Attempts, Limit, NAME, NAME_AT_ADDRESS};
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How many slots the file has, 12 bytes each.
const SLOTS: u64 = 65_536;
const SLOT_SIZE: u64 = 12;
/// A failed attempt is answered no sooner, so that it tells nothing about the kind of hash or whether there is a user.
const SHORTEST_ANSWER: Duration = Duration::from_millis(300);

/// An attempt under way.
pub struct Attempt {
    started: Instant,
    name_at_address: Slot,
    name: Slot,
    address: Slot,
}

impl Attempt {
    /// Waits for the turn of `name` at the client's address, of the name, and of the address.
    ///
    /// # Errors
    /// [`Error::TooManyAttempts`] when too many are waiting already.
    pub fn begin(name: &str) -> Result<Self, Error> {
        let address = query::one::<String>("SELECT pg_catalog.host(pg_catalog.inet_client_addr())", &[])?;
        let address = address.as_deref().unwrap_or_default();
        let attempt = Self {
            started: Instant::now(),
            name_at_address: Slot::of(&[name, address], NAME_AT_ADDRESS),
            name: Slot::of(&[name], NAME),
            address: Slot::of(&["", "", address], ADDRESS),
        };
        let now = now();
        let mut longest = 0;
        // The narrowest first: who is refused there takes nobody else's turn.
        for slot in [&attempt.name_at_address, &attempt.name, &attempt.address] {
            let wait = slot.change(|attempts| attempts.take_turn(now, slot.limit))?;
            longest = longest.max(wait.ok_or(Error::TooManyAttempts)?);
        }
        wait_for(longest)?;
        Ok(attempt)
    }

    /// The password was right.
    pub fn succeed(self) -> Result<(), Error> {
        self.name_at_address.change(|attempts| attempts.succeed(true))?;
        self.name.change(|attempts| attempts.succeed(true))?;
        self.address.change(|attempts| attempts.succeed(false))
    }

    /// The error of a wrong password, when its time has come.
    pub fn fail(self) -> Error {
        let rest = SHORTEST_ANSWER.saturating_sub(self.started.elapsed());
        let rest = i64::try_from(rest.as_millis()).unwrap_or_default();
        wait_for(rest).err().unwrap_or(Error::WrongPassword)
    }
}

struct Slot {
    number: u64,
    limit: Limit,
}

impl Slot {
    /// The slot of what `parts` name; other parts, or another number of them, have another one.
    fn of(parts: &[&str], limit: Limit) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash = hash.chain_update(part.len().to_le_bytes()).chain_update(part);
        }
        let hash = hash.finalize();
        Self { number: u64::from_le_bytes(hash[..8].try_into().expect("8 bytes")) % SLOTS, limit }
    }

    /// Changes the slot, alone.
    fn change<T>(&self, change: impl FnOnce(&mut Attempts) -> T) -> Result<T, Error> {
        let changed = || -> std::io::Result<T> {
            let file = open()?;
            file.lock()?;
            let mut bytes = [0; SLOT_SIZE as usize];
            let place = self.number * SLOT_SIZE;
            // A file that ends before the slot has it empty.
            let _ = file.read_exact_at(&mut bytes, place);
            let (failures, last) = bytes.split_at(4);
            let mut attempts = Attempts {
                failures: u32::from_le_bytes(failures.try_into().expect("4 bytes")),
                last: i64::from_le_bytes(last.try_into().expect("8 bytes")),
            };
            let result = change(&mut attempts);
            bytes[..4].copy_from_slice(&attempts.failures.to_le_bytes());
            bytes[4..].copy_from_slice(&attempts.last.to_le_bytes());
            file.write_all_at(&bytes, place)?;
            Ok(result)
        };
        changed().map_err(|error| Error::Attempts(error.to_string()))
    }
}

/// The file of this database, below the data directory, which is where a backend is.
fn open() -> std::io::Result<File> {
    let database = crate::backend::caller::database();
    let path = format!("pg_stat_tmp/rolecall.{database}.attempts");
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Sleeps so that the statement can be cancelled.
fn wait_for(milliseconds: i64) -> Result<(), Error> {
    if milliseconds > 0 {
        let seconds = milliseconds as f64 / 1000.0;
        query::one::<i32>("SELECT 1 FROM pg_catalog.pg_sleep($1)", &[seconds.into()])?;
    }
    Ok(())
}
