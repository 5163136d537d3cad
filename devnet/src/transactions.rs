//! Transactions of every kind a wallet sends, signed.

use alloy::{
    consensus::{SignableTransaction, Signed, TxEip1559, TxEip2930, TxEip7702, TxEnvelope, TxLegacy},
    eips::{
        eip2718::Encodable2718,
        eip2930::{AccessList, AccessListItem},
        eip7702::Authorization,
    },
    primitives::{Address, B256, Bytes, Signature, TxKind, U256, bytes},
    signers::{SignerSync, local::PrivateKeySigner},
};
use alloy_sol_types::SolCall;
use eyre::{Result, WrapErr};
use l1::contracts::DevnetMetis;

use crate::{foundation::L2_CHAIN_ID, keys};

/// Most a transaction offers per gas, in wei.
const MAX_FEE: u128 = 20_000_000_000;
/// Tip in wei per gas.
const TIP: u128 = 1_000_000;
/// Gas of a call that touches a few slots.
const CALL_GAS: u64 = 150_000;
/// Gas of a deployment.
const CREATE_GAS: u64 = 3_000_000;
/// Creates a contract whose every call reverts (`PUSH0 PUSH0 REVERT`).
const REVERTING: Bytes = bytes!("625f5ffd5f526003601df3");

/// A transaction ready to send.
#[derive(Clone, Debug)]
pub struct Ready {
    /// Hash.
    pub hash: B256,
    /// EIP-2718 bytes.
    pub raw: Bytes,
    /// Sender.
    pub from: Address,
    /// Transaction type.
    pub kind: u64,
    /// Wei that leave the sender besides fees, if it succeeds.
    pub value: U256,
    /// Whether it is meant to succeed.
    pub succeeds: bool,
}

/// A key with its next nonce.
#[derive(Clone, Debug)]
pub struct Wallet {
    /// The key.
    pub signer: PrivateKeySigner,
    /// Next nonce.
    pub nonce: u64,
}

impl Wallet {
    /// The development accounts, with nothing sent yet.
    ///
    /// # Errors
    /// Never: the keys are valid.
    pub fn all() -> Result<Vec<Self>> {
        Ok(keys::accounts()?.into_iter().map(|signer| Self { signer, nonce: 0 }).collect())
    }

    /// Address of the key.
    #[must_use]
    pub const fn address(&self) -> Address {
        self.signer.address()
    }

    fn take_nonce(&mut self) -> u64 {
        let nonce = self.nonce;
        self.nonce = nonce.saturating_add(1);
        nonce
    }

    fn sign<T: SignableTransaction<Signature>>(&self, tx: T, kind: u64, value: U256) -> Result<Ready>
    where
        TxEnvelope: From<Signed<T>>,
    {
        let signature = self.signer.sign_hash_sync(&tx.signature_hash()).wrap_err("signing")?;
        let envelope = TxEnvelope::from(tx.into_signed(signature));
        let raw = envelope.encoded_2718().into();
        Ok(Ready { hash: *envelope.tx_hash(), raw, from: self.address(), kind, value, succeeds: true })
    }

    fn dynamic(&mut self, to: TxKind, value: U256, gas_limit: u64, input: Bytes) -> Result<Ready> {
        let tx = TxEip1559 {
            chain_id: L2_CHAIN_ID,
            nonce: self.take_nonce(),
            gas_limit,
            max_fee_per_gas: MAX_FEE,
            max_priority_fee_per_gas: TIP,
            to,
            value,
            access_list: AccessList::default(),
            input,
        };
        self.sign(tx, 2, value)
    }

    /// A plain transfer (type 2).
    ///
    /// # Errors
    /// The key fails; so for all below.
    pub fn transfer(&mut self, to: Address, value: U256) -> Result<Ready> {
        self.dynamic(to.into(), value, 21_000, Bytes::new())
    }

    /// A transfer as old wallets send it (type 0).
    ///
    /// # Errors
    /// See [`Wallet::transfer`].
    pub fn legacy_transfer(&mut self, to: Address, value: U256) -> Result<Ready> {
        let tx = TxLegacy {
            chain_id: Some(L2_CHAIN_ID),
            nonce: self.take_nonce(),
            gas_price: MAX_FEE,
            gas_limit: 21_000,
            to: to.into(),
            value,
            input: Bytes::new(),
        };
        self.sign(tx, 0, value)
    }

    /// A transfer with an access list (type 1).
    ///
    /// # Errors
    /// See [`Wallet::transfer`].
    pub fn listed_transfer(&mut self, to: Address, value: U256, listed: Address) -> Result<Ready> {
        let item = AccessListItem { address: listed, storage_keys: vec![B256::ZERO] };
        let tx = TxEip2930 {
            chain_id: L2_CHAIN_ID,
            nonce: self.take_nonce(),
            gas_price: MAX_FEE,
            gas_limit: 60_000,
            to: to.into(),
            value,
            access_list: AccessList(vec![item]),
            input: Bytes::new(),
        };
        self.sign(tx, 1, value)
    }

    /// A transfer that carries another key's delegation to `code` (type 4).
    ///
    /// # Errors
    /// See [`Wallet::transfer`].
    pub fn delegating_transfer(
        &mut self,
        to: Address,
        value: U256,
        authority: &PrivateKeySigner,
        code: Address,
    ) -> Result<Ready> {
        let authorization = Authorization { chain_id: U256::from(L2_CHAIN_ID), address: code, nonce: 0 };
        let signature = authority.sign_hash_sync(&authorization.signature_hash()).wrap_err("signing")?;
        let tx = TxEip7702 {
            chain_id: L2_CHAIN_ID,
            nonce: self.take_nonce(),
            gas_limit: CALL_GAS,
            max_fee_per_gas: MAX_FEE,
            max_priority_fee_per_gas: TIP,
            to,
            value,
            access_list: AccessList::default(),
            authorization_list: vec![authorization.into_signed(signature)],
            input: Bytes::new(),
        };
        self.sign(tx, 4, value)
    }

    /// A contract call (type 2).
    ///
    /// # Errors
    /// See [`Wallet::transfer`].
    pub fn call<C: SolCall>(&mut self, to: Address, call: &C) -> Result<Ready> {
        self.dynamic(to.into(), U256::ZERO, CALL_GAS, call.abi_encode().into())
    }

    /// A call that reverts: paid for, without effect.
    ///
    /// # Errors
    /// See [`Wallet::transfer`].
    pub fn failing_call(&mut self, reverting: Address) -> Result<Ready> {
        let ready = self.dynamic(reverting.into(), U256::ZERO, CALL_GAS, Bytes::new())?;
        Ok(Ready { succeeds: false, ..ready })
    }

    /// Deploys an OpenZeppelin ERC-20; returns its address too.
    ///
    /// # Errors
    /// See [`Wallet::transfer`].
    pub fn create_token(&mut self) -> Result<(Ready, Address)> {
        self.create(DevnetMetis::BYTECODE.clone())
    }

    /// Deploys a contract whose every call reverts; returns its address too.
    ///
    /// # Errors
    /// See [`Wallet::transfer`].
    pub fn create_reverting(&mut self) -> Result<(Ready, Address)> {
        self.create(REVERTING)
    }

    fn create(&mut self, code: Bytes) -> Result<(Ready, Address)> {
        let address = self.address().create(self.nonce);
        Ok((self.dynamic(TxKind::Create, U256::ZERO, CREATE_GAS, code)?, address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_nonces_are_what_they_say() {
        let mut wallet = Wallet::all().unwrap().remove(0);
        let to = Address::repeat_byte(7);
        let authority = keys::derived("authority").unwrap();
        let made = [
            wallet.legacy_transfer(to, U256::ONE).unwrap(),
            wallet.listed_transfer(to, U256::ONE, to).unwrap(),
            wallet.transfer(to, U256::ONE).unwrap(),
            wallet.delegating_transfer(to, U256::ONE, &authority, to).unwrap(),
        ];
        for (ready, (kind, prefix)) in made.iter().zip([(0, 0xf8), (1, 1), (2, 2), (4, 4)]) {
            assert_eq!((ready.kind, ready.raw[0]), (kind, prefix));
        }
        assert_eq!(wallet.nonce, 4);
    }

    #[test]
    fn created_addresses_follow_the_nonce() {
        let mut wallet = Wallet::all().unwrap().remove(0);
        let (_, first) = wallet.create_reverting().unwrap();
        let (_, second) = wallet.create_token().unwrap();
        assert_eq!(first, wallet.address().create(0));
        assert_eq!(second, wallet.address().create(1));
    }
}
