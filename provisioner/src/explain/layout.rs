//! Lines in columns, folded to fit a terminal.

use crate::plan::printable;
use anstyle::{AnsiColor, Style};
use std::fmt::Write;

/// Lines are no wider than this, unless a single word is.
const WIDTH: usize = 100;

pub(super) const HEADING: Style = Style::new().bold();
pub(super) const DIM: Style = Style::new().dimmed();
pub(super) const PLAIN: Style = Style::new();
pub(super) const YES: Style = AnsiColor::Green.on_default();
pub(super) const PART: Style = AnsiColor::Yellow.on_default();

/// A piece of a line with its style and the width it is given.
pub(super) struct Cell<'a>(pub &'a str, pub Style, pub usize);

/// Writes the cells beside each other and `text` after them, folded under where it began.
pub(super) fn line(out: &mut String, indent: usize, cells: &[Cell<'_>], text: &str, style: Style) {
    let _ = write!(out, "{:indent$}", "");
    let mut column = indent;
    for Cell(content, style, width) in cells {
        let content = printable(content);
        let length = content.chars().count();
        let padding = (width + 2).saturating_sub(length).max(2);
        let _ = write!(out, "{style}{content}{style:#}{:padding$}", "");
        column += length + padding;
    }
    // Where the cells leave no room for it the text begins on a line of its own.
    let start = cells.iter().fold(indent, |sum, Cell(_, _, width)| sum + width + 2);
    let text = printable(text);
    if column > start && column + text.chars().count() > WIDTH {
        out.truncate(out.trim_end_matches(' ').len());
        let _ = write!(out, "\n{:start$}", "");
        column = start;
    }
    let begin = column;
    let _ = write!(out, "{style}");
    let mut first = true;
    for word in text.split(' ') {
        let length = word.chars().count();
        if !first && column + 1 + length > WIDTH {
            let _ = write!(out, "{style:#}\n{:begin$}{style}", "");
            column = begin;
        } else if !first {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
        first = false;
    }
    let _ = writeln!(out, "{style:#}");
    trim_end(out);
}

/// Lines end where their text does.
fn trim_end(out: &mut String) {
    let length = out.trim_end_matches(['\n', ' ']).len();
    out.truncate(length);
    out.push('\n');
}

/// The width of the widest of some texts, within reason.
pub(super) fn width<'a>(texts: impl Iterator<Item = &'a str>, most: usize) -> usize {
    texts.map(|text| printable(text).chars().count()).max().unwrap_or(0).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(cells: &[Cell<'_>], text: &str) -> String {
        let mut out = String::new();
        line(&mut out, 2, cells, text, PLAIN);
        anstream::adapter::strip_str(&out).to_string()
    }

    #[test]
    fn texts_fold_under_their_beginning() {
        let folded = plain(&[Cell("SELECT", YES, 8)], &"word ".repeat(30));
        let lines: Vec<&str> = folded.lines().collect();
        assert_eq!(lines.len(), 2, "{folded}");
        assert!(lines[0].starts_with("  SELECT    word") && lines[0].len() <= WIDTH, "{folded}");
        assert!(lines[1].starts_with("            word"), "{folded}");
    }

    #[test]
    fn a_cell_that_is_too_long_moves_its_text_to_the_next_line() {
        let folded = plain(&[Cell(&"x".repeat(80), PLAIN, 10)], "far too long to stand on the line of this name");
        assert_eq!(
            folded.lines().nth(1),
            Some("              far too long to stand on the line of this name"),
            "{folded}"
        );
    }

    #[test]
    fn nothing_is_left_at_the_end_of_a_line_and_no_control_character_passes() {
        assert_eq!(plain(&[Cell("a\u{1b}[2J", PLAIN, 20)], ""), "  a\\u{1b}[2J\n");
    }
}
