//! `rpc_`: which namespaces are served, and what our own one offers.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::{
    args::Args,
    context::Context,
    error::{BackendError, RpcResult},
    registry::Registry,
};

pub(crate) fn register(registry: &mut Registry) {
    registry.light("rpc_modules", 0, modules);
    registry.light("rpc_discover", 0, discover);
}

/// The OpenRPC document of `horae_`; a test holds it to the code.
const DOCUMENT: &str = include_str!("horae.openrpc.json");

fn discover(_: &Context, _: &Args) -> RpcResult<&'static RawValue> {
    serde_json::from_str(DOCUMENT).map_err(|why| BackendError::Internal(why.to_string()).into())
}

fn modules(context: &Context, _: &Args) -> RpcResult<BTreeMap<String, &'static str>> {
    Ok(context.namespaces.iter().map(|name| (name.clone(), "1.0")).collect())
}
