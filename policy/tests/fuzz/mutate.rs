//! Random changes to JSON and to text.

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::{Map, Value, json};

/// Strings that parsers have stumbled over.
const NASTY: [&str; 24] = [
    "",
    " ",
    "\0",
    "'",
    "\"",
    "\\",
    "'; DROP TABLE t; --",
    "$$",
    "%_\\",
    "__loggedInUserId",
    "__loggedInUserEmail",
    "__nobody",
    "null",
    "NaN",
    "-1",
    "1e400",
    "9223372036854775808",
    "2024-02-30",
    "infinity",
    "\u{202e}x",
    "İ",
    "e\u{301}",
    "\u{10ffff}",
    "*",
];

/// One of `list`.
pub fn pick<'a, T>(random: &mut StdRng, list: &'a [T]) -> &'a T {
    list.choose(random).expect("it is not empty")
}

/// The values in `value`, itself among them, and the keys.
fn parts(value: &Value, values: &mut Vec<Value>, keys: &mut Vec<String>) {
    values.push(value.clone());
    match value {
        Value::Array(list) => list.iter().for_each(|value| parts(value, values, keys)),
        Value::Object(map) => map.iter().for_each(|(key, value)| {
            keys.push(key.clone());
            parts(value, values, keys);
        }),
        _ => {}
    }
}

/// What changes are made of.
pub struct Stock {
    seeds: Vec<Value>,
    values: Vec<Value>,
    pub keys: Vec<String>,
}

impl Stock {
    pub fn of(seeds: Vec<Value>) -> Self {
        let mut stock = Self { seeds, values: Vec::new(), keys: Vec::new() };
        stock.seeds.iter().for_each(|seed| parts(seed, &mut stock.values, &mut stock.keys));
        stock
    }

    /// A seed or a part of one, changed here and there.
    pub fn json(&self, random: &mut StdRng) -> Value {
        let from = if random.random_bool(0.8) { &self.seeds } else { &self.values };
        let mut value = pick(random, from).clone();
        for _ in 0..random.random_range(0..6) {
            self.change(&mut value, random);
        }
        value
    }

    /// Changes the value or something in it.
    fn change(&self, value: &mut Value, random: &mut StdRng) {
        match value {
            Value::Array(list) if !list.is_empty() && random.random_bool(0.7) => {
                let at = random.random_range(0..list.len());
                match random.random_range(0..8) {
                    0 => drop(list.remove(at)),
                    1 => list.push(list[at].clone()),
                    2 => list.push(pick(random, &self.values).clone()),
                    _ => self.change(&mut list[at], random),
                }
            }
            Value::Object(map) if !map.is_empty() && random.random_bool(0.7) => {
                let key = map.keys().nth(random.random_range(0..map.len())).expect("it is there").clone();
                match random.random_range(0..10) {
                    0 => drop(map.remove(&key)),
                    1 => drop(map.insert(pick(random, &self.keys).clone(), pick(random, &self.values).clone())),
                    2 => {
                        let value = map.remove(&key).expect("it is there");
                        map.insert(self.key(random), value);
                    }
                    _ => self.change(map.get_mut(&key).expect("it is there"), random),
                }
            }
            _ => *value = self.replacement(value.take(), random),
        }
    }

    fn key(&self, random: &mut StdRng) -> String {
        if random.random_bool(0.8) { pick(random, &self.keys).clone() } else { (*pick(random, &NASTY)).into() }
    }

    fn replacement(&self, value: Value, random: &mut StdRng) -> Value {
        match random.random_range(0..12) {
            0 => Value::Null,
            1 => json!(random.random::<bool>()),
            2 => json!(random.random::<i64>()),
            3 => json!(random.random_range(-3..3)),
            4 => json!(f64::from_bits(random.random())),
            5 => json!(*pick(random, &NASTY)),
            6 => json!("x".repeat(random.random_range(0..3000))),
            7 => json!([value]),
            8 => Value::Object(Map::from_iter([(self.key(random), value)])),
            9 => {
                let levels = random.random_range(0..80);
                (0..levels).fold(
                    value,
                    |value, _| json!({self.key(random): if random.random() { json!([value]) } else { value }}),
                )
            }
            // Not so often that it is mere size that takes its time.
            10 => json!(vec![value.clone(); random.random_range(0..40).min(100_000 / value.to_string().len())]),
            _ => pick(random, &self.values).clone(),
        }
    }
}

/// `text` with bytes, words and lines changed; `words` are put in.
pub fn text(text: &str, words: &[String], random: &mut StdRng) -> String {
    let mut text: Vec<char> = text.chars().collect();
    for _ in 0..random.random_range(1..6) {
        let at = random.random_range(0..=text.len());
        let end = text.len().min(at + random.random_range(0..30));
        match random.random_range(0..7) {
            0 => drop(text.drain(at..end)),
            1 => drop(text.splice(at..at, text[at..end].to_vec())),
            2 => drop(text.splice(at..at, NASTY[random.random_range(0..NASTY.len())].chars())),
            3 => drop(text.splice(at..end, pick(random, words).chars())),
            4 => {
                let mark = *pick(
                    random,
                    &['{', '}', '[', ']', ':', ',', '-', '#', '&', '*', '!', '|', '>', '\n', '\t', ' ', '\'', '"'],
                );
                text.splice(at..at, std::iter::repeat_n(mark, random.random_range(1..4)));
            }
            5 => {
                // A line to another place, perhaps less or more indented.
                let line: String =
                    text.iter().collect::<String>().lines().nth(random.random_range(0..20)).unwrap_or("").into();
                let line = format!("\n{}{}\n", " ".repeat(random.random_range(0..6)), line.trim_start());
                text.splice(at..at, line.chars());
            }
            _ => drop(text.splice(at..at, char::from_u32(random.random_range(0..0x11_0000)))),
        }
    }
    text.into_iter().collect()
}
