//! Registering oneself.

use crate::administrators::require_administrator;
use crate::api_tokens::Secret;
use crate::backend::{account, catalog, statement};
use crate::error::{Error, Reported, required};
use crate::users::{self, New, bad};
use crate::{kits, password, passwords, roles};
use pgrx::prelude::*;
use policy::registration::{Mode, is_address};
use serde_json::json;
use std::collections::BTreeSet;

/// The roles of whoever registers first. Nobody gets them by registering later.
const FIRST: [&str; 2] = ["superuser", "staff"];
/// How long an invitation may be good, in seconds: a year.
const LONGEST_INVITATION: i64 = 365 * 24 * 3600;

/// Registers oneself; returns the id.
#[pg_extern(sql = false)]
fn register(
    username: Option<&str>,
    email: Option<&str>,
    password: Option<&str>,
    invite: Option<&str>,
) -> Reported<String> {
    statement::hide(c"rolecall.register(...)");
    let username = required(username, "username")?;
    let password = required(password, "password")?;
    if let Some(email) = email.filter(|email| !is_address(email)) {
        return Err(bad("email", email, "is no e-mail address").into());
    }
    passwords::check(password, username, email)?;
    let settings = Settings::read()?;
    let mode = settings.mode()?;
    let (roles, email_claimed) = if mode == Mode::Open && is_first()? {
        close_after_the_first()?;
        make_first_roles()?;
        (FIRST.map(str::to_owned).to_vec(), true)
    } else {
        // Whoever was first meanwhile has closed the door.
        let settings = Settings::read()?;
        let invited = invite.map(|invite| use_invitation(invite, email)).transpose()?;
        settings.mode()?.admits(email, &settings.domains, invited.is_some()).map_err(Error::Registration)?;
        // An invitation was sent to the address.
        let claimed = invited.is_none();
        let mut roles = settings.default_roles()?;
        roles.extend(invited.unwrap_or_default());
        (roles, claimed)
    };
    email.map(claim).transpose()?;
    let user = New {
        username,
        email,
        email_claimed,
        chose_username: true,
        hash: Some(password::hash(password)?),
        ..New::default()
    };
    Ok(user.create(&roles)?)
}

/// Who may register, from which domains, and the roles they get.
#[pg_extern(sql = false)]
fn registration() -> Reported<pgrx::JsonB> {
    let settings = Settings::read()?;
    let mode = settings.mode()?.name();
    Ok(pgrx::JsonB(json!({"mode": mode, "domains": settings.domains, "default_roles": settings.roles})))
}

/// Says who may register.
#[pg_extern(sql = false)]
fn set_registration(
    mode: Option<&str>,
    domains: Option<Vec<Option<String>>>,
    default_roles: Option<Vec<Option<String>>>,
) -> Reported<()> {
    require_administrator("set_registration()")?;
    let mode = required(mode, "mode")?;
    let (domains, default_roles) = (users::list(domains)?, users::list(default_roles)?);
    let known = Mode::find(mode).ok_or_else(|| bad("mode", mode, "is none of open, domain, invite, closed"))?;
    if (known == Mode::Domain) == domains.is_empty() {
        return Err(bad("domains", &domains.join(", "), "go with the mode \"domain\", and it needs them").into());
    }
    for domain in &domains {
        if !is_address(&format!("x@{domain}")) {
            return Err(bad("domain", domain, "is no domain").into());
        }
    }
    for role in &default_roles {
        roles::must_exist(role)?;
    }
    refuse_powerful(&default_roles)?;
    Ok(Spi::run_with_args(
        "INSERT INTO rolecall.settings (registration, registration_domains, registration_roles) VALUES ($1, $2, $3)
         ON CONFLICT (only_row) DO UPDATE SET registration = excluded.registration,
                registration_domains = excluded.registration_domains, registration_roles = excluded.registration_roles",
        &[mode.into(), domains.into(), default_roles.into()],
    )
    .map_err(Error::from)?)
}

/// Makes an invitation to register and returns it.
#[pg_extern(sql = false)]
fn invite(
    email: Option<&str>,
    roles: Option<Vec<Option<String>>>,
    expires_in: Option<pgrx::datum::Interval>,
) -> Reported<String> {
    require_administrator("invite()")?;
    let email = required(email, "email")?;
    if !is_address(email) {
        return Err(bad("email", email, "is no e-mail address").into());
    }
    let roles = users::list(roles)?;
    for role in &roles {
        crate::roles::must_exist(role)?;
    }
    let lifetime = passwords::seconds("expires_in", &required(expires_in, "expires_in")?, LONGEST_INVITATION)?;
    let secret = Secret::new()?;
    Spi::run_with_args(
        "INSERT INTO rolecall.invitations (secret_hash, email, roles, expires_at)
         VALUES ($1, $2, $3, pg_catalog.now() + pg_catalog.make_interval(secs => $4))",
        &[secret.hash().into(), email.into(), roles.into(), (lifetime as f64).into()],
    )
    .map_err(Error::from)?;
    Ok(secret.text())
}

/// Uses an invitation up and returns its roles. If the registration fails it is as it was.
fn use_invitation(invite: &str, email: Option<&str>) -> Result<Vec<String>, Error> {
    let hash = Secret::of(invite).hash();
    let roles = Spi::connect_mut(|client| {
        let rows = client.update(
            "DELETE FROM rolecall.invitations
              WHERE secret_hash = $1 AND lower(email) = lower($2) AND expires_at > pg_catalog.clock_timestamp()
             RETURNING roles",
            None,
            &[hash.into(), email.into()],
        )?;
        if rows.is_empty() { Ok(None) } else { rows.first().get_one::<Vec<String>>() }
    })?;
    roles.ok_or(Error::InvalidInvitation)
}

/// Whether nobody has ever been here; those who ask at the same time wait for the first one's transaction to end.
fn is_first() -> Result<bool, Error> {
    if account::has_user()? {
        return Ok(false);
    }
    Spi::run("LOCK TABLE rolecall.settings IN SHARE ROW EXCLUSIVE MODE")?;
    Ok(!account::has_user()?)
}

fn close_after_the_first() -> Result<(), Error> {
    Ok(Spi::run(
        "INSERT INTO rolecall.settings (registration) VALUES ('invite')
         ON CONFLICT (only_row) DO UPDATE SET registration = 'invite'",
    )?)
}

/// Superusers are administrators: they create users and give them roles.
fn make_first_roles() -> Result<(), Error> {
    for role in kits::find("graphistry")?.roles {
        kits::create(role)?;
    }
    roles::grant(account::ADMINISTRATORS, "role:superuser")
}

/// An address that somebody has may not be claimed by somebody else: filters compare it. Who claims the same one waits
/// until this transaction ends, and then reads fresh, whatever his isolation level.
fn claim(email: &str) -> Result<(), Error> {
    Spi::run_with_args(
        "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('rolecall ' || pg_catalog.lower($1), 0))",
        &[email.into()],
    )?;
    if catalog::finds(c"SELECT FROM rolecall.users WHERE pg_catalog.lower(email) = pg_catalog.lower($1) LIMIT 1", email)
    {
        return Err(Error::Exists { kind: "user with e-mail address", name: email.into() });
    }
    Ok(())
}

/// Raises an error if a role makes an administrator of whoever has it.
fn refuse_powerful(roles: &[String]) -> Result<(), Error> {
    for role in roles {
        let held = account::containing(BTreeSet::from([role.clone()]))?;
        if FIRST.iter().chain(&[account::ADMINISTRATORS]).any(|powerful| held.contains(*powerful)) {
            return Err(bad("default role", role, "must not be, or hold, superuser, staff or admins"));
        }
    }
    Ok(())
}

/// What administrators have said about registration.
pub struct Settings {
    /// None: nothing yet.
    pub chosen: Option<Mode>,
    pub domains: Vec<String>,
    roles: Vec<String>,
}

impl Settings {
    pub fn read() -> Result<Self, Error> {
        Spi::connect(|client| {
            let query = "SELECT registration, registration_domains, registration_roles FROM rolecall.settings";
            let mut settings = Self { chosen: None, domains: Vec::new(), roles: Vec::new() };
            for row in client.select(query, Some(1), &[])? {
                settings.chosen = row.get::<String>(1)?.as_deref().and_then(Mode::find);
                settings.domains = row.get(2)?.unwrap_or_default();
                settings.roles = row.get(3)?.unwrap_or_default();
            }
            Ok(settings)
        })
    }

    /// The roles of whoever registers, unless one has become a powerful one since it was chosen.
    pub fn default_roles(&self) -> Result<Vec<String>, Error> {
        refuse_powerful(&self.roles)?;
        Ok(self.roles.clone())
    }

    /// Open as long as there is nobody, then by invitation, unless something else was chosen.
    fn mode(&self) -> Result<Mode, Error> {
        match self.chosen {
            Some(mode) => Ok(mode),
            None if account::has_user()? => Ok(Mode::Invite),
            None => Ok(Mode::Open),
        }
    }
}
