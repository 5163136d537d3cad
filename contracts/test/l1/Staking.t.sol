// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IStaking} from "../../src/interfaces/IStaking.sol";
import {Staking} from "../../src/l1/Staking.sol";
import {Signing} from "../../src/libraries/Signing.sol";
import {Network} from "../utils/Network.sol";

contract StakingTest is Network {
    address internal stranger = makeAddr("stranger");
    address internal owner;
    uint64 internal id;

    function setUp() public override {
        super.setUp();
        owner = ownerOf(1);
        id = register(1, 50_000 ether);
    }

    function asOwner() internal {
        vm.prank(owner);
    }

    function notOwner(address caller) internal {
        vm.expectRevert(abi.encodeWithSelector(IStaking.NotOwner.selector, id, caller));
        vm.prank(caller);
    }

    // register

    function test_register_stores_succeeds() external view {
        IStaking.Operator memory operator = staking.operator(id);
        assertEq(operator.owner, owner);
        assertEq(operator.signer, vm.addr(1));
        assertEq(operator.recipient, recipient);
        assertEq(operator.stake, 50_000 ether);
        assertEq(staking.operatorOf(vm.addr(1)), id);
        assertEq(staking.weightOf(id), 50_000);
        assertEq(staking.totalStaked(), 50_000 ether);
        assertEq(metis.balanceOf(address(staking)), 50_000 ether);
        assertEq(staking.metis(), address(metis));
        assertEq(staking.unbondingDelay(), UNBONDING_DELAY);
    }

    function test_register_belowMinimum_reverts() external {
        fund(stranger, 20_000 ether);
        vm.expectRevert(abi.encodeWithSelector(IStaking.StakeBelowMinimum.selector, 20_000 ether - 1, 20_000 ether));
        vm.prank(stranger);
        staking.register(20_000 ether - 1, vm.addr(2), recipient);
    }

    function test_register_aboveMaximum_reverts() external {
        fund(stranger, 100_001 ether);
        vm.expectRevert(abi.encodeWithSelector(IStaking.StakeAboveMaximum.selector, 100_000 ether + 1, 100_000 ether));
        vm.prank(stranger);
        staking.register(100_000 ether + 1, vm.addr(2), recipient);
    }

    function test_register_takenSigner_reverts() external {
        fund(stranger, STAKE);
        vm.expectRevert(abi.encodeWithSelector(IStaking.SignerTaken.selector, vm.addr(1), id));
        vm.prank(stranger);
        staking.register(STAKE, vm.addr(1), recipient);
    }

    function test_register_signerOfExited_reverts() external {
        asOwner();
        staking.exit(id);
        fund(stranger, STAKE);
        vm.expectRevert(abi.encodeWithSelector(IStaking.SignerTaken.selector, vm.addr(1), id));
        vm.prank(stranger);
        staking.register(STAKE, vm.addr(1), recipient);
    }

    function test_register_zeroSigner_reverts() external {
        fund(stranger, STAKE);
        vm.expectRevert(IStaking.ZeroAddress.selector);
        vm.prank(stranger);
        staking.register(STAKE, address(0), recipient);
    }

    function test_register_zeroRecipient_reverts() external {
        vm.expectRevert(IStaking.ZeroAddress.selector);
        vm.prank(stranger);
        staking.register(STAKE, vm.addr(2), address(0));
    }

    function test_register_signerIsOwner_reverts() external {
        vm.expectRevert(abi.encodeWithSelector(IStaking.KeysNotApart.selector, stranger));
        vm.prank(stranger);
        staking.register(STAKE, stranger, recipient);
    }

    function test_register_withoutTokens_reverts() external {
        vm.prank(stranger);
        IERC20(address(metis)).approve(address(staking), STAKE);
        vm.expectPartialRevert(bytes4(keccak256("ERC20InsufficientBalance(address,uint256,uint256)")));
        vm.prank(stranger);
        staking.register(STAKE, vm.addr(2), recipient);
    }

    function test_register_tooManyOperators_reverts() external {
        uint256 most = staking.MAX_OPERATORS();
        for (uint256 key = 2; key <= most; ++key) {
            register(key, STAKE);
        }
        assertEq(staking.candidates().length, most);
        fund(stranger, STAKE);
        vm.expectRevert(abi.encodeWithSelector(IStaking.TooManyOperators.selector, most));
        vm.prank(stranger);
        staking.register(STAKE, vm.addr(most + 1), recipient);
        // A snapshot still fits one transaction (EIP-7825).
        uint256 gas = gasleft();
        sequencerSet.snapshot();
        assertLt(gas - gasleft(), 12_000_000);
    }

    // whitelist

    function test_setWhitelistEnabled_gatesEntryOnly_succeeds() external {
        vm.prank(governance);
        staking.setWhitelistEnabled(true);
        fund(stranger, STAKE);
        vm.expectRevert(abi.encodeWithSelector(IStaking.NotWhitelisted.selector, stranger));
        vm.prank(stranger);
        staking.register(STAKE, vm.addr(2), recipient);

        fund(owner, 1 ether);
        asOwner();
        staking.increase(id, 1 ether);
        asOwner();
        uint256 request = staking.decrease(id, 1 ether);
        asOwner();
        staking.rotateSigner(id, vm.addr(3));
        asOwner();
        staking.exit(id);
        vm.warp(block.timestamp + UNBONDING_DELAY);
        asOwner();
        staking.claim(request);

        vm.prank(governance);
        staking.setWhitelisted(stranger, true);
        vm.prank(stranger);
        staking.register(STAKE, vm.addr(2), recipient);
    }

    function test_setWhitelistEnabled_notGovernance_reverts() external {
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, stranger));
        vm.prank(stranger);
        staking.setWhitelistEnabled(true);
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, stranger));
        vm.prank(stranger);
        staking.setWhitelisted(stranger, true);
    }

    // increase

    function test_increase_byAnyone_succeeds() external {
        fund(stranger, 50_000 ether);
        vm.prank(stranger);
        staking.increase(id, 50_000 ether);
        assertEq(staking.weightOf(id), 100_000);
        assertEq(staking.totalStaked(), 100_000 ether);
    }

    function test_increase_aboveMaximum_reverts() external {
        vm.expectRevert(abi.encodeWithSelector(IStaking.StakeAboveMaximum.selector, 100_000 ether + 1, 100_000 ether));
        staking.increase(id, 50_000 ether + 1);
    }

    function test_increase_zero_reverts() external {
        vm.expectRevert(IStaking.ZeroAmount.selector);
        staking.increase(id, 0);
    }

    function test_increase_unknownOrExited_reverts() external {
        vm.expectRevert(abi.encodeWithSelector(IStaking.NotActive.selector, 77));
        staking.increase(77, 1);
        asOwner();
        staking.exit(id);
        vm.expectRevert(abi.encodeWithSelector(IStaking.NotActive.selector, id));
        staking.increase(id, 1);
    }

    // decrease, exit, claim

    function test_decrease_parallelRequests_succeeds() external {
        asOwner();
        uint256 first = staking.decrease(id, 10_000 ether);
        vm.warp(block.timestamp + 1 days);
        asOwner();
        uint256 second = staking.decrease(id, 20_000 ether);
        assertEq(staking.operator(id).openRequests, 2);
        assertEq(staking.totalStaked(), 20_000 ether);
        assertEq(staking.totalUnbonding(), 30_000 ether);

        vm.warp(block.timestamp + UNBONDING_DELAY - 1 days);
        asOwner();
        staking.claim(first);
        assertEq(metis.balanceOf(owner), 10_000 ether);
        uint64 releaseAt = uint64(block.timestamp + 1 days);
        vm.warp(releaseAt - 1);
        vm.expectRevert(abi.encodeWithSelector(IStaking.StillUnbonding.selector, second, releaseAt));
        asOwner();
        staking.claim(second);
        vm.warp(releaseAt);
        asOwner();
        staking.claim(second);
        assertEq(metis.balanceOf(owner), 30_000 ether);
        assertEq(staking.totalUnbonding(), 0);
        assertEq(staking.operator(id).openRequests, 0);
    }

    function test_decrease_belowMinimum_reverts() external {
        vm.expectRevert(abi.encodeWithSelector(IStaking.StakeBelowMinimum.selector, 20_000 ether - 1, 20_000 ether));
        asOwner();
        staking.decrease(id, 30_000 ether + 1);
        vm.expectRevert(abi.encodeWithSelector(IStaking.StakeBelowMinimum.selector, 0, 20_000 ether));
        asOwner();
        staking.decrease(id, type(uint96).max);
    }

    function test_decrease_zero_reverts() external {
        vm.expectRevert(IStaking.ZeroAmount.selector);
        asOwner();
        staking.decrease(id, 0);
    }

    function test_decrease_notOwner_reverts() external {
        notOwner(stranger);
        staking.decrease(id, 1);
        notOwner(vm.addr(1));
        staking.decrease(id, 1);
    }

    function test_decrease_afterExit_reverts() external {
        asOwner();
        staking.exit(id);
        vm.expectRevert(abi.encodeWithSelector(IStaking.NotActive.selector, id));
        asOwner();
        staking.decrease(id, 1);
    }

    /// However many requests are open, the exit is still possible.
    function test_exit_withAllRequestsOpen_succeeds() external {
        uint32 most = staking.MAX_REQUESTS();
        for (uint256 i; i + 1 < most; ++i) {
            asOwner();
            staking.decrease(id, 1 ether);
        }
        vm.expectRevert(abi.encodeWithSelector(IStaking.TooManyRequests.selector, most));
        asOwner();
        staking.decrease(id, 1 ether);
        asOwner();
        staking.exit(id);
        assertEq(staking.operator(id).openRequests, most);
    }

    function test_exit_paysAfterDelay_succeeds() external {
        asOwner();
        uint256 request = staking.exit(id);
        assertEq(staking.candidates().length, 0);
        assertEq(staking.weightOf(id), 0);
        assertEq(staking.unbonding(request).releaseAt, block.timestamp + UNBONDING_DELAY);
        vm.warp(block.timestamp + UNBONDING_DELAY);
        asOwner();
        assertEq(staking.claim(request), 50_000 ether);
        assertEq(metis.balanceOf(owner), 50_000 ether);
        assertEq(metis.balanceOf(address(staking)), 0);
    }

    function test_exit_twice_reverts() external {
        asOwner();
        staking.exit(id);
        vm.expectRevert(abi.encodeWithSelector(IStaking.NotActive.selector, id));
        asOwner();
        staking.exit(id);
    }

    function test_exit_notOwner_reverts() external {
        notOwner(stranger);
        staking.exit(id);
        notOwner(governance);
        staking.exit(id);
    }

    /// The list stays whole when one in its middle leaves.
    function test_exit_fromTheMiddle_succeeds() external {
        register(2, STAKE);
        uint64 third = register(3, STAKE);
        asOwner();
        staking.exit(id);
        vm.prank(ownerOf(3));
        staking.exit(third);
        IStaking.Candidate[] memory left = staking.candidates();
        assertEq(left.length, 1);
        assertEq(left[0].signer, vm.addr(2));
    }

    function test_claim_twice_reverts() external {
        asOwner();
        uint256 request = staking.exit(id);
        vm.warp(block.timestamp + UNBONDING_DELAY);
        asOwner();
        staking.claim(request);
        vm.expectRevert(abi.encodeWithSelector(IStaking.UnknownRequest.selector, request));
        asOwner();
        staking.claim(request);
    }

    function test_claim_notOwner_reverts() external {
        asOwner();
        uint256 request = staking.exit(id);
        vm.warp(block.timestamp + UNBONDING_DELAY);
        notOwner(stranger);
        staking.claim(request);
    }

    /// Tokens sent by mistake change no claim.
    function test_claim_withDonation_succeeds() external {
        metis.mint(address(staking), 1_000 ether);
        asOwner();
        uint256 request = staking.exit(id);
        vm.warp(block.timestamp + UNBONDING_DELAY);
        asOwner();
        assertEq(staking.claim(request), 50_000 ether);
        assertEq(metis.balanceOf(address(staking)), 1_000 ether);
    }

    // signer

    function test_rotateSigner_keepsOldBound_succeeds() external {
        asOwner();
        staking.rotateSigner(id, vm.addr(2));
        assertEq(staking.operator(id).signer, vm.addr(2));
        assertEq(staking.operatorOf(vm.addr(1)), id);
        assertEq(staking.operatorOf(vm.addr(2)), id);
        vm.expectRevert(abi.encodeWithSelector(IStaking.SignerTaken.selector, vm.addr(1), id));
        asOwner();
        staking.rotateSigner(id, vm.addr(1));
    }

    function test_rotateSigner_zeroOrOwner_reverts() external {
        vm.expectRevert(IStaking.ZeroAddress.selector);
        asOwner();
        staking.rotateSigner(id, address(0));
        vm.expectRevert(abi.encodeWithSelector(IStaking.KeysNotApart.selector, owner));
        asOwner();
        staking.rotateSigner(id, owner);
    }

    function test_rotateSigner_notOwner_reverts() external {
        notOwner(vm.addr(1));
        staking.rotateSigner(id, vm.addr(2));
    }

    function test_rotateSigner_afterExit_reverts() external {
        asOwner();
        staking.exit(id);
        vm.expectRevert(abi.encodeWithSelector(IStaking.NotActive.selector, id));
        asOwner();
        staking.rotateSigner(id, vm.addr(2));
    }

    // recipient, owner, metadata

    function test_setRecipient_byOwner_succeeds() external {
        asOwner();
        staking.setRecipient(id, stranger);
        assertEq(staking.operator(id).recipient, stranger);
        vm.expectRevert(IStaking.ZeroAddress.selector);
        asOwner();
        staking.setRecipient(id, address(0));
        notOwner(stranger);
        staking.setRecipient(id, stranger);
    }

    function test_transferOperator_twoSteps_succeeds() external {
        asOwner();
        uint256 request = staking.decrease(id, 1 ether);
        asOwner();
        staking.transferOperator(id, stranger);
        assertEq(staking.operator(id).owner, owner);
        vm.prank(stranger);
        staking.acceptOperator(id);
        assertEq(staking.operator(id).owner, stranger);
        assertEq(staking.operator(id).pendingOwner, address(0));
        vm.warp(block.timestamp + UNBONDING_DELAY);
        notOwner(owner);
        staking.claim(request);
        vm.prank(stranger);
        staking.claim(request);
        assertEq(metis.balanceOf(stranger), 1 ether);
    }

    function test_transferOperator_withdrawn_reverts() external {
        asOwner();
        staking.transferOperator(id, stranger);
        asOwner();
        staking.transferOperator(id, address(0));
        vm.expectRevert(abi.encodeWithSelector(IStaking.NotPendingOwner.selector, id, stranger));
        vm.prank(stranger);
        staking.acceptOperator(id);
    }

    function test_transferOperator_toSigner_reverts() external {
        vm.expectRevert(abi.encodeWithSelector(IStaking.KeysNotApart.selector, vm.addr(1)));
        asOwner();
        staking.transferOperator(id, vm.addr(1));
    }

    function test_transferOperator_notOwner_reverts() external {
        notOwner(stranger);
        staking.transferOperator(id, stranger);
    }

    function test_acceptOperator_becameSigner_reverts() external {
        asOwner();
        staking.transferOperator(id, vm.addr(2));
        asOwner();
        staking.rotateSigner(id, vm.addr(2));
        vm.expectRevert(abi.encodeWithSelector(IStaking.KeysNotApart.selector, vm.addr(2)));
        vm.prank(vm.addr(2));
        staking.acceptOperator(id);
    }

    /// Nobody can take an operator that does not exist: its pending owner is zero.
    function test_acceptOperator_unknown_reverts() external {
        vm.expectRevert(abi.encodeWithSelector(IStaking.NotPendingOwner.selector, 77, stranger));
        vm.prank(stranger);
        staking.acceptOperator(77);
    }

    function test_setMetadata_emits_succeeds() external {
        vm.expectEmit(address(staking));
        emit IStaking.MetadataChanged(id, "Eunomia", "https://eunomia.example");
        asOwner();
        staking.setMetadata(id, "Eunomia", "https://eunomia.example");
    }

    function test_setMetadata_tooLong_reverts() external {
        string memory long = string(new bytes(257));
        vm.expectRevert(IStaking.NameTooLong.selector);
        asOwner();
        staking.setMetadata(id, long, "");
        vm.expectRevert(IStaking.NameTooLong.selector);
        asOwner();
        staking.setMetadata(id, "", long);
        notOwner(stranger);
        staking.setMetadata(id, "", "");
    }

    // domain, constructor

    function test_domainSeparator_otherChain_succeeds() external {
        assertEq(staking.domainSeparator(), Signing.domainSeparator(block.chainid, address(staking)));
        vm.chainId(77);
        assertEq(staking.domainSeparator(), Signing.domainSeparator(77, address(staking)));
    }

    function test_constructor_outOfRange_reverts() external {
        IERC20 token = IERC20(address(metis));
        vm.expectRevert(abi.encodeWithSelector(IStaking.UnbondingDelayOutOfRange.selector, 0));
        new Staking(token, governance, 0);
        vm.expectRevert(abi.encodeWithSelector(IStaking.UnbondingDelayOutOfRange.selector, 60 days + 1));
        new Staking(token, governance, 60 days + 1);
        vm.expectRevert(IStaking.ZeroAddress.selector);
        new Staking(IERC20(address(0)), governance, 1);
    }

    function test_mint_notDeployer_reverts() external {
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, stranger));
        vm.prank(stranger);
        metis.mint(stranger, 1);
    }

    /// What comes out is what went in, and the stake stays within its bounds.
    function testFuzz_decrease_conservesTokens_succeeds(uint96 stake, uint96 amount) external {
        stake = uint96(bound(stake, 20_000 ether, 100_000 ether));
        uint64 other = register(9, stake);
        amount = uint96(bound(amount, 1, 100_000 ether));
        if (amount > stake - 20_000 ether) {
            vm.expectPartialRevert(IStaking.StakeBelowMinimum.selector);
            vm.prank(ownerOf(9));
            staking.decrease(other, amount);
            return;
        }
        vm.startPrank(ownerOf(9));
        uint256 part = staking.decrease(other, amount);
        assertEq(staking.weightOf(other), (stake - amount) / 1 ether);
        uint256 rest = staking.exit(other);
        vm.warp(block.timestamp + UNBONDING_DELAY);
        staking.claim(part);
        staking.claim(rest);
        vm.stopPrank();
        assertEq(metis.balanceOf(ownerOf(9)), stake);
        assertEq(metis.balanceOf(address(staking)), 50_000 ether);
    }
}
