//! libpq's password file.

use super::problem;
use crate::error::Error;
use std::path::Path;

/// The password in the file `path` for a host, port, database and user; none without such a file or line.
///
/// # Errors
/// A file that others may read.
pub fn password(path: &Path, wanted: [&str; 4]) -> Result<Option<String>, Error> {
    let Ok(text) = std::fs::read_to_string(path) else { return Ok(None) };
    check_mode(path)?;
    Ok(find(&text, wanted))
}

fn check_mode(path: &Path) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt;
    let open = std::fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o077 != 0);
    if open {
        let message = format!("others may read the password file {}", path.display());
        return Err(problem(message, format!("chmod 600 {}", path.display())));
    }
    Ok(())
}

/// The first line whose four fields fit; `*` fits anything, `\` takes the meaning from `:` and itself.
fn find(text: &str, wanted: [&str; 4]) -> Option<String> {
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let fields = split(line);
        let [host, port, database, user, password] = fields.as_slice() else { return None };
        let fits = |field: &String, wanted: &str| field == "*" || field == wanted;
        let all = [host, port, database, user].into_iter().zip(wanted).all(|(field, wanted)| fits(field, wanted));
        all.then(|| password.clone())
    })
}

fn split(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut characters = line.chars();
    while let Some(c) = characters.next() {
        let count = fields.len();
        match c {
            ':' if count < 5 => fields.push(String::new()),
            '\\' => fields[count - 1].extend(characters.next()),
            c => fields[count - 1].push(c),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_fits_counts() {
        let text = "# h:1:d:u:no\nother:*:*:*:wrong\nh:5432:*:u:right\n*:*:*:*:any\n";
        assert_eq!(find(text, ["h", "5432", "d", "u"]).as_deref(), Some("right"));
        assert_eq!(find(text, ["h", "5433", "d", "u"]).as_deref(), Some("any"));
        assert_eq!(find("h:1:d:u", ["h", "1", "d", "u"]), None);
    }

    #[test]
    fn colons_and_backslashes_are_escaped() {
        assert_eq!(find("h:1:d\\:b:u\\\\:p\\:w:d", ["h", "1", "d:b", "u\\"]).as_deref(), Some("p:w:d"));
    }
}
