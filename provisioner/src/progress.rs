//! How far things are, on a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::Duration;

/// Where it is told; nowhere if standard error is no terminal or nothing shall be said.
pub struct Progress {
    shown: bool,
}

impl Progress {
    /// Says how far things are, unless `quiet`.
    pub fn new(quiet: bool) -> Self {
        Self { shown: !quiet }
    }

    /// Reading and comparing the catalogs, until what is returned is dropped.
    pub fn reading(&self) -> Bar {
        self.bar(ProgressBar::new_spinner().with_message("reading the catalogs"))
    }

    /// Executing `statements` in a database.
    pub fn applying(&self, database: &str, statements: usize) -> Bar {
        let style = ProgressStyle::with_template("{msg} {bar:30} {human_pos} of {human_len} statements {elapsed}");
        let bar = ProgressBar::new(statements as u64).with_message(format!("applying to {}", printable(database)));
        self.bar(match style {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        })
    }

    fn bar(&self, bar: ProgressBar) -> Bar {
        // Drawn by a thread, and only after a while, so that short work shows nothing.
        bar.set_draw_target(if self.shown {
            ProgressDrawTarget::stderr_with_hz(8)
        } else {
            ProgressDrawTarget::hidden()
        });
        bar.enable_steady_tick(Duration::from_millis(250));
        Bar(bar)
    }
}

/// Something that is going on; it disappears when dropped.
pub struct Bar(ProgressBar);

impl Bar {
    /// Says that `steps` more are done.
    pub fn inc(&self, steps: u64) {
        self.0.inc(steps);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn printable(text: &str) -> String {
    text.escape_debug().to_string()
}
