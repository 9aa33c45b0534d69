//! A plan as programs read it.

use super::{DatabasePlan, Plan, Sign};
use serde::Serialize;

/// Changes whenever a reader of the old form would misunderstand the new one.
const FORMAT: &str = "rolecall-plan/1";

#[derive(Serialize)]
struct Document<'a> {
    format: &'static str,
    spec: &'a str,
    databases: &'a [DatabasePlan],
    summary: Summary,
}

#[derive(Serialize)]
struct Summary {
    add: usize,
    change: usize,
    remove: usize,
    left: usize,
}

/// The plan as one JSON document.
pub fn json(plan: &Plan) -> String {
    let summary = Summary {
        add: plan.count(Sign::Add),
        change: plan.count(Sign::Change),
        remove: plan.count(Sign::Remove),
        left: plan.waiting().values().sum(),
    };
    let document = Document { format: FORMAT, spec: &plan.spec, databases: &plan.databases, summary };
    // Nothing in it can fail to become JSON: no map has a key that is not text.
    serde_json::to_string_pretty(&document).unwrap_or_default() + "\n"
}
