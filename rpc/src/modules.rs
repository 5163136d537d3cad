//! `rpc_`: which namespaces are served.

use std::collections::BTreeMap;

use crate::{args::Args, context::Context, error::RpcResult, registry::Registry};

pub(crate) fn register(registry: &mut Registry) {
    registry.light("rpc_modules", 0, modules);
}

fn modules(context: &Context, _: &Args) -> RpcResult<BTreeMap<String, &'static str>> {
    Ok(context.namespaces.iter().map(|name| (name.clone(), "1.0")).collect())
}
