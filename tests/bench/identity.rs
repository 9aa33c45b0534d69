//! What it costs to say who acts, and to check it when a statement starts: each as one round trip, beside a setting.

use postgres::types::ToSql;
use postgres::{Client, Statement};

/// A statement that is measured: its name, and what it is sent with in turn.
pub struct Contender {
    pub name: &'static str,
    statement: Statement,
    arguments: Vec<String>,
    turn: usize,
}

impl Contender {
    /// Runs it once.
    pub fn run(&mut self, app: &mut Client) {
        self.turn += 1;
        let argument = self.arguments.get(self.turn % self.arguments.len().max(1));
        let arguments: Vec<&(dyn ToSql + Sync)> = argument.iter().map(|text| *text as &(dyn ToSql + Sync)).collect();
        app.query(&self.statement, &arguments).expect("the statement runs");
    }
}

/// All of them; the first is what the others are compared with.
pub fn contenders(admin: &mut Client, app: &mut Client) -> Vec<Contender> {
    let login = |admin: &mut Client, username: &str| -> String {
        let query = "SELECT rolecall.login($1, 'a million rows')";
        admin.query_one(query, &[&username]).expect("the password is right").get(0)
    };
    let mut tokens = Vec::new();
    for algorithm in ["HS256", "EdDSA", "ES256", "RS256"] {
        admin.execute("SELECT rolecall.set_signing_key($1)", &[&algorithm]).expect("a new key");
        tokens.push([login(admin, "reader"), login(admin, "other")]);
    }
    let api_token: String =
        admin.query_one("SELECT rolecall.create_api_token('bench', '{editor}')", &[]).expect("a new API token").get(0);
    let authenticate = "SELECT rolecall.authenticate($1)";
    let mut contenders = Vec::new();
    let mut add = |name, query: &str, arguments: Vec<String>| {
        let statement = app.prepare(query).expect("the query");
        contenders.push(Contender { name, statement, arguments, turn: 0 });
    };
    add("set_config of a plain setting", "SELECT set_config('app.user_id', $1, true)", vec!["u7".into()]);
    let names = ["authenticate, HS256", "authenticate, EdDSA", "authenticate, ES256", "authenticate, RS256"];
    for (name, [token, _]) in names.into_iter().zip(&tokens) {
        add(name, authenticate, vec![token.clone()]);
    }
    add("authenticate, API token", authenticate, vec![api_token]);
    add("authenticate, two known users in turn, HS256", authenticate, tokens[0].to_vec());
    add("statement start: SELECT current_setting()", "SELECT current_setting('app.user_id', true)", vec![]);
    add("statement start: SELECT user_id()", "SELECT rolecall.user_id()", vec![]);
    contenders
}
