//! What is refused, in which words and where; and that nothing panics.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn fault(text: &str) -> String {
    Rule::parse(text, &vocabulary()).expect_err(text).to_string()
}

/// Texts, and what is told of each.
const TOLD: &[(&str, &str)] = &[
    ("", "1:1: the text is empty"),
    ("features.value", "1:1: `features.value` is a number; a rule takes true or false"),
    ("features.valu > 1", "1:1: `features.valu` is not known; the nearest is features.value"),
    (
        "consent.email &&\n  features.ordrs_90d > 1",
        "2:3: `features.ordrs_90d` is not known; the nearest is features.orders_90d",
    ),
    (
        "has(features.vlue)",
        "1:1: `has(features.vlue)` asks for features.vlue, which is not known; the nearest is features.value",
    ),
    ("has(value)", "1:5: has() takes one dotted name"),
    (
        "consent.email && (features.value + 1)",
        "1:19: `features.value + 1` is a number; && takes true or false",
    ),
    (
        "customer.stage < \"b\"",
        "1:1: `customer.stage` is a text; < takes a number; texts have no order, compare them by == or in",
    ),
    (
        "customer.stage + \"b\" == \"c\"",
        "1:1: `customer.stage` is a text; + takes a number; texts are not joined here",
    ),
    (
        "features.value > \"b\"",
        "1:18: `\"b\"` is a text; > takes a number; texts have no order, compare them by == or in",
    ),
    (
        "features.value == \"b\"",
        "1:1: `features.value == \"b\"` compares a number with a text; both must be of one kind",
    ),
    (
        "customer.stage == \"actve\"",
        "1:19: `\"actve\"` is nothing that customer.stage can be; the nearest is \"active\"",
    ),
    (
        "\"Loyal\" != customer.stage",
        "1:1: `\"Loyal\"` is nothing that customer.stage can be; the nearest is \"loyal\"",
    ),
    (
        "customer.stage in [\"new\", \"lst\"]",
        "1:27: `\"lst\"` is nothing that customer.stage can be; the nearest is \"lost\"",
    ),
    ("features.value in [1, \"a\"]", "1:23: `\"a\"` stands in a list that is searched for a number"),
    (
        "features.value in [1, features.orders_90d]",
        "1:23: `features.orders_90d` is no literal; a list right of `in` takes only literals, of one kind",
    ),
    (
        "features.value in features.orders_90d",
        "1:19: `features.orders_90d` stands right of `in`, which takes a list of literals: [\"a\", \"b\"]",
    ),
    ("features.value in []", "1:19: `[]` is empty: nothing is in it"),
    ("consent.email in [true]", "1:1: `consent.email` is true or false; `in` takes a number or a text"),
    ("!features.value", "1:2: `features.value` is a number; ! takes true or false"),
    ("-consent.email > 1", "1:2: `consent.email` is true or false; - takes a number"),
    ("-(features.value - consent.email) > 1", "1:20: `consent.email` is true or false; - takes a number"),
    ("consent.email ? 1 : 2", "1:1: `consent.email ? 1 : 2` is a number; a rule takes true or false"),
    (
        "consent.email ? 1 : \"a\"",
        "1:1: `consent.email ? 1 : \"a\"` is a number or a text; both sides of : must be of one kind",
    ),
    ("features.value ? true : false", "1:1: `features.value` is a number; ? takes true or false"),
    ("min(1, consent.email) > 1", "1:8: `consent.email` is true or false; min takes a number"),
    ("min() > 1", "1:1: `min()` gives no operand; min takes 1 or more"),
    ("abs(1, 2) > 1", "1:1: `abs(1, 2)` gives 2 operands; abs takes 1"),
    ("mean(1, 2) > 1", "1:1: `mean(1, 2)` calls `mean`, which is no function here; the nearest is min"),
    (
        "startsWith(customer.stage, \"a\")",
        "1:1: `startsWith(customer.stage, \"a\")` is not how `startsWith` is called; it stands after a text: text.startsWith(\"part\")",
    ),
    (
        "features.value.max(1) > 1",
        "1:1: `features.value.max(1)` is not how `max` is called; it stands before its operands: max(..)",
    ),
    ("features.value.startsWith(\"a\")", "1:1: `features.value` is a number; startsWith takes a text"),
    (
        "customer.stage.matches(\"a.*\")",
        "1:1: `customer.stage.matches(\"a.*\")` asks for a regular expression; use startsWith, endsWith or contains",
    ),
    (
        "timestamp(\"2020-01-01\") > 1",
        "1:1: `timestamp(\"2020-01-01\")` asks for time, which is not known here; use a feature that counts days",
    ),
    (
        "int(features.value) > 1",
        "1:1: `int(features.value)` converts to a number; all numbers are 64-bit floats, leave it out",
    ),
    (
        "size(customer.stage) > 1",
        "1:1: `size(customer.stage)` asks for a size, of which there is none here; compare texts by == or in",
    ),
    (
        "features.all(x, x > 1)",
        "1:10: `all` loops over a list, which is not done here; write its cases with && and ||",
    ),
    (
        "[1, 2].exists(x, x > 1)",
        "1:8: `exists` loops over a list, which is not done here; write its cases with && and ||",
    ),
    (
        "features[\"value\"] > 1",
        "1:1: `features[\"value\"]` takes a value out of a list; values have names here",
    ),
    ("{\"a\": 1}.a > 1", "1:1: maps and messages are not known here; values are asked for by name"),
    ("features.value == null", "1:19: null is not known here; has(name) says whether a value is known"),
    ("customer.stage == b\"new\"", "1:19: b\"new\" is of bytes; write a text, without the b"),
    ("features.`value` > 1", "1:10: `value` is a quoted name; names are written without quotes"),
    ("[1, 2]", "1:1: `[1, 2]` is a list, which may only stand right of `in`"),
    ("1 / 0 > 1", "1:1: `1 / 0` is not finite, hence never known"),
    ("features.value > 1 &&", "1:22: the text ends where a value is expected"),
    ("features.value > 1)", "1:19: ')' stands where an operator or the end is expected"),
    ("(features.value > 1", "1:20: expected ')'"),
    ("features.value >", "1:17: the text ends where a value is expected"),
    ("features.value = 1", "1:16: = is no operator; equality is =="),
    ("features.value & 1", "1:16: unexpected single '&', expected '&&'"),
    ("\"é\" == context.channel && é", "1:27: unexpected character 'é'"),
    ("\"open", "1:1: unterminated string literal"),
    ("features.?value > 1", "1:9: unsupported syntax '.?'"),
    ("99999999999999999999 > 1", "1:1: the integer does not fit 64 bits; write it with a decimal point"),
    ("for > 1", "1:1: reserved identifier: for"),
    ("features.value > 1 features.value", "1:20: 'features' stands where an operator or the end is expected"),
    (
        "consent.email && features.value + 1 + 2 + 3 + 4 + 5 + 6 + 7 + 8 + 9 + 10 + 11 + 12 + 13",
        "1:18: `features.value + 1 + 2 + 3 + 4 + 5 + 6 + 7 + 8 + 9 + 10 + 11...` is a number; && takes true or false",
    ),
    ("features > 1", "1:1: `features` begins names and is none; one of them is features.orders_90d"),
    ("features.value > 1 and consent.email", "1:20: `and` is written &&"),
    ("NOT consent.email", "1:1: `NOT` is written !"),
    ("features.value > 1 ? true", "1:26: expected ':' in conditional expression"),
    ("features.value > * 1", "1:18: a value is expected here"),
    ("features.value.x > 1", "1:1: `features.value.x` is not known; the nearest is features.value"),
    ("true.x", "1:1: `true.x` selects from what is no name; values are asked for by name"),
];

#[test]
fn a_fault_names_the_part_what_is_expected_and_the_place() {
    for (text, told) in TOLD {
        assert_eq!(fault(text), *told);
    }
    let formula = Formula::parse("consent.email", &vocabulary()).unwrap_err();
    assert_eq!(formula.to_string(), "1:1: `consent.email` is true or false; a formula takes a number");
}

/// Each far past what a stack would bear, had they reached the parser.
#[test]
fn no_text_exhausts_the_stack() {
    for (open, close) in [
        ("(", ")"),
        ("!", ""),
        ("-", ""),
        ("- ", ""),
        ("!-", ""),
        ("[", "]"),
        ("{", "}"),
        ("a.", ""),
        ("a(", ")"),
        ("a.a(", ")"),
        ("a[", "]"),
        ("true ? true : ", ""),
        ("true ? ", " : true"),
        ("true && ", ""),
        ("1 + ", ""),
        ("(1 + ", ")"),
        ("", ".a()"),
        ("", "[0]"),
        ("!a.a(", ")"),
        ("-a.a().", ""),
        ("1 < ", ""),
    ] {
        for n in [33, 40, 257, 400, 100_000] {
            let text = format!("{}true{}", open.repeat(n), close.repeat(n));
            let fault = Rule::parse(&text, &vocabulary());
            assert!(fault.is_err() || open == "true && " && n < 256, "{n} {open}");
        }
    }
}

#[test]
fn bounds_are_told_with_the_value() {
    let nested = |n: usize| format!("{}true{}", "(".repeat(n), ")".repeat(n));
    assert!(Rule::parse(&nested(MAX_DEPTH), &vocabulary()).is_ok());
    assert_eq!(fault(&nested(MAX_DEPTH + 1)), "1:33: nested 33 deep; at most 32 is allowed");
    assert_eq!(fault(&format!("{}true", "!".repeat(40))), "1:33: nested 40 deep; at most 32 is allowed");
    let chain = |n: usize| format!("true{}", " && true".repeat(n));
    assert!(Rule::parse(&chain(127), &vocabulary()).is_ok());
    assert_eq!(fault(&chain(128)), "1:1025: has 257 operands and operators; at most 256 are allowed");
    assert_eq!(fault(&" ".repeat(5_000)), "1:1: the text has 5000 bytes; at most 4096 are allowed");
    let sum = ["features.value"; 128].join(" + ");
    let value = Formula::parse(&sum, &vocabulary())
        .map(|sum| sum.value(&Facts { numbers: &[0.0, 0.5], ..Facts::default() }));
    assert_eq!(value, Ok(Some(64.0)));
    let calls = format!("true{}", ".a()".repeat(256));
    assert_eq!(fault(&calls), "1:1027: has 257 operands and operators; at most 256 are allowed");
    let wide = format!("true || {}", ["(!true)"; 60].join(" || "));
    assert!(Rule::parse(&wide, &vocabulary()).is_ok(), "what is closed is not deep");
}

const WORDS: [&str; 52] = [
    "features.value",
    "customer.stage",
    "consent.email",
    "true",
    "false",
    "null",
    "1",
    "2.5",
    "0x1F",
    "3u",
    "1e9",
    "9223372036854775808",
    "\"a\"",
    "'new'",
    "r'\\'",
    "b'a'",
    "\"\"\"q\"\"\"",
    "'\\u00e9'",
    "'\\xzz'",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ".",
    ",",
    "?",
    ":",
    "!",
    "-",
    "+",
    "*",
    "/",
    "%",
    "<",
    "<=",
    "==",
    "!=",
    "&&",
    "||",
    " in ",
    "has(",
    "min(",
    ".startsWith(",
    ".all(x,",
    "`a`",
    "for",
    "\n",
    "// c\n",
    "é",
    ".?",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn no_characters_panic(text in any::<String>()) {
        let _ = Rule::parse(&text, &vocabulary());
        let _ = Formula::parse(&text, &vocabulary());
    }

    #[test]
    fn no_bytes_panic(bytes in vec(any::<u8>(), 0..200)) {
        let _ = Rule::parse(&String::from_utf8_lossy(&bytes), &vocabulary());
    }

    #[test]
    fn no_words_panic(words in vec(proptest::sample::select(&WORDS[..]), 0..24)) {
        for glue in ["", " "] {
            let text = words.join(glue);
            if let Err(fault) = Rule::parse(&text, &vocabulary()) {
                prop_assert!(fault.line <= text.split('\n').count());
                let line = text.split('\n').nth(fault.line - 1).unwrap();
                prop_assert!(fault.column <= line.chars().count() + 1, "{:?} {}", text, fault);
            }
            if let Ok(formula) = Formula::parse(&text, &vocabulary()) {
                prop_assert!(formula.value(&Facts::default()).is_none_or(f64::is_finite));
            }
        }
    }

    /// A rule in which one name is misspelt is faulted at that name.
    #[test]
    fn a_wrong_name_is_found_where_it_stands(bytes in vec(any::<u8>(), 0..120)) {
        let text = format!("{} || features.value > 1", Draw::new(&bytes).condition(3));
        let wrong = text.replacen("features.value", "features.valeu", 1);
        let fault = Rule::parse(&wrong, &vocabulary()).unwrap_err();
        let at = wrong.find("features.valeu").unwrap();
        let has = wrong[..at].ends_with("has(");
        prop_assert_eq!(fault.column, wrong[..at].chars().count() + 1 - if has { 4 } else { 0 }, "{}: {}", wrong, fault);
    }
}
