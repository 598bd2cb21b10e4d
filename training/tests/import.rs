//! Imports as a user meets them: the same rows in every format, every kind of bad input, and failures half way.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use nextbest_models::event::Event;
use nextbest_models::project::source::Source;
use nextbest_training::event_log::file::EventFileWriter;
use nextbest_training::event_log::{EventLog, N_BUCKETS};
use nextbest_training::import::report::ImportReport;
use nextbest_training::import::{ImportError, Options, Progress, Rules, import};
use proptest::prelude::*;

const SOURCE: &str = r#"
name = "shop"
files = ["*.csv*", "orders*"]
type = { column = "What", map = { order = "order_placed", view = "page_viewed" } }
occurred_at = { column = "When", format = "%Y-%m-%d %H:%M" }
customer_id = "Who"
guest_id = "Invoice"
sku = { column = "Item", case = "upper" }
quantity = "Units"
unit_price = "Price"
currency = "Money"
attributes = { order_id = "Invoice", weight = { column = "Weight", kind = "number" } }
cancellation = { when = { column = "Invoice", prefix = "C" } }
set_aside = [{ name = "free", when = { column = "Price", at_most = 0 } }]
"#;

const HEADER: &str = "Invoice,What,When,Who,Item,Units,Price,Money,Weight\n";

const ROWS: &str = "\
1,order,2011-01-05 10:00,anna,mug,6,2.55,GBP,0.5
1,order,2011-01-05 10:00,anna,cup,2,0.335,GBP,
1,order,2011-01-05 10:00,anna,mug,6,2.55,GBP,0.5
2,order,2011-01-06 10:00,,mug,1,2.55,GBP,0.5
C3,order,2011-01-07 10:00,anna,mug,-4,2.55,GBP,0.5
C4,order,2011-01-07 10:00,bert,mug,-4,2.55,GBP,0.5
C5,order,2011-01-07 10:00,,mug,-4,2.55,GBP,0.5
6,order,2011-01-08 10:00,bert,mug,4,0.00,GBP,0.5
7,view,2011-07-08 10:00,bert,,,,,
";

fn sources(text: &str) -> Vec<Source> {
    vec![toml::from_str(text).unwrap()]
}

/// A project's data folder and files to import into it.
struct Desk {
    dir: tempfile::TempDir,
    sources: Vec<Source>,
    options: Options,
}

impl Desk {
    fn new(source: &str) -> Self {
        Self { dir: tempfile::tempdir().unwrap(), sources: sources(source), options: Options::default() }
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    fn log_dir(&self) -> PathBuf {
        self.dir.path().join("data/events")
    }

    fn import(&self, files: &[PathBuf]) -> Result<ImportReport, ImportError> {
        self.import_while(files, &|_| ControlFlow::Continue(()))
    }

    fn import_while(
        &self,
        files: &[PathBuf],
        progress: &(dyn Fn(Progress) -> ControlFlow<()> + Sync),
    ) -> Result<ImportReport, ImportError> {
        let rules =
            Rules { sources: &self.sources, currency: "GBP".parse().unwrap(), time_zone: "Europe/London" };
        import(rules, files, &self.log_dir(), &self.options, progress)
    }

    /// The error of importing one file, with the folder's name taken out.
    fn refused(&self, name: &str, bytes: impl AsRef<[u8]>) -> (String, bool) {
        let error = self.import(&[self.file(name, bytes)]).unwrap_err();
        let text = error.to_string().replace(&format!("{}/", self.dir.path().display()), "");
        (text, error.is_wrong_call())
    }

    /// Every file of the log with its bytes.
    fn log_bytes(&self) -> BTreeMap<String, Vec<u8>> {
        let entries = fs::read_dir(self.log_dir()).unwrap().map(|entry| entry.unwrap());
        entries.map(|e| (e.file_name().into_string().unwrap(), fs::read(e.path()).unwrap())).collect()
    }

    /// Nothing but the log and the lock file may be left.
    fn assert_tidy(&self) {
        let names =
            fs::read_dir(self.dir.path().join("data")).unwrap().map(|entry| entry.unwrap().file_name());
        let stray: Vec<_> = names.filter(|name| name != "events" && name != ".events.lock").collect();
        assert!(stray.is_empty(), "left behind: {stray:?}");
    }

    fn events(&self) -> Vec<Event> {
        let log = EventLog::open(self.log_dir()).unwrap();
        log.verify().unwrap();
        let mut events: Vec<Event> =
            (0..N_BUCKETS).flat_map(|bucket| log.bucket(bucket).unwrap().map(Result::unwrap)).collect();
        events
            .sort_by(|a, b| (a.occurred_at, &a.sku, &a.event_id).cmp(&(b.occurred_at, &b.sku, &b.event_id)));
        events
    }
}

fn gzip(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes.as_ref()).unwrap();
    encoder.finish().unwrap()
}

fn table() -> String {
    format!("{HEADER}{ROWS}")
}

#[test]
fn rows_become_events_by_the_mapping() {
    let desk = Desk::new(SOURCE);
    let report = desk.import(&[desk.file("a.csv", table())]).unwrap();
    let counted: Vec<(&str, u64)> =
        report.buckets.iter().filter(|b| b.n_rows > 0).map(|b| (b.name.as_str(), b.n_rows)).collect();
    let expected = [
        ("event", 3),
        ("event_without_customer", 1),
        ("cancellation_matched", 1),
        ("cancellation_unmatched", 1),
        ("cancellation_without_customer", 1),
        ("set_aside_free", 1),
        ("duplicate", 1),
    ];
    assert_eq!(counted, expected);
    assert_eq!(
        (report.n_rows, report.condition("cancellation"), report.condition("without_customer")),
        (9, 3, 2)
    );

    let events: Vec<serde_json::Value> =
        desk.events().iter().map(|event| serde_json::to_value(event).unwrap()).collect();
    let told = |at: usize| {
        let event = &events[at];
        let value = event["value"]["amount_minor"].as_i64();
        format!("{} {} {} {value:?}", event["type"], event["occurred_at"], event["sku"]).replace('"', "")
    };
    // 2 x 0.335 = 0.67 exactly; July is summer time in London.
    assert_eq!(told(0), "order_placed 2011-01-05T10:00:00Z CUP Some(67)");
    assert_eq!(told(1), "order_placed 2011-01-05T10:00:00Z MUG Some(1530)");
    assert_eq!(told(2), "order_placed 2011-01-06T10:00:00Z MUG Some(255)");
    assert_eq!(told(3), "order_cancelled 2011-01-07T10:00:00Z MUG Some(1020)");
    assert_eq!(told(4), "page_viewed 2011-07-08T09:00:00Z null None");
    assert_eq!(events[2]["anonymous_id"], "2");
    assert!(events[1]["anonymous_id"].is_null());
    assert_eq!(events[3]["quantity"], 4);
    assert_eq!(events[3]["refers_to"]["event_id"], events[1]["event_id"]);
    assert_eq!(events[3]["refers_to"]["whole"], false);
    assert_eq!(events[1]["attributes"], serde_json::json!({"order_id": "1", "weight": 0.5}));
}

/// The table as JSON lines: empty cells are null or absent.
fn json_lines() -> String {
    let names: Vec<&str> = HEADER.trim().split(',').collect();
    let line = |row: &str| {
        let cells = names.iter().zip(row.split(','));
        let members: serde_json::Map<_, _> =
            cells.map(|(name, cell)| ((*name).to_owned(), serde_json::json!(cell))).collect();
        serde_json::Value::Object(members).to_string() + "\n"
    };
    ROWS.lines().map(line).collect()
}

/// The table as Parquet, all columns texts, empty cells null.
fn parquet() -> Vec<u8> {
    use arrow::array::{ArrayRef, RecordBatch, StringArray};
    let columns = HEADER.trim().split(',').enumerate().map(|(at, name)| {
        let cells = ROWS.lines().map(|row| row.split(',').nth(at).filter(|cell| !cell.is_empty()));
        (name, std::sync::Arc::new(cells.collect::<StringArray>()) as ArrayRef)
    });
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

#[test]
fn every_format_gives_the_same_log() {
    let plain = Desk::new(SOURCE);
    plain.import(&[plain.file("a.csv", table())]).unwrap();
    let files = [
        ("a.csv.gz", gzip(table())),
        ("orders.jsonl", json_lines().into_bytes()),
        ("orders.ndjson.gz", gzip(json_lines())),
        ("orders.parquet", parquet()),
        ("with-bom.csv", format!("\u{feff}{}", table()).into_bytes()),
        ("crlf.csv", table().replace('\n', "\r\n").into_bytes()),
        // Two gzip members back to back are one file.
        ("two.csv.gz", [gzip(HEADER), gzip(ROWS)].concat()),
    ];
    for (name, bytes) in files {
        let desk = Desk::new(SOURCE);
        desk.import(&[desk.file(name, bytes)]).unwrap();
        assert_eq!(desk.events(), plain.events(), "{name}");
    }
}

fn wire_events() -> Vec<Event> {
    let wire = [
        r#"{"event_id":"e1","type":"order_placed","occurred_at":"2011-01-05T10:00:00Z","customer_id":"c1","sku":"k","quantity":6,"value":{"amount_minor":1530,"currency":"GBP"},"attributes":{"country":"France"}}"#,
        r#"{"event_id":"e2","type":"page_viewed","occurred_at":"2011-01-06T10:00:00.123Z","known_at":"2011-01-07T00:00:00Z","anonymous_id":"a","session_id":"s","channel":"web"}"#,
        r#"{"event_id":"e3","type":"order_cancelled","occurred_at":"2011-02-05T10:00:00Z","customer_id":"c1","refers_to":{"event_id":"e1","occurred_at":"2011-01-05T10:00:00Z"}}"#,
    ];
    wire.iter().map(|json| serde_json::from_str(json).unwrap()).collect()
}

#[test]
fn files_with_the_columns_of_events_map_themselves() {
    let json: String =
        wire_events().iter().map(|event| serde_json::to_string(event).unwrap() + "\n").collect();
    let mut writer = EventFileWriter::new(Vec::new(), "x").unwrap();
    wire_events().into_iter().for_each(|event| writer.push(event).unwrap());
    let csv = "event_id,type,occurred_at,known_at,customer_id,anonymous_id,session_id,channel,sku,quantity,\
value.amount_minor,value.currency,refers_to.event_id,refers_to.occurred_at,attributes.country\n\
e1,order_placed,2011-01-05T10:00:00Z,,c1,,,,k,6,1530,GBP,,,France\n\
e2,page_viewed,2011-01-06T10:00:00.123Z,2011-01-07T00:00:00Z,,a,s,web,,,,,,,\n\
e3,order_cancelled,2011-02-05T10:00:00Z,,c1,,,,,,,,e1,2011-01-05T10:00:00Z,\n";
    for (name, bytes) in [
        ("wire.jsonl", json.clone().into_bytes()),
        ("wire.json.gz", gzip(&json)),
        ("wire.parquet", writer.finish().unwrap()),
        ("wire.csv", csv.as_bytes().to_vec()),
    ] {
        let mut desk = Desk::new(SOURCE);
        desk.sources.clear();
        desk.import(&[desk.file(name, bytes)]).unwrap();
        assert_eq!(desk.events(), wire_events(), "{name}");
    }
}

#[test]
fn an_event_delivered_twice_is_a_duplicate_and_one_that_differs_conflicts() {
    let mut again = wire_events()[0].clone();
    again.known_at = Some("2011-01-09T10:00:00Z".parse().unwrap());
    let mut other = again.clone();
    other.quantity = Some(7);
    let mut stranger = wire_events()[0].clone();
    stranger.customer_id = None;
    stranger.anonymous_id = Some("x".into());
    let events = [wire_events(), vec![again, other, stranger]].concat();
    let json: String = events.iter().map(|event| serde_json::to_string(event).unwrap() + "\n").collect();
    let desk = Desk::new(SOURCE);
    let report = desk.import(&[desk.file("wire.jsonl", json)]).unwrap();
    let buckets = ["event", "event_without_customer", "duplicate", "conflicting_duplicate"];
    assert_eq!(buckets.map(|name| report.bucket(name)), [2, 2, 1, 1]);
    assert!(desk.events().contains(&wire_events()[0]), "the first known stays");
}

#[test]
fn faulty_rows_name_file_line_column_value_and_bound() {
    let cases = [
        ("1,order,2011-01-05 10:00,a,mug,6,2.55,GBP", "ragged", "a.csv:2: 8 cells under a header of 9"),
        (
            "1,order,2011-01-05 10:00,a,mug,six,2.55,GBP,",
            "wrong_type",
            "a.csv:2:Units: \"six\" is no decimal number",
        ),
        (
            "1,order,2011-01-05 10:00,a,mug,1.5,2.55,GBP,",
            "wrong_type",
            "a.csv:2:Units: \"1.5\" is no whole number of 64 bits",
        ),
        (
            "1,order,2011-01-05 10:00,a,mug,1,2;55,GBP,",
            "wrong_type",
            "a.csv:2:Price: \"2;55\" is no decimal number",
        ),
        (
            "1,order,2011-01-05 10:00,a,mug,1,2.55,GBP,heavy",
            "wrong_type",
            "a.csv:2:Weight: \"heavy\" is no number",
        ),
        (
            "1,order,05.01.2011,a,mug,1,2.55,GBP,",
            "wrong_type",
            "a.csv:2:When: \"05.01.2011\" is no time of the form %Y-%m-%d %H:%M: ",
        ),
        (
            "1,order,1011-01-05 10:00,a,mug,1,2.55,GBP,",
            "out_of_range",
            "a.csv:2:When: 1011-01-05 10:00 lies outside the years 1900 to 2199",
        ),
        ("1,order,,a,mug,1,2.55,GBP,", "missing", "a.csv:2:When: an event needs the time when it happened"),
        (
            "1,order,2011-01-05 10:00,a,mug,-2,2.55,GBP,",
            "negative_quantity",
            "a.csv:2:Units: -2 is negative, and source \"shop\" has no cancellation rule that takes this row",
        ),
        (
            "1,order,2011-01-05 10:00,a,mug,2000000000,2.55,GBP,",
            "out_of_range",
            "a.csv:2:Units: 2000000000 lies outside 0 ..= 1000000000",
        ),
        (
            "1,order,2011-01-05 10:00,a,mug,1000000000,2000000.55,GBP,",
            "out_of_range",
            "a.csv:2:Price: 200000055000000000 lies outside 0 ..= 1000000000000",
        ),
        (
            "1,order,2011-01-05 10:00,a,mug,,2.55,GBP,",
            "missing",
            "a.csv:2:Price: 2.55 has no quantity beside it",
        ),
        (
            "1,order,2011-01-05 10:00,a,mug,1,2.55,EUR,",
            "currency_mismatch",
            "a.csv:2:Money: \"EUR\" is not the project's currency \"GBP\"",
        ),
        (
            "1,ordre,2011-01-05 10:00,a,mug,1,2.55,GBP,",
            "unknown_value",
            "a.csv:2:What: \"ordre\" is not in the map; the nearest is \"order\"",
        ),
        (
            ",order,2011-01-05 10:00,,mug,1,2.55,GBP,",
            "missing",
            "a.csv:2:Who: an event needs customer_id or anonymous_id",
        ),
    ];
    for (row, code, message) in cases {
        let desk = Desk::new(SOURCE);
        let file = desk.file("a.csv", format!("{HEADER}{row}\n"));
        let Err(ImportError::Rejected { report, max_rejected: 0 }) = desk.import(&[file]) else {
            panic!("{row} was taken")
        };
        let told = report.faults[0].to_string().replace(&format!("{}/", desk.dir.path().display()), "");
        assert!(told.starts_with(message), "{told}\n{message}");
        assert_eq!(report.rejected_by_code, BTreeMap::from([(code.to_owned(), 1)]), "{row}");
        assert_eq!((report.n_rows, report.bucket("rejected")), (1, 1));
        assert!(!desk.log_dir().exists());
    }
}

#[test]
fn faulty_events_of_the_wire_are_named_too() {
    let good = serde_json::to_string(&wire_events()[0]).unwrap();
    let cases = [
        (
            good.replace("order_placed", "order_placd"),
            ":2:type: \"order_placd\" is no event type; the nearest is \"order_placed\"",
        ),
        (good.replace("GBP", "EUR"), ":2:value.currency: \"EUR\" is not the project's currency \"GBP\""),
        (good.replace("\"sku\"", "\"skku\""), ":2: unknown field `skku`"),
        (
            good.replace("\"quantity\":6", "\"quantity\":\"six\""),
            ":2: invalid type: string \"six\", expected i64",
        ),
        (good[..good.len() - 3].to_owned(), ":2: EOF while parsing"),
        ("[1]".to_owned(), ":2: invalid type"),
    ];
    for (line, message) in cases {
        let desk = Desk::new(SOURCE);
        let file = desk.file("wire.jsonl", format!("{good}\n{line}\n\n"));
        let Err(ImportError::Rejected { report, .. }) = desk.import(&[file]) else {
            panic!("{line} was taken")
        };
        let told = report.faults[0].to_string();
        assert!(told.contains(&format!("wire.jsonl{message}")), "{told}");
        assert_eq!((report.n_rows, report.bucket("rejected")), (2, 1), "{line}");
    }
}

#[test]
fn rejected_rows_are_bounded_and_written_out() {
    let mut desk = Desk::new(SOURCE);
    let bad = "9,order,never,a,mug,1,2.55,GBP,\n".repeat(3);
    let file = desk.file("a.csv", format!("{}{bad}", table()));
    desk.options.rejects = Some(desk.dir.path().join("rejects.csv"));
    desk.options.max_rejected = 2;
    let error = desk.import(std::slice::from_ref(&file)).unwrap_err();
    assert!(error.to_string().starts_with("3 rows are rejected, 2 are allowed; the first: "), "{error}");
    assert!(!error.is_wrong_call() && !desk.log_dir().exists());
    let rejects = fs::read_to_string(desk.dir.path().join("rejects.csv")).unwrap();
    assert_eq!(rejects.lines().count(), 4);
    assert!(rejects.lines().nth(1).unwrap().contains(",11,When,wrong_type,"), "{rejects}");

    desk.options.rejects = Some(file.clone());
    let error = desk.import(std::slice::from_ref(&file)).unwrap_err();
    assert!(
        error.is_wrong_call() && error.to_string().contains("written over a file that is imported"),
        "{error}"
    );
    desk.options.rejects = None;

    desk.options.max_rejected = 3;
    let report = desk.import(&[file]).unwrap();
    assert_eq!((report.n_rows, report.bucket("rejected"), report.log.unwrap().n_events), (12, 3, 5));
    assert_eq!(report.buckets.iter().map(|bucket| bucket.n_rows).sum::<u64>(), 12);
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let desk = Desk::new(SOURCE);
    let refused = |name: &str, bytes: &[u8]| desk.refused(name, bytes);
    assert_eq!(refused("a.csv", b""), ("a.csv: is empty: not even a header".into(), false));
    assert_eq!(
        refused("a.csv", HEADER.as_bytes()),
        ("the files hold no rows: an empty log is not written in place of another".into(), false)
    );
    assert_eq!(refused("a.csv.gz", b"plain"), ("a.csv.gz: is named .gz but is no gzip file".into(), false));
    assert_eq!(refused("a.csv", b"Who,Who\n1,2\n"), ("a.csv:1: two columns are named \"Who\"".into(), false));
    assert!(refused("orders.parquet", b"PAR1 not").0.starts_with("orders.parquet: "));
    assert!(refused("data.xlsx", b"x").0.starts_with("data.xlsx: the name ends in none of .csv"));
    assert_eq!(
        refused("orders.csv", b"Invoice,what\n1,2\n"),
        (
            "orders.csv: source \"shop\": type asks for column \"What\", which the file does not have; the nearest is \"what\""
                .into(),
            true
        )
    );
    assert_eq!(
        refused("orders.jsonl", br#"{"Invoice":"1","What":"order","When":"2011-01-05 10:00","Whoo":"a","Item":"m","Units":1,"Price":1,"Money":"GBP","Weight":1}"#),
        (
            "orders.jsonl: source \"shop\": customer_id asks for column \"Who\", which the file does not have; the nearest is \"Whoo\""
                .into(),
            true
        )
    );
    let (told, is_wrong_call) = refused("strange.jsonl", br#"{"a":1}"#);
    assert!(is_wrong_call);
    assert_eq!(
        told,
        "strange.jsonl: no source takes it: the sources are \"shop\" for *.csv* orders*; and it does not have the \
         columns of events, \"event_id\" is missing"
    );
    let missing = desk.import(&[desk.dir.path().join("gone.csv")]).unwrap_err();
    assert!(missing.is_wrong_call() && missing.to_string().contains("gone.csv: No such file"), "{missing}");
    let folder = desk.import(&[desk.dir.path().to_owned()]).unwrap_err();
    assert!(folder.to_string().ends_with("is no regular file"), "{folder}");
    assert!(matches!(desk.import(&[]), Err(ImportError::NoFiles)));
    let endless = format!(
        "{{\"event_id\":\"e\",\"type\":\"clicked\",\"occurred_at\":\"2011-01-05T10:00:00Z\"}}\n{}",
        "x".repeat(2 << 20)
    );
    assert_eq!(
        refused("wire.jsonl", endless.as_bytes()).0,
        "wire.jsonl:2: the line is longer than 1048576 bytes"
    );
    assert!(!desk.log_dir().exists());
}

#[test]
fn a_source_may_be_named_and_must_exist() {
    let mut desk = Desk::new(SOURCE);
    desk.options.source = Some("shp".into());
    let file = desk.file("whatever.txt", table());
    let error = desk.import(std::slice::from_ref(&file)).unwrap_err();
    assert_eq!(error.to_string(), "no source is named \"shp\"; there are \"shop\" for *.csv* orders*");
    desk.options.source = Some("shop".into());
    assert_eq!(desk.import(&[file]).unwrap().n_rows, 9);
    let desk = Desk::new(
        &SOURCE
            .replace("%Y-%m-%d %H:%M\"", "%Y-%m-%d %H:%M\", map = {}")
            .replace("name = \"shop\"", "name = \"shop\"\ntime_zone = \"Europe/Londn\""),
    );
    let (told, is_wrong_call) = desk.refused("a.csv", table());
    assert!(is_wrong_call && told.contains("occurred_at: \"Europe/Londn\" is no IANA time zone"), "{told}");
}

#[test]
fn broken_gzip_ends_the_import_and_the_earlier_log_stands() {
    let desk = Desk::new(SOURCE);
    desk.import(&[desk.file("a.csv", table())]).unwrap();
    let before = desk.log_bytes();
    // Rows that do not compress to nothing, so that the cut falls into the middle of them.
    let rows: String = (0..20_000)
        .map(|n| format!("{n},order,2011-01-05 10:00,c{},mug,1,{}.55,GBP,\n", n * 7919 % 10_007, n % 97))
        .collect();
    let whole = gzip(format!("{HEADER}{rows}"));
    let mut flipped = whole.clone();
    let last = flipped.len() - 5;
    flipped[last] ^= 0xff;
    for (name, bytes) in [
        ("cut.csv.gz", &whole[..whole.len() / 2]),
        ("cut2.csv.gz", &whole[..whole.len() - 4]),
        ("flipped.csv.gz", &flipped),
    ] {
        let (told, is_wrong_call) = desk.refused(name, bytes);
        assert!(
            told.starts_with(&format!("{name}:")) && told.contains(": cannot be read on after this row: "),
            "{told}"
        );
        assert!(!is_wrong_call);
        assert!(desk.log_bytes() == before, "{name} touched the log");
        desk.assert_tidy();
    }
}

#[test]
fn an_import_stopped_anywhere_leaves_the_earlier_log_as_it_was() {
    let desk = Desk::new(SOURCE);
    desk.import(&[desk.file("a.csv", table())]).unwrap();
    let before = desk.log_bytes();
    let more = desk.file("b.csv", format!("{HEADER}8,order,2011-01-09 10:00,carl,mug,1,2.55,GBP,\n"));
    let stages = [Progress::Rows(1), Progress::Buckets(1), Progress::Buckets(30), Progress::Buckets(64)];
    for stage in stages {
        let stop =
            |progress| if progress == stage { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        let stopped = desk.import_while(std::slice::from_ref(&more), &stop);
        assert!(matches!(stopped, Err(ImportError::Stopped)), "{stage:?}");
        assert!(desk.log_bytes() == before, "{stage:?} touched the log");
        desk.assert_tidy();
    }
}

/// Run as a process of its own by the next test: imports, and dies without a word while buckets are being written.
#[test]
fn child_that_is_killed_while_it_writes() {
    let Some(dir) = std::env::var_os("NEXTBEST_TEST_KILLED_IN") else { return };
    let rules_of = sources(SOURCE);
    let rules = Rules { sources: &rules_of, currency: "GBP".parse().unwrap(), time_zone: "UTC" };
    let dir = PathBuf::from(dir);
    let die = |progress| match progress {
        Progress::Buckets(30) => std::process::abort(),
        _ => ControlFlow::Continue(()),
    };
    let _ = import(rules, &[dir.join("a.csv")], &dir.join("data/events"), &Options::default(), &die);
}

#[test]
fn a_killed_import_leaves_the_earlier_log_and_its_litter_is_swept() {
    let desk = Desk::new(SOURCE);
    desk.import(&[desk.file("a.csv", table())]).unwrap();
    let before = desk.log_bytes();
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["child_that_is_killed_while_it_writes", "--exact"])
        .env("NEXTBEST_TEST_KILLED_IN", desk.dir.path())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(!status.success());
    assert!(desk.log_bytes() == before);
    let litter = |dir: &Path| fs::read_dir(dir).unwrap().count();
    assert_eq!(litter(&desk.dir.path().join("data")), 3, "log, lock file and what the killed one left");
    desk.import(&[desk.dir.path().join("a.csv")]).unwrap();
    desk.assert_tidy();
    assert!(desk.log_bytes() == before);
}

#[test]
fn a_sink_that_is_full_ends_the_import() {
    if !Path::new("/dev/full").exists() {
        println!("SKIPPED: there is no /dev/full on this system");
        return;
    }
    let mut desk = Desk::new(SOURCE);
    desk.options.rejects = Some("/dev/full".into());
    desk.options.max_rejected = 5;
    let error = desk
        .import(&[desk.file("a.csv", format!("{}9,order,never,a,mug,1,2.55,GBP,\n", table()))])
        .unwrap_err();
    assert!(error.to_string().starts_with("/dev/full: "), "{error}");
    assert!(!desk.log_dir().exists());
    desk.assert_tidy();
}

#[test]
fn importing_again_or_twice_changes_nothing() {
    let desk = Desk::new(SOURCE);
    let file = desk.file("a.csv", table());
    desk.import(std::slice::from_ref(&file)).unwrap();
    let before = desk.log_bytes();
    let report = desk.import(std::slice::from_ref(&file)).unwrap();
    assert_eq!(report.replaced.unwrap().n_events, 5);
    assert!(desk.log_bytes() == before);
    let report = desk.import(&[file.clone(), file]).unwrap();
    assert_eq!((report.n_rows, report.bucket("duplicate"), report.bucket("event")), (18, 10, 3));
    assert_eq!(desk.log_bytes()["log.json"], before["log.json"]);
}

#[test]
fn clock_readings_that_were_twice_or_never_are_counted() {
    let desk = Desk::new(SOURCE);
    let rows = ["2011-03-27 01:30", "2011-10-30 01:30", "2011-10-30 03:30"]
        .map(|at| format!("1,view,{at},a,,,,,\n"))
        .concat();
    let report = desk.import(&[desk.file("a.csv", format!("{HEADER}{rows}"))]).unwrap();
    assert_eq!((report.n_times_ambiguous, report.bucket("event")), (2, 3));
}

fn any_row() -> impl Strategy<Value = String> {
    (
        0..6_u32,
        1..28_u32,
        prop::sample::select(vec!["", "anna", "bert", "carl"]),
        0..3_u32,
        -4..6_i32,
        0..3_u32,
    )
        .prop_map(|(invoice, day, who, item, units, price)| {
            let prefix = if units < 0 { "C" } else { "" };
            format!("{prefix}{invoice},order,2011-01-{day:02} 10:00,{who},i{item},{units},{price}.55,GBP,\n")
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// However the rows are spread over files, in whatever order they and the files come, and however little memory
    /// there is: the same buckets, byte for byte, and the same counts.
    #[test]
    fn the_log_is_a_function_of_the_set_of_rows(
        (rows, shuffled) in prop::collection::vec(any_row(), 1..60).prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle())),
        cut in 0..=100_usize,
        memory_bytes in prop::sample::select(vec![0, 20_000, 1 << 20]),
    ) {
        let one = Desk::new(SOURCE);
        let report = one.import(&[one.file("a.csv", format!("{HEADER}{}", rows.concat()))]).unwrap();
        prop_assert_eq!(report.buckets.iter().map(|bucket| bucket.n_rows).sum::<u64>(), rows.len() as u64);

        let mut other = Desk::new(SOURCE);
        other.options.memory_bytes = memory_bytes;
        let (left, right) = shuffled.split_at(shuffled.len() * cut / 100);
        let files = [other.file("z.csv", format!("{HEADER}{}", left.concat())), other.file("b.csv", format!("{HEADER}{}", right.concat()))];
        let again = other.import(&files).unwrap();
        prop_assert_eq!(&again.buckets, &report.buckets);
        prop_assert_eq!(&again.conditions, &report.conditions);
        let without_report = |mut bytes: BTreeMap<String, Vec<u8>>| { bytes.remove("import.json"); bytes };
        prop_assert!(without_report(other.log_bytes()) == without_report(one.log_bytes()));

        // The same files in another order: every byte.
        let before = other.log_bytes();
        let [z, b] = files;
        other.import(&[b, z]).unwrap();
        prop_assert!(other.log_bytes() == before);
    }
}
