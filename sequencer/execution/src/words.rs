//! What went wrong, in geth's words: wallets and libraries recognise failures by them.

use alloy_primitives::Address;
use op_revm::OpHaltReason;
use revm::{
    bytecode::opcode::OpCode,
    context_interface::result::{HaltReason, InvalidTransaction, OutOfGasError},
    interpreter::{InstructionResult, SuccessOrHalt},
};

/// Why execution stopped.
pub(crate) fn halt(reason: &OpHaltReason) -> String {
    let OpHaltReason::Base(reason) = reason else { return "failed deposit".to_owned() };
    let known = match reason {
        HaltReason::OutOfGas(OutOfGasError::InvalidOperand) => "gas uint64 overflow",
        HaltReason::OutOfGas(_) => "out of gas",
        HaltReason::OpcodeNotFound | HaltReason::NotActivated => "invalid opcode",
        HaltReason::InvalidFEOpcode => "invalid opcode: INVALID",
        HaltReason::InvalidJump => "invalid jump destination",
        HaltReason::StackUnderflow => "stack underflow",
        HaltReason::StackOverflow => "stack limit reached 1024",
        HaltReason::OutOfOffset => "return data out of bounds",
        HaltReason::CreateCollision => "contract address collision",
        HaltReason::NonceOverflow => "nonce uint64 overflow",
        HaltReason::CreateContractSizeLimit => "max code size exceeded",
        HaltReason::CreateContractStartingWithEF => "invalid code: must not begin with 0xef",
        HaltReason::CreateInitCodeSizeLimit => "max initcode size exceeded",
        HaltReason::StateChangeDuringStaticCall | HaltReason::CallNotAllowedInsideStatic => "write protection",
        HaltReason::OutOfFunds => "insufficient balance for transfer",
        HaltReason::CallTooDeep => "max call depth exceeded",
        other => return other.to_string(),
    };
    known.to_owned()
}

/// Why a frame within a trace failed, after an instruction that found so many words on the stack.
pub(crate) fn fault(result: InstructionResult, opcode: u8, stack: usize) -> String {
    match result {
        InstructionResult::StackUnderflow => {
            let wanted = OpCode::info_by_op(opcode).map_or(0, |info| info.inputs());
            format!("stack underflow ({stack} <=> {wanted})")
        }
        InstructionResult::StackOverflow => "stack limit reached 1024 (1023)".to_owned(),
        InstructionResult::OpcodeNotFound | InstructionResult::NotActivated => {
            format!("invalid opcode: opcode {opcode:#x} not defined")
        }
        other => match SuccessOrHalt::<OpHaltReason>::from(other) {
            SuccessOrHalt::Halt(reason) => halt(&reason),
            _ => "execution reverted".to_owned(),
        },
    }
}

/// What OpenEthereum said where the tracing library has a name of revm's.
pub(crate) fn parity(error: &str) -> Option<&'static str> {
    Some(match error {
        "StackUnderflow" => "Stack underflow",
        "StateChangeDuringStaticCall" | "CallNotAllowedInsideStatic" => "Mutable Call In Static Context",
        "OutOfOffset" => "Out of bounds",
        "CreateCollision" | "CreateContractSizeLimit" | "CreateInitCodeSizeLimit" => "Out of gas",
        "CreateContractStartingWithEF" => "invalid code: must not begin with 0xef",
        "CallTooDeep" => "max call depth exceeded",
        "NotActivated" => "Bad instruction",
        "NonceOverflow" => "nonce uint64 overflow",
        _ => return None,
    })
}

/// Why a transaction of `sender` cannot be executed at all.
pub(crate) fn invalid(reason: &InvalidTransaction, sender: Address) -> String {
    match reason {
        InvalidTransaction::LackOfFundForMaxFee { fee, balance } => {
            format!("insufficient funds for gas * price + value: address {sender} have {balance} want {fee}")
        }
        InvalidTransaction::NonceTooLow { tx, state } => {
            format!("nonce too low: address {sender}, tx: {tx} state: {state}")
        }
        InvalidTransaction::NonceTooHigh { tx, state } => {
            format!("nonce too high: address {sender}, tx: {tx} state: {state}")
        }
        InvalidTransaction::NonceOverflowInTransaction => format!("nonce has max value: address {sender}"),
        InvalidTransaction::CallGasCostMoreThanGasLimit { initial_gas, gas_limit } => {
            format!("intrinsic gas too low: have {gas_limit}, want {initial_gas}")
        }
        InvalidTransaction::GasFloorMoreThanGasLimit { gas_floor, gas_limit } => {
            format!("insufficient gas for floor data gas cost: have {gas_limit}, want {gas_floor}")
        }
        InvalidTransaction::GasPriceLessThanBasefee => {
            format!("max fee per gas less than block base fee: address {sender}")
        }
        InvalidTransaction::PriorityFeeGreaterThanMaxFee => {
            format!("max priority fee per gas higher than max fee per gas: address {sender}")
        }
        InvalidTransaction::RejectCallerWithCode => format!("sender not an eoa: address {sender}"),
        InvalidTransaction::CreateInitCodeSizeLimit => "max initcode size exceeded".to_owned(),
        InvalidTransaction::CallerGasLimitMoreThanBlock => "gas limit reached".to_owned(),
        InvalidTransaction::TxGasLimitGreaterThanCap { gas_limit, cap } => {
            format!("transaction gas limit too high (cap: {cap}, tx: {gas_limit})")
        }
        InvalidTransaction::EmptyAuthorizationList => {
            format!("EIP-7702 transaction with empty auth list (sender {sender})")
        }
        other => other.to_string(),
    }
}
