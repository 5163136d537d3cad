//! Small files that survive a crash at any moment.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use alloy_primitives::keccak256;

/// Bytes of the checksum in front of the content.
const CHECKSUM_BYTES: usize = 32;

/// Replaces a file: after a crash it holds the old content or the new, never a mixture.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = File::create(&fresh)?;
    file.write_all(keccak256(content).as_slice())?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    sync_parent(path)
}

/// Removes a file for good.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path)?;
    sync_parent(path)
}

/// Content of a file written by [`replace`]; `None` if there is none.
pub(crate) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, format!("{} is damaged", path.display()));
    let (checksum, content) = bytes.split_at_checked(CHECKSUM_BYTES).ok_or_else(damaged)?;
    if keccak256(content).as_slice() != checksum {
        return Err(damaged());
    }
    Ok(Some(content.to_vec()))
}

fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}
