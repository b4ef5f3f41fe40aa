//! Durations of flags: `500ms`, `30s`, `5m`, `1h 30min`, and `none`.

use std::time::Duration;

pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    humantime::parse_duration(text).map_err(|e| format!("{e}; write it like `500ms`, `30s`, `5m` or `1h`"))
}

/// Reads a duration, or `none` as zero.
pub(crate) fn parse_or_none(text: &str) -> Result<Duration, String> {
    if text == "none" { Ok(Duration::ZERO) } else { parse(text) }
}

/// The limit that a duration of [`parse_or_none`] sets; zero sets none.
pub(crate) fn limit(duration: Duration) -> Option<Duration> {
    Some(duration).filter(|duration| !duration.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, seconds) in [("0", 0), ("30s", 30), ("5m", 300), ("30min", 1800), ("1h 30min", 5400)] {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(parse_or_none("none"), Ok(Duration::ZERO));
        assert_eq!(parse_or_none("none").map(limit), Ok(None));
        assert_eq!(parse_or_none("5m").map(limit), Ok(Some(Duration::from_mins(5))));
        assert!(parse("5").unwrap_err().contains("`30s`"));
    }
}
