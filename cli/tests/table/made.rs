//! Tables made for a test, with a truth that is known; and the command that is asked.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// A folder to work in.
pub struct Place(tempfile::TempDir);

impl Place {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// With one file in it.
    pub fn with(name: &str, bytes: impl AsRef<[u8]>) -> Self {
        let place = Self::new();
        place.write(name, bytes);
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub fn run(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_nextbest")).current_dir(self.0.path()).args(args).output().unwrap()
    }

    /// Runs and expects `code`; standard output and standard error.
    pub fn ends(&self, args: &[&str], code: i32) -> (String, String) {
        let told = self.run(args);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&told.stdout), text(&told.stderr));
        assert_eq!(told.status.code(), Some(code), "{args:?}\n{out}\n{err}");
        (out, err)
    }

    /// Fits `t.csv` into `m.nba`, expecting `code`; standard output and standard error.
    pub fn fit(&self, more: &[&str], code: i32) -> (String, String) {
        let args = ["fit", "--table", "t.csv", "--label", "left=yes", "--out", "m.nba"];
        self.ends(&[&args, more].concat(), code)
    }

    /// Fits `t.csv` into `m.nba`; the report.
    pub fn fitted(&self, more: &[&str]) -> Value {
        let (out, err) = self.fit(&[&["--json", "-"], more].concat(), 0);
        assert_eq!(err, "", "no bar where there is no terminal");
        serde_json::from_str(&out).unwrap()
    }
}

/// A file of the optional data, or none, said aloud.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
pub fn data(name: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folder = std::env::var_os("NEXTBEST_DATA").map_or_else(|| root.join("../shared/data"), PathBuf::from);
    let path = folder.join(name);
    if path.exists() {
        return path.canonicalize().ok();
    }
    eprintln!("SKIPPED: {} is not there (set NEXTBEST_DATA)", path.display());
    None
}

/// The report's words on one column.
pub fn column<'a>(report: &'a Value, name: &str) -> &'a Value {
    let columns = report["columns"].as_array().unwrap();
    columns.iter().find(|column| column["name"] == name).unwrap_or_else(|| panic!("{name} in {report}"))
}

/// Numbers that look random, the same in every run (splitmix64).
pub struct Draw(pub u64);

impl Draw {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let hash = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        hash ^ (hash >> 31)
    }

    /// In 0 .. 1.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// In 0 .. n.
    pub fn below(&mut self, n: u64) -> u64 {
        self.bits() % n
    }
}

/// Customers who leave by a logistic truth.
pub struct Customers {
    /// `id,age,plan,member,since,spend,left`.
    pub csv: String,
    /// The true probability of each.
    pub truth: Vec<f64>,
    /// What happened.
    pub left: Vec<bool>,
}

/// `n` customers: log-odds -1 + 0.06 (age - 45) + plan (0.8, -0.8, 0) - 0.7 if a member; `since` and `spend` say
/// nothing; a twentieth of the ages is missing, which says nothing either and counts as 45.
pub fn customers(n: usize, seed: u64) -> Customers {
    let mut draw = Draw(seed);
    let mut made =
        Customers { csv: "id,age,plan,member,since,spend,left\n".to_owned(), truth: vec![], left: vec![] };
    for row in 0..n {
        let age = 20 + draw.below(51);
        let plan = draw.below(3) as usize;
        let member = draw.unit() < 0.4;
        let unknown = draw.unit() < 0.05;
        let slope = if unknown { 0.0 } else { 0.06 * (age as f64 - 45.0) };
        let log_odds = -1.0 + slope + [0.8, -0.8, 0.0][plan] - if member { 0.7 } else { 0.0 };
        let p = 1.0 / (1.0 + (-log_odds).exp());
        let left = draw.unit() < p;
        made.csv += &format!(
            "C{:05},{},{},{},20{:02}-{:02}-{:02},{:.2},{}\n",
            row + 1,
            if unknown { "?".to_owned() } else { age.to_string() },
            ["basic", "family", "pro"][plan],
            if member { "Yes" } else { "No" },
            10 + draw.below(15),
            1 + draw.below(12),
            1 + draw.below(28),
            draw.unit() * 900.0,
            if left { "yes" } else { "no" },
        );
        made.truth.push(p);
        made.left.push(left);
    }
    made
}

/// The share of pairs that `scores` put in order, ties half.
pub fn auc(scores: &[f64], outcomes: &[bool]) -> f64 {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    let (mut wins, mut below, mut start) = (0.0, 0.0, 0);
    while start < order.len() {
        let tied: Vec<usize> =
            order[start..].iter().copied().take_while(|&at| scores[at] == scores[order[start]]).collect();
        let hits = tied.iter().filter(|&&at| outcomes[at]).count() as f64;
        let misses = tied.len() as f64 - hits;
        wins += hits * (below + 0.5 * misses);
        below += misses;
        start += tied.len();
    }
    wins / (below * (scores.len() as f64 - below))
}

/// `bytes` as a gzip file, stored (RFC 1951, 1952).
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let mut blocks = bytes.chunks(65_535).peekable();
    while let Some(block) = blocks.next() {
        let length = u16::try_from(block.len()).unwrap();
        packed.push(u8::from(blocks.peek().is_none()));
        packed.extend(length.to_le_bytes());
        packed.extend((!length).to_le_bytes());
        packed.extend(block);
    }
    let crc = bytes.iter().fold(!0_u32, |crc, &byte| {
        (0..8).fold(
            crc ^ u32::from(byte),
            |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 },
        )
    });
    packed.extend((!crc).to_le_bytes());
    packed.extend(u32::try_from(bytes.len()).unwrap().to_le_bytes());
    packed
}
