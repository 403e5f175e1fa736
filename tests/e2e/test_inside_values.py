"""Clocks, random numbers and ids of a whole agent come again in its replay."""

import json
import random
import string
import textwrap
from pathlib import Path

from tests.support.inside import Agent

EVERYTHING = """
    import datetime, hashlib, os, random, secrets, sys, tempfile, threading, time, uuid

    print(time.time(), time.localtime(), time.ctime(), datetime.datetime.now(), datetime.date.today())
    print(random.random(), random.Random().random(), random.SystemRandom().random(), secrets.token_hex())
    print(os.urandom(4), uuid.uuid4(), uuid.uuid1(), uuid.getnode(), tempfile.mktemp())
    drawn = []
    thread = threading.Thread(target=lambda: drawn.append((random.random(), os.urandom(4))))
    thread.start()
    thread.join()
    print(drawn)
    random.seed(42)
    print(random.random())
    sys.stdout.flush()
    if not os.fork():
        print("child", random.random(), random.Random().random(), os.urandom(4), time.time_ns(), flush=True)
        os._exit(0)
    os.wait()
    random.seed()
    print("parent", random.random(), random.Random().random(), os.urandom(4))
    """


def test_all_values_are_those_of_the_recording(env, tmp_path):
    """Two recordings differ in every line, a replay in none."""
    agent = Agent(env, tmp_path, EVERYTHING)
    first = agent.record().stdout.splitlines()
    again = agent.record()
    same = [a for a, b in zip(first, again.stdout.splitlines(), strict=True) if a == b]
    assert same == ["0.6394267984578837"]  # what `random.Random(42)` gives without us
    replayed = agent.replay()
    assert replayed.stdout == again.stdout
    assert replayed.summary["verdict"] == "identical"
    numbers = {line.split()[0]: line.split()[1:3] for line in again.stdout.splitlines() if line[0] in "cp"}
    assert not {*numbers["child"]} & {*numbers["parent"]}


def test_a_further_draw_of_a_clock_is_told(env, tmp_path):
    """The control: an agent that reads the date once more is not answered."""
    agent = Agent(env, tmp_path, "import datetime\nprint(datetime.datetime.now())\n")
    agent.record()
    agent.write("import datetime\ndatetime.datetime.now()\nprint(datetime.datetime.now())\n")
    replayed = agent.replay()
    assert replayed.returncode == 1
    assert [each["class"] for each in replayed.summary["divergences"]] == ["extra"]


SURROUNDINGS = """
    import os, sys, time
    print(os.environ["FLAG"], os.environ.get("WEATHER_KEY"), os.getcwd(), time.strftime("%H", time.localtime(0)))
    print(sorted(name for name in os.environ if name not in ("_", "NEW")))
    print(input("name? "), sys.stdin.readline(), sys.stdin.read())
    """


def test_settings_and_input_are_those_of_the_recording(env, tmp_path):
    """Variables the agent was given, its time zone, directory and standard input; never a secret."""
    agent = Agent(env | {"FLAG": "1", "TZ": "Asia/Tokyo", "WEATHER_KEY": "w-0123456789abcdef"}, tmp_path, SURROUNDINGS)
    recorded = agent.record(input="a\nb\nc\nd\n")
    assert recorded.stdout.startswith("1 w-0123456789abcdef")
    agent.env |= {"FLAG": "2", "TZ": "UTC", "NEW": "3"}
    replayed = agent.replay()
    assert replayed.stdout == recorded.stdout
    assert replayed.summary["verdict"] == "identical"
    del agent.env["WEATHER_KEY"]
    assert agent.replay().stdout.startswith("1 playhead-placeholder")


def test_clocks_of_libraries_come_again_on_request(env, tmp_path):
    """`sched` reads a clock for itself: off the tape, unless PLAYHEAD_CLOCKS=all; a replay knows by itself."""
    code = "import calendar, http.cookiejar\nprint(http.cookiejar.time2isoz(), 'z')\nprint(http.cookiejar.time2netscape())\n"
    code += "import sched\nprint(sched.scheduler().timefunc() > 0)\n"
    agent = Agent(env | {"PLAYHEAD_CLOCKS": "all"}, tmp_path, code)
    recorded = agent.record()
    del agent.env["PLAYHEAD_CLOCKS"]
    replayed = agent.replay()
    assert replayed.stdout == recorded.stdout, replayed.stderr
    assert replayed.summary["verdict"] == "identical"
    assert replayed.summary["stdout_masked"] == []


def test_a_secret_in_a_name_is_redacted_in_both(env, tmp_path):
    """A file named by a key is asked for by its token, and a name that is cut is cut in the replay, too."""
    secret = "sk-proj-" + "".join(random.choices(string.ascii_letters + string.digits, k=60)) + "9z"
    code = """
        import playhead
        for path in ({secret!r}, "long " * 400):
            try:
                open("/tmp/" + path)
            except OSError as error:
                print(error.errno)
            print(playhead.boundary("fetch " + path, len, path))
        """
    agent = Agent(env, tmp_path, textwrap.dedent(code).format(secret=secret))
    agent.record()
    replayed = agent.replay()
    assert (replayed.returncode, replayed.summary["verdict"]) == (0, "identical"), replayed.stderr
    stored = [path.read_bytes() for path in Path(env["PLAYHEAD_STORE"]).rglob("*") if path.is_file()]
    assert stored
    assert not any(secret.encode() in data for data in stored)
    agent.write(agent.path.read_text().replace(secret[8:], secret[:7:-1]).replace("fetch", "bring"))
    other = agent.replay()
    assert other.returncode == 1
    assert secret[:7:-1] not in other.stderr + json.dumps(other.summary)
