//! The attacker speaks the protocol himself: its message for calling a function takes values that SQL does not let pass,
//! such as NULL for an argument of the type internal.

use crate::attacker_world::World;
use crate::support::{column, database};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// A connection without a library between.
struct Wire(UnixStream);

impl Wire {
    fn connect(world: &World) -> Self {
        let socket = world.database.cluster().socket().join(".s.PGSQL.5432");
        let stream = UnixStream::connect(socket).expect("the server listens");
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut wire = Self(stream);
        let start = format!("user\0{}\0database\0{}\0\0", world.login, world.database.name);
        let greeting = [&196_608_i32.to_be_bytes(), start.as_bytes()].concat();
        wire.0.write_all(&[&length(&greeting)[..], &greeting].concat()).unwrap();
        wire.answer();
        wire
    }

    /// Calls a function with NULLs; all that the server says until it is ready again.
    fn call(&mut self, function: u32, arguments: u16) -> String {
        let mut body = function.to_be_bytes().to_vec();
        body.extend(0_u16.to_be_bytes());
        body.extend(arguments.to_be_bytes());
        (0..arguments).for_each(|_| body.extend((-1_i32).to_be_bytes()));
        body.extend(0_u16.to_be_bytes());
        self.0.write_all(&[b"F", &length(&body)[..], &body].concat()).unwrap();
        self.answer()
    }

    fn answer(&mut self) -> String {
        let mut said = String::new();
        loop {
            let mut head = [0; 5];
            self.0.read_exact(&mut head).expect("the server answers");
            let mut body = vec![0; i32::from_be_bytes(head[1..].try_into().unwrap()) as usize - 4];
            self.0.read_exact(&mut body).expect("the server answers");
            if head[0] == b'Z' {
                return said;
            }
            said += &format!("{}{}\n", char::from(head[0]), String::from_utf8_lossy(&body).replace('\0', " "));
        }
    }
}

/// The length of a message with itself.
fn length(body: &[u8]) -> [u8; 4] {
    i32::try_from(body.len() + 4).unwrap().to_be_bytes()
}

#[test]
fn no_function_is_confused_by_a_bare_call() {
    let mut world = World::new(database());
    let functions = "SELECT oid || ' ' || pronargs || ' ' || oid::regprocedure FROM pg_proc WHERE pronamespace = 'rolecall'::regnamespace";
    let functions = column(&mut world.admin, functions);
    assert!(functions.len() > 150, "{}", functions.len());
    let before = world.fingerprint();
    let mut wire = Wire::connect(&world);
    let mut answered = 0;
    for function in &functions {
        let mut parts = function.splitn(3, ' ');
        let [oid, arguments, name] = [(); 3].map(|()| parts.next().unwrap());
        let said = wire.call(oid.parse().unwrap(), arguments.parse().unwrap());
        assert_eq!(world.leak(&said), None, "{name}: {said}");
        assert!(!said.contains(" CXX"), "{name}: {said}");
        assert!(
            !name.contains("internal") || !said.starts_with('V') || said == "V\u{fffd}\u{fffd}\u{fffd}\u{fffd}\n",
            "{name}: {said}"
        );
        answered += usize::from(said.starts_with('V'));
    }
    assert!(answered > 20, "only {answered} of {} were called at all", functions.len());
    assert_eq!(world.fingerprint(), before);
}
