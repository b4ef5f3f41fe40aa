//! The hosts of a URL, in the order in which they are tried, and which of them are acceptable.
//!
//! As in libpq: [several hosts](https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-MULTIPLE-HOSTS),
//! `target_session_attrs` and `load_balance_hosts`.

use std::net::IpAddr;
use std::path::Path;

use super::parameters::Parameters;

const PORT: u16 = 5432;

/// Where a server may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Its name, its address, or the folder of its socket.
    pub(super) name: String,
    /// The address that `hostaddr` gives, which is connected to instead.
    pub(super) address: Option<String>,
    pub(super) port: u16,
}

/// Which servers will do (`target_session_attrs`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Wanted {
    #[default]
    Any,
    /// One on which transactions may write by default.
    ReadWrite,
    /// One on which they may not.
    ReadOnly,
    /// One that is no standby.
    Primary,
    Standby,
    /// A standby, or any where there is none.
    PreferStandby,
    /// One on which transactions may write, or where there is none, one that is no standby: a role whose transactions are
    /// read-only by default still has a primary.
    ToWrite,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct State {
    /// Whether it is a standby.
    pub(crate) standby: bool,
    /// Whether transactions are read-only by default.
    pub(crate) read_only: bool,
}

/// How well a server matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Suitability {
    /// It is what is wanted.
    Good,
    /// It will do where no other is better.
    Spare,
    /// It will not do, for this reason.
    Bad(&'static str),
}

impl Wanted {
    pub(super) fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "any" => Self::Any,
            "read-write" => Self::ReadWrite,
            "read-only" => Self::ReadOnly,
            "primary" => Self::Primary,
            "standby" => Self::Standby,
            "prefer-standby" => Self::PreferStandby,
            _ => return None,
        })
    }

    /// How well a server matches.
    pub(crate) fn suitability(self, State { standby, read_only }: State) -> Suitability {
        let only =
            |is_suitable: bool, why| if is_suitable { Suitability::Good } else { Suitability::Bad(why) };
        let at_least = |is_suitable: bool| if is_suitable { Suitability::Good } else { Suitability::Spare };
        match self {
            Self::Any => Suitability::Good,
            Self::ReadWrite | Self::ToWrite if standby => Suitability::Bad(STANDBY),
            Self::ReadWrite => only(!read_only, "transactions are read-only by default on it"),
            Self::ToWrite => at_least(!read_only),
            Self::ReadOnly => only(standby || read_only, "it is not read-only"),
            Self::Primary => only(!standby, STANDBY),
            Self::Standby => only(standby, "it is no standby"),
            Self::PreferStandby => at_least(standby),
        }
    }
}

/// Why a server cannot be written to.
const STANDBY: &str = "the server is a read-only standby";

/// The hosts that the URL and the environment name.
///
/// # Errors
/// What is wrong, without any part of a value.
pub(super) fn places(
    authority: &[(String, Option<String>)],
    parameters: &Parameters,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Vec<Place>, &'static str> {
    let given = |name: &str| parameters.get(name).filter(|value| !value.is_empty());
    let variable = |name: &str| environment(name).filter(|value| !value.is_empty());
    let list = |text: &str| text.split(',').map(|part| part.trim().to_owned()).collect::<Vec<_>>();
    let is_in_authority = authority.iter().any(|(host, _)| !host.is_empty());
    let mut names = match given("host") {
        Some(hosts) => list(hosts),
        None if is_in_authority || authority.len() > 1 => {
            authority.iter().map(|(host, _)| host.clone()).collect()
        }
        None => Vec::new(),
    };
    let mut addresses = given("hostaddr").map(list).unwrap_or_default();
    if names.is_empty() && addresses.is_empty() {
        addresses = variable("PGHOSTADDR").as_deref().map(list).unwrap_or_default();
        names = variable("PGHOST").as_deref().map(list).unwrap_or_default();
    }
    let many = names.len().max(addresses.len()).max(1);
    if addresses.is_empty() {
        addresses = vec![String::new(); many];
    }
    if names.is_empty() {
        names = vec![String::new(); many];
    }
    if addresses.len() != many || names.len() != many {
        return Err("`hostaddr` has not as many addresses as there are hosts");
    }
    if addresses.iter().any(|address| !address.is_empty() && address.parse::<IpAddr>().is_err()) {
        return Err("`hostaddr` is not a list of IP addresses");
    }
    let ports = match given("port") {
        Some(ports) => list(ports),
        None if authority.iter().any(|(_, port)| port.is_some()) => {
            authority.iter().map(|(_, port)| port.clone().unwrap_or_default()).collect()
        }
        None => variable("PGPORT").as_deref().map(list).unwrap_or_default(),
    };
    let ports = match ports.as_slice() {
        [] => vec![PORT; many],
        [one] => vec![port(one)?; many],
        ports if ports.len() == many => ports.iter().map(|text| port(text)).collect::<Result<_, _>>()?,
        _ => return Err("it has not as many ports as hosts"),
    };
    let places = names.into_iter().zip(addresses).zip(ports).map(|((name, address), port)| {
        let address = Some(address).filter(|address| !address.is_empty());
        let name = match (&address, name.is_empty()) {
            (Some(address), true) => address.clone(),
            (None, true) => default_host(port),
            (_, false) => name,
        };
        Place { name, address, port }
    });
    Ok(places.collect())
}

fn port(text: &str) -> Result<u16, &'static str> {
    match text {
        "" => Ok(PORT),
        text => text.parse().ok().filter(|port| *port != 0).ok_or("a port is not a number from 1 to 65535"),
    }
}

/// The folder of a socket of this machine if there is one, as by libpq and sqlx.
fn default_host(port: u16) -> String {
    let folders = ["/var/run/postgresql", "/private/tmp", "/tmp"];
    let has_socket = |folder: &&str| Path::new(folder).join(format!(".s.PGSQL.{port}")).exists();
    folders.into_iter().find(has_socket).unwrap_or("localhost").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(authority: &[(&str, &str)], query: &str, variables: &[(&str, &str)]) -> String {
        let authority: Vec<_> = authority
            .iter()
            .map(|(host, port)| {
                ((*host).to_owned(), Some((*port).to_owned()).filter(|port| !port.is_empty()))
            })
            .collect();
        let environment = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let parameters = Parameters::parse("X", query, |_| None).unwrap();
        match places(&authority, &parameters, environment) {
            Ok(places) => {
                let shown = places.iter().map(|Place { name, address, port }| match address {
                    Some(address) => format!("{name}={address}:{port}"),
                    None => format!("{name}:{port}"),
                });
                shown.collect::<Vec<_>>().join(" ")
            }
            Err(error) => error.into(),
        }
    }

    #[test]
    fn hosts_and_ports_are_libpqs() {
        let two = &[("a", "1"), ("b", "")];
        let environment = &[("PGHOST", "x,y"), ("PGPORT", "7")];
        for (authority, query, variables, expected) in [
            (&[("a", "")][..], "", &[][..], "a:5432"),
            (two, "", &[], "a:1 b:5432"),
            (two, "port=9", &[], "a:9 b:9"),
            (two, "host=c,d&port=8,9", &[], "c:8 d:9"),
            (&[("a", ""), ("b", "")], "", environment, "a:7 b:7"),
            (two, "", environment, "a:1 b:5432"),
            (&[], "", environment, "x:7 y:7"),
            (&[], "host=c", environment, "c:7"),
            (&[("", "6")], "host=/run/pg", &[], "/run/pg:6"),
            (&[("a", "")], "hostaddr=10.0.0.1", &[], "a=10.0.0.1:5432"),
            (&[], "hostaddr=10.0.0.1,::1", &[], "10.0.0.1=10.0.0.1:5432 ::1=::1:5432"),
            (&[], "", &[("PGHOSTADDR", "10.0.0.2"), ("PGHOST", "x")], "x=10.0.0.2:5432"),
            (two, "hostaddr=10.0.0.1", &[], "`hostaddr` has not as many"),
            (two, "hostaddr=10.0.0.1,s3cr3t", &[], "`hostaddr` is not a list"),
            (two, "port=1,2,3", &[], "not as many ports"),
            (two, "port=s3cr3t", &[], "a port is not"),
            (&[("a", "0")], "", &[], "a port is not"),
        ] {
            let seen = seen(authority, query, variables);
            assert!(
                seen.starts_with(expected) || seen.contains(expected) && expected.contains(' '),
                "{query}: {seen}"
            );
            assert!(!seen.contains("s3cr3t"), "{seen}");
        }
    }

    #[test]
    fn a_server_matches_target_session_attrs() {
        use Wanted::{Any, PreferStandby, Primary, ReadOnly, ReadWrite, Standby, ToWrite};
        let primary = State { standby: false, read_only: false };
        let reading = State { standby: false, read_only: true };
        let standby = State { standby: true, read_only: true };
        for (wanted, expected) in [
            (Any, "good good good"),
            (ReadWrite, "good bad bad"),
            (ReadOnly, "bad good good"),
            (Primary, "good good bad"),
            (Standby, "bad bad good"),
            (PreferStandby, "spare spare good"),
            (ToWrite, "good spare bad"),
        ] {
            let word = |state| match wanted.suitability(state) {
                Suitability::Good => "good",
                Suitability::Spare => "spare",
                Suitability::Bad(_) => "bad",
            };
            assert_eq!([primary, reading, standby].map(word).join(" "), expected, "{wanted:?}");
        }
    }
}
