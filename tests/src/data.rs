//! Real data that tests read where it is: `$NEXTBEST_DATA`, by default `../shared/data` beside the project.

use std::path::{Path, PathBuf};

/// The project's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The file `name` of the real data, or `None` after saying that the test is skipped.
#[expect(clippy::print_stdout, reason = "a test that is skipped says so")]
pub fn file(name: &str) -> Option<PathBuf> {
    let folder =
        std::env::var_os("NEXTBEST_DATA").map_or_else(|| root().join("../shared/data"), PathBuf::from);
    let file = folder.join(name);
    if file.exists() {
        return Some(file);
    }
    println!("SKIPPED: {} is not there (set NEXTBEST_DATA)", file.display());
    None
}
