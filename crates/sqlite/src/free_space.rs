use std::path::Path;

use crate::error::DbError;

/// Bytes that this user may still write to the file system of `path`.
///
/// # Errors
/// If the file system cannot be asked.
pub fn free_bytes(path: &Path) -> Result<u64, DbError> {
    let stats = rustix::fs::statvfs(path).map_err(|error| DbError::Other(error.to_string()))?;
    Ok(stats.f_bavail.saturating_mul(stats.f_frsize))
}
