//! Positional parameters, parsed strictly, with errors worded as geth words them.

use std::time::Instant;

use alloy_eips::{BlockId, BlockNumberOrTag, RpcBlockHash};
use alloy_primitives::{Address, B256, Bytes, U256, hex};
use alloy_rpc_types_eth::Filter;
use alloy_serde::JsonStorageKey;
use jsonrpsee::types::Params;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::error::{RpcError, RpcResult};

/// The parameters of one call. Trailing `null`s count as absent, surplus parameters are refused.
#[derive(Debug)]
pub(crate) struct Args {
    values: Vec<Box<RawValue>>,
    /// When the call must have ended.
    deadline: Instant,
    brief: bool,
}

impl Args {
    /// Splits the parameter array; `max` is how many the method takes.
    pub(crate) fn parse(params: &Params<'_>, max: usize, deadline: Instant) -> RpcResult<Self> {
        let text = params.as_str().unwrap_or("null");
        if text.starts_with('{') {
            return Err(RpcError::InvalidParams("non-array args: parameters must be given by position".to_owned()));
        }
        let values: Option<Vec<Box<RawValue>>> =
            serde_json::from_str(text).map_err(|_| RpcError::InvalidParams("non-array args".to_owned()))?;
        let values = values.unwrap_or_default();
        if values.len() > max {
            return Err(RpcError::InvalidParams(format!("too many arguments, want at most {max}")));
        }
        Ok(Self { values, deadline, brief: false })
    }

    /// For a first try that must have ended at `until`; see [`Self::brief`].
    pub(crate) fn tried_until(self, until: Instant) -> Self {
        Self { deadline: until, brief: true, ..self }
    }

    /// For the whole of its time again.
    pub(crate) fn whole(self, deadline: Instant) -> Self {
        Self { deadline, brief: false, ..self }
    }

    /// Whether this is a try on a thread where others wait: what takes long ends with [`RpcError::Timeout`] and is asked again
    /// elsewhere.
    pub(crate) const fn brief(&self) -> bool {
        self.brief
    }

    /// When the call must have ended.
    pub(crate) const fn deadline(&self) -> Instant {
        self.deadline
    }

    fn raw(&self, index: usize) -> Option<&str> {
        self.values.get(index).map(|value| value.get()).filter(|text| *text != "null")
    }

    /// A parameter that must be there.
    pub(crate) fn required<T: DeserializeOwned>(&self, index: usize) -> RpcResult<T> {
        self.optional(index)?
            .ok_or_else(|| RpcError::InvalidParams(format!("missing value for required argument {index}")))
    }

    /// A parameter that may be absent or `null`.
    pub(crate) fn optional<T: DeserializeOwned>(&self, index: usize) -> RpcResult<Option<T>> {
        match self.raw(index) {
            None => Ok(None),
            Some(text) => serde_json::from_str(text).map(Some).map_err(|why| RpcError::argument(index, clean(&why))),
        }
    }

    /// A log filter. Members that it does not know are left out: clients send more than the specification has.
    pub(crate) fn filter(&self, index: usize) -> RpcResult<Filter> {
        const MEMBERS: [&str; 5] = ["fromBlock", "toBlock", "blockHash", "address", "topics"];
        let strict = self.required(index);
        match self.raw(index).map(serde_json::from_str::<serde_json::Map<_, _>>) {
            Some(Ok(mut members)) if strict.is_err() => {
                members.retain(|name, _| MEMBERS.contains(&name.as_str()));
                serde_json::from_value(members.into()).map_err(|why| RpcError::argument(index, clean(&why)))
            }
            _ => strict,
        }
    }

    /// A block parameter; `latest` when absent.
    pub(crate) fn block_or_latest(&self, index: usize) -> RpcResult<BlockId> {
        Ok(self.optional::<BlockArg>(index)?.map_or_else(BlockId::latest, |block| block.0))
    }

    /// Whether the parameter is there.
    pub(crate) fn has(&self, index: usize) -> bool {
        self.raw(index).is_some()
    }

    /// Whether the parameter is a JSON object.
    pub(crate) fn is_object(&self, index: usize) -> bool {
        self.raw(index).is_some_and(|text| text.starts_with('{'))
    }
}

/// Drops serde's position, which refers to a fragment the client never sees, and bounds the echo of hostile input.
fn clean(why: &serde_json::Error) -> String {
    const MAX_ECHO: usize = 200;
    let text = why.to_string();
    let text = text.split(" at line ").next().unwrap_or_default();
    text.chars().take(MAX_ECHO).collect()
}

/// A hex quantity: `0x`, no leading zeros, at most 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quantity(pub(crate) u64);

/// The rules of the Ethereum API for quantities, with geth's words for each breach.
fn parse_quantity(text: &str) -> Result<u64, &'static str> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let digits = digits.ok_or(if text.is_empty() { "empty hex string" } else { "hex string without 0x prefix" })?;
    if digits.is_empty() {
        return Err("hex string \"0x\"");
    }
    if digits.len() > 1 && digits.starts_with('0') {
        return Err("hex number with leading zero digits");
    }
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err("invalid hex string");
    }
    u64::from_str_radix(digits, 16).map_err(|_| "hex number > 64 bits")
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_quantity(&text).map(Self).map_err(serde::de::Error::custom)
    }
}

/// A quantity that older clients also write as a JSON number or a decimal string (fee history counts).
#[derive(Debug, Clone, Copy)]
pub(crate) struct LenientQuantity(pub(crate) u64);

impl<'de> Deserialize<'de> for LenientQuantity {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Number(u64),
            Text(String),
        }
        match Form::deserialize(deserializer) {
            Ok(Form::Number(number)) => Ok(Self(number)),
            Ok(Form::Text(text)) if text.starts_with("0x") => {
                parse_quantity(&text).map(Self).map_err(serde::de::Error::custom)
            }
            Ok(Form::Text(text)) => text.parse().map(Self).map_err(|_| serde::de::Error::custom("invalid quantity")),
            Err(_) => Err(serde::de::Error::custom("invalid quantity")),
        }
    }
}

/// A block number or tag.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NumberOrTag(pub(crate) BlockNumberOrTag);

fn parse_number_or_tag(text: &str) -> Result<BlockNumberOrTag, &'static str> {
    Ok(match text {
        "latest" => BlockNumberOrTag::Latest,
        "safe" => BlockNumberOrTag::Safe,
        "finalized" => BlockNumberOrTag::Finalized,
        "earliest" => BlockNumberOrTag::Earliest,
        "pending" => BlockNumberOrTag::Pending,
        _ => BlockNumberOrTag::Number(parse_quantity(text)?),
    })
}

impl<'de> Deserialize<'de> for NumberOrTag {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_number_or_tag(&text).map(Self).map_err(serde::de::Error::custom)
    }
}

/// A block parameter: number, tag, hash or EIP-1898 object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockArg(pub(crate) BlockId);

impl<'de> Deserialize<'de> for BlockArg {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        struct Object {
            block_number: Option<NumberOrTag>,
            block_hash: Option<HashArg>,
            require_canonical: Option<bool>,
        }
        use serde::de::Error;
        // Through a value, because an untagged enum would replace the precise reasons by "no variant matches".
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(text) if text.len() == 66 => {
                let hash: HashArg = serde_json::from_value(text.into()).map_err(D::Error::custom)?;
                Ok(Self(BlockId::hash(hash.0)))
            }
            serde_json::Value::String(text) => {
                parse_number_or_tag(&text).map(|number| Self(number.into())).map_err(D::Error::custom)
            }
            object @ serde_json::Value::Object(_) => {
                let object: Object = serde_json::from_value(object).map_err(D::Error::custom)?;
                match (object.block_number, object.block_hash) {
                    (Some(_), Some(_)) => {
                        Err(D::Error::custom("cannot specify both BlockHash and BlockNumber, choose one or the other"))
                    }
                    (Some(number), None) => Ok(Self(number.0.into())),
                    (None, Some(hash)) => Ok(Self(RpcBlockHash::from_hash(hash.0, object.require_canonical).into())),
                    (None, None) => Err(D::Error::custom("block object names neither blockNumber nor blockHash")),
                }
            }
            _ => Err(D::Error::custom("block must be a hex number, a tag, a hash or an object")),
        }
    }
}

fn prefixed_bytes(text: &str) -> Result<Vec<u8>, &'static str> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let digits = digits.ok_or(if text.is_empty() { "empty hex string" } else { "hex string without 0x prefix" })?;
    if digits.len() % 2 == 1 {
        return Err("hex string of odd length");
    }
    hex::decode(digits).map_err(|_| "invalid hex string")
}

/// 32 bytes, with prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct HashArg(pub(crate) B256);

impl<'de> Deserialize<'de> for HashArg {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = prefixed_bytes(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)?;
        B256::try_from(bytes.as_slice()).map(Self).map_err(|_| {
            serde::de::Error::custom(format!(
                "hex string has length {}, want 64 for a hash",
                bytes.len().saturating_mul(2)
            ))
        })
    }
}

/// 20 bytes, with prefix, checksum not enforced (as geth).
#[derive(Debug, Clone, Copy)]
pub(crate) struct AddressArg(pub(crate) Address);

impl<'de> Deserialize<'de> for AddressArg {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = prefixed_bytes(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)?;
        Address::try_from(bytes.as_slice()).map(Self).map_err(|_| {
            serde::de::Error::custom(format!(
                "hex string has length {}, want 40 for an address",
                bytes.len().saturating_mul(2)
            ))
        })
    }
}

/// Bytes of any length, with prefix.
#[derive(Debug, Clone)]
pub(crate) struct BytesArg(pub(crate) Bytes);

impl<'de> Deserialize<'de> for BytesArg {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = prefixed_bytes(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)?;
        Ok(Self(bytes.into()))
    }
}

/// A storage slot: 32 bytes, or a shorter number as web3.py sends it (`0x0`).
#[derive(Debug, Clone, Copy)]
pub(crate) struct SlotArg(pub(crate) JsonStorageKey);

impl<'de> Deserialize<'de> for SlotArg {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let text = String::deserialize(deserializer)?;
        // The prefix may be missing (as in geth).
        let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(&text);
        if digits.len() > 64 {
            return Err(D::Error::custom("storage key too long (want at most 32 bytes)"));
        }
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(D::Error::custom("invalid hex string"));
        }
        let number =
            if digits.is_empty() { U256::ZERO } else { U256::from_str_radix(digits, 16).map_err(D::Error::custom)? };
        Ok(Self(if digits.len() == 64 { JsonStorageKey::Hash(number.into()) } else { JsonStorageKey::Number(number) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_strict() {
        for (text, want) in [("0x0", Some(0)), ("0x1b4", Some(436)), ("0xffffffffffffffff", Some(u64::MAX))] {
            assert_eq!(parse_quantity(text).ok(), want, "{text}");
        }
        for text in ["", "0x", "1", "0x01", "0x00", "-0x1", "0x-1", "0x+1", "0x1 ", "0xg", "0x10000000000000000", "١"]
        {
            assert!(parse_quantity(text).is_err(), "{text}");
        }
    }

    #[test]
    fn block_arguments() {
        let parse = |text: &str| serde_json::from_str::<BlockArg>(text).map(|block| block.0);
        assert_eq!(parse("\"latest\"").unwrap(), BlockId::latest());
        assert_eq!(parse("\"0x10\"").unwrap(), BlockId::number(16));
        assert_eq!(parse(r#"{"blockNumber":"safe"}"#).unwrap(), BlockId::safe());
        let hash = B256::repeat_byte(1);
        assert_eq!(parse(&format!("\"{hash}\"")).unwrap(), BlockId::hash(hash));
        let canonical = format!(r#"{{"blockHash":"{hash}","requireCanonical":true}}"#);
        assert_eq!(parse(&canonical).unwrap(), BlockId::hash_canonical(hash));
        for bad in ["\"Latest\"", "\"newest\"", "1", "{}", "[]", r#"{"blockNumber":1}"#, r#"{"number":"0x1"}"#, "true"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn slots_keep_the_width_that_was_sent() {
        let parse = |text: &str| serde_json::from_str::<SlotArg>(text).map(|slot| slot.0.to_string());
        assert_eq!(parse("\"0x0\"").unwrap(), "0x0");
        assert_eq!(parse("\"0x\"").unwrap(), "0x0");
        assert_eq!(parse(&format!("\"{}\"", B256::ZERO)).unwrap(), B256::ZERO.to_string());
        assert!(parse(&format!("\"0x0{}\"", "0".repeat(64))).is_err());
        assert_eq!(parse("\"12\"").unwrap(), "0x12");
        assert!(parse("\"latest\"").is_err());
    }
}
