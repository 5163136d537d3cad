//! What operators see and do over `admin_`.

use std::sync::{Arc, OnceLock};

use alloy_primitives::{Address, B256};
use network::{Multiaddr, NetworkHandle, PeerId};
use protocol::Height;
use rpc::{OperatedNode, Operator, Peer};

use crate::{chain::Chain, config::Role, telemetry};

/// The node, as its operator deals with it.
pub struct NodeOperator {
    chain: Arc<Chain>,
    role: Role,
    signer: Option<Address>,
    name: String,
    genesis: B256,
    /// Missing until the network has started, and on a node that follows L1 alone.
    network: OnceLock<NetworkHandle>,
}

impl NodeOperator {
    /// An operator's view of a node without a network.
    #[must_use]
    pub const fn new(chain: Arc<Chain>, role: Role, signer: Option<Address>, name: String, genesis: B256) -> Self {
        Self { chain, role, signer, name, genesis, network: OnceLock::new() }
    }

    /// Names the network that the node has started.
    pub fn attach(&self, network: NetworkHandle) {
        // A node starts one network.
        let _second = self.network.set(network);
    }

    fn network(&self) -> Result<&NetworkHandle, String> {
        let why = if self.role == Role::L1Follower { "a node that follows L1 has no peers" } else { "still starting" };
        self.network.get().ok_or_else(|| why.to_owned())
    }

    fn in_set(&self, signer: Address) -> bool {
        let epoch = self.chain.genesis().params.epoch_of(Height(self.chain.head().header.number).next());
        let info = self.chain.epochs().get(epoch);
        info.is_ok_and(|info| info.set.members().iter().any(|member| member.signer == signer))
    }
}

impl Operator for NodeOperator {
    fn node(&self) -> OperatedNode {
        let role = match self.role {
            Role::Sequencer => "sequencer",
            Role::Follower => "follower",
            Role::L1Follower => "l1-follower",
        };
        let network = self.network.get();
        let addresses = network.map(|network| network.listen_addresses()).unwrap_or_default();
        OperatedNode {
            id: network.map(|network| network.local_peer_id().to_string()).unwrap_or_default(),
            name: self.name.clone(),
            role: role.to_owned(),
            signer: self.signer,
            in_set: self.signer.is_some_and(|signer| self.in_set(signer)),
            chain_id: self.chain.genesis().chain_id,
            genesis: self.genesis,
            listen_addresses: addresses.iter().map(ToString::to_string).collect(),
        }
    }

    fn peers(&self) -> Vec<Peer> {
        let peers = self.network.get().map(NetworkHandle::peers).unwrap_or_default();
        let peer = |peer: &network::PeerInfo| Peer {
            id: peer.peer.to_string(),
            address: peer.address.to_string(),
            name: peer.agent.clone(),
            inbound: peer.inbound,
            signer: peer.signer,
            in_set: peer.member,
            latest: peer.heads.map(|heads| heads.height.0),
            score: peer.score,
        };
        peers.iter().map(peer).collect()
    }

    fn add_peer(&self, address: &str) -> Result<(), String> {
        let address: Multiaddr = address.parse().map_err(|why| format!("not a multiaddress: {why}"))?;
        self.network()?.dial(address).map_err(|why| why.to_string())
    }

    fn remove_peer(&self, peer: &str) -> Result<(), String> {
        let id = peer.rsplit_once("/p2p/").map_or(peer, |(_, id)| id);
        let peer: PeerId = id.parse().map_err(|why| format!("not a peer id: {why}"))?;
        self.network()?.disconnect(peer).map_err(|why| why.to_string())
    }

    fn log_filter(&self) -> String {
        telemetry::log_filter()
    }

    fn set_log_filter(&self, filter: &str) -> Result<(), String> {
        telemetry::set_log_filter(filter).map_err(|why| why.to_string())
    }
}
