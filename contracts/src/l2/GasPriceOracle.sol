// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {FastLZ} from "../libraries/FastLZ.sol";
import {L1Block} from "./L1Block.sol";

/// L1 data fee for wallets, predeploy 0x420000000000000000000000000000000000000F. Interface and arithmetic are the OP Stack's
/// from Fjord on; every later fork is active from genesis. Results are wei of METIS: L1's fees are in ether, and the scalars
/// carry the number of METIS an ether is worth (docs/decisions/0006).
contract GasPriceOracle {
    /// A parameter that has not existed since Ecotone.
    error Deprecated();

    /// Decimals of the fee scalars.
    uint256 public constant DECIMALS = 6;
    L1Block internal constant L1_BLOCK = L1Block(0x4200000000000000000000000000000000000015);
    /// Bytes a signature adds to an unsigned transaction.
    uint256 internal constant SIGNATURE_BYTES = 68;
    /// Linear regression of compressed size over FastLZ size, in millionths.
    int256 internal constant COST_INTERCEPT = -42_585_600;
    uint256 internal constant COST_FASTLZ_COEF = 836_500;
    /// Least size a transaction is charged for, in bytes.
    uint256 internal constant MIN_TRANSACTION_SIZE = 100;
    /// Factor of the operator fee scalar since Jovian.
    uint256 internal constant OPERATOR_FEE_MULTIPLIER = 100;

    bool public constant isEcotone = true;
    bool public constant isFjord = true;
    bool public constant isIsthmus = true;
    bool public constant isJovian = true;

    /// L1 data fee in wei of an RLP encoded transaction without its signature.
    function getL1Fee(bytes memory data) external view returns (uint256) {
        return _fee(_estimatedSize(FastLZ.compressedLength(data) + SIGNATURE_BYTES));
    }

    /// Most an unsigned transaction of this size can cost, in wei.
    function getL1FeeUpperBound(uint256 unsignedTxSize) external view returns (uint256) {
        uint256 size = unsignedTxSize + SIGNATURE_BYTES;
        // FastLZ can grow data by 1/255 and 16 bytes.
        return _fee(_estimatedSize(size + size / 255 + 16));
    }

    /// L1 gas the data stands for.
    function getL1GasUsed(bytes memory data) external pure returns (uint256) {
        return _estimatedSize(FastLZ.compressedLength(data) + SIGNATURE_BYTES) * 16 / 10 ** DECIMALS;
    }

    /// Operator fee in wei of a transaction that uses this much gas.
    function getOperatorFee(uint256 gasUsed) external view returns (uint256) {
        return gasUsed * L1_BLOCK.operatorFeeScalar() * OPERATOR_FEE_MULTIPLIER + L1_BLOCK.operatorFeeConstant();
    }

    /// L2 base fee, wei.
    function gasPrice() external view returns (uint256) {
        return block.basefee;
    }

    /// L2 base fee, wei.
    function baseFee() external view returns (uint256) {
        return block.basefee;
    }

    function l1BaseFee() public view returns (uint256) {
        return L1_BLOCK.basefee();
    }

    function blobBaseFee() public view returns (uint256) {
        return L1_BLOCK.blobBaseFee();
    }

    function baseFeeScalar() public view returns (uint32) {
        return L1_BLOCK.baseFeeScalar();
    }

    function blobBaseFeeScalar() public view returns (uint32) {
        return L1_BLOCK.blobBaseFeeScalar();
    }

    function decimals() external pure returns (uint256) {
        return DECIMALS;
    }

    function overhead() external pure returns (uint256) {
        revert Deprecated();
    }

    function scalar() external pure returns (uint256) {
        revert Deprecated();
    }

    /// Version of the OP Stack contract whose interface this is.
    function version() external pure returns (string memory) {
        return "1.6.0-horae";
    }

    /// Estimated compressed size in millionths of a byte.
    function _estimatedSize(uint256 fastLzSize) private pure returns (uint256) {
        int256 estimate = COST_INTERCEPT + int256(COST_FASTLZ_COEF * fastLzSize);
        int256 least = int256(MIN_TRANSACTION_SIZE * 10 ** DECIMALS);
        return uint256(estimate < least ? least : estimate);
    }

    function _fee(uint256 estimatedSize) private view returns (uint256) {
        uint256 scaled = uint256(baseFeeScalar()) * 16 * l1BaseFee() + uint256(blobBaseFeeScalar()) * blobBaseFee();
        return estimatedSize * scaled / 10 ** (DECIMALS * 2);
    }
}
