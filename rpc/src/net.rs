//! `net_`.

use alloy_primitives::U64;

use crate::{args::Args, context::Context, error::RpcResult, registry::Registry};

pub(crate) fn register(registry: &mut Registry) {
    registry.light("net_version", 0, version);
    registry.light("net_listening", 0, |_: &Context, _: &Args| Ok(true));
    registry.light("net_peerCount", 0, peer_count);
}

/// Decimal, unlike everything else.
fn version(context: &Context, _: &Args) -> RpcResult<String> {
    Ok(context.backend.genesis().chain_id.to_string())
}

fn peer_count(context: &Context, _: &Args) -> RpcResult<U64> {
    Ok(U64::from(context.backend.peer_count()))
}
