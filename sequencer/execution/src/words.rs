//! What went wrong, in geth's words: wallets and libraries recognise failures by them.

use alloy_primitives::Address;
use op_revm::OpHaltReason;
use revm::{
    bytecode::opcode::{self as op, OpCode},
    context::TxEnv,
    context_interface::result::{HaltReason, InvalidTransaction, OutOfGasError},
    interpreter::{
        InstructionResult, Interpreter, SuccessOrHalt, interpreter::EthInterpreter, interpreter_types::Jumps,
    },
    primitives::eip3860::MAX_INITCODE_SIZE,
};

/// What geth tells of the instruction that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Instruction {
    opcode: u8,
    /// Words that it found on the stack.
    stack: usize,
    /// Bytes of code that it would create with.
    init_code: u64,
}

impl Instruction {
    /// The one that is about to run.
    pub(crate) fn next(interpreter: &Interpreter<EthInterpreter>) -> Self {
        let (opcode, stack) = (interpreter.bytecode.opcode(), &interpreter.stack);
        let init_code = match opcode {
            op::CREATE | op::CREATE2 => stack.peek(2).map_or(0, |size| size.saturating_to()),
            _ => 0,
        };
        Self { opcode, stack: stack.len(), init_code }
    }
}

/// Why execution stopped, in or after this instruction.
pub(crate) fn halt(reason: &OpHaltReason, last: Instruction) -> String {
    let OpHaltReason::Base(reason) = reason else { return "failed deposit".to_owned() };
    let known = match reason {
        HaltReason::OutOfGas(OutOfGasError::InvalidOperand) => "gas uint64 overflow",
        HaltReason::OutOfGas(_) => "out of gas",
        HaltReason::OpcodeNotFound | HaltReason::NotActivated => {
            return format!("invalid opcode: opcode {:#x} not defined", last.opcode);
        }
        HaltReason::InvalidFEOpcode => "invalid opcode: INVALID",
        HaltReason::InvalidJump => "invalid jump destination",
        HaltReason::StackUnderflow => {
            let wanted = OpCode::info_by_op(last.opcode).map_or(0, |info| info.inputs());
            return format!("stack underflow ({} <=> {wanted})", last.stack);
        }
        HaltReason::StackOverflow => "stack limit reached 1024 (1023)",
        HaltReason::OutOfOffset => "return data out of bounds",
        HaltReason::CreateCollision => "contract address collision",
        HaltReason::NonceOverflow => "nonce uint64 overflow",
        HaltReason::CreateContractSizeLimit => "max code size exceeded",
        HaltReason::CreateContractStartingWithEF => "invalid code: must not begin with 0xef",
        HaltReason::CreateInitCodeSizeLimit => return format!("out of gas: {}", long_init_code(last.init_code)),
        HaltReason::StateChangeDuringStaticCall | HaltReason::CallNotAllowedInsideStatic => "write protection",
        HaltReason::OutOfFunds => "insufficient balance for transfer",
        HaltReason::CallTooDeep => "max call depth exceeded",
        HaltReason::PrecompileErrorWithContext(why) => precompile(why),
        other => return other.to_string(),
    };
    known.to_owned()
}

fn long_init_code(size: u64) -> String {
    format!("max initcode size exceeded: code size {size} limit {MAX_INITCODE_SIZE}")
}

/// Why a precompile refused its input.
fn precompile(why: &str) -> &str {
    match why {
        "wrong final indicator flag for blake2" => "invalid final flag",
        "Modexp limit all input sizes." => "one or more of base/exponent/modulus length exceeded 1024 bytes",
        "bn254 invalid pair length" => "bad elliptic curve pairing size",
        "failed to create affine g point for bn254 curve" => "point is not on curve",
        "mismatched blob version" => "mismatched versioned hash",
        "verifying blob kzg proof failed" => "error verifying kzg proof",
        "bls12-381 g1 point not on curve" | "bls12-381 g2 point not on curve" => "invalid point: not on curve",
        "bls12-381 g1 point not in correct subgroup" => "g1 point is not on correct subgroup",
        "bls12-381 g2 point not in correct subgroup" => "g2 point is not on correct subgroup",
        "bls12-381 fp 64 top bytes of input are not zero" => "invalid field element top bytes",
        length if length.contains("length") => "invalid input length",
        other => other,
    }
}

/// Why a frame within a trace failed, in or after this instruction; `refusal` is a precompile's.
pub(crate) fn fault(result: InstructionResult, last: Instruction, refusal: Option<&str>) -> String {
    match (SuccessOrHalt::<OpHaltReason>::from(result), refusal) {
        (SuccessOrHalt::Halt(OpHaltReason::Base(HaltReason::PrecompileError)), Some(why)) => precompile(why).to_owned(),
        (SuccessOrHalt::Halt(reason), _) => halt(&reason, last),
        _ => "execution reverted".to_owned(),
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

/// What geth tells of a transaction that it refuses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    sender: Address,
    nonce: u64,
    /// Bytes of input.
    input: usize,
    max_fee: u128,
    tip: u128,
    base_fee: u64,
}

impl Asked {
    /// In a block with this base fee.
    pub(crate) fn of(tx: &TxEnv, base_fee: u64) -> Self {
        let TxEnv { caller: sender, nonce, gas_price: max_fee, gas_priority_fee, .. } = *tx;
        Self { sender, nonce, input: tx.data.len(), max_fee, tip: gas_priority_fee.unwrap_or(max_fee), base_fee }
    }
}

/// Why a transaction cannot be executed at all.
pub(crate) fn invalid(reason: &InvalidTransaction, asked: Asked) -> String {
    let Asked { sender, nonce, input, max_fee, tip, base_fee } = asked;
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
        InvalidTransaction::NonceOverflowInTransaction => {
            format!("nonce has max value: address {sender}, nonce: {nonce}")
        }
        InvalidTransaction::CallGasCostMoreThanGasLimit { initial_gas, gas_limit } => {
            format!("intrinsic gas too low: have {gas_limit}, want {initial_gas}")
        }
        InvalidTransaction::GasFloorMoreThanGasLimit { gas_floor, gas_limit } => {
            format!("insufficient gas for floor data gas cost: have {gas_limit}, want {gas_floor}")
        }
        InvalidTransaction::GasPriceLessThanBasefee => {
            format!(
                "max fee per gas less than block base fee: address {sender}, maxFeePerGas: {max_fee}, baseFee: {base_fee}"
            )
        }
        InvalidTransaction::PriorityFeeGreaterThanMaxFee => {
            format!(
                "max priority fee per gas higher than max fee per gas: address {sender}, maxPriorityFeePerGas: {tip}, maxFeePerGas: {max_fee}"
            )
        }
        InvalidTransaction::RejectCallerWithCode => format!("sender not an eoa: address {sender}"),
        InvalidTransaction::CreateInitCodeSizeLimit => long_init_code(u64::try_from(input).unwrap_or(u64::MAX)),
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
