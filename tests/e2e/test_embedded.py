"""Programs that record and replay blocks of their own, without the launcher."""

import json
import signal

import pytest

from tests.support.embedded import Program
from tests.support.executable import plain_environment, playhead
from tests.support.model_server import ModelServer


@pytest.fixture
def env(home):
    return plain_environment(home)


THREADS = """
    import json, os, random, subprocess, sys, threading, time, uuid
    from time import time as now

    import playhead

    @playhead.tool(effect="irreversible")
    def refund(order):
        with open("ran", "a") as file:
            file.write("x\\n")
        return f"{order} by {os.getpid()}"

    def work():
        told = [time.time(), now(), random.random(), random.choice(range(10**9)), str(uuid.uuid4()), os.urandom(4).hex()]
        order = []
        lock = threading.Lock()

        def one(name):
            for each in range(3):
                answer = refund(f"{name}{each}")
                with lock:
                    order.append(answer)

        threads = [threading.Thread(target=one, args=(name,)) for name in "abc"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return told, order, subprocess.run(["date", "+%N"], capture_output=True, text=True).stdout

    begin = playhead.record if sys.argv[1] == "record" else playhead.replay
    with begin("bug-hunt") as session:
        found = work()
    print(json.dumps(found))
"""


def test_a_block_comes_again_and_no_tool_runs(env, tmp_path):
    """Clocks, chance, ids, the order of threads, a program; with names that were imported before the block."""
    program = Program(env, tmp_path, THREADS)
    recorded = program.run("record")
    assert program.tools == 9
    for _ in range(3):
        assert program.run("replay") == recorded
    assert program.tools == 9
    assert program.run("record") != recorded  # what is replayed is not what this program prints anyway
    assert program.tools == 18


def test_the_session_is_one_like_any_other(env, tmp_path):
    """Listed, inspected, exported, imported, verified; only `playhead replay` is not for it."""
    program = Program(env, tmp_path, THREADS)
    program.run("record")
    (listed,) = json.loads(playhead("list", "--json", env=program.env).stdout)
    assert (listed["name"], listed["status"], listed["tool_calls"]) == ("bug-hunt", "ok", 9)
    assert len(json.loads(playhead("inspect", "bug-hunt", "--json", env=program.env).stdout)["steps"]) == 9
    assert playhead("verify", "bug-hunt", env=program.env).returncode == 0
    cassette = tmp_path / "it.rw"
    assert playhead("export", "bug-hunt", "-o", cassette, env=program.env).returncode == 0
    refused = playhead("replay", "bug-hunt", env=program.env)
    assert refused.returncode == 2
    assert "embedded-session" in refused.stderr
    playhead("rm", "bug-hunt", env=program.env)
    program.path.write_text(program.path.read_text().replace('begin("bug-hunt")', f"begin({str(cassette)!r})"))
    program.run("replay")
    assert program.tools == 9


ASYNC = """
    import asyncio, json, random, sys, time

    import playhead

    @playhead.tool
    async def ask(question):
        with open("ran", "a") as file:
            file.write("x\\n")
        await asyncio.sleep(random.random() / 50)
        return f"{question} {random.random()}"

    async def work():
        told = []

        async def one(name):
            for each in range(3):
                told.append(await ask(f"{name}{each}"))
                await asyncio.sleep(random.random() / 100)

        async with asyncio.TaskGroup() as group:
            for name in "abcd":
                group.create_task(one(name))
        told.append(await asyncio.to_thread(lambda: time.time()))
        return told

    async def heartbeat():
        while True:
            await asyncio.sleep(0.002)

    async def main(begin):
        other = asyncio.create_task(heartbeat())
        for name in ("first", "second"):
            async with begin(name):
                print(json.dumps(await work()))
        other.cancel()
        await asyncio.sleep(0)

    begin = playhead.record if sys.argv[1] == "record" else playhead.replay
    asyncio.run(main(begin))
    with begin("outside"):
        print(json.dumps(asyncio.run(work())))

    mode = sys.argv[1]

    @playhead.session(name="decorated", mode=mode)
    async def decorated(question):
        return await ask(question), await work()

    @playhead.session(name="plain", mode=mode)
    def plain(question):
        return asyncio.run(ask(question))

    print(json.dumps([asyncio.run(decorated("what")), plain("who")]))
"""


def test_blocks_in_a_loop_that_runs_around_it_and_functions(env, tmp_path):
    """In a loop with another task in it, with a loop within, and as decorators of both kinds of functions."""
    program = Program(env, tmp_path, ASYNC)
    recorded = program.run("record")
    ran = program.tools
    for _ in range(3):
        assert program.run("replay") == recorded
    assert program.tools == ran == 12 * 4 + 2


DIVERGING = """
    import asyncio, sys

    import playhead

    @playhead.tool
    def look(what):
        return what

    @playhead.tool
    async def ask(what):
        return what

    async def block(what):
        return look(what), await ask(what)

    async def main():
        if sys.argv[1] == "record":
            async with playhead.record("it"):
                await block(1)
            return
        for mode in ("strict", "observe"):
            try:
                async with playhead.replay("it", mode=mode) as replay:
                    await block(2)
            except playhead.errors.Diverged as error:
                print("raised", error.code)
            print(replay.verdict, [(each["class"], each["step"], each["path"]) for each in replay.divergences])
        async with playhead.replay("it", mode="observe") as replay:  # waits for what nobody will bring
            await block(1)
            await asyncio.Event().wait()
        print(replay.verdict, [each["class"] for each in replay.divergences])
        async with playhead.replay("it", mode="observe") as replay:
            look(1)
        print(replay.verdict, replay.summary["unplayed"])
        async with playhead.replay("it") as replay:
            await block(1)
        print(replay.verdict)

    asyncio.run(main())
"""


def test_a_block_that_differs_says_so_and_its_program_goes_on(env, tmp_path):
    """Also out of a wait in a loop that is not the block's own."""
    program = Program(env, tmp_path, DIVERGING)
    program.run("record")
    changed = "('changed', 1, '$.what')"
    assert program.run("replay").splitlines() == [
        "raised replay-diverged",
        f"diverged [{changed}]",
        f"diverged [{changed}, ('missing', 2, None)]",  # what did not come is told, too
        "diverged ['missing']",
        "diverged [2]",
        "identical",
    ]


def test_a_killed_block_is_a_shorter_one(env, tmp_path):
    """SIGKILL in the block: what was told is there, and replays as far as it goes."""
    program = Program(
        env,
        tmp_path,
        """
        import os, signal, sys
        import playhead

        @playhead.tool
        def look(what):
            return what

        with (playhead.record if sys.argv[1] == "record" else playhead.replay)("it", **eval(sys.argv[2])) as session:
            look(1)
            look(2)
            if sys.argv[1] == "record":
                os.kill(os.getpid(), signal.SIGKILL)
        print(session.verdict, session.reports)
        """,
    )
    program.run("record", "{}", code=-signal.SIGKILL)
    (listed,) = json.loads(playhead("list", "--json", env=program.env).stdout)
    assert (listed["status"], listed["step_count"]) == ("killed", 2)
    assert program.run("replay", "{'mode': 'observe'}").startswith("incomplete ['the recording is not whole: ")


def test_a_fork_in_a_block_has_a_part_of_it(env, tmp_path):
    """It is recorded and answered as its parent is; its end is not the block's."""
    program = Program(
        env,
        tmp_path,
        """
        import os, sys, time
        import playhead

        @playhead.tool
        def refund(order):
            with open("ran", "a") as file:
                file.write("x\\n")
            return time.time_ns()

        with (playhead.record if sys.argv[1] == "record" else playhead.replay)("it"):
            refund(1)
            child = os.fork()
            print(bool(child), refund(2), time.time(), flush=True)
            if child:
                os.waitpid(child, 0)
            else:
                os._exit(0)
        """,
    )
    recorded = program.run("record")
    assert program.tools == 3
    assert sorted(program.run("replay").splitlines()) == sorted(recorded.splitlines())
    assert program.tools == 3


def test_below_the_launcher_a_block_is_a_step_of_the_run(env, tmp_path):
    """One session, which replays through the blocks."""
    env = {**env, "PLAYHEAD_INSIDE": "on"}
    agent = tmp_path / "agent.py"
    agent.write_text(
        "import playhead, time\n"
        "@playhead.session(name='inner')\n"
        "def ask(what):\n"
        "    return time.time()\n"
        "with playhead.record('block') as session:\n"
        "    session.note('here')\n"
        "    print(ask(1), session.path is not None)\n"
        "try:\n"
        "    playhead.replay('last').__enter__()\n"
        "except playhead.errors.UsageError as error:\n"
        "    print(error.code)\n"
    )
    ran = playhead("record", "--allow-empty", "--name", "run", "--", "python", agent, env=env)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.endswith("True\non-a-tape\n")
    assert len(json.loads(playhead("list", "--json", env=env).stdout)) == 1
    again = playhead("replay", "run", env=env)
    assert (again.returncode, again.stdout) == (1, ran.stdout.replace("True", "False")), again.stderr


HTTP = """
    import asyncio, json, sys

    import httpx
    import playhead

    url = sys.argv[2] + "/v1/chat/completions"

    def question(text):
        return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}]}

    async def work():
        first = httpx.post(url, json=question("one")).text
        async with httpx.AsyncClient() as client:
            others = await asyncio.gather(*[client.post(url, json=question("the same")) for _ in range(5)])
        return [first, *[each.text for each in others]]

    async def main():
        async with (playhead.record if sys.argv[1] == "record" else playhead.replay)("it"):
            print(json.dumps(await work()))
        try:
            print(httpx.post(url, json=question("outside")).status_code)
        except httpx.ConnectError:
            print("nobody")

    asyncio.run(main())
"""


def test_http_of_a_block_needs_no_proxy_and_its_replay_no_server(env, tmp_path):
    """Steps like any other, equal questions with the answer of each; beside the block nothing is answered from it."""
    program = Program(env, tmp_path, HTTP)
    with ModelServer(tmp_path / "server", seed=3) as server:
        url = server.url
        *told, after = program.run("record", url).splitlines()
    assert after == "200"
    assert program.run("replay", url).splitlines() == [*told, "nobody"]
    shown = json.loads(playhead("inspect", "it", "--json", env=env).stdout)
    assert [(step["kind"], step["status"]) for step in shown["steps"]] == [("llm", "ok")] * 6
    assert {step["lane"] for step in shown["steps"]} == {"main", "t1", "t2", "t3", "t4", "t5"}
    program.path.write_text(program.path.read_text().replace('"one"', '"another"'))
    program.run("replay", url, code=1)


SDK = """
    import asyncio, sys

    import openai
    import playhead

    async def main():
        async with openai.AsyncOpenAI(base_url=sys.argv[2] + "/v1", api_key="sk-test", max_retries=0) as client:
            async def ask():
                question = [{"role": "user", "content": "the same"}]
                return (await client.chat.completions.create(model="gpt-4o-mini", messages=question)).choices[0].message.content
            print(await asyncio.gather(*[ask() for _ in range(4)]))

    with (playhead.record if sys.argv[1] == "record" else playhead.replay)("sdk"):
        asyncio.run(main())
"""


def test_what_an_sdk_asks_of_the_machine_comes_in_the_replay_too(env, tmp_path):
    """AsyncOpenAI asks `platform`, in a thread, which starts `uname` unless it has been asked before: recording must not have."""
    program = Program(env, tmp_path, SDK)
    with ModelServer(tmp_path / "server", seed=5) as server:
        url = server.url
        told = program.run("record", url)
    for _ in range(3):
        assert program.run("replay", url) == told
