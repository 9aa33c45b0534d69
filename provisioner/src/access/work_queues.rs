//! Queues of work that members of a pool share. A queue that is there is not changed: its items were pushed to be
//! processed as it was.

use super::held::{self, Held};
use super::statement::Call;
use super::{Context, listed, must_be_role, problem, servers};
use crate::error::Error;
use crate::plan::{Flag, Operation, Sign};
use policy::spec::access::{Access, WorkQueue};
use policy::sql::literal;
use std::collections::BTreeMap;

const SECTION: &str = "rolecall work queues";

pub(super) fn diff(
    context: &mut Context<'_>,
    access: &Access,
    queues: &BTreeMap<String, WorkQueue>,
    held: &Held,
) -> Result<Vec<Operation>, Error> {
    let mut missing = BTreeMap::new();
    for (name, wanted) in queues {
        check_names(access, queues, name, wanted, held)?;
        let mut delay = |value| servers::read(context, wanted.at, &path(name), value, "interval");
        let (retry_delay, initial_delay) = (delay(&wanted.retry_delay)?, delay(&wanted.initial_delay)?);
        match held.work_queues.get(name) {
            Some(found) => must_be_same(name, wanted, retry_delay, initial_delay, found)?,
            None => _ = missing.insert(name.as_str(), wanted.targets().collect()),
        }
    }
    let (ordered, circle) = targets_first(missing);
    if let Some(name) = circle.first() {
        let hint = "the extension makes a queue after those it copies to: leave one of them out";
        return Err(problem(queues[*name].at, &path(name), "copies to itself, by way of other queues", hint));
    }
    Ok(ordered.into_iter().map(|name| create(name, &queues[name])).collect())
}

/// Queues that the spec does not know, those first that copy to others.
pub(super) fn undeclared(context: &Context<'_>, queues: &BTreeMap<String, WorkQueue>, held: &Held) -> Vec<Operation> {
    let unknown = held.work_queues.values().filter(|queue| !queues.contains_key(&queue.name));
    let unknown = unknown.map(|queue| {
        let targets = [&queue.success_queue, &queue.failed_queue].into_iter().flatten();
        (queue.name.as_str(), targets.map(String::as_str).collect())
    });
    let (ordered, circle) = targets_first(unknown.collect());
    // Of a circle the extension itself says that it cannot be dropped.
    let operations = circle.into_iter().chain(ordered.into_iter().rev()).map(|name| {
        let items = match held.work_queues[name].items {
            0 => String::new(),
            1 => "; 1 item goes with it".to_owned(),
            many => format!("; {many} items go with it"),
        };
        let sql = Call::new("drop_work_queue").text(name).end();
        let operation = Operation::new(SECTION, Sign::Remove, name, "work queue", vec![sql]);
        operation.because(format!("undeclared{items}")).unless(context.request.allowed.drop_roles, Flag::Drop)
    });
    operations.collect()
}

/// Queues after those of them that they copy to, and the ones for which there is no such order.
fn targets_first<'a>(mut queues: BTreeMap<&'a str, Vec<&'a str>>) -> (Vec<&'a str>, Vec<&'a str>) {
    let mut ordered = Vec::new();
    let is_next = |queues: &BTreeMap<_, Vec<&str>>, name: &str| !queues[name].iter().any(|it| queues.contains_key(it));
    while let Some(name) = queues.keys().copied().find(|name| is_next(&queues, name)) {
        queues.remove(name);
        ordered.push(name);
    }
    (ordered, queues.into_keys().collect())
}

/// Raises an error where a queue names what neither is there nor is declared.
fn check_names(
    access: &Access,
    queues: &BTreeMap<String, WorkQueue>,
    name: &str,
    wanted: &WorkQueue,
    held: &Held,
) -> Result<(), Error> {
    let pool = &wanted.pool;
    must_be_role(access, held, wanted.at, &path(name), pool)?;
    let declared = access.roles.as_ref().and_then(|roles| roles.get(pool)?.pool);
    if !declared.unwrap_or_else(|| held.roles.get(pool).is_some_and(|role| role.pool)) {
        let hint = "say \"pool: true\" of it under \"rolecall.roles\", or name another role";
        return Err(problem(wanted.at, &path(name), format!("role \"{pool}\" is no pool"), hint));
    }
    let is_queue = |name: &str| queues.contains_key(name) || held.work_queues.contains_key(name);
    match wanted.targets().find(|target| !is_queue(target)) {
        None => Ok(()),
        Some(target) => {
            let hint = "declare it under \"rolecall.work_queues\", or correct the name";
            Err(problem(wanted.at, &path(name), format!("there is no work queue \"{target}\""), hint))
        }
    }
}

/// Raises an error where a queue is not as it is declared.
fn must_be_same(
    name: &str,
    wanted: &WorkQueue,
    retry_delay: Option<String>,
    initial_delay: Option<String>,
    found: &held::WorkQueue,
) -> Result<(), Error> {
    let or_none = |queue: &Option<String>| queue.clone().unwrap_or_default();
    let all = [
        ("pool", Some(wanted.pool.clone()), found.pool.clone()),
        ("max_retries", wanted.max_retries.map(|runs| runs.to_string()), found.max_retries.to_string()),
        ("retry_delay", retry_delay, found.retry_delay.clone()),
        ("initial_delay", initial_delay, found.initial_delay.clone()),
        ("success_queue", wanted.success_queue.clone(), or_none(&found.success_queue)),
        ("failed_queue", wanted.failed_queue.clone(), or_none(&found.failed_queue)),
    ];
    let differ = all.into_iter().filter(|(_, wanted, found)| wanted.as_ref().is_some_and(|wanted| wanted != found));
    let present = differ.map(|(what, _, found)| format!("{what} {}", if found.is_empty() { "null" } else { &found }));
    let present = present.collect::<Vec<_>>().join(", ");
    if present.is_empty() {
        return Ok(());
    }
    let hint = "declare it so, or drop it, with its items, by rolecall.drop_work_queue()";
    Err(problem(wanted.at, &path(name), format!("the work queue is there, but with {present}"), hint))
}

fn create(name: &str, wanted: &WorkQueue) -> Operation {
    let text = |value: &Option<String>| value.as_deref().filter(|value| !value.is_empty()).map(literal);
    let call = Call::new("create_work_queue")
        .text(name)
        .text(&wanted.pool)
        .named("max_retries", wanted.max_retries.map(|runs| runs.to_string()))
        .named("retry_delay", text(&wanted.retry_delay))
        .named("initial_delay", text(&wanted.initial_delay))
        .named("success_queue", text(&wanted.success_queue))
        .named("failed_queue", text(&wanted.failed_queue));
    let targets: Vec<&str> = wanted.targets().collect();
    let copies = if targets.is_empty() { String::new() } else { format!(", copied to {}", listed(&targets)) };
    Operation::new(
        SECTION,
        Sign::Add,
        name,
        format!("new work queue of pool {}{copies}", wanted.pool),
        vec![call.end()],
    )
}

fn path(name: &str) -> String {
    format!("rolecall.work_queues.{name}")
}
