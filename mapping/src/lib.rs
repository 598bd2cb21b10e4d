//! A file as bytes without a copy: artifacts are mapped, not read.
//!
//! Of opening an artifact the copy into fresh memory costs more than the checksum: with both, files of 0.6 to 1.9 MB
//! took 10 to 37 % less time mapped than read (medians of 600; tests/benches/row.rs times the whole opening). That earns
//! this room the one unsafe call of the workspace; nothing else may live here.

use std::fs::File;
use std::io;
use std::path::Path;

use bytes::Bytes;
use memmap2::Mmap;

/// The bytes of the file at `path`, mapped for reading until the last of their clones is dropped.
///
/// The file must stay as it is meanwhile: sealed files are, as they are written beside their place, renamed, and never
/// written again. Replacing one by a rename does no harm, the mapping keeps the old; writing into one in place shows in
/// the bytes, and cutting one off ends the process when the missing part is read.
pub fn map(path: &Path) -> io::Result<Bytes> {
    let file = File::open(path)?;
    #[expect(unsafe_code, reason = "no safe call maps a file: another process may write to it")]
    // SAFETY: the mapping is read-only, and what is mapped is sealed: replaced by renaming, never written in place.
    let mapping = unsafe { Mmap::map(&file)? };
    Ok(Bytes::from_owner(mapping))
}
