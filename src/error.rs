//! Every error rolecall raises, with its SQLSTATE and what to do about it.

use pgrx::pg_sys::errcodes::PgSqlErrorCode as Code;
use pgrx::pg_sys::panic::ErrorReport;

/// What a function called from SQL returns.
pub type Reported<T> = Result<T, ErrorReport>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Refused(#[from] Refusal),
    #[error("the token is not valid: {0}")]
    InvalidToken(&'static str),
    #[error("wrong user name or password")]
    WrongPassword,
    #[error("too many failed attempts")]
    TooManyAttempts,
    #[error("the password {0}")]
    WeakPassword(&'static str),
    #[error("{0}")]
    Registration(policy::registration::Refusal),
    #[error("the invitation is not valid")]
    InvalidInvitation,
    #[error("permission denied: {0}")]
    NotPermitted(&'static str),
    #[error("{0:?} is the last administrator")]
    LastAdministrator(String),
    #[error("{0}")]
    State(&'static str, &'static str),
    #[error("permission denied: {action} needs an administrator")]
    NotAdministrator { action: &'static str },
    #[error("the identity cannot change while {0}")]
    IdentityInUse(&'static str),
    #[error("the roles of the session changed while a query planned for the former ones was open")]
    PlannedForOtherRoles,
    #[error("the identity changed while a query of the former one was open")]
    StartedByOther,
    #[error("{what} must not be NULL")]
    Null { what: &'static str },
    #[error("{what} {value:?} {problem}")]
    BadArgument { what: &'static str, value: String, problem: &'static str },
    #[error("filter on {table}: {error}")]
    Filter { table: String, error: Box<policy::filter::Error> },
    #[error("preset of {table}: {error}")]
    Preset { table: String, error: Box<policy::filter::Error> },
    #[error("{what}: {column:?} of {table} {problem}")]
    Columns { what: &'static str, table: String, column: String, problem: &'static str },
    #[error("permission denied: none of your roles may {verb} column {column:?} of table {table}")]
    ColumnNotCovered { verb: &'static str, column: String, table: String },
    #[error("permission denied: the filter depends on all rows of {table}")]
    Unseen { table: String },
    #[error("new row violates row-level security policy for table {row:?}")]
    RowRefused { row: String, hint: String },
    #[error("{kind} {name:?} does not exist")]
    Missing { kind: &'static str, name: String },
    #[error("{kind} {name:?} exists already")]
    Exists { kind: &'static str, name: String },
    #[error("role {role:?} cannot be granted to role {member:?}: that would be a cycle")]
    RoleCycle { role: String, member: String },
    #[error("could not serialize access due to concurrent update")]
    ConcurrentUpdate,
    #[error("role {0:?} has come into use since the transaction began")]
    Overtaken(String),
    #[error("role {0:?} is built in and cannot be {1}")]
    BuiltIn(String, &'static str),
    #[error("permission denied: scope {0:?} is missing")]
    MissingScope(String),
    #[error("role {role:?} still covers scope {scope:?} through {node:?}")]
    StillCovered { role: String, scope: String, node: String },
    #[error("permission denied: you hold no role {role:?} of server {server:?}")]
    RoleNotHeld { role: String, server: String },
    #[error("{what} is beyond the {limit} of {of}")]
    Beyond { what: &'static str, limit: &'static str, of: String },
    #[error("there is no token: the latest expiry of {0} has passed")]
    ExpiryPassed(String),
    #[error("permission denied: none of the roles covers scope {0:?}")]
    ScopeNotHeld(String),
    #[error("{0}")]
    Query(#[from] policy::access::Error),
    #[error("the server's document is not usable: {0}")]
    Document(#[from] policy::server::Error),
    #[error("{table} cannot be protected: {problem}")]
    Unprotectable { table: String, problem: &'static str },
    #[error("the ACL is not valid: {0}")]
    Acl(String),
    #[error("permission denied: the ACL would deny you the right to {0} the object")]
    LockedOut(&'static str),
    #[error("message {0} is not yours (any more)")]
    NotLeased(String),
    #[error("permission denied: you may not receive from queue \"{0}\"")]
    NotConsumed(String),
    #[error("{table} has no primary key to find a row by")]
    NoKey { table: String },
    #[error("{table} has no column of ACLs")]
    NoAcls { table: String },
    #[error("permission denied: there is no row {key:?} of {table} that you may update")]
    NoRow { table: String, key: String },
    #[error("role {role:?} cannot be {what}: ACLs of {table} name it")]
    NamedInAcls { role: String, what: &'static str, table: String },
    #[error("{table} is not protected")]
    NotProtected { table: String },
    #[error("failed logins cannot be counted: {0}")]
    Attempts(String),
    #[error("password hashing failed: {0}")]
    Hashing(String),
    #[error("token signing failed: {0}")]
    Signing(String),
    #[error("out of memory")]
    OutOfMemory,
    #[error("{0}")]
    Spi(#[from] pgrx::spi::Error),
}

const LOG_IN: &str = "Get a token with rolecall.login() and pass it to rolecall.authenticate().";

/// Why an identity, or its absence, is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("Unauthorized: Please log in")]
    LoginRequired,
    #[error("the login has expired")]
    Expired,
    #[error("the login was revoked")]
    Revoked,
    #[error("the logged-in user no longer exists")]
    UserGone,
    #[error("the user is disabled")]
    Disabled,
    #[error("the API token was revoked")]
    TokenRevoked,
    #[error("the temporary password must be changed first")]
    TemporaryPassword,
    #[error("the administrator behind become() is one no longer")]
    NoAdministrator,
}

impl Refusal {
    fn hint(self) -> &'static str {
        match self {
            Self::LoginRequired | Self::Expired | Self::Revoked => LOG_IN,
            Self::UserGone | Self::NoAdministrator => "Log in as another user, or call rolecall.logout().",
            Self::Disabled => "Ask an administrator to call rolecall.enable_user().",
            Self::TokenRevoked => "Ask an administrator for another one (rolecall.create_api_token()).",
            Self::TemporaryPassword => "Call rolecall.change_password(old_password, new_password).",
        }
    }
}

impl Error {
    fn sqlstate(&self) -> Code {
        match self {
            Self::Refused(_) | Self::InvalidToken(_) => Code::ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
            Self::WrongPassword | Self::TooManyAttempts => Code::ERRCODE_INVALID_PASSWORD,
            Self::NotAdministrator { .. }
            | Self::NotPermitted(_)
            | Self::Unseen { .. }
            | Self::RowRefused { .. }
            | Self::MissingScope(_)
            | Self::RoleNotHeld { .. }
            | Self::ScopeNotHeld(_)
            | Self::Registration(_)
            | Self::ColumnNotCovered { .. }
            | Self::LockedOut(_)
            | Self::NotConsumed(_)
            | Self::NoRow { .. }
            | Self::InvalidInvitation => Code::ERRCODE_INSUFFICIENT_PRIVILEGE,
            // Clients that retry serialization failures get the right rows at the second try.
            Self::PlannedForOtherRoles | Self::Overtaken(_) | Self::ConcurrentUpdate => {
                Code::ERRCODE_T_R_SERIALIZATION_FAILURE
            }
            Self::IdentityInUse(_)
            | Self::StartedByOther
            | Self::NotProtected { .. }
            | Self::NoAcls { .. }
            | Self::NoKey { .. }
            | Self::NotLeased(_)
            | Self::LastAdministrator(_)
            | Self::BuiltIn(..)
            | Self::StillCovered { .. }
            | Self::ExpiryPassed(_)
            | Self::State(..) => Code::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            Self::Null { .. } | Self::BadArgument { .. } | Self::Filter { .. } | Self::Unprotectable { .. } => {
                Code::ERRCODE_INVALID_PARAMETER_VALUE
            }
            Self::RoleCycle { .. }
            | Self::Acl(_)
            | Self::Columns { .. }
            | Self::Preset { .. }
            | Self::WeakPassword(_)
            | Self::Beyond { .. }
            | Self::Query(_)
            | Self::Document(_) => Code::ERRCODE_INVALID_PARAMETER_VALUE,
            Self::NamedInAcls { .. } => Code::ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST,
            Self::OutOfMemory => Code::ERRCODE_OUT_OF_MEMORY,
            Self::Missing { .. } => Code::ERRCODE_UNDEFINED_OBJECT,
            Self::Exists { .. } => Code::ERRCODE_DUPLICATE_OBJECT,
            Self::Attempts(_) | Self::Hashing(_) | Self::Signing(_) | Self::Spi(_) => Code::ERRCODE_INTERNAL_ERROR,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Refused(refusal) => refusal.hint().into(),
            Self::InvalidToken(_) => LOG_IN.into(),
            Self::TooManyAttempts => "Wait a minute.".into(),
            Self::LastAdministrator(_) => "Make somebody else an administrator first.".into(),
            Self::State(_, hint) => (*hint).into(),
            Self::Registration(_) | Self::InvalidInvitation => {
                "Ask an administrator for an invitation (rolecall.invite()).".into()
            }
            Self::NotAdministrator { .. } => {
                "Log in as a member of the role \"admins\", or connect as the extension's owner.".into()
            }
            Self::IdentityInUse(_) | Self::StartedByOther => {
                "Close the cursor or finish the query before the identity changes.".into()
            }
            Self::PlannedForOtherRoles | Self::Overtaken(_) | Self::ConcurrentUpdate => "Run the transaction again.".into(),
            Self::Filter { error, .. } | Self::Preset { error, .. } => return error.hint.clone(),
            Self::MissingScope(_) => {
                "Ask an administrator for a role that covers it (rolecall.grant_scopes(), rolecall.grant_role())."
                    .into()
            }
            Self::StillCovered { .. } => {
                "Revoke that one and grant what is to stay of it (rolecall.grant_scopes()).".into()
            }
            Self::RoleNotHeld { .. } | Self::ScopeNotHeld(_) => {
                "rolecall.whoami() shows the roles and scopes you have.".into()
            }
            Self::Document(_) => "Give the server's OpenAPI document, or {\"scopes\": [..], \"audience\": ..}.".into(),
            Self::Unseen { .. } => {
                "Make it a rule with rolecall.allow(), or ask as a role that may read them, such as a function's owner."
                    .into()
            }
            Self::RowRefused { hint, .. } => hint.clone(),
            Self::NotProtected { .. } => "Call rolecall.protect() first.".into(),
            Self::Acl(_) => {
                "Write a list of {\"id\": USER-OR-ROLE, \"rights\": [\"read\", …], \"deny\": false}.".into()
            }
            Self::LockedOut(_) => "Leave out the entry that denies it, or ask an administrator to write it.".into(),
            Self::NotLeased(_) => "Its lease has ended, or it is done: receive another one.".into(),
            Self::NotConsumed(_) => "rolecall.my_queues shows those that you may receive from.".into(),
            Self::NoAcls { .. } => "Name it with rolecall.protect(target, acl_column => …).".into(),
            Self::NamedInAcls { .. } => "Take it out of them first (rolecall.revoke_right()).".into(),
            Self::ColumnNotCovered { .. } => {
                "Name the columns you need instead of * or the row as a whole, or ask an administrator (rolecall.allow()).".into()
            }
            Self::Missing { kind: "scope", .. } => {
                "The server's document has no such scope: rolecall.register_server() takes a new one.".into()
            }
            Self::Missing { kind: "server", .. } => "Register it with rolecall.register_server().".into(),
            Self::Missing { kind: "role", .. } => "Create it with rolecall.create_role().".into(),
            _ => return None,
        })
    }
}

impl From<Error> for ErrorReport {
    #[track_caller]
    fn from(error: Error) -> Self {
        let report = ErrorReport::new(error.sqlstate(), error.to_string(), "rolecall");
        match error.hint() {
            Some(hint) => report.set_hint(hint),
            None => report,
        }
    }
}

/// The argument, or the error that it must not be NULL.
pub fn required<T>(argument: Option<T>, what: &'static str) -> Result<T, Error> {
    argument.ok_or(Error::Null { what })
}
