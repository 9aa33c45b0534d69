//! What a plan warns of: things that are as the spec wants them, and yet not as somebody might think.

use crate::provisioner_cases::SHOP;
use crate::provisioner_world::{Outcome, rolecall};
use rolecall_tests::{Cluster, Database};

const SPEC: &str = "roles: {reader: {}, idle: {member_of: reader}}\ngrants: [{to: reader, privileges: SELECT, on: tables shop.*}]\n\
                    default_privileges: [{owner: keeper, schema: shop, on: table, to: reader, privileges: SELECT}]";

fn warnings(outcome: &Outcome) -> Vec<&str> {
    outcome.out.lines().filter(|line| line.starts_with("! ")).collect()
}

fn world(cluster: &Cluster) -> Database<'_> {
    let db = cluster.plain_database();
    db.admin()
        .batch_execute(&format!("{SHOP} CREATE ROLE reader; CREATE ROLE idle; GRANT reader TO idle"))
        .expect("a shop");
    assert_eq!(rolecall(&db, &["apply", "--yes"], SPEC).code, 0);
    db
}

#[test]
fn a_plan_without_anything_to_warn_of_does_not() {
    let cluster = Cluster::start(&[]);
    let plan = rolecall(&world(&cluster), &["plan"], SPEC);
    assert!(plan.code == 0 && warnings(&plan).is_empty(), "{plan:?}");
}

#[test]
fn superusers_idle_members_other_makers_and_crowds_are_told() {
    let cluster = Cluster::start(&[]);
    let db = world(&cluster);
    db.admin()
        .batch_execute(
            "CREATE ROLE intruder SUPERUSER LOGIN; CREATE ROLE rdsadmin SUPERUSER LOGIN; \
             REVOKE reader FROM idle; ALTER ROLE idle NOINHERIT; GRANT reader TO idle; \
             CREATE TABLE shop.foreign_made (i int); GRANT SELECT ON shop.foreign_made TO reader; \
             DO $$ BEGIN FOR n IN 1..201 LOOP EXECUTE format('CREATE ROLE g%s; GRANT SELECT ON shop.items TO g%s', n, n); \
             END LOOP; END $$",
        )
        .expect("things to warn of");
    for command in ["plan", "check"] {
        let told = rolecall(&db, &[command], SPEC);
        // They are no drift.
        assert_eq!(told.code, 0, "{told:?}");
        let warnings = warnings(&told).join("\n");
        for part in [
            "intruder is a superuser and not in the spec",
            "idle is a member of reader without inheriting",
            "shop holds tables of postgres (1)",
            "shop.items has 202 direct grantees",
        ] {
            assert!(warnings.contains(part), "{part}: {told:?}");
        }
        assert!(!warnings.contains("rdsadmin"), "{warnings}");
    }
    let json = rolecall(&db, &["plan", "--json"], SPEC);
    assert!(json.out.contains("\"intruder is a superuser and not in the spec\""), "{json:?}");
    assert!(warnings(&rolecall(&db, &["check", "--quiet"], SPEC)).is_empty());
}
