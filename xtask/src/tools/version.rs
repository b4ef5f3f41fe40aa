//! Reads the version of a program from its output.

/// The part of a version that decides whether a program fits: patches of one minor version behave alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    pub major: u32,
    pub minor: u32,
}

impl Version {
    /// The first text that has the form of a version.
    pub fn find(text: &str) -> Option<Self> {
        let words = text.split(|c: char| !c.is_ascii_digit() && c != '.');
        words.filter(|word| word.contains('.')).find_map(|word| {
            let mut numbers = word.split('.');
            Some(Self { major: numbers.next()?.parse().ok()?, minor: numbers.next()?.parse().ok()? })
        })
    }

    /// A new major may behave differently, and an older minor may lack something.
    pub fn fits(self, least: Self) -> bool {
        self.major == least.major && self >= least
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_version_in_the_output_of_programs() {
        let find = |text| Version::find(text).map(|Version { major, minor }| (major, minor));
        assert_eq!(find("v3.22.0+g1a2b3c4"), Some((3, 22)));
        assert_eq!(find("4.3.1\n"), Some((4, 3)));
        assert_eq!(find("helmfile version 1.8.0"), Some((1, 8)));
        assert_eq!(find("{Version:kustomize/v4.5.7 GitCommit:56d82a8 GoVersion:go1.18.2}"), Some((4, 5)));
        assert_eq!(find("v5.8.2-rc.1"), Some((5, 8)));
        assert_eq!(find("Done... 7 of 12. go1.26"), Some((1, 26)));
        assert_eq!(find("(devel)"), None);
        assert_eq!(find("development"), None);
        assert_eq!(find("7"), None);
        assert_eq!(find(""), None);
    }

    #[test]
    fn fits_with_the_same_major_and_at_least_the_minor() {
        let fits = |major, minor| Version { major, minor }.fits(Version { major: 3, minor: 18 });
        assert!(fits(3, 18));
        assert!(fits(3, 22));
        assert!(!fits(3, 17));
        assert!(!fits(4, 18));
        assert!(!fits(2, 99));
    }
}
