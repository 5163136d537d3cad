"""web3.py against the network that $DEVNET_JSON describes; $PROBE_JSON holds the compiled contracts."""

import asyncio
import json
import os
import time
import unittest

from eth_account import Account
from eth_account.messages import encode_typed_data
from web3 import AsyncWeb3, Web3, WebSocketProvider
from web3.exceptions import ContractCustomError, ContractLogicError, ContractPanicError, Web3RPCError

with open(os.environ["DEVNET_JSON"], encoding="utf-8") as file:
    DEVNET = json.load(file)
with open(os.environ["PROBE_JSON"], encoding="utf-8") as file:
    PROBE = json.load(file)["Probe"]
NODES = [node for node in DEVNET["nodes"] if node["role"] == "sequencer"]
NODE = NODES[1 % len(NODES)]
ACCOUNT = Account.from_key(DEVNET["accounts"][4]["privateKey"])
RECEIPT_SECONDS = 20
# The next batch, its L1 block, and the L1 blocks upon that.
FINAL_SECONDS = 40


class Web3Py(unittest.TestCase):
    """The tests run in the order of their names and share one contract."""

    @classmethod
    def setUpClass(cls):
        cls.w3 = Web3(Web3.HTTPProvider(NODE["rpc"]))
        receipt = cls.send(cls.w3.eth.contract(abi=PROBE["abi"], bytecode=PROBE["bytecode"]).constructor(7))
        cls.probe = cls.w3.eth.contract(address=receipt["contractAddress"], abi=PROBE["abi"])

    @classmethod
    def send_raw(cls, transaction):
        """Signs, sends, waits; the receipt."""
        signed = ACCOUNT.sign_transaction(transaction)
        sent = cls.w3.eth.send_raw_transaction(signed.raw_transaction)
        return cls.w3.eth.wait_for_transaction_receipt(sent, timeout=RECEIPT_SECONDS, poll_latency=0.1)

    @classmethod
    def send(cls, call, **extra):
        """A contract call with the gas and fees that web3.py fills in."""
        nonce = cls.w3.eth.get_transaction_count(ACCOUNT.address, "pending")
        return cls.send_raw(call.build_transaction({"from": ACCOUNT.address, "nonce": nonce, **extra}))

    def fees(self):
        latest = self.w3.eth.get_block("latest")
        tip = self.w3.eth.max_priority_fee
        return {"maxFeePerGas": 2 * latest["baseFeePerGas"] + tip, "maxPriorityFeePerGas": tip}

    def test_01_chain(self):
        self.assertTrue(self.w3.is_connected())
        self.assertEqual(self.w3.eth.chain_id, DEVNET["chainId"])
        self.assertGreater(self.w3.eth.get_balance(ACCOUNT.address), 9_000 * 10**18)
        history = self.w3.eth.fee_history(4, "latest", [25, 75])
        self.assertEqual(len(history["baseFeePerGas"]), len(history["gasUsedRatio"]) + 1)
        self.assertFalse(self.w3.eth.syncing)

    def test_02_legacy_and_dynamic_transfers(self):
        to = Account.create().address
        base = {"to": to, "value": 5, "gas": 21_000, "chainId": DEVNET["chainId"]}
        for extra in ({"gasPrice": self.w3.eth.gas_price}, self.fees()):
            nonce = self.w3.eth.get_transaction_count(ACCOUNT.address, "pending")
            self.assertEqual(self.send_raw({**base, **extra, "nonce": nonce})["status"], 1)
        self.assertEqual(self.w3.eth.get_balance(to), 10)

    def test_03_call_and_event(self):
        receipt = self.send(self.probe.functions.set(1, 42, "für Héra"), value=3)
        (event,) = self.probe.events.Changed().process_receipt(receipt)
        self.assertEqual(dict(event["args"]), {"who": ACCOUNT.address, "key": 1, "value": 42, "note": "für Héra"})
        self.assertEqual(self.probe.functions.values(1).call(), 42)
        self.assertEqual(self.probe.functions.START().call(), 7)

    def test_04_logs_and_filters(self):
        watching = self.probe.events.Changed.create_filter(from_block="latest", argument_filters={"key": 2})
        blocks = self.w3.eth.filter("latest")
        receipt = self.send(self.probe.functions.set(2, 2, "zwei"))
        self.assertEqual([entry["args"]["value"] for entry in watching.get_new_entries()], [2])
        self.assertIn(receipt["blockHash"], blocks.get_new_entries())
        self.assertTrue(self.w3.eth.uninstall_filter(watching.filter_id))
        logs = self.probe.events.Changed.get_logs(from_block=0, argument_filters={"key": 2})
        self.assertEqual(len(logs), 1)

    def test_05_revert_reasons(self):
        with self.assertRaises(ContractCustomError) as caught:
            self.probe.functions.refuse(5).call({"from": ACCOUNT.address})
        self.assertTrue(str(caught.exception.data).endswith("5"))
        with self.assertRaisesRegex(ContractLogicError, "non capisco"):
            self.probe.functions.complain("non capisco").call()
        with self.assertRaises(ContractPanicError):
            self.probe.functions.underflow(1).call()
        with self.assertRaises(ContractLogicError):
            self.probe.functions.silent().estimate_gas({"from": ACCOUNT.address})

    def test_06_access_list(self):
        call = {"from": ACCOUNT.address, "to": self.probe.address, "data": self.probe.encode_abi("sum", args=[8])}
        made = self.w3.eth.create_access_list(call)
        entry = next(one for one in made["accessList"] if one["address"] == self.probe.address)
        self.assertEqual(len(entry["storageKeys"]), 8)
        nonce = self.w3.eth.get_transaction_count(ACCOUNT.address, "pending")
        listed = [{"address": one["address"], "storageKeys": list(one["storageKeys"])} for one in made["accessList"]]
        call = {"to": call["to"], "data": call["data"], "value": 0, "gas": 200_000, "nonce": nonce}
        receipt = self.send_raw({**call, **self.fees(), "accessList": listed, "chainId": DEVNET["chainId"]})
        self.assertEqual(receipt["gasUsed"], made["gasUsed"])

    def test_07_typed_data(self):
        letter = {"from": ACCOUNT.address, "amount": 12, "text": "a tutti"}
        kinds = {"Letter": [{"name": "from", "type": "address"}, {"name": "amount", "type": "uint256"}, {"name": "text", "type": "string"}]}
        domain = {"name": "Probe", "version": "1", "chainId": DEVNET["chainId"], "verifyingContract": self.probe.address}
        signed = ACCOUNT.sign_message(encode_typed_data(domain, kinds, letter))
        parts = (signed.v, signed.r.to_bytes(32, "big"), signed.s.to_bytes(32, "big"))
        self.assertEqual(self.probe.functions.reader(ACCOUNT.address, 12, "a tutti", *parts).call(), ACCOUNT.address)

    def test_08_delegation(self):
        authority = Account.create()
        signed = authority.sign_authorization({"chainId": DEVNET["chainId"], "address": self.probe.address, "nonce": 0})
        nonce = self.w3.eth.get_transaction_count(ACCOUNT.address, "pending")
        call = {
            "to": authority.address, "value": 0, "gas": 300_000, "nonce": nonce, "chainId": DEVNET["chainId"],
            "data": self.probe.encode_abi("set", args=[6, 66, "delegated"]), "authorizationList": [signed], **self.fees(),
        }
        receipt = self.send_raw(call)
        self.assertEqual((receipt["status"], receipt["type"]), (1, 4))
        self.assertEqual(self.w3.eth.get_code(authority.address).hex(), "ef0100" + self.probe.address[2:].lower())
        delegated = self.w3.eth.contract(address=authority.address, abi=PROBE["abi"])
        self.assertEqual(delegated.functions.values(6).call(), 66)

    def test_09_proof_and_storage(self):
        self.assertEqual(int.from_bytes(self.w3.eth.get_storage_at(self.probe.address, 1), "big"), self.probe.functions.count().call())
        # web3.py writes the slot as "0x1".
        proof = self.w3.eth.get_proof(self.probe.address, [1], "latest")
        self.assertEqual(int.from_bytes(proof["storageProof"][0]["value"], "big"), self.probe.functions.count().call())

    def test_10_blocks_by_tag(self):
        since = self.send(self.probe.functions.set(10, 10, "finale"))["blockNumber"]
        deadline = time.monotonic() + FINAL_SECONDS
        ahead = posted = final = False
        while not (ahead and posted and final):
            # The lowest first: a head that moves in between only makes the next figure larger.
            heights = [self.w3.eth.get_block(tag)["number"] for tag in ("earliest", "finalized", "safe", "latest", "pending")]
            self.assertEqual(heights, sorted(heights))
            ahead |= heights[2] < heights[3]
            posted |= heights[1] < heights[2]
            final = heights[1] >= since
            self.assertLess(time.monotonic(), deadline, f"block {since} is not posted and final: {heights}")
            time.sleep(0.05)
        for tag in ("finalized", "safe", "latest", "pending"):
            self.assertEqual(self.probe.functions.values(10).call(block_identifier=tag), 10)
        self.assertEqual(self.probe.functions.values(10).call(block_identifier=since - 1), 0)

    def test_11_batch(self):
        with self.w3.batch_requests() as batch:
            for height in range(10):
                batch.add(self.w3.eth.get_block(height))
            blocks = batch.execute()
        self.assertEqual([block["number"] for block in blocks], list(range(10)))

    def test_12_refusals(self):
        with self.assertRaises(Web3RPCError) as caught:
            self.w3.eth.send_raw_transaction("0x02c0")
        self.assertEqual(caught.exception.rpc_response["error"]["code"], -32000)

    def test_13_traces(self):
        receipt = self.send(self.probe.functions.set(8, 88, "traced"))
        (trace,) = self.w3.tracing.trace_transaction(receipt["transactionHash"])
        self.assertEqual((trace["type"], trace["action"]["to"]), ("call", self.probe.address))
        answer = self.w3.provider.make_request("debug_traceTransaction", [receipt["transactionHash"].to_0x_hex(), {"tracer": "callTracer"}])
        self.assertEqual(int(answer["result"]["gasUsed"], 16), receipt["gasUsed"])

    def test_14_subscriptions(self):
        asyncio.run(asyncio.wait_for(self.subscriptions(), 60))

    async def subscriptions(self):
        async with AsyncWeb3(WebSocketProvider(NODE["ws"])) as w3:
            heads = await w3.eth.subscribe("newHeads")
            logs = await w3.eth.subscribe("logs", {"address": self.probe.address})
            pending = await w3.eth.subscribe("newPendingTransactions")
            receipt = await asyncio.to_thread(self.send, self.probe.functions.set(9, 9, "socket"))
            heard = {heads: [], logs: [], pending: []}
            async for message in w3.socket.process_subscriptions():
                heard[message["subscription"]].append(message["result"])
                if receipt["blockHash"] in [head["hash"] for head in heard[heads]] and heard[logs] and heard[pending]:
                    break
            self.assertEqual([entry["transactionHash"] for entry in heard[logs]], [receipt["transactionHash"]])
            (event,) = self.probe.events.Changed().process_receipt({"logs": heard[logs]})
            self.assertEqual((event["args"]["value"], event["blockHash"]), (9, receipt["blockHash"]))
            self.assertEqual(heard[pending], [receipt["transactionHash"]])
            for subscription in heard:
                self.assertTrue(await w3.eth.unsubscribe(subscription))


if __name__ == "__main__":
    unittest.main(verbosity=2)
