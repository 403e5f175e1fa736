"""Programs that an agent starts: recorded once, and not started again."""

import textwrap

import pytest

from tests.support.clients import KEYS
from tests.support.executable import plain_environment, playhead
from tests.support.inside import Agent
from tests.support.model_server import ModelServer

RUN = """
    import os, subprocess, sys
    count = "echo x >> count; "
    print(subprocess.run(["sh", "-c", count + "date +%N; echo bad >&2; exit 3"], capture_output=True, text=True))
    try:
        subprocess.run(["no-such-program"])
    except FileNotFoundError as error:
        print(repr(error), error.filename)
    try:
        subprocess.run(["sleep", "5"], timeout=0.05, capture_output=True)
    except subprocess.TimeoutExpired as error:
        print(error)
    print("before", flush=True)
    print(os.system(count + "date +%N; exit 2"), flush=True)
    print(os.popen(count + "date +%N").read(), flush=True)
    talk = subprocess.Popen(
        ["sh", "-c", "while read l; do echo got $l $(date +%N); done"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
    )
    for each in "abc":
        talk.stdin.write(each + "\\n")
        print(talk.stdout.readline())
    talk.stdin.close()
    print(talk.wait(), talk.pid, talk.stdout.read())
    sleeper = subprocess.Popen(["sleep", "100"])
    print(sleeper.poll())
    sleeper.terminate()
    print(sleeper.wait())
    """

AWAITED = """
    import asyncio
    PIPE = asyncio.subprocess.PIPE

    async def one(n):
        program = f"echo x >> count; sleep 0.0{n}; date +%N; exit {n}"
        child = await asyncio.create_subprocess_shell(program, stdout=PIPE)
        print(n, await child.communicate(), child.returncode)

    async def main():
        await asyncio.gather(one(3), one(1), one(2))
        child = await asyncio.create_subprocess_exec("sleep", "50", stdout=PIPE)
        try:
            await asyncio.wait_for(child.communicate(), 0.05)
        except TimeoutError:
            child.kill()
        print(await child.wait())

    asyncio.run(main())
    """

QUICK = """
    import asyncio, time

    async def one(n):
        asyncio.get_running_loop().call_soon(time.sleep, 0.01)
        child = await asyncio.create_subprocess_shell(f"echo x >> count; exit {n}")
        asyncio.get_running_loop().call_soon(time.sleep, 0.01)
        return await child.wait()

    async def main():
        print(await asyncio.gather(*[one(n) for n in range(8)]))
        try:
            await asyncio.create_subprocess_exec("no-such-program")
        except FileNotFoundError as error:
            print(error)

    asyncio.run(main())
    """

PYTHONS = """
    import asyncio, subprocess, sys
    CHILD = "import time; print(time.time(), input(), flush=True); open('count', 'a').write('x')"
    print(subprocess.run([sys.executable, "-c", CHILD], input=b"in", capture_output=True).stdout)

    async def main():
        pipe = asyncio.subprocess.PIPE
        child = await asyncio.create_subprocess_exec(sys.executable, "-c", CHILD, stdin=pipe, stdout=pipe)
        print(await child.communicate(b"in"))

    asyncio.run(main())
    """


@pytest.fixture
def env(home):
    return plain_environment(home)


def _counted(folder):
    return (folder / "count").read_text().count("x")


@pytest.mark.parametrize(("code", "started"), [(RUN, 3), (AWAITED, 3), (QUICK, 8)])
def test_what_programs_said_comes_again_and_none_is_started(env, tmp_path, code, started):
    """Output, return codes, time-outs, errors, conversations and what is printed past the agent."""
    agent = Agent(env, tmp_path, code)
    recorded = agent.record(cwd=tmp_path)
    assert "None]" not in recorded.stdout
    assert _counted(tmp_path) == started
    replayed = agent.replay(cwd=tmp_path)
    assert replayed.stdout == recorded.stdout
    assert replayed.summary["verdict"] == "identical", replayed.stderr
    assert _counted(tmp_path) == started


def test_off_the_tape_they_are_started_again(env, tmp_path):
    """The same program in a block that is not recorded runs in the replay: the counter counts."""
    code = """
        import playhead, subprocess
        with playhead.unrecorded():
            subprocess.run("echo x >> count", shell=True)
        """
    agent = Agent(env, tmp_path, code)
    agent.record(cwd=tmp_path)
    agent.replay(cwd=tmp_path)
    assert _counted(tmp_path) == 2


def test_a_python_on_the_tape_is_a_part_of_the_agent(env, tmp_path):
    """It runs again, told its own clock, with what it is given."""
    agent = Agent(env, tmp_path, PYTHONS)
    recorded = agent.record(cwd=tmp_path)
    replayed = agent.replay(cwd=tmp_path)
    assert replayed.stdout == recorded.stdout
    assert replayed.summary["verdict"] == "identical", replayed.stderr
    assert _counted(tmp_path) == 4


@pytest.mark.parametrize(("old", "new"), [("echo a", "echo b"), ("input='x'", "input='y'"), ("cwd='/'", "cwd='/tmp'")])
def test_another_command_is_not_answered(env, tmp_path, old, new):
    """Other arguments, another input or directory is a divergence."""
    code = "import subprocess\nsubprocess.run('echo a; cat', shell=True, input='x', cwd='/', text=True)\n"
    agent = Agent(env, tmp_path, code)
    agent.record(cwd=tmp_path)
    agent.write(code.replace(old, new))
    replayed = agent.replay(cwd=tmp_path)
    assert [each["class"] for each in replayed.summary["divergences"]] == ["changed"]


def test_what_a_program_wrote_into_a_file_is_there_again(env, tmp_path):
    """`stdout=` a file of the agent's."""
    code = """
        import subprocess
        with open("log", "w") as log:
            subprocess.run(["date", "+%N"], stdout=log)
        print(open("log").read())
        """
    agent = Agent(env, tmp_path, code)
    recorded = agent.record(cwd=tmp_path)
    replayed = agent.replay(cwd=tmp_path)
    assert replayed.stdout == recorded.stdout
    assert replayed.summary["verdict"] == "identical"


ASKING = """
    import json, os, urllib.request
    asked = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Pick a number."}]}).encode()
    as_json = {"content-type": "application/json"}
    request = urllib.request.Request(os.environ["MODEL"] + "/v1/chat/completions", asked, as_json)
    print(json.load(urllib.request.urlopen(request))["choices"][0]["message"]["content"])
    """

STARTING = """
    import subprocess, sys
    import playhead

    def ask():
        return subprocess.run([sys.executable, "-E", "ask.py"], capture_output=True, text=True).stdout

    tool = playhead.tool(ask)
    found = [tool(), ask(), tool()]
    print(len(set(found)), found)
    """


def test_what_programs_of_a_tool_ask_is_part_of_its_answer(env, tmp_path):
    """A replay does not start them, and gives what they were told to nobody else who asks in the same words."""
    (tmp_path / "ask.py").write_text(textwrap.dedent(ASKING))
    with ModelServer(tmp_path / "server", seed=5) as server:
        agent = Agent(env | KEYS | {"MODEL": server.url}, tmp_path, STARTING)
        recorded = agent.record(cwd=tmp_path)
        assert recorded.stdout.startswith("3 "), recorded.stderr
        hits = server.hits
        for _ in range(2):
            replayed = agent.replay()
            assert (replayed.stdout, replayed.summary["verdict"]) == (recorded.stdout, "identical"), replayed.stderr
        assert server.hits == hits


KEYED = """
    import os, subprocess
    given = {**os.environ, "SERVICE_TOKEN": "plain" + "wordkey", "MODE": "fast"}
    print(subprocess.run(["sh", "-c", "echo $MODE"], env=given, capture_output=True, text=True).stdout)
    """


def test_a_key_in_the_variables_of_a_program_is_not_stored(env, tmp_path):
    """However short and plain it is; the replay is identical."""
    agent = Agent(env, tmp_path, KEYED)
    agent.record()
    shown = playhead("export", "it", "-o", "-", env=env).stdout
    assert "<redacted:env>" in shown
    assert "fast" in shown
    assert "plainwordkey" not in shown
    replayed = agent.replay()
    assert replayed.returncode == 0, replayed.stderr
