//! Owns where a user's files in memory lie. It must never make the folder.

use std::path::PathBuf;

/// Why a user's runtime directory is not known.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeDirError {
    /// The session did not set it.
    #[error("cannot tell the runtime directory: XDG_RUNTIME_DIR is not set")]
    Unset,
    /// It is no absolute path.
    #[error("cannot tell the runtime directory: {} is no absolute path", path.display())]
    Relative {
        /// What was found.
        path: PathBuf,
    },
    /// `getconf DARWIN_USER_TEMP_DIR` failed.
    #[error("cannot ask getconf for DARWIN_USER_TEMP_DIR")]
    Getconf(#[source] std::io::Error),
}

/// `XDG_RUNTIME_DIR`, given as the environment has it; on macOS the user's temporary folder, without a last slash.
///
/// # Errors
/// [`RuntimeDirError`].
pub fn runtime_dir(xdg_runtime_dir: Option<PathBuf>) -> Result<String, RuntimeDirError> {
    let path = found(xdg_runtime_dir)?;
    match path.to_str() {
        Some(text) if path.is_absolute() => Ok(text.trim_end_matches('/').to_owned()),
        _ => Err(RuntimeDirError::Relative { path }),
    }
}

#[cfg(not(target_os = "macos"))]
fn found(xdg_runtime_dir: Option<PathBuf>) -> Result<PathBuf, RuntimeDirError> {
    xdg_runtime_dir.ok_or(RuntimeDirError::Unset)
}

#[cfg(target_os = "macos")]
fn found(_xdg_runtime_dir: Option<PathBuf>) -> Result<PathBuf, RuntimeDirError> {
    let output = std::process::Command::new("/usr/bin/getconf")
        .arg("DARWIN_USER_TEMP_DIR")
        .env_clear()
        .output()
        .map_err(RuntimeDirError::Getconf)?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(PathBuf::from(text.trim()))
}
