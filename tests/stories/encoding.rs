//! Text of rolecall's is UTF-8.

use crate::support::*;
use rolecall_tests::{Cluster, sqlstate};

#[test]
fn a_database_of_another_encoding_is_refused() {
    let cluster = Cluster::shared();
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let name = format!("encoded_{}", encoding.to_lowercase());
        let mut admin = cluster.try_connect("postgres", "postgres").unwrap();
        run(&mut admin, &format!("CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0"));
        let mut there = cluster.try_connect("postgres", &name).unwrap();
        let (state, message) = sqlstate(there.batch_execute("CREATE EXTENSION rolecall"));
        assert_eq!((state.as_str(), message.contains(encoding)), ("0A000", true), "{message}");
        assert_eq!(one::<i64>(&mut there, "SELECT count(*) FROM pg_namespace WHERE nspname ~ '^rolecall'"), 0);
        drop(there);
        run(&mut admin, &format!("DROP DATABASE {name} WITH (FORCE)"));
    }
}
