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

    /// End of the n-th slot of the exit queue from now.
    function slotEnd(uint64 n) internal view returns (uint64) {
        return (uint64(block.timestamp) / CHURN_PERIOD + n + 1) * CHURN_PERIOD;
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
        vm.warp(block.timestamp + LEAVING);
        asOwner();
        staking.claim(request);

        vm.prank(governance);
        staking.setWhitelisted(stranger, true);
        vm.prank(stranger);
        staking.register(STAKE, vm.addr(2), recipient);
    }

    function test_setWhitelistEnabled_notGovernance_reverts() external {
        vm.expectRevert(abi.encodeWithSelector(IStaking.NotAllowed.selector, stranger));
        vm.prank(stranger);
        staking.setWhitelistEnabled(true);
        vm.expectRevert(abi.encodeWithSelector(IStaking.NotAllowed.selector, stranger));
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
        uint64 firstAt = slotEnd(0) + UNBONDING_DELAY;
        vm.expectEmit(address(staking));
        emit IStaking.UnbondingRequested(1, id, address(0), 10_000 ether, firstAt);
        asOwner();
        uint256 first = staking.decrease(id, 10_000 ether);
        vm.warp(block.timestamp + 1 days);
        uint64 secondAt = slotEnd(0) + UNBONDING_DELAY;
        asOwner();
        uint256 second = staking.decrease(id, 20_000 ether);
        assertEq(staking.requestsOf(address(uint160(id))).length, 2);
        assertEq(staking.totalStaked(), 20_000 ether);
        assertEq(staking.totalUnbonding(), 30_000 ether);

        vm.warp(firstAt - 1);
        vm.expectRevert(abi.encodeWithSelector(IStaking.StillUnbonding.selector, first, firstAt));
        asOwner();
        staking.claim(first);
        vm.warp(firstAt);
        asOwner();
        staking.claim(first);
        assertEq(metis.balanceOf(owner), 10_000 ether);
        vm.warp(secondAt - 1);
        vm.expectRevert(abi.encodeWithSelector(IStaking.StillUnbonding.selector, second, secondAt));
        asOwner();
        staking.claim(second);
        vm.warp(secondAt);
        asOwner();
        staking.claim(second);
        assertEq(metis.balanceOf(owner), 30_000 ether);
        assertEq(staking.totalUnbonding(), 0);
        assertEq(staking.requestsOf(address(uint160(id))).length, 0);
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
        uint256 most = staking.MAX_SELF_REQUESTS();
        for (uint256 i; i + 1 < most; ++i) {
            asOwner();
            staking.decrease(id, 1 ether);
        }
        vm.expectRevert(abi.encodeWithSelector(IStaking.TooManyRequests.selector, most - 1));
        asOwner();
        staking.decrease(id, 1 ether);
        asOwner();
        staking.exit(id);
        assertEq(staking.requestsOf(address(uint160(id))).length, most);
    }

    /// 50,000 METIS alone leave in three slots of 20,000; each takes its weight out of the snapshots.
    function test_exit_paysAfterDelay_succeeds() external {
        asOwner();
        uint256 request = staking.exit(id);
        uint64 releaseAt = slotEnd(2) + UNBONDING_DELAY;
        assertEq(staking.unbonding(request).releaseAt, releaseAt);
        assertEq(staking.claimableAt(request), releaseAt);
        assertEq(staking.answersUntil(vm.addr(1)), releaseAt);
        assertEq(staking.weightOf(id), 30_000);
        uint64 next = slotEnd(0);
        vm.warp(next - 1);
        assertEq(staking.weightOf(id), 30_000);
        vm.warp(next);
        assertEq(staking.weightOf(id), 10_000);
        assertEq(staking.candidates()[0].weight, 10_000);
        vm.expectRevert(abi.encodeWithSelector(IStaking.NotEjectable.selector, id));
        staking.eject(id);
        vm.warp(next + CHURN_PERIOD);
        assertEq(staking.weightOf(id), 0);
        staking.eject(id);
        assertEq(staking.candidates().length, 0);
        vm.warp(releaseAt);
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
        vm.warp(block.timestamp + LEAVING);
        staking.eject(id);
        staking.eject(third);
        IStaking.Candidate[] memory left = staking.candidates();
        assertEq(left.length, 1);
        assertEq(left[0].signer, vm.addr(2));
    }

    function test_claim_twice_reverts() external {
        asOwner();
        uint256 request = staking.exit(id);
        vm.warp(block.timestamp + LEAVING);
        asOwner();
        staking.claim(request);
        vm.expectRevert(abi.encodeWithSelector(IStaking.UnknownRequest.selector, request));
        asOwner();
        staking.claim(request);
    }

    function test_claim_notOwner_reverts() external {
        asOwner();
        uint256 request = staking.exit(id);
        vm.warp(block.timestamp + LEAVING);
        notOwner(stranger);
        staking.claim(request);
    }

    /// Tokens sent by mistake change no claim.
    function test_claim_withDonation_succeeds() external {
        metis.mint(address(staking), 1_000 ether);
        asOwner();
        uint256 request = staking.exit(id);
        vm.warp(block.timestamp + LEAVING);
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
        vm.warp(block.timestamp + LEAVING);
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
        IStaking.Config memory config = staking.config();
        assertEq(config.unbondingDelay, UNBONDING_DELAY);
        assertEq(config.churnPeriod, CHURN_PERIOD);
        assertEq(config.commissionNotice, COMMISSION_NOTICE);
        assertEq(config.rewardPeriod, REWARD_PERIOD);
        for (uint256 i; i < 8; ++i) {
            uint64[4] memory times = [UNBONDING_DELAY, CHURN_PERIOD, COMMISSION_NOTICE, REWARD_PERIOD];
            uint64 most = i / 2 % 2 == 0 ? 60 days : 7 days;
            uint64 time = i % 2 == 0 ? 0 : most + 1;
            times[i / 2] = time;
            vm.expectRevert(abi.encodeWithSelector(IStaking.TimeOutOfRange.selector, time));
            new Staking(token, governance, slasher, rewarder, IStaking.Config(times[0], times[1], times[2], times[3]));
        }
        vm.expectRevert(IStaking.ZeroAddress.selector);
        new Staking(IERC20(address(0)), governance, slasher, rewarder, config);
        vm.expectRevert(IStaking.ZeroAddress.selector);
        new Staking(token, governance, address(0), rewarder, config);
        vm.expectRevert(IStaking.ZeroAddress.selector);
        new Staking(token, governance, slasher, address(0), config);
        assertEq(staking.governance(), governance);
        assertEq(staking.slashing(), slasher);
        assertEq(staking.rewards(), rewarder);
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
        uint256 rest = staking.exit(other);
        vm.warp(block.timestamp + LEAVING);
        assertEq(staking.weightOf(other), 0);
        staking.claim(part);
        staking.claim(rest);
        vm.stopPrank();
        assertEq(metis.balanceOf(ownerOf(9)), stake);
        assertEq(metis.balanceOf(address(staking)), 50_000 ether);
    }
}
