//! Recognises files that differ only in their line endings, which git may change at each checkout.

use sha2::{Digest, Sha384};

/// How the lines of a file end here, and how they ended when it was applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LineEndings {
    /// Of the file, such as `CR LF`.
    pub(crate) here: &'static str,
    /// Of the applied file.
    pub(crate) applied: &'static str,
}

/// The line endings of a file and of what was applied, if these are the only difference.
pub(crate) fn only_difference(sql: &str, applied_checksum: &[u8]) -> Option<LineEndings> {
    let is_applied = |text: &str| Sha384::digest(text).as_slice() == applied_checksum;
    let lf = sql.replace("\r\n", "\n");
    if is_applied(&lf) {
        return Some(LineEndings { here: "CR LF", applied: "LF" });
    }
    is_applied(&lf.replace('\n', "\r\n")).then_some(LineEndings { here: "LF", applied: "CR LF" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_differ_only_in_their_line_endings() {
        let (lf, crlf, mixed) =
            ("SELECT 1;\nSELECT 2;\n", "SELECT 1;\r\nSELECT 2;\r\n", "SELECT 1;\r\nSELECT 2;\n");
        let here =
            |sql, applied: &str| only_difference(sql, &Sha384::digest(applied)).map(|e| (e.here, e.applied));
        assert_eq!(here(crlf, lf), Some(("CR LF", "LF")));
        assert_eq!(here(mixed, lf), Some(("CR LF", "LF")));
        assert_eq!(here(lf, crlf), Some(("LF", "CR LF")));
        assert_eq!(here(lf, "SELECT 3;\r\n"), None);
    }
}
