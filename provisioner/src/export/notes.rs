//! What a spec cannot say, told beside it.

use std::collections::BTreeMap;

/// Remarks, each with what it is about.
#[derive(Default)]
pub struct Notes(BTreeMap<String, Vec<String>>);

impl Notes {
    /// One more thing that a remark is about.
    pub fn add(&mut self, remark: impl Into<String>, about: impl Into<String>) {
        self.0.entry(remark.into()).or_default().push(about.into());
    }

    /// One line each.
    pub fn lines(&self) -> Vec<String> {
        let line = |(remark, about): (&String, &Vec<String>)| {
            let mut about = about.clone();
            about.sort();
            about.dedup();
            format!("{remark}: {}", crate::diff::listing(&about))
        };
        self.0.iter().map(line).collect()
    }
}
