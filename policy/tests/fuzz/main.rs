//! Whatever one feeds to the parsers: inputs made from good ones by random changes. `ROLECALL_FUZZ` says how many each
//! parser gets (`make soak`: a million); they are the same each time, and a failure names its number, from which on
//! `ROLECALL_FUZZ_FIRST` goes on.

mod filters;
mod mutate;
mod specs;

use rand::SeedableRng;
use rand::rngs::StdRng;
use std::time::{Duration, Instant};

/// Feeds numbered inputs to `test`, each with the randomness of its number. None may take long: a filter or a spec is
/// read while somebody waits.
fn fuzz(mut test: impl FnMut(&mut StdRng)) {
    let setting = |name: &str| std::env::var(name).ok().map(|n| n.parse().expect("ROLECALL_FUZZ.. are numbers"));
    let (inputs, first) = (setting("ROLECALL_FUZZ").unwrap_or(5_000), setting("ROLECALL_FUZZ_FIRST").unwrap_or(0));
    for number in first..first + inputs {
        let start = Instant::now();
        let outcome =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| test(&mut StdRng::seed_from_u64(number))));
        assert!(outcome.is_ok(), "input {number}");
        assert!(start.elapsed() < Duration::from_secs(5), "input {number} took {:?}", start.elapsed());
    }
}
