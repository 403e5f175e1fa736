"""Websockets of programs below the launcher, whose bytes stay on the wire, and of blocks that record themselves."""

import json

import pytest

from tests.support.embedded import Program
from tests.support.executable import plain_environment, playhead
from tests.support.inside import Agent
from tests.support.talker import Talker

SPEAKERS = """
    import asyncio, os, sys
    import aiohttp
    from websockets.asyncio.client import connect
    from websockets.sync.client import connect as sync_connect

    async def tasks():
        trace = []
        async with connect(os.environ["TALK"]) as ws:
            async def listen():
                async for message in ws:
                    trace.append(message)
                    if message == "done":
                        return

            async def speak(who):
                for number in range(3):
                    await ws.send(f"{who} {number}")
                    trace.append(f"said {who} {number}")
                    await asyncio.sleep(0.001)

            listening = asyncio.create_task(listen())
            await asyncio.gather(*map(speak, "abc"))
            await ws.send("done")
            await listening
        return trace

    async def by_aiohttp():
        async with aiohttp.ClientSession(trust_env=True) as session, session.ws_connect(os.environ["TALK"]) as ws:
            await ws.send_str(MORE)
            try:
                await ws.receive_str(timeout=0.02)
            except TimeoutError:
                pass
            await ws.send_bytes(b"bytes")
            return [(await ws.receive()).data for _ in range(2)]

    def threads():
        with sync_connect(os.environ["TALK"]) as ws:
            ws.send("one")
            return ws.recv()

    MORE = "more"
    print(asyncio.run(tasks()), asyncio.run(by_aiohttp()), threads())
    """


def echo(ws):
    """Says everything again, but for one thing that it says together with the next."""
    for message in ws:
        if message == "more":
            later = ws.recv()
            ws.send(message)
            message = later
        ws.send(message)


@pytest.fixture
def env(home):
    return plain_environment(home)


@pytest.mark.parametrize("inside", ["on", "off"])
def test_below_the_launcher_they_are_recorded_once_and_come_again(inside, env, tmp_path):
    """On the wire, and nowhere else; with nothing inside, too, where no order of receives is known."""
    code = SPEAKERS
    if inside == "off":
        code = code.replace("asyncio.run(tasks())", "0").replace("await ws.receive_str(timeout=0.02)", "0")
    with Talker(echo) as server:
        agent = Agent({**env, "TALK": "ws://talk.example/v1", "PLAYHEAD_INSIDE": inside}, tmp_path, code)
        recorded = agent.record("--map", f"talk.example=http://127.0.0.1:{server.port}")
    assert recorded.summary["exchanges"] == (3 if inside == "on" else 2)
    assert recorded.summary["not_captured"] == []
    steps = json.loads(playhead("inspect", "it", "--json", env=env).stdout)["steps"]
    assert {step["title"] for step in steps} == {"websocket talk.example"}
    for _ in range(3):
        replayed = agent.replay()
        assert (replayed.returncode, replayed.stdout) == (0, recorded.stdout), replayed.stderr
        assert replayed.summary["verdict"] == "identical"
    agent.write(code.replace('MORE = "more"', 'MORE = "less"'))
    replayed = agent.replay()
    assert replayed.returncode == 1
    [divergence, *_] = replayed.summary["divergences"]
    assert (divergence["class"], divergence["path"]) == ("changed", "$.sent[0]")


BLOCK = """
    import asyncio, os, sys
    import playhead
    from websockets.asyncio.client import connect
    from websockets.sync.client import connect as sync_connect

    async def main(say):
        async with connect(os.environ["TALK"]) as ws:
            await ws.send(say)
            heard = await ws.recv()
            return heard, sync(heard)

    def sync(say):
        with sync_connect(os.environ["TALK"]) as ws:
            ws.send(say)
            return ws.recv()

    with (playhead.record if sys.argv[1] == "record" else playhead.replay)("talk") as session:
        print(asyncio.run(main(sys.argv[2])))
    """


def test_a_block_carries_them_itself(env, tmp_path):
    """Recorded with no launcher, replayed with no server; what says something else is a divergence with its path."""
    with Talker(echo) as server:
        program = Program({**env, "TALK": server.url}, tmp_path, BLOCK)
        recorded = program.run("record", "hello")
    assert recorded == "('hello', 'hello')\n"
    for _ in range(3):
        assert program.run("replay", "hello") == recorded
    program.run("replay", "hallo", code=1)
    shown = json.loads(playhead("inspect", "talk", "--json", env=program.env).stdout)
    assert [(step["title"], step["status"]) for step in shown["steps"]] == [
        (f"websocket 127.0.0.1:{server.port}", "ok"),
        (f"websocket 127.0.0.1:{server.port}", "ok"),
    ]


OUTLIVES = """
    import asyncio, os, sys
    import playhead
    from websockets.asyncio.client import connect
    from websockets.sync.client import connect as sync_connect

    with playhead.record("talk"):
        ws = sync_connect(os.environ["TALK"], legacy=True)
        ws.send("in it")
        print(ws.recv())
    ws.send("behind it")
    print(ws.recv())
    ws.close()

    async def main():
        with playhead.record("talk"):
            ws = await connect(os.environ["TALK"])
            await ws.send("in it")
            print(await ws.recv())
        await ws.send("behind it")
        print(await ws.recv())
        await ws.close()

    asyncio.run(main())
    """


def test_a_conversation_may_outlive_its_block(env, tmp_path):
    """It goes on as if there had been none."""
    with Talker(echo) as server:
        program = Program({**env, "TALK": server.url}, tmp_path, OUTLIVES)
        assert program.run() == "in it\nbehind it\n" * 2
