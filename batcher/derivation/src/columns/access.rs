//! Access lists (EIP-2930) and authorization lists (EIP-7702).

use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_eips::eip7702::{Authorization, SignedAuthorization};
use alloy_primitives::U256;

use super::decode::Reader;
use super::encode::Writer;
use crate::ChannelError;
use crate::cursor::put_varint;

impl Writer {
    pub(super) fn put_access_list(&mut self, list: &AccessList) {
        put_varint(&mut self.counts, list.len() as u128);
        for item in list.iter() {
            self.addresses.put(item.address);
            put_varint(&mut self.counts, item.storage_keys.len() as u128);
            for key in &item.storage_keys {
                self.words.put(key, &mut self.addresses);
            }
        }
    }

    pub(super) fn put_authorizations(&mut self, list: &[SignedAuthorization]) {
        put_varint(&mut self.counts, list.len() as u128);
        for signed in list {
            self.authorization_chains.put(*signed.chain_id());
            self.addresses.put(*signed.address());
            put_varint(&mut self.nonces, u128::from(signed.nonce()));
            self.parities.push(signed.y_parity());
            self.signatures.extend_from_slice(&signed.r().to_be_bytes::<32>());
            self.signatures.extend_from_slice(&signed.s().to_be_bytes::<32>());
        }
    }
}

impl Reader<'_> {
    pub(super) fn access_list(&mut self) -> Result<AccessList, ChannelError> {
        let count = self.count()?;
        let mut items = Vec::new();
        for _ in 0..count {
            self.charge(22)?;
            let address = self.addresses.take()?;
            let keys = self.count()?;
            let mut storage_keys = Vec::new();
            for _ in 0..keys {
                self.charge(33)?;
                storage_keys.push(self.words.take(&mut self.addresses)?);
            }
            items.push(AccessListItem { address, storage_keys });
        }
        Ok(AccessList(items))
    }

    pub(super) fn authorizations(&mut self) -> Result<Vec<SignedAuthorization>, ChannelError> {
        let count = self.count()?;
        let mut list = Vec::new();
        for _ in 0..count {
            self.charge(100)?;
            let chain_id = self.authorization_chains.take()?;
            let inner = Authorization { chain_id, address: self.addresses.take()?, nonce: self.nonces.varint_u64()? };
            let parity = self.parities.byte()?;
            let r = U256::from_be_slice(self.signatures.take(32)?);
            let s = U256::from_be_slice(self.signatures.take(32)?);
            list.push(SignedAuthorization::new_unchecked(inner, parity, r, s));
        }
        Ok(list)
    }
}
