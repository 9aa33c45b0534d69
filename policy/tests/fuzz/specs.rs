//! Specs: read or refused with a place in the text.

use crate::fuzz;
use crate::mutate::{Stock, pick, text};
use rand::RngExt;
use rolecall_policy::spec::Spec;

#[test]
fn fuzz_specs() {
    let templates = [
        include_str!("../../../provisioner/templates/app.yaml"),
        include_str!("../../../provisioner/templates/flowdb.yaml"),
        include_str!("everything.yaml"),
    ];
    let stock = Stock::of(templates.iter().map(|text| serde_saphyr::from_str(text).expect("it is YAML")).collect());
    let (mut good, mut expanded) = (0, 0);
    fuzz(|random| {
        let spec = if random.random() {
            text(pick::<&str>(random, &templates), &stock.keys, random)
        } else {
            // JSON is YAML, too.
            stock.json(random).to_string()
        };
        match Spec::parse(&spec) {
            Ok(read) => {
                good += 1;
                expanded += usize::from(read.expand().is_ok());
            }
            Err(error) => {
                assert!(
                    error.at.line <= spec.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).count() as u64,
                    "{error}\n{spec}"
                );
                assert!(!error.message.is_empty());
            }
        }
    });
    assert!(good > 100 && expanded > 100, "{good} of them were specs, {expanded} could be written out");
    println!("{good} specs, {expanded} written out");
}
