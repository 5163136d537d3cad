// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// L1 attributes on L2, predeploy 0x4200000000000000000000000000000000000015. Storage layout, calls and their packed
/// calldata are the OP Stack's: the state transition reads the slots directly to charge the L1 data fee.
///
/// The first transaction of each block sets them; its sender is no key's account.
contract L1Block {
    /// The caller is not the depositor account.
    error NotDepositor();

    /// Sender of the attributes deposit.
    address public constant DEPOSITOR_ACCOUNT = 0xDeaDDEaDDeAdDeAdDEAdDEaddeAddEAdDEAd0001;

    /// L1 block number of the origin.
    uint64 public number;
    /// Timestamp of the origin, unix seconds.
    uint64 public timestamp;
    /// L1 base fee, wei.
    uint256 public basefee;
    /// Hash of the origin.
    bytes32 public hash;
    /// Blocks since the origin last changed.
    uint64 public sequenceNumber;
    /// Scalar of the L1 blob base fee, per million.
    uint32 public blobBaseFeeScalar;
    /// Scalar of the L1 base fee, per million.
    uint32 public baseFeeScalar;
    /// Unused: any sequencer may post. Kept for the layout.
    bytes32 public batcherHash;
    /// Unused since Ecotone. Kept for the layout.
    uint256 public l1FeeOverhead;
    /// Unused since Ecotone. Kept for the layout.
    uint256 public l1FeeScalar;
    /// L1 blob base fee, wei.
    uint256 public blobBaseFee;
    /// Constant part of the operator fee, wei.
    uint64 public operatorFeeConstant;
    /// Gas-dependent part of the operator fee.
    uint32 public operatorFeeScalar;
    /// Gas an estimated byte of data counts for in a block.
    uint16 public daFootprintGasScalar;

    modifier onlyDepositor() {
        if (msg.sender != DEPOSITOR_ACCOUNT) revert NotDepositor();
        _;
    }

    /// Attributes in the Ecotone form: packed after the selector.
    function setL1BlockValuesEcotone() external onlyDepositor {
        _setEcotone();
    }

    /// Ecotone form and the operator fee.
    function setL1BlockValuesIsthmus() external onlyDepositor {
        _setEcotone();
        _setOperatorFee();
    }

    /// Isthmus form and the data footprint scalar.
    function setL1BlockValuesJovian() external onlyDepositor {
        _setEcotone();
        _setOperatorFee();
        daFootprintGasScalar = uint16(bytes2(msg.data[176:178]));
    }

    /// Version of the OP Stack contract whose interface this is.
    function version() external pure returns (string memory) {
        return "1.7.0-horae";
    }

    /// The native currency is METIS.
    function isCustomGasToken() external pure returns (bool) {
        return true;
    }

    function gasPayingTokenName() external pure returns (string memory) {
        return "Metis";
    }

    function gasPayingTokenSymbol() external pure returns (string memory) {
        return "METIS";
    }

    function _setEcotone() private {
        baseFeeScalar = uint32(bytes4(msg.data[4:8]));
        blobBaseFeeScalar = uint32(bytes4(msg.data[8:12]));
        sequenceNumber = uint64(bytes8(msg.data[12:20]));
        timestamp = uint64(bytes8(msg.data[20:28]));
        number = uint64(bytes8(msg.data[28:36]));
        basefee = uint256(bytes32(msg.data[36:68]));
        blobBaseFee = uint256(bytes32(msg.data[68:100]));
        hash = bytes32(msg.data[100:132]);
        batcherHash = bytes32(msg.data[132:164]);
    }

    function _setOperatorFee() private {
        operatorFeeScalar = uint32(bytes4(msg.data[164:168]));
        operatorFeeConstant = uint64(bytes8(msg.data[168:176]));
    }
}
