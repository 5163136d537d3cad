//! Mainnet's precompiles, for the time of a call perhaps somewhere else.

use std::collections::BTreeMap;

use alloy_primitives::Address;
use op_revm::OpSpecId;
use revm::{
    context_interface::{ContextTr, LocalContextTr},
    handler::{EthPrecompiles, PrecompileProvider, precompile_output_to_interpreter_result},
    interpreter::{CallInputs, InterpreterResult},
    primitives::hardfork::SpecId,
};

use crate::{
    call::{CallError, Overrides},
    env::Ctx,
};

/// The precompiles, and what state overrides did to them.
#[derive(Clone, Debug)]
pub(crate) struct Precompiles {
    mainnet: EthPrecompiles,
    /// For each address that is not as on mainnet, whose precompile answers there.
    changes: BTreeMap<Address, Option<Address>>,
}

impl Precompiles {
    /// Where they belong. They take the place of OP's: OP caps the input of pairings and MSMs for its fault proof, which
    /// would be a difference to Ethereum that contracts can see.
    pub(crate) fn mainnet() -> Self {
        Self { mainnet: EthPrecompiles::new(SpecId::OSAKA), changes: BTreeMap::new() }
    }

    /// As overrides leave them (geth's rules): an account that is overridden is no precompile any more; its precompile is
    /// gone, or at the address it was moved to.
    pub(crate) fn overridden(overrides: &Overrides) -> Result<Self, CallError> {
        let mut precompiles = Self::mainnet();
        for (address, change) in overrides {
            let is_precompile = precompiles.mainnet.contains(address);
            if let Some(to) = change.move_precompile_to {
                if !is_precompile {
                    return Err(CallError::Override(format!("account {address} is not a precompile")));
                }
                let taken = precompiles.changes.get(&to).is_some_and(Option::is_some);
                if taken || overrides.contains_key(&to) {
                    return Err(CallError::Override(format!("account {to} is already overridden")));
                }
                precompiles.changes.insert(to, Some(*address));
            }
            if is_precompile {
                precompiles.changes.insert(*address, None);
            }
        }
        Ok(precompiles)
    }
}

impl PrecompileProvider<Ctx> for Precompiles {
    type Output = InterpreterResult;

    fn set_spec(&mut self, spec: OpSpecId) -> bool {
        PrecompileProvider::<Ctx>::set_spec(&mut self.mainnet, spec)
    }

    fn run(&mut self, context: &mut Ctx, inputs: &CallInputs) -> Result<Option<InterpreterResult>, String> {
        let address = match self.changes.get(&inputs.bytecode_address) {
            None => inputs.bytecode_address,
            Some(None) => return Ok(None),
            Some(Some(origin)) => *origin,
        };
        let Some(precompile) = self.mainnet.precompiles.get(&address) else { return Ok(None) };
        let output = precompile.execute(&inputs.input.as_bytes(context), inputs.gas_limit, inputs.reservoir);
        let output = output.map_err(|why| why.to_string())?;
        // As revm's own, except that the reason is kept at every depth: traces show it.
        if let Some(why) = output.halt_reason().filter(|why| !why.is_oog()) {
            context.local_mut().set_precompile_error_context(why.to_string());
        }
        Ok(Some(precompile_output_to_interpreter_result(output, inputs.gas_limit)))
    }

    fn warm_addresses(&self) -> Box<impl Iterator<Item = Address>> {
        let moved = self.changes.iter().filter(|(_, origin)| origin.is_some()).map(|(address, _)| *address);
        Box::new(self.mainnet.warm_addresses().chain(moved))
    }

    fn contains(&self, address: &Address) -> bool {
        match self.changes.get(address) {
            None => self.mainnet.contains(address),
            Some(origin) => origin.is_some(),
        }
    }
}
