//! Keys of a development network: anvil's well-known accounts for users, derived ones for everyone else.
//!
//! All of them are public knowledge. They must never hold anything of value.

use alloy::signers::local::PrivateKeySigner;
use alloy_primitives::{B256, b256, keccak256};
use eyre::{Result, WrapErr};

/// Private keys of anvil's ten accounts (mnemonic "test test … junk").
pub const ACCOUNTS: [B256; 10] = [
    b256!("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"),
    b256!("59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"),
    b256!("5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a"),
    b256!("7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6"),
    b256!("47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a"),
    b256!("8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba"),
    b256!("92db14e403b83dfe3df233f83dfa3a0d7096f21ca9b0d6d6b8d88b2b4ec1564e"),
    b256!("4bbbf85ce3377467afe5d46f804f221813b2bb87f24d81f60f1fcdbf7cbf4356"),
    b256!("dbda1821b80551c9d65939329250298aa3472ba22feea921c0cf5d620ea67b97"),
    b256!("2a871d0798f97d79848a013d4936a73bf4cc922c825d33c1cf7073dff6d409c6"),
];

/// The users' signers.
///
/// # Errors
/// Never: the keys are valid.
pub fn accounts() -> Result<Vec<PrivateKeySigner>> {
    ACCOUNTS.iter().map(|key| PrivateKeySigner::from_bytes(key).wrap_err("development key")).collect()
}

/// The key of a part of the network, by name.
///
/// # Errors
/// The hash is no key (one in 2^128).
pub fn derived(name: &str) -> Result<PrivateKeySigner> {
    let secret = keccak256(format!("horae devnet {name}"));
    PrivateKeySigner::from_bytes(&secret).wrap_err("derived key")
}

#[cfg(test)]
mod tests {
    use alloy_primitives::address;

    use super::*;

    #[test]
    fn the_accounts_are_anvils() {
        let signers = accounts().unwrap();
        assert_eq!(signers[0].address(), address!("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266"));
        assert_eq!(signers[9].address(), address!("a0Ee7A142d267C1f36714E4a8F75612F20a79720"));
    }

    #[test]
    fn names_give_different_stable_keys() {
        assert_eq!(derived("owner 1").unwrap().address(), derived("owner 1").unwrap().address());
        assert_ne!(derived("owner 1").unwrap().address(), derived("owner 2").unwrap().address());
    }
}
