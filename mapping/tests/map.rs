//! A mapped file is the file that was there, whatever takes its name later.

use std::fs;

#[test]
fn a_mapping_holds_the_file_it_was_made_of() {
    let folder = tempfile::tempdir().unwrap();
    let (place, beside) = (folder.path().join("a.nba"), folder.path().join("b.nba"));
    let content: Vec<u8> = (0..10_000).map(|at: u32| (at % 251) as u8).collect();
    fs::write(&place, &content).unwrap();
    let bytes = nextbest_mapping::map(&place).unwrap();
    let part = bytes.slice(9_000..);
    fs::write(&beside, b"newer").unwrap();
    fs::rename(&beside, &place).unwrap();
    assert_eq!(bytes, content);
    drop(bytes);
    assert_eq!(part, content[9_000..]);
    assert_eq!(nextbest_mapping::map(&place).unwrap(), b"newer"[..]);
}

#[test]
fn nothing_and_nowhere_are_no_trouble() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("empty.nba");
    assert!(nextbest_mapping::map(&place).is_err());
    fs::write(&place, b"").unwrap();
    assert!(nextbest_mapping::map(&place).unwrap().is_empty());
}
