//! The console in a headless browser, driven by tests/browser/console.py.
//!
//! Skipped, in words, where there is no Chromium or no playwright; scripts/test.sh brings the latter.

use std::path::Path;
use std::process::{Command, Stdio};

use nextbest_functions::keys::Role;
use nextbest_functions::snapshot;
use nextbest_tests::fixture::{key, order_json};
use nextbest_tests::world::World;
use serde_json::json;

/// Whether a command runs and ends well.
fn works(program: &str, arguments: &[&str]) -> bool {
    let status = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_finds_the_console_as_it_should_be() {
    let browsers = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
    if !browsers.iter().any(|name| works(name, &["--version"])) {
        println!("skipped: no Chromium on this machine ({})", browsers.join(", "));
        return;
    }
    if !works("python3", &["-c", "import playwright, axe_playwright_python"]) {
        println!("skipped: python3 has no playwright; scripts/python-tools.sh installs it");
        return;
    }
    let world = World::new("").await;
    for n in 0..60 {
        let customer = format!("C {n:03}");
        let last = order_json(&customer, 1, n % 88 + 1, 3_000 + 10 * i64::from(n));
        assert_eq!(world.post("/v1/events", &json!({ "events": [last] })).await.0, 200);
    }
    snapshot::build(&world.app).await.unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser/console.py");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("console");
    std::fs::create_dir_all(&folder).unwrap();
    let mut drive = Command::new("python3");
    drive.arg(script).args([&world.base, key(&world.keys, Role::Retention)]).arg(&folder);
    let output = tokio::task::spawn_blocking(move || drive.output()).await.unwrap().unwrap();
    let [told, faults] =
        [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
    let told = told + &faults;
    println!("screenshots in {}\n{told}", folder.display());
    assert!(output.status.success(), "{told}");
}
