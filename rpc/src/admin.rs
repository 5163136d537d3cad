//! `admin_`: what operators ask of their node, on the Unix socket and on the port with a token.

use alloy_primitives::{Address, B256};
use serde::Serialize;

use crate::{
    args::Args,
    context::Context,
    error::{RpcError, RpcResult},
    registry::Registry,
};

/// Longest log filter or peer address.
const MAX_TEXT: usize = 4_096;

/// What operators may see and do. The node implements it beside [`crate::Backend`].
pub trait Operator: Send + Sync + 'static {
    /// Who this node is.
    fn node(&self) -> OperatedNode;
    /// Connected peers.
    fn peers(&self) -> Vec<Peer>;
    /// Dials a multiaddress once.
    ///
    /// # Errors
    /// One line that says why not.
    fn add_peer(&self, address: &str) -> Result<(), String>;
    /// Closes the connections to a peer, named by its id or by an address that ends in it.
    ///
    /// # Errors
    /// One line that says why not.
    fn remove_peer(&self, peer: &str) -> Result<(), String>;
    /// The filter of the logs.
    fn log_filter(&self) -> String;
    /// Sets the filter of the logs until the node stops.
    ///
    /// # Errors
    /// One line that says why not.
    fn set_log_filter(&self, filter: &str) -> Result<(), String>;
}

/// Who a node is, for `admin_nodeInfo`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OperatedNode {
    /// Its peer id in the network of transactions, slices and batch signatures.
    pub id: String,
    /// Client and version.
    pub name: String,
    /// `sequencer`, `follower` or `l1-follower`.
    pub role: String,
    /// Its signer, if it has one.
    pub signer: Option<Address>,
    /// Whether the signer is in the set of the head's epoch.
    pub in_set: bool,
    /// Chain id of L2.
    pub chain_id: u64,
    /// Hash of the genesis block.
    pub genesis: B256,
    /// Multiaddresses it listens on.
    pub listen_addresses: Vec<String>,
}

/// A connected peer, for `admin_peers`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Peer {
    /// Its peer id.
    pub id: String,
    /// Its address as we see it.
    pub address: String,
    /// What it says it runs.
    pub name: Option<String>,
    /// Whether it dialled us.
    pub inbound: bool,
    /// The signer it proved to belong to.
    pub signer: Option<Address>,
    /// Whether that signer is in the sequencer set.
    pub in_set: bool,
    /// Its newest decided height, as it claims.
    pub latest: Option<u64>,
    /// Points, from 0 down to the ban.
    pub score: i64,
}

pub(crate) fn register(registry: &mut Registry) {
    registry.light("admin_nodeInfo", 0, |context: &Context, _: &Args| Ok(operator(context)?.node()));
    registry.light("admin_peers", 0, |context: &Context, _: &Args| Ok(operator(context)?.peers()));
    registry
        .light("admin_addPeer", 1, |context: &Context, args: &Args| done(operator(context)?.add_peer(&text(args)?)));
    registry.light("admin_removePeer", 1, |context: &Context, args: &Args| {
        done(operator(context)?.remove_peer(&text(args)?))
    });
    registry.light("admin_logFilter", 0, |context: &Context, _: &Args| Ok(operator(context)?.log_filter()));
    registry.light("admin_setLogFilter", 1, |context: &Context, args: &Args| {
        done(operator(context)?.set_log_filter(&text(args)?))
    });
}

fn operator(context: &Context) -> RpcResult<&dyn Operator> {
    context.backend.operator().ok_or_else(|| RpcError::Refused("this node cannot be operated".to_owned()))
}

fn text(args: &Args) -> RpcResult<String> {
    let text: String = args.required(0)?;
    if text.len() > MAX_TEXT {
        return Err(RpcError::argument(0, format_args!("longer than {MAX_TEXT} bytes")));
    }
    Ok(text)
}

fn done(outcome: Result<(), String>) -> RpcResult<bool> {
    outcome.map(|()| true).map_err(RpcError::Refused)
}
