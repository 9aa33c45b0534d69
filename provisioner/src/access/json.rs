//! JSON values as `jsonb` compares them.

use policy::spec::EXACT_DIGITS;
use serde_json::{Number, Value};

/// Whether two values are the same to `jsonb`: 1.0 is 1, 1e2 is 100.
pub fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => decimal(one) == decimal(other),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, value)| other.get(key).is_some_and(|other| same(value, other)))
        }
        _ => one == other,
    }
}

/// The same, where both may be missing.
pub fn same_option(one: &Option<Value>, other: &Option<Value>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => same(one, other),
        _ => one.is_none() && other.is_none(),
    }
}

/// Whether a spec can hold the value without changing its numbers, which YAML reads as binary floating point.
pub fn is_exact(value: &Value) -> bool {
    match value {
        Value::Number(number) => {
            let is_finite = number.as_f64().is_some_and(f64::is_finite);
            number.is_i64() || number.is_u64() || is_finite && decimal(number).1.len() <= EXACT_DIGITS
        }
        Value::Array(items) => items.iter().all(is_exact),
        Value::Object(entries) => entries.values().all(is_exact),
        _ => true,
    }
}

/// Whether it is negative, its digits without zeros at either end, and the power of ten of the last one.
fn decimal(number: &Number) -> (bool, String, i64) {
    let text = number.to_string();
    let (negative, text) = text.strip_prefix('-').map_or((false, text.as_str()), |rest| (true, rest));
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let kept = digits.trim_end_matches('0');
    let power = exponent.parse().unwrap_or(0_i64) - fraction.len() as i64 + (digits.len() - kept.len()) as i64;
    match kept.trim_start_matches('0') {
        "" => (false, String::new(), 0),
        kept => (negative, kept.to_owned(), power),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Value {
        serde_json::from_str(text).expect("JSON")
    }

    #[test]
    fn numbers_count_by_their_value() {
        for (one, other) in
            [("1", "1.0"), ("100", "1e2"), ("0.10", "0.1"), ("-0", "0.00"), ("[1e-1]", "[0.1]"), ("10", "1E+1")]
        {
            assert!(same(&read(one), &read(other)), "{one} {other}");
        }
        for (one, other) in [("1", "10"), ("1", "-1"), ("0.1", "0.01"), ("1", "\"1\""), ("1", "true"), ("[1]", "[1,1]")]
        {
            assert!(!same(&read(one), &read(other)), "{one} {other}");
        }
        assert!(!same(&read("123456789012345678901"), &read("123456789012345678902")));
    }

    #[test]
    fn a_spec_holds_numbers_of_some_length() {
        for text in ["1.5", "18446744073709551615", "-9223372036854775808", "0.000001", "[1e30, {\"a\": true}]"] {
            assert!(is_exact(&read(text)), "{text}");
        }
        for text in ["1.2345678901234567", "{\"a\": [123456789012345678901]}", "1e999"] {
            assert!(!is_exact(&read(text)), "{text}");
        }
    }

    #[test]
    fn keys_have_no_order_and_lists_have_one() {
        assert!(same(&read(r#"{"a": 1, "b": {"c": 2}}"#), &read(r#"{"b": {"c": 2.0}, "a": 1}"#)));
        assert!(!same(&read(r#"{"a": 1}"#), &read(r#"{"a": 1, "b": 1}"#)));
        assert!(!same(&read(r#"{"a": 1}"#), &read(r#"{"b": 1}"#)));
        assert!(!same(&read("[1, 2]"), &read("[2, 1]")));
    }
}
