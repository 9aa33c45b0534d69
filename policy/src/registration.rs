//! Who may register himself.

use std::fmt;

/// Who may register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Everybody.
    Open,
    /// Who has an e-mail address of certain domains, or an invitation.
    Domain,
    /// Who has an invitation.
    Invite,
    /// Nobody.
    Closed,
}

impl Mode {
    const ALL: [Self; 4] = [Self::Open, Self::Domain, Self::Invite, Self::Closed];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Domain => "domain",
            Self::Invite => "invite",
            Self::Closed => "closed",
        }
    }

    /// The mode called `name`.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == name)
    }

    /// Whether somebody with this e-mail address, and perhaps a good invitation, may register.
    ///
    /// # Errors
    /// Why not.
    pub fn admits(self, email: Option<&str>, domains: &[String], invited: bool) -> Result<(), Refusal> {
        match self {
            Self::Closed => Err(Refusal::Closed),
            _ if invited => Ok(()),
            Self::Open => Ok(()),
            Self::Invite => Err(Refusal::InvitationNeeded),
            Self::Domain if email.is_some_and(|email| domains.iter().any(|domain| is_at(email, domain))) => Ok(()),
            Self::Domain => Err(Refusal::OtherDomain),
        }
    }
}

/// Why somebody may not register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nobody may.
    Closed,
    /// He has no invitation.
    InvitationNeeded,
    /// His e-mail address is of no permitted domain.
    OtherDomain,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "registration is closed",
            Self::InvitationNeeded => "registration needs an invitation",
            Self::OtherDomain => "registration needs an e-mail address of a permitted domain, or an invitation",
        })
    }
}

/// Whether `email` is an address at `domain`, and not of a domain below it.
fn is_at(email: &str, domain: &str) -> bool {
    is_address(email) && email.rsplit_once('@').is_some_and(|(_, host)| host.eq_ignore_ascii_case(domain))
}

/// Whether `email` has the form of an address: one `@`, something on both sides, no space or control character.
pub fn is_address(email: &str) -> bool {
    let plain = !email.chars().any(|c| c.is_whitespace() || c.is_control());
    let parts: Vec<_> = email.split('@').collect();
    plain && email.len() <= 254 && parts.len() == 2 && parts.iter().all(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_matched_whole() {
        let domains = ["example.org".to_owned()];
        let admits = |email| Mode::Domain.admits(Some(email), &domains, false).is_ok();
        assert!(admits("ada@example.org") && admits("ada@EXAMPLE.org"));
        for other in [
            "ada@evil-example.org",
            "ada@example.org.evil.com",
            "ada@sub.example.org",
            "ada@evil.com@example.org",
            "@example.org",
            "example.org",
            "ada @example.org",
            "",
        ] {
            assert!(!admits(other), "{other}");
        }
        assert_eq!(Mode::Domain.admits(None, &domains, false), Err(Refusal::OtherDomain));
    }

    #[test]
    fn an_invitation_opens_all_but_closed() {
        for mode in Mode::ALL {
            assert_eq!(Mode::find(mode.name()), Some(mode));
            assert_eq!(mode.admits(None, &[], true).is_ok(), mode != Mode::Closed, "{}", mode.name());
        }
        assert_eq!(Mode::Invite.admits(None, &[], false), Err(Refusal::InvitationNeeded));
        assert_eq!(Mode::Open.admits(None, &[], false), Ok(()));
        assert_eq!(Mode::find("Open"), None);
    }
}
