//! `rpc_`: which namespaces are served, and what our own one offers.

use std::collections::BTreeMap;

use jsonrpsee::types::ErrorObjectOwned;
use serde_json::value::RawValue;

use crate::{
    args::Args,
    context::Context,
    error::{BackendError, RpcResult},
    registry::Registry,
};

pub(crate) fn register(registry: &mut Registry) {
    let served: BTreeMap<String, &str> = registry.namespaces.iter().map(|name| (name.clone(), "1.0")).collect();
    let modules = move |_: jsonrpsee::types::Params<'_>, _: &Context, _: &jsonrpsee::Extensions| {
        Ok::<_, ErrorObjectOwned>(served.clone())
    };
    let added = registry.module.register_method("rpc_modules", modules).map(drop);
    registry.note(added);
    registry.light("rpc_discover", 0, discover);
}

/// The OpenRPC document of `horae_`; a test holds it to the code.
const DOCUMENT: &str = include_str!("horae.openrpc.json");

fn discover(_: &Context, _: &Args) -> RpcResult<&'static RawValue> {
    serde_json::from_str(DOCUMENT).map_err(|why| BackendError::Internal(why.to_string()).into())
}
