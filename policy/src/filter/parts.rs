//! A filter taken apart, to tell which of its conditions a row does not meet.

use serde_json::{Value, json};

/// A condition of a filter: where it stands, and itself as a filter.
#[derive(Debug)]
pub struct Part {
    /// The JSON path, as errors spell it.
    pub path: String,
    /// A filter that says just this.
    pub filter: Value,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    All(Vec<Part>),
    Any(Vec<Part>),
    Not(Box<Part>),
    Single,
}

impl Part {
    /// Takes a filter apart that has been read without a fault. `splits` tells of a field whether its operators are
    /// conditions of their own, as those of a column are.
    pub fn of(filter: &Value, splits: &impl Fn(&str) -> bool) -> Self {
        object(filter, "$".into(), splits)
    }

    /// This one and all that it is made of.
    pub fn all(&self) -> Vec<&Self> {
        let below = match &self.kind {
            Kind::All(parts) | Kind::Any(parts) => parts.iter().flat_map(Self::all).collect(),
            Kind::Not(part) => part.all(),
            Kind::Single => Vec::new(),
        };
        [vec![self], below].concat()
    }

    /// Why the condition is not true, where `truth` tells what is true of a row: each entry is one that is lacking, and
    /// says what must be, must not be, or of what one must be.
    pub fn lacks(&self, truth: &impl Fn(&Self) -> Option<bool>) -> Vec<Value> {
        if truth(self) == Some(true) {
            return Vec::new();
        }
        let is = |part: &Self| truth(part).map_or(json!("unknown"), Value::from);
        match &self.kind {
            Kind::All(parts) => parts.iter().flat_map(|part| part.lacks(truth)).collect(),
            Kind::Any(parts) if parts.len() == 1 => parts[0].lacks(truth),
            Kind::Any(parts) => {
                let ways: Vec<_> = parts.iter().map(|part| part.lacks(truth)).collect();
                vec![json!({"path": self.path, "one_of": ways})]
            }
            Kind::Not(part) => vec![json!({"path": self.path, "must_not": part.filter, "is": is(part)})],
            Kind::Single => vec![json!({"path": self.path, "must": self.filter, "is": is(self)})],
        }
    }
}

fn object(filter: &Value, path: String, splits: &impl Fn(&str) -> bool) -> Part {
    let keys = filter.as_object().into_iter().flatten();
    let mut parts: Vec<Part> = keys.map(|(key, value)| field(key, value, &path, splits)).collect();
    match parts.len() {
        1 => parts.remove(0),
        _ => Part { path, filter: filter.clone(), kind: Kind::All(parts) },
    }
}

fn field(key: &str, value: &Value, parent: &str, splits: &impl Fn(&str) -> bool) -> Part {
    let path = below(parent, key);
    let filter = json!({ key: value });
    let list = |value: &Value| {
        let items = value.as_array().into_iter().flatten().enumerate();
        items.map(|(at, item)| object(item, format!("{path}[{at}]"), splits)).collect::<Vec<_>>()
    };
    let kind = match (key, value) {
        ("AND", _) => Kind::All(list(value)),
        ("OR", _) => Kind::Any(list(value)),
        ("NOT", Value::Array(_)) => {
            let any = Part { path: path.clone(), filter: json!({"OR": value}), kind: Kind::Any(list(value)) };
            Kind::Not(Box::new(any))
        }
        ("NOT", _) => Kind::Not(Box::new(object(value, path.clone(), splits))),
        (field, Value::Object(operators)) if operators.len() > 1 && splits(field) => {
            let operator = |(operator, operand): (&String, &Value)| Part {
                path: below(&path, operator),
                filter: json!({ key: { operator: operand } }),
                kind: Kind::Single,
            };
            Kind::All(operators.iter().map(operator).collect())
        }
        _ => Kind::Single,
    };
    Part { path, filter, kind }
}

/// As errors in filters spell paths.
fn below(parent: &str, key: &str) -> String {
    let plain = !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || c == '_');
    if plain { format!("{parent}.{key}") } else { format!("{parent}[{key:?}]") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(filter: &Value) -> Part {
        Part::of(filter, &|field| field != "author")
    }

    /// What lacks where the fields named are true, those with `?` unknown, and others false.
    fn lacks(filter: &Value, truths: &str) -> Vec<Value> {
        fn truth(part: &Part, truths: &str) -> Option<bool> {
            match &part.kind {
                Kind::All(parts) => {
                    let parts: Vec<_> = parts.iter().map(|part| truth(part, truths)).collect();
                    if parts.contains(&Some(false)) {
                        Some(false)
                    } else {
                        parts.into_iter().try_fold(true, |all, it| it.map(|it| all & it))
                    }
                }
                Kind::Any(parts) => {
                    let parts: Vec<_> = parts.iter().map(|part| truth(part, truths)).collect();
                    if parts.contains(&Some(true)) {
                        Some(true)
                    } else {
                        parts.into_iter().try_fold(false, |any, it| it.map(|it| any | it))
                    }
                }
                Kind::Not(part) => truth(part, truths).map(|truth| !truth),
                Kind::Single => {
                    let field = part.filter.as_object().unwrap().keys().next().unwrap();
                    let words: Vec<_> = truths.split(' ').collect();
                    if words.contains(&format!("{field}?").as_str()) {
                        None
                    } else {
                        Some(words.contains(&field.as_str()))
                    }
                }
            }
        }
        part(filter).lacks(&|part| truth(part, truths))
    }

    #[test]
    fn what_lacks_is_named_with_its_path() {
        let filter = json!({"a": {"equals": 1}, "OR": [{"b": {"gt": 1}}, {"c": {"lt": 1}, "d d": {"lt": 1}}], "NOT": {"e": {"equals": 1}}});
        assert_eq!(lacks(&filter, "a b"), [] as [Value; 0]);
        assert_eq!(lacks(&filter, "a? b"), [json!({"path": "$.a", "must": {"a": {"equals": 1}}, "is": "unknown"})]);
        assert_eq!(
            lacks(&filter, "a c e"),
            [
                json!({"path": "$.NOT", "must_not": {"e": {"equals": 1}}, "is": true}),
                json!({"path": "$.OR", "one_of": [
                    [{"path": "$.OR[0].b", "must": {"b": {"gt": 1}}, "is": false}],
                    [{"path": "$.OR[1][\"d d\"]", "must": {"d d": {"lt": 1}}, "is": false}],
                ]}),
            ]
        );
    }

    #[test]
    fn operators_of_a_column_are_conditions_and_a_relation_is_one() {
        let of = |filter: Value| part(&filter).all().iter().map(|part| part.path.clone()).collect::<Vec<_>>();
        assert_eq!(of(json!({"a": {"gt": 1, "lt": 9}})), ["$.a", "$.a.gt", "$.a.lt"]);
        assert_eq!(of(json!({"author": {"name": {"equals": "x"}, "age": {"gt": 1}}})), ["$.author"]);
        assert_eq!(of(json!({"NOT": [{"a": {"gt": 1}}, {}]})), ["$.NOT", "$.NOT", "$.NOT[0].a", "$.NOT[1]"]);
        assert_eq!(of(json!({})), ["$"]);
    }
}
