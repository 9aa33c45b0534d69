//! libpq's password file.

use crate::connection::{env, home};
use crate::error::Error;
use postgres::Config;
use postgres::config::Host;
use std::path::{Path, PathBuf};

/// The password for the connection `config` describes: PGPASSFILE or ~/.pgpass.
///
/// # Errors
/// A file that others may read.
pub fn password(config: &Config) -> Result<Option<String>, Error> {
    let Some(path) = env("PGPASSFILE").map(PathBuf::from).or_else(|| home().map(|home| home.join(".pgpass"))) else {
        return Ok(None);
    };
    let Ok(text) = std::fs::read_to_string(&path) else { return Ok(None) };
    check_mode(&path)?;
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(host)) => host.clone(),
        Some(Host::Unix(path)) if is_default_socket(path) => "localhost".to_owned(),
        Some(Host::Unix(path)) => path.display().to_string(),
        None => config.get_hostaddrs().first().map(ToString::to_string).unwrap_or_default(),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432).to_string();
    let fields = [&host, &port, config.get_dbname().unwrap_or_default(), config.get_user().unwrap_or_default()];
    Ok(find(&text, fields))
}

fn is_default_socket(path: &Path) -> bool {
    path == Path::new("/var/run/postgresql") || path == Path::new("/tmp")
}

fn check_mode(path: &Path) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt;
    let open = std::fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o077 != 0);
    if open {
        let message = format!("others may read the password file {}", path.display());
        return Err(Error::Connection { message, hint: Some(format!("chmod 600 {}", path.display())) });
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
