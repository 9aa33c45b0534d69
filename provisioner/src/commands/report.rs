//! `rolecall report`: who may what, as a page for people.

use super::explain::read;
use crate::cli::Cli;
use crate::error::Error;
use crate::explain::Answers;
use crate::plan::printable;
use crate::report::{AccessModel, Data, page};
use std::io::Write;
use std::path::Path;

/// Writes the page to `file`, or to standard output for `-`.
///
/// # Errors
/// Whatever the server says, and a file that cannot be written; then one that was there is as it was.
pub fn report(cli: &Cli, file: &Path) -> Result<u8, Error> {
    let (mut client, present, details) = read(cli, None)?;
    let model = AccessModel::read(&mut client, &present.session)?;
    let data = Data::new(&Answers::new(&present, details), model);
    let page = page(&data);
    if file == Path::new("-") {
        let mut out = std::io::stdout().lock();
        out.write_all(page.as_bytes())?;
        out.flush()?;
        return Ok(0);
    }
    write(file, page.as_bytes()).map_err(|source| Error::File { path: file.to_owned(), source })?;
    if cli.json {
        let document = serde_json::json!({
            "format": "rolecall-report/1", "file": file.display().to_string(), "bytes": page.len(),
        });
        super::print(&format!("{document}\n"))?;
    } else if !cli.quiet {
        let told = format!("{}: {}, {} kB", file.display(), data.summary(), page.len().div_ceil(1000));
        anstream::eprintln!("{}", printable(&told));
    }
    Ok(0)
}

/// Replaces a file at once, so that nobody sees half of it; what is no file, such as a pipe, is just written to.
fn write(file: &Path, content: &[u8]) -> std::io::Result<()> {
    if file.exists() && !file.is_file() {
        return std::fs::write(file, content);
    }
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // As for any new file, less what the umask takes away.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let mut temporary = builder.prefix(".rolecall-").tempfile_in(directory)?;
    temporary.write_all(content)?;
    temporary.as_file().sync_all()?;
    temporary.persist(file)?;
    Ok(())
}
