//! API tokens: roles without a user behind them.

use crate::administrators::require_administrator;
use crate::backend::{caller, catalog, owner, session};
use crate::error::{Error, Refusal, Reported, required};
use crate::users::{self, bad};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;
use policy::identity::{Identity, Proof};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// What an API token begins with, so that people and secret scanners know one when they see it.
pub const PREFIX: &str = "rca_";

/// Makes an API token and returns it.
#[pg_extern(sql = false)]
fn create_api_token(
    name: Option<&str>,
    roles: Option<Vec<Option<String>>>,
    expires_at: Option<TimestampWithTimeZone>,
    owner: Option<&str>,
) -> Reported<String> {
    require_administrator("create_api_token()")?;
    let name = required(name, "name")?;
    if name.is_empty() {
        return Err(bad("name", name, "must not be empty").into());
    }
    if expires_at.is_some_and(|at| session::to_unix_time(at) <= session::unix_time()) {
        return Err(bad("expires_at", "(time)", "must lie in the future").into());
    }
    let owner = owner.map(users::id_of).transpose()?;
    let id = uuid::Uuid::now_v7();
    let secret = Secret::new()?;
    Spi::run_with_args(
        "INSERT INTO rolecall.api_tokens (id, name, token_hash, owner, expires_at) VALUES ($1, $2, $3, $4, $5)",
        &[id.to_string().into(), name.into(), secret.hash().into(), owner.into(), expires_at.into()],
    )
    .map_err(Error::from)?;
    for role in users::list(roles)? {
        crate::roles::must_exist(&role)?;
        Spi::run_with_args(
            "INSERT INTO rolecall.api_token_roles (token, role) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            &[id.to_string().into(), role.into()],
        )
        .map_err(Error::from)?;
    }
    Ok(format!("{PREFIX}{}_{}", id.simple(), secret.text()))
}

/// Ends an API token.
#[pg_extern(sql = false)]
fn revoke_api_token(id: Option<&str>) -> Reported<()> {
    let id = required(id, "id")?;
    let session = session::current()?;
    let user = session.user.as_ref().map(|user| user.id.as_str());
    let found = Spi::connect(|client| {
        let rows = client.select("SELECT owner FROM rolecall.api_tokens WHERE id = $1", Some(1), &[id.into()])?;
        if rows.is_empty() { Ok(None) } else { rows.first().get_one::<String>().map(Some) }
    })
    .map_err(Error::from)?;
    // Who may not revoke it does not learn whether there is one.
    if user.is_none() || found.clone().flatten().as_deref() != user {
        require_administrator("revoke_api_token() of somebody else's token")?;
    }
    if found.is_none() {
        return Err(Error::Missing { kind: "API token", name: id.into() }.into());
    }
    Ok(Spi::run_with_args("DELETE FROM rolecall.api_tokens WHERE id = $1", &[id.into()]).map_err(Error::from)?)
}

/// The identity that an API token proves.
pub fn verify(token: &str) -> Result<Identity, Error> {
    let invalid = || Error::InvalidToken("there is no such API token");
    let (id, secret) = token.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_')).ok_or_else(invalid)?;
    let id = uuid::Uuid::try_parse(id).map_err(|_| invalid())?.to_string();
    let given = Secret::of(secret).hash();
    let mut found: Option<(Option<TimestampWithTimeZone>, Option<TimestampWithTimeZone>)> = None;
    catalog::Table::open(c"api_tokens")?.scan(c"api_tokens_pkey", Some(catalog::Key::Text(&id)), |row| {
        let hash: Vec<u8> = row.get(c"token_hash").unwrap_or_default();
        if bool::from(hash.ct_eq(&given)) {
            found = Some((row.get(c"expires_at"), row.get(c"last_used_at")));
        }
    })?;
    let (expires_at, last_used) = found.ok_or_else(invalid)?;
    let expires_at = expires_at.map_or(i64::MAX, session::to_unix_time);
    if expires_at <= session::unix_time() {
        return Err(Refusal::Expired.into());
    }
    if last_used.is_none_or(|at| session::to_unix_time(at) + 60 <= session::unix_time())
        && caller::may_write_in_passing()
    {
        owner::act(|| note_use(&id))?;
    }
    Ok(Identity { subject: id, proof: Proof::ApiToken, expires_at })
}

/// Waits for nobody: whoever holds the row notes the use as well.
fn note_use(id: &str) -> Result<(), Error> {
    Ok(Spi::run_with_args(
        "UPDATE rolecall.api_tokens SET last_used_at = pg_catalog.clock_timestamp()
          WHERE id = (SELECT id FROM rolecall.api_tokens WHERE id = $1 FOR NO KEY UPDATE SKIP LOCKED)",
        &[id.into()],
    )?)
}

/// A random text of 256 bits that is shown once and kept as a hash. It needs no slow hash: nobody guesses it.
pub struct Secret(String);

impl Secret {
    /// A new one.
    pub fn new() -> Result<Self, Error> {
        let mut random = [0_u8; 32];
        getrandom::fill(&mut random).map_err(|e| Error::Signing(e.to_string()))?;
        Ok(Self(URL_SAFE_NO_PAD.encode(random)))
    }

    /// The one that somebody gives.
    pub fn of(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// What is kept of it.
    pub fn hash(&self) -> Vec<u8> {
        Sha256::digest(self.0.as_bytes()).to_vec()
    }

    /// The text itself.
    pub fn text(self) -> String {
        self.0
    }
}
