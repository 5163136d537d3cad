// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {FeeVault} from "../../src/l2/FeeVault.sol";
import {GasPriceOracle} from "../../src/l2/GasPriceOracle.sol";
import {L1Block} from "../../src/l2/L1Block.sol";
import {L2ToL1MessagePasser} from "../../src/l2/L2ToL1MessagePasser.sol";
import {FastLZ} from "../../src/libraries/FastLZ.sol";
import {FastLzReference} from "../utils/FastLzReference.sol";
import {Test} from "../utils/Test.sol";

/// The predeploys at their addresses, placed by their runtime code as the L2 genesis does.
contract PredeploysTest is Test {
    address internal constant L1_BLOCK = 0x4200000000000000000000000000000000000015;
    address internal constant ORACLE = 0x420000000000000000000000000000000000000F;
    address payable internal constant PASSER = payable(0x4200000000000000000000000000000000000016);
    address payable internal constant VAULT = payable(0x4200000000000000000000000000000000000011);
    address internal constant DEPOSITOR = 0xDeaDDEaDDeAdDeAdDEAdDEaddeAddEAdDEAd0001;
    uint32 internal constant BASE_SCALAR = 1_368;
    uint32 internal constant BLOB_SCALAR = 810_949;

    GasPriceOracle internal oracle = GasPriceOracle(ORACLE);
    L1Block internal l1Block = L1Block(L1_BLOCK);
    L2ToL1MessagePasser internal passer = L2ToL1MessagePasser(PASSER);

    function setUp() external {
        vm.etch(L1_BLOCK, type(L1Block).runtimeCode);
        vm.etch(ORACLE, type(GasPriceOracle).runtimeCode);
        vm.etch(PASSER, type(L2ToL1MessagePasser).runtimeCode);
        vm.etch(VAULT, type(FeeVault).runtimeCode);
    }

    function ecotone(string memory name) internal pure returns (bytes memory) {
        return abi.encodePacked(
            bytes4(keccak256(bytes(name))),
            abi.encodePacked(BASE_SCALAR, BLOB_SCALAR, uint64(3), uint64(1_800_000_000), uint64(77)),
            abi.encodePacked(uint256(9 gwei), uint256(2 gwei), keccak256("origin"), bytes32(uint256(5)))
        );
    }

    function set(bytes memory call) internal {
        vm.prank(DEPOSITOR);
        (bool done,) = L1_BLOCK.call(call);
        assertTrue(done);
    }

    function slot(uint256 index) internal view returns (uint256) {
        return uint256(vm.load(L1_BLOCK, bytes32(index)));
    }

    // L1Block

    function test_setL1BlockValuesJovian_layout_succeeds() external {
        bytes memory call = abi.encodePacked(ecotone("setL1BlockValuesJovian()"), uint32(11), uint64(12), uint16(13));
        assertEq(call.length, 178);
        assertEq(bytes4(call), bytes4(0x3db6be2b));
        set(call);
        assertEq(l1Block.number(), 77);
        assertEq(l1Block.timestamp(), 1_800_000_000);
        assertEq(l1Block.basefee(), 9 gwei);
        assertEq(l1Block.blobBaseFee(), 2 gwei);
        assertEq(l1Block.hash(), keccak256("origin"));
        assertEq(l1Block.sequenceNumber(), 3);
        assertEq(l1Block.batcherHash(), bytes32(uint256(5)));
        assertEq(l1Block.operatorFeeScalar(), 11);
        assertEq(l1Block.operatorFeeConstant(), 12);
        assertEq(l1Block.daFootprintGasScalar(), 13);
        // The slots and offsets op-revm reads, counted from the right.
        assertEq(slot(0), (uint256(1_800_000_000) << 64) | 77);
        assertEq(slot(1), 9 gwei);
        assertEq(slot(2), uint256(keccak256("origin")));
        assertEq(slot(3), (uint256(BASE_SCALAR) << 96) | (uint256(BLOB_SCALAR) << 64) | 3);
        assertEq(slot(4), 5);
        assertEq(slot(5), 0);
        assertEq(slot(6), 0);
        assertEq(slot(7), 2 gwei);
        assertEq(slot(8), (uint256(13) << 96) | (uint256(11) << 64) | 12);
    }

    function test_setL1BlockValues_olderForms_succeeds() external {
        bytes memory call = ecotone("setL1BlockValuesEcotone()");
        assertEq(bytes4(call), bytes4(0x440a5e20));
        set(call);
        assertEq(l1Block.number(), 77);
        call = abi.encodePacked(ecotone("setL1BlockValuesIsthmus()"), uint32(11), uint64(12));
        assertEq(bytes4(call), bytes4(0x098999be));
        set(call);
        assertEq(l1Block.operatorFeeScalar(), 11);
        assertEq(l1Block.operatorFeeConstant(), 12);
        assertEq(l1Block.daFootprintGasScalar(), 0);
    }

    function test_setL1BlockValues_notDepositor_reverts() external {
        vm.expectRevert(L1Block.NotDepositor.selector);
        l1Block.setL1BlockValuesEcotone();
        vm.expectRevert(L1Block.NotDepositor.selector);
        l1Block.setL1BlockValuesIsthmus();
        vm.expectRevert(L1Block.NotDepositor.selector);
        l1Block.setL1BlockValuesJovian();
    }

    function test_setL1BlockValues_short_reverts() external {
        bytes memory call = ecotone("setL1BlockValuesJovian()");
        vm.prank(DEPOSITOR);
        (bool done,) = L1_BLOCK.call(call);
        assertFalse(done);
    }

    function test_l1Block_customGasToken_succeeds() external view {
        assertTrue(l1Block.isCustomGasToken());
        assertEq(l1Block.gasPayingTokenSymbol(), "METIS");
        assertEq(l1Block.gasPayingTokenName(), "Metis");
        assertEq(l1Block.version(), "1.7.0-horae");
    }

    // GasPriceOracle

    /// The Fjord formula by hand: size = max(100, 0.8365 × fastlz − 42.5856) bytes.
    function test_getL1Fee_fjord_succeeds() external {
        set(abi.encodePacked(ecotone("setL1BlockValuesJovian()"), uint32(0), uint64(0), uint16(0)));
        uint256 scaled = 16 * uint256(BASE_SCALAR) * 9 gwei + uint256(BLOB_SCALAR) * 2 gwei;
        // 202 + 68 bytes: 270 × 836,500 − 42,585,600 = 183,269,400 millionths.
        assertEq(oracle.getL1Fee(FastLzReference.SAMPLE), uint256(183_269_400) * scaled / 1e12);
        assertEq(oracle.getL1GasUsed(FastLzReference.SAMPLE), uint256(183_269_400) * 16 / 1e6);
        // Short data costs as much as 100 bytes.
        assertEq(oracle.getL1Fee(hex"01"), uint256(100e6) * scaled / 1e12);
        assertEq(oracle.getL1GasUsed(hex"01"), 1_600);
    }

    function test_oracle_views_succeeds() external {
        set(abi.encodePacked(ecotone("setL1BlockValuesJovian()"), uint32(11), uint64(12), uint16(0)));
        vm.fee(7);
        assertEq(oracle.gasPrice(), 7);
        assertEq(oracle.baseFee(), 7);
        assertEq(oracle.l1BaseFee(), 9 gwei);
        assertEq(oracle.blobBaseFee(), 2 gwei);
        assertEq(oracle.baseFeeScalar(), BASE_SCALAR);
        assertEq(oracle.blobBaseFeeScalar(), BLOB_SCALAR);
        assertEq(oracle.decimals(), 6);
        assertEq(oracle.getOperatorFee(1000), 1000 * 11 * 100 + 12);
        assertTrue(oracle.isEcotone() && oracle.isFjord() && oracle.isIsthmus() && oracle.isJovian());
        assertEq(oracle.version(), "1.6.0-horae");
        vm.expectRevert(GasPriceOracle.Deprecated.selector);
        oracle.overhead();
        vm.expectRevert(GasPriceOracle.Deprecated.selector);
        oracle.scalar();
    }

    function testFuzz_getL1FeeUpperBound_bounds_succeeds(bytes calldata data) external {
        set(abi.encodePacked(ecotone("setL1BlockValuesJovian()"), uint32(0), uint64(0), uint16(0)));
        assertGe(oracle.getL1FeeUpperBound(data.length), oracle.getL1Fee(data));
        assertGe(data.length + data.length / 255 + 16, FastLZ.compressedLength(data));
    }

    // L2ToL1MessagePasser

    function test_initiateWithdrawal_storageProofSlot_succeeds() external {
        uint256 nonce = uint256(1) << 240;
        bytes32 withdrawal =
            keccak256(abi.encode(nonce, address(this), address(0xBEEF), 3 ether, 100_000, bytes(hex"01")));
        vm.expectEmit(PASSER);
        emit L2ToL1MessagePasser.MessagePassed(
            nonce, address(this), address(0xBEEF), 3 ether, 100_000, hex"01", withdrawal
        );
        vm.deal(address(this), 3 ether);
        passer.initiateWithdrawal{value: 3 ether}(address(0xBEEF), 100_000, hex"01");
        assertTrue(passer.sentMessages(withdrawal));
        // Where proofs on L1 look for it.
        assertEq(vm.load(PASSER, keccak256(abi.encode(withdrawal, uint256(0)))), bytes32(uint256(1)));
        assertEq(passer.messageNonce(), nonce + 1);
        assertEq(PASSER.balance, 3 ether);
        assertEq(passer.version(), "1.2.0-horae");
    }

    function test_receive_withdrawsToSender_succeeds() external {
        vm.deal(address(this), 1 ether);
        bytes32 withdrawal =
            keccak256(abi.encode(uint256(1) << 240, address(this), address(this), 1 ether, 100_000, bytes("")));
        (bool done,) = PASSER.call{value: 1 ether}("");
        assertTrue(done);
        assertTrue(passer.sentMessages(withdrawal));
    }

    /// Two equal withdrawals are two withdrawals.
    function testFuzz_initiateWithdrawal_unique_succeeds(address target, uint96 value, bytes calldata data) external {
        vm.deal(address(this), uint256(value) * 2);
        vm.recordLogs();
        passer.initiateWithdrawal{value: value}(target, 1, data);
        passer.initiateWithdrawal{value: value}(target, 1, data);
        (,,, bytes32 first) = abi.decode(vm.getRecordedLogs()[0].data, (uint256, uint256, bytes, bytes32));
        assertTrue(passer.sentMessages(first));
        assertEq(passer.messageNonce(), (uint256(1) << 240) + 2);
    }

    // FeeVault

    function test_receive_feeVault_succeeds() external {
        vm.deal(address(this), 1 ether);
        vm.expectEmit(VAULT);
        emit FeeVault.Received(address(this), 1 ether);
        (bool done,) = VAULT.call{value: 1 ether}("");
        assertTrue(done);
        assertEq(VAULT.balance, 1 ether);
    }
}
