//! libpq's service file: connection parameters under a name.

use super::{env, home, params, problem};
use crate::error::Error;
use std::path::{Path, PathBuf};

/// Where distributions put the file for everybody when PGSYSCONFDIR is not set.
const SYSTEM_DIRECTORIES: [&str; 2] = ["/etc/postgresql-common", "/etc/sysconfig/pgsql"];

/// One line of a service.
#[derive(Debug)]
pub struct Entry {
    /// What it sets.
    pub keyword: &'static str,
    /// To what.
    pub value: String,
    /// The file and line, for messages.
    pub place: String,
}

/// The service's entries from `file` or the person's own file, else from the system's.
///
/// # Errors
/// No file that defines it, or one that cannot be read.
pub fn read(name: &str, file: Option<&Path>) -> Result<Vec<Entry>, Error> {
    let own = match file {
        Some(file) if !file.exists() => {
            let message = format!("the service file {} does not exist", file.display());
            return Err(problem(message, "correct PGSERVICEFILE"));
        }
        Some(file) => Some(file.to_owned()),
        None => home().map(|home| home.join(".pg_service.conf")),
    };
    let system: Vec<PathBuf> = match env("PGSYSCONFDIR") {
        Some(directory) => vec![directory.into()],
        None => SYSTEM_DIRECTORIES.map(PathBuf::from).to_vec(),
    };
    let system = system.into_iter().map(|directory| directory.join("pg_service.conf"));
    let files: Vec<PathBuf> = own.into_iter().chain(system).collect();
    for file in files.iter().filter(|file| file.exists()) {
        let read = std::fs::read_to_string(file);
        let text = read.map_err(|source| Error::File { path: file.clone(), source })?;
        if let Some(entries) = find(&text, name, &file.display().to_string())? {
            return Ok(entries);
        }
    }
    let looked: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    let hint = format!("put a section [{name}] into one of {}", looked.join(", "));
    Err(problem(format!("the service \"{name}\" is defined nowhere"), hint))
}

/// The entries of the section `[name]`; of a keyword said twice the first counts.
fn find(text: &str, name: &str, file: &str) -> Result<Option<Vec<Entry>>, Error> {
    let mut entries = None;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line.starts_with('[') {
            if entries.is_some() {
                break;
            }
            if line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) == Some(name) {
                entries = Some(Vec::new());
            }
            continue;
        }
        let Some(entries) = &mut entries else { continue };
        let place = format!("{file}, line {}", number + 1);
        let Some((keyword, value)) = line.split_once('=') else {
            return Err(problem(format!("{place} is no keyword=value"), "write a line such as host=db.example.com"));
        };
        if matches!(keyword, "service" | "servicefile") {
            return Err(problem(format!("{place}: a service cannot refer to another"), "repeat what it says"));
        }
        let keyword = params::known(keyword)
            .map_err(|hint| problem(format!("{place}: there is no parameter \"{keyword}\""), hint))?;
        entries.push(Entry { keyword, value: value.to_owned(), place });
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# all\n[one]\nhost=a\n\n  port=1 \n[two]\nhost=b\npassword=x=y\n[bad]\nhost = b\n[worse]\nhost\n\
                        [nested]\nservice=one\n";

    #[test]
    fn a_section_ends_where_the_next_begins() {
        let read = |name| {
            let entries = find(FILE, name, "f").expect("readable").expect("defined");
            entries.iter().map(|entry| format!("{}={}", entry.keyword, entry.value)).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(read("one"), "host=a port=1");
        assert_eq!(read("two"), "host=b password=x=y");
        assert!(find(FILE, "three", "f").expect("readable").is_none());
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        for (name, place) in [("bad", "f, line 10"), ("worse", "f, line 12"), ("nested", "f, line 14")] {
            let error = find(FILE, name, "f").expect_err(name).to_string();
            assert!(error.contains(place), "{error}");
        }
    }
}
