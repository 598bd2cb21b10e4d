//! The bytes of an artifact: header, table of sections, sections. Little-endian throughout.
//!
//! ```text
//!   0  magic, 8 bytes: 89 'N' 'B' 'A' 0d 0a 1a 0a (text-mode copying and truncation show at once)
//!   8  format version, u32          12  number of sections, u32
//!  16  length of the file, u64      24  XXH3-64 of all bytes but these 8, u64 (zero in format 1)
//!  32  SHA-256 of all bytes but these 32, the checksum taken as zero
//!  64  the table: per section kind u32, zero u32, offset u64, length u64
//!   .  the sections, each starting at a multiple of 8, gaps zero
//! ```
//! Section 0 is the metadata (JSON). The checksum covers every byte but itself, and a changed checksum does not match:
//! any flipped bit is found at open. The SHA-256 is the file's identity; recomputing it takes thirty times as long and is
//! left to `nextbest verify` (files of format 1 have nothing else and are checked by it at open). Nothing here knows what a section means.

use std::hash::Hasher;
use std::ops::Range;

use sha2::{Digest, Sha256};
use twox_hash::XxHash3_64;
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::ArtifactError;
use crate::digest::hex;

/// The first eight bytes.
pub const MAGIC: [u8; 8] = [0x89, b'N', b'B', b'A', 0x0d, 0x0a, 0x1a, 0x0a];
/// The version this code writes; it reads every version from 1 to this one.
pub const FORMAT_VERSION: u32 = 2;
/// Most sections of one file.
const MAX_SECTIONS: usize = 4096;

/// What a section holds. A new kind of model is a new number; numbers are never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum SectionKind {
    /// [`super::metadata::Metadata`] as JSON.
    Metadata = 1,
    /// A linear model.
    Linear = 2,
    /// A forest.
    Forest = 3,
    /// A calibration's numbers.
    Calibration = 4,
    /// Rows with their expected scores.
    Golden = 5,
    /// A demand model.
    Demand = 6,
    /// Additive trees.
    Trees = 7,
    /// A blend: numbers of other sections, and weights.
    Blend = 8,
    /// A probability interval's numbers.
    Interval = 16,
    /// [`crate::value::LifetimeModel`] as JSON.
    LifetimeValue = 17,
    /// An uplift calibration's numbers.
    Uplift = 18,
    /// The numbers of a [`crate::value::RealisedLine`].
    RealisedValue = 19,
}

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Header {
    magic: [u8; 8],
    format_version: U32,
    n_sections: U32,
    length: U64,
    checksum: U64,
    sha256: [u8; 32],
}

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Entry {
    kind: U32,
    zero: U32,
    offset: U64,
    length: U64,
}

const CHECKSUM: Range<usize> = 24..32;
const DIGEST: Range<usize> = 32..64;

/// A section's kind (as a number: it may be of a kind this version does not know) and place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) kind: u32,
    pub(super) range: Range<usize>,
}

/// Checks magic, version, length, digest and table of `bytes`: the sections, and the digest in hex.
pub(super) fn open(bytes: &[u8]) -> Result<(Vec<Section>, String), ArtifactError> {
    let n = bytes.len();
    if !bytes.starts_with(&MAGIC[..n.min(MAGIC.len())]) || n == 0 {
        return Err(ArtifactError::Magic);
    }
    let Ok((header, rest)) = Header::ref_from_prefix(bytes) else {
        return Err(ArtifactError::Truncated { expected: size_of::<Header>() as u64, found: n as u64 });
    };
    let version = header.format_version.get();
    if version > FORMAT_VERSION || version == 0 {
        return Err(ArtifactError::Version { found: version, newest: FORMAT_VERSION });
    }
    if header.length.get() != n as u64 {
        let (expected, found) = (header.length.get(), n as u64);
        return Err(if expected > found {
            ArtifactError::Truncated { expected, found }
        } else {
            ArtifactError::Trailing { expected, found }
        });
    }
    if version == 1 {
        check_digest(bytes)?;
    } else if checksum(bytes) != header.checksum.get() {
        let (expected, found) = (header.checksum.get(), checksum(bytes));
        return Err(ArtifactError::Checksum { expected, found });
    }
    let n_sections = header.n_sections.get() as usize;
    let Ok((entries, _)) = <[Entry]>::ref_from_prefix_with_elems(rest, n_sections.min(MAX_SECTIONS + 1))
    else {
        return Err(ArtifactError::Table(n_sections));
    };
    if n_sections == 0 || n_sections > MAX_SECTIONS {
        return Err(ArtifactError::Table(n_sections));
    }
    let sections = entries.iter().enumerate().map(|(at, entry)| {
        let start = usize::try_from(entry.offset.get()).ok();
        let end = start.and_then(|start| start.checked_add(usize::try_from(entry.length.get()).ok()?));
        match (start, end) {
            (Some(start), Some(end)) if end <= n => Ok(Section { kind: entry.kind.get(), range: start..end }),
            _ => Err(ArtifactError::Section { section: at, message: "lies outside the file".to_owned() }),
        }
    });
    Ok((sections.collect::<Result<_, _>>()?, hex(&header.sha256)))
}

/// Whether the bytes have the SHA-256 they name.
pub(super) fn check_digest(bytes: &[u8]) -> Result<(), ArtifactError> {
    let (expected, found) = (bytes.get(DIGEST).unwrap_or(&[]), digest(bytes));
    if expected == found {
        Ok(())
    } else {
        Err(ArtifactError::Digest { expected: hex(expected), found: hex(&found) })
    }
}

/// The file of `sections`, the first being the metadata.
pub(super) fn seal(sections: &[(SectionKind, Vec<u8>)]) -> Vec<u8> {
    let table = size_of::<Header>() + sections.len() * size_of::<Entry>();
    let (mut entries, mut body) = (Vec::new(), Vec::new());
    for (kind, content) in sections {
        let offset = table + body.len();
        entries.push(Entry {
            kind: U32::new(*kind as u32),
            zero: U32::new(0),
            offset: U64::new(offset as u64),
            length: U64::new(content.len() as u64),
        });
        body.extend_from_slice(content);
        body.resize(body.len().next_multiple_of(8), 0);
    }
    let header = Header {
        magic: MAGIC,
        format_version: U32::new(FORMAT_VERSION),
        n_sections: U32::new(u32::try_from(sections.len()).unwrap_or(u32::MAX)),
        length: U64::new((table + body.len()) as u64),
        checksum: U64::new(0),
        sha256: [0; 32],
    };
    let mut bytes = header.as_bytes().to_vec();
    entries.iter().for_each(|entry| bytes.extend_from_slice(entry.as_bytes()));
    bytes.extend(body);
    let digest = digest(&bytes);
    bytes[DIGEST].copy_from_slice(&digest);
    let checksum = checksum(&bytes);
    bytes[CHECKSUM].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(bytes.get(..CHECKSUM.start).unwrap_or(&[]));
    hasher.update([0; CHECKSUM.end - CHECKSUM.start]);
    hasher.update(bytes.get(DIGEST.end..).unwrap_or(&[]));
    hasher.finalize().into()
}

fn checksum(bytes: &[u8]) -> u64 {
    let mut hasher = XxHash3_64::default();
    hasher.write(bytes.get(..CHECKSUM.start).unwrap_or(&[]));
    hasher.write(bytes.get(CHECKSUM.end..).unwrap_or(&[]));
    hasher.finish()
}
