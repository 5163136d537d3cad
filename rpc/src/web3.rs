//! `web3_`.

use alloy_primitives::{B256, keccak256};

use crate::{
    args::{Args, BytesArg},
    context::Context,
    error::RpcResult,
    registry::Registry,
};

pub(crate) fn register(registry: &mut Registry) {
    registry.light("web3_clientVersion", 0, client_version);
    registry.heavy("web3_sha3", 1, sha3);
}

fn client_version(context: &Context, _: &Args) -> RpcResult<String> {
    Ok(context.backend.identity().client_version)
}

fn sha3(_: &Context, args: &Args) -> RpcResult<B256> {
    Ok(keccak256(args.required::<BytesArg>(0)?.0))
}
