//! Loading of the hot key, and carrying what it has signed to another machine. The key never appears in logs, in `Debug` or in
//! arguments.

use std::{fs, path::Path};

use alloy::signers::local::PrivateKeySigner;
use alloy_primitives::hex;
use eyre::WrapErr;
use k256::ecdsa::SigningKey;
use protocol::signing::address_of;
use rand::RngCore;

use crate::config::{Config, SignerConfig};

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A sequencer needs one.
    #[error("a sequencer needs a signer: set signer.key_file, or signer.keystore with signer.password_file")]
    None,
    /// More than one source.
    #[error("signer.key_file and signer.keystore exclude each other")]
    Ambiguous,
    /// A file cannot be read or written.
    #[error("{path}: {why}")]
    File {
        /// Which.
        path: String,
        /// The system's reason.
        why: std::io::Error,
    },
    /// Not 64 hex digits, or not a key.
    #[error("{0} does not hold a secp256k1 key as 64 hex digits")]
    Malformed(String),
    /// Wrong password or damaged keystore.
    #[error("keystore {0} cannot be opened with this password")]
    Keystore(String),
}

fn read(path: &Path) -> Result<String, KeyError> {
    fs::read_to_string(path).map_err(|why| KeyError::File { path: path.display().to_string(), why })
}

/// Loads the configured key.
///
/// # Errors
/// See [`KeyError`].
pub fn load(config: &SignerConfig) -> Result<SigningKey, KeyError> {
    match (&config.key_file, &config.keystore) {
        (Some(_), Some(_)) => Err(KeyError::Ambiguous),
        (Some(path), None) => {
            let malformed = || KeyError::Malformed(path.display().to_string());
            let bytes = hex::decode(read(path)?.trim()).map_err(|_| malformed())?;
            SigningKey::from_slice(&bytes).map_err(|_| malformed())
        }
        (None, Some(path)) => {
            let password = config.password_file.as_deref().ok_or(KeyError::None).and_then(read)?;
            let signer = PrivateKeySigner::decrypt_keystore(path, password.trim_end_matches(['\r', '\n']))
                .map_err(|_| KeyError::Keystore(path.display().to_string()))?;
            Ok(signer.into_credential())
        }
        (None, None) => Err(KeyError::None),
    }
}

/// Loads a key that need not be configured.
///
/// # Errors
/// See [`KeyError`].
pub fn load_optional(config: &SignerConfig) -> Result<Option<SigningKey>, KeyError> {
    match load(config) {
        Err(KeyError::None) if config.keystore.is_none() => Ok(None),
        key => key.map(Some),
    }
}

/// Loads the keys a sequencer signs with: the present one and, if there is one, the next.
///
/// # Errors
/// See [`KeyError`].
pub fn load_signers(config: &Config) -> Result<Vec<SigningKey>, KeyError> {
    Ok([Some(load(&config.signer)?), load_optional(&config.next_signer)?].into_iter().flatten().collect())
}

/// Writes what the configured keys have signed last to a new file; no node may run in the data folder.
///
/// # Errors
/// A key or record cannot be read, or the file exists.
pub fn export_records(config: &Config, path: &Path) -> eyre::Result<()> {
    let keys = load_signers(config)?;
    let records = keys.iter().map(|key| consensus::export_record(&config.consensus_dir(), address_of(key)));
    let records = records.collect::<Result<Vec<_>, _>>()?;
    Ok(write_private(path, &serde_json::to_string_pretty(&records)?)?)
}

/// Adds what such a file says to the records in the data folder, which no node may use.
///
/// # Errors
/// The file cannot be read, or a record contradicts it, is newer or cannot be written.
pub fn import_records(config: &Config, path: &Path) -> eyre::Result<()> {
    let records: Vec<consensus::Interchange> = serde_json::from_str(&read(path)?).wrap_err("not an export")?;
    Ok(records.iter().try_for_each(|record| consensus::import_record(&config.consensus_dir(), record))?)
}

/// Reads 32 secret bytes from a file, or makes them and writes the file readable by its owner only.
///
/// # Errors
/// The file cannot be read or written, or has another length.
pub fn secret_file(path: &Path) -> Result<[u8; 32], KeyError> {
    if path.exists() {
        let text = read(path)?;
        let malformed = || KeyError::Malformed(path.display().to_string());
        return hex::decode(text.trim()).map_err(|_| malformed())?.try_into().map_err(|_| malformed());
    }
    let mut bytes = [0u8; 32];
    rand::rng().fill_bytes(&mut bytes);
    write_private(path, &hex::encode(bytes))?;
    Ok(bytes)
}

/// Makes a new signing key in a file that must not exist yet.
///
/// # Errors
/// The file exists or cannot be written.
pub fn create(path: &Path) -> Result<SigningKey, KeyError> {
    let mut bytes = [0u8; 32];
    loop {
        rand::rng().fill_bytes(&mut bytes);
        // All but 2^-128 of the values are keys.
        if let Ok(key) = SigningKey::from_slice(&bytes) {
            write_private(path, &hex::encode(bytes))?;
            return Ok(key);
        }
    }
}

fn write_private(path: &Path, text: &str) -> Result<(), KeyError> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    let write = || -> std::io::Result<()> {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(|why| KeyError::File { path: path.display().to_string(), why })
}

#[cfg(test)]
mod tests {
    use consensus::record::{Interchange, Signed, Step};

    use super::*;

    #[test]
    fn what_a_key_has_signed_moves_to_another_folder_once() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| {
            let mut config = Config { data_dir: folder.path().join(name), ..Config::default() };
            config.signer.key_file = Some(folder.path().join("signer.key"));
            config
        };
        let (here, there) = (at("here"), at("there"));
        let signer = address_of(&create(&folder.path().join("signer.key")).unwrap());
        let vote = Signed { round: 0, step: Step::Prevote, pol_round: -1, block_hash: [7; 32].into() };
        let record = Interchange { signer, height: 5, signed: vec![vote] };
        consensus::import_record(&here.consensus_dir(), &record).unwrap();
        let file = folder.path().join("export");
        export_records(&here, &file).unwrap();
        assert!(export_records(&here, &file).is_err(), "the file exists");
        import_records(&there, &file).unwrap();
        assert_eq!(consensus::export_record(&there.consensus_dir(), signer).unwrap(), record);
        let later = Interchange { height: 6, ..record };
        consensus::import_record(&there.consensus_dir(), &later).unwrap();
        assert!(import_records(&there, &file).is_err(), "it is older");
    }
}
