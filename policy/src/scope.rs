//! Scopes: a tree of words separated by `:`. Granting a node grants all below it, by whole words.

use foldhash::fast::RandomState;
use hashbrown::hash_table::{Entry, HashTable};
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher};

/// The longest scope, in bytes.
const LONGEST: usize = 512;

/// The one spelling of a scope that has two: FlowKit's page says `get_results` where its servers say `get_result`.
pub fn canonical(scope: &str) -> &str {
    if scope == "get_results" { "get_result" } else { scope }
}

/// What keeps a text from being a scope.
pub fn problem(scope: &str) -> Option<&'static str> {
    if scope.split(':').any(str::is_empty) {
        Some("has an empty word")
    } else if scope.chars().any(|c| c.is_whitespace() || c.is_control()) {
        Some("holds a space or a control character")
    } else if scope.len() > LONGEST {
        Some("is longer than 512 bytes")
    } else {
        None
    }
}

/// Whether granting `node` grants `scope`.
pub fn covers(node: &str, scope: &str) -> bool {
    scope.strip_prefix(node).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
}

/// `scope` and the nodes above it, the nearest first; not those too long to be granted, since looking up each of very
/// many takes for ever.
fn ancestors(scope: &str) -> impl Iterator<Item = &str> {
    let nodes = std::iter::successors(Some(scope), |node| node.rsplit_once(':').map(|(above, _)| above));
    nodes.skip_while(|node| node.len() > LONGEST)
}

/// The scopes of a set of roles, indexed so that a test costs a lookup per word, whatever the number of roles and scopes.
#[derive(Debug, Default)]
pub struct Granted {
    /// The scopes of all roles in order, each ended by a NUL, which no text of PostgreSQL's holds. In one piece, since the
    /// allocations and the scattered memory of many small ones would be most of the cost.
    text: String,
    /// The roles that have scopes, in order, with where in `text` each one's scopes end.
    roles: Vec<(String, usize)>,
    nodes: HashTable<Node>,
    /// The roles beside the first of nodes that several were granted, by [`Node::start`], ascending.
    others: HashMap<u32, Vec<u32>, RandomState>,
    hasher: RandomState,
    /// The role whose holders may do everything.
    everything: Option<String>,
}

/// A node that was granted.
#[derive(Debug)]
struct Node {
    start: u32,
    length: u32,
    /// The first role that was granted it, as its number in [`Granted::roles`].
    role: u32,
}

impl Node {
    fn name<'a>(&self, text: &'a str) -> &'a str {
        &text[self.start as usize..][..self.length as usize]
    }
}

impl Granted {
    /// No scopes; `everything`, if it is held, covers every scope there may be.
    pub fn new(everything: Option<String>) -> Self {
        Self { everything, ..Self::default() }
    }

    /// Adds a scope of a role. Each role's come together.
    pub fn add(&mut self, role: &str, scope: &str) {
        let number = |place: usize| u32::try_from(place).expect("scopes take less than 4 GB");
        let start = number(self.text.len());
        self.text.push_str(scope);
        self.text.push('\0');
        match self.roles.last_mut() {
            Some((last, end)) if last == role => *end = self.text.len(),
            _ => self.roles.push((role.to_owned(), self.text.len())),
        }
        let role = number(self.roles.len() - 1);
        let (text, hasher) = (&self.text, &self.hasher);
        let is_same = |node: &Node| node.name(text) == scope;
        match self.nodes.entry(hasher.hash_one(scope), is_same, |node| hasher.hash_one(node.name(text))) {
            Entry::Occupied(node) => self.others.entry(node.get().start).or_default().push(role),
            Entry::Vacant(place) => {
                place.insert(Node { start, length: number(scope.len()), role });
            }
        }
    }

    fn node(&self, scope: &str) -> Option<&Node> {
        self.nodes.find(self.hasher.hash_one(scope), |node| node.name(&self.text) == scope)
    }

    fn others(&self, node: &Node) -> &[u32] {
        self.others.get(&node.start).map_or(&[], Vec::as_slice)
    }

    /// Whether some role covers the scope. Allocates nothing.
    pub fn covers(&self, scope: &str) -> bool {
        self.everything.is_some() || ancestors(canonical(scope)).any(|node| self.node(node).is_some())
    }

    /// The role that covers all of the scopes by itself. Roles are never pooled, and no role covers no scopes at all.
    /// Allocates nothing.
    pub fn holder<'a, I>(&self, scopes: impl Fn() -> I) -> Option<&str>
    where
        I: Iterator<Item = &'a str>,
    {
        let first = scopes().next()?;
        if self.everything.is_some() {
            return self.everything.as_deref();
        }
        let mut candidates =
            ancestors(canonical(first)).filter_map(|node| self.node(node)).flat_map(|node| self.holders(node));
        let number = candidates.find(|role| scopes().all(|scope| self.role_covers(*role, scope)))?;
        self.roles.get(number as usize).map(|(role, _)| role.as_str())
    }

    fn holders(&self, node: &Node) -> impl Iterator<Item = u32> {
        std::iter::once(node.role).chain(self.others(node).iter().copied())
    }

    fn role_covers(&self, role: u32, scope: &str) -> bool {
        let mut granted = ancestors(canonical(scope)).filter_map(|node| self.node(node));
        granted.any(|node| node.role == role || self.others(node).binary_search(&role).is_ok())
    }

    /// The role that lacks the fewest of `scopes`, with those it lacks. None where no role has any scope.
    pub fn nearest<'a>(&'a self, scopes: &'a [String]) -> Option<(&'a str, Vec<&'a str>)> {
        let lacks = self.roles.iter().zip(0..).map(|((role, _), number)| {
            let missing = scopes.iter().filter(|scope| !self.role_covers(number, scope));
            (role.as_str(), missing.map(String::as_str).collect::<Vec<_>>())
        });
        lacks.min_by_key(|(_, missing)| missing.len())
    }

    /// Every scope that some role was granted, in order, without those below another one.
    pub fn all(&self) -> Vec<&str> {
        let is_top = |node: &&str| !ancestors(node).skip(1).any(|above| self.node(above).is_some());
        let mut all: Vec<&str> = self.nodes.iter().map(|node| node.name(&self.text)).filter(is_top).collect();
        all.sort_unstable();
        all
    }
}

impl Hash for Granted {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
        self.roles.hash(state);
        self.everything.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn granted(roles: &[(&str, &[&str])]) -> Granted {
        let mut granted = Granted::new(None);
        for (role, scopes) in roles {
            scopes.iter().for_each(|scope| granted.add(role, scope));
        }
        granted
    }

    #[test]
    fn a_node_covers_its_subtree_by_whole_words() {
        let granted = granted(&[("r", &["admin1", "nonspatial:dfs:total", "get_result"])]);
        for scope in
            ["admin1", "admin1:flows", "admin1:flows:flows", "nonspatial:dfs:total", "get_result", "get_results"]
        {
            assert!(granted.covers(scope), "{scope}");
        }
        for scope in ["admin10", "admin10:flows", "admin", "nonspatial", "nonspatial:dfs", "", ":", "admin1x", "run"] {
            assert!(!granted.covers(scope), "{scope}");
        }
    }

    #[test]
    fn one_role_must_cover_all() {
        let granted = granted(&[("a", &["run"]), ("b", &["admin3"]), ("c", &["admin3:flows", "run"])]);
        let holder = |scopes: &[&str]| granted.holder(|| scopes.iter().copied()).map(str::to_owned);
        assert_eq!(holder(&["run", "admin3:flows:flows"]).as_deref(), Some("c"));
        assert_eq!(holder(&["run", "admin3:trips:trips"]), None, "a and b are not pooled");
        assert_eq!(holder(&["admin3:trips"]).as_deref(), Some("b"));
        assert_eq!(holder(&[]), None);
        let wanted =
            ["run".to_owned(), "admin3:flows:a".to_owned(), "admin3:flows".to_owned(), "get_result".to_owned()];
        assert_eq!(granted.nearest(&wanted), Some(("c", vec!["get_result"])));
        assert_eq!(granted.all(), ["admin3", "run"]);
    }

    #[test]
    fn who_may_do_everything_covers_everything() {
        let granted = Granted::new(Some("admins".into()));
        assert!(granted.covers("x:y"));
        assert_eq!(granted.holder(|| ["x", "y"].into_iter()), Some("admins"));
    }

    #[test]
    fn what_is_no_scope() {
        for (scope, is_one) in [
            ("run", true),
            ("a:b", true),
            ("admin3:*:*", true),
            ("", false),
            ("a::b", false),
            (":a", false),
            ("a:", false),
        ] {
            assert_eq!(problem(scope).is_none(), is_one, "{scope}");
        }
        assert!(problem("a b").is_some() && problem("a\nb").is_some() && problem(&"x".repeat(513)).is_some());
    }

    fn path() -> impl Strategy<Value = String> {
        prop::collection::vec("[ab]{1,2}", 1..4).prop_map(|words| words.join(":"))
    }

    proptest! {
        /// The index says what the definition says.
        #[test]
        fn the_index_agrees_with_the_definition(
            roles in prop::collection::vec(prop::collection::btree_set(path(), 0..4), 0..4),
            wanted in prop::collection::vec(path(), 1..4),
        ) {
            let one_covers = |scopes: &BTreeSet<String>, scope: &str| scopes.iter().any(|node| covers(node, scope));
            let some = roles.iter().any(|scopes| one_covers(scopes, &wanted[0]));
            let one = roles.iter().any(|scopes| wanted.iter().all(|scope| one_covers(scopes, scope)));
            let mut granted = Granted::new(None);
            for (scopes, number) in roles.iter().zip(0..) {
                scopes.iter().for_each(|scope| granted.add(&format!("r{number}"), scope));
            }
            prop_assert_eq!(granted.covers(&wanted[0]), some);
            prop_assert_eq!(granted.holder(|| wanted.iter().map(String::as_str)).is_some(), one);
            prop_assert_eq!(granted.nearest(&wanted).is_some_and(|(_, missing)| missing.is_empty()), one);
        }
    }
}
