"""Libraries imported under record behave as without it, and read again what they read."""

import subprocess
import sys
from pathlib import Path

import pytest

from playhead.capture import hooks
from tests.support.executable import plain_environment
from tests.support.inside import Agent

NUMPY_AND_PANDAS = """
    import datetime as dt, pickle, sys, time

    import numpy as np
    import pandas as pd

    np.random.seed(42)
    print(np.random.rand(3), np.random.randint(5), np.random.permutation(4), np.random.RandomState(7).rand())
    np.random.set_state(np.random.RandomState(1).get_state())
    print(np.random.normal(size=2), np.random.default_rng(3).integers(9, size=4), pickle.loads(pickle.dumps(np.arange(3))))
    frame = pd.DataFrame({"at": pd.date_range("2026-01-01", periods=3), "n": [1.5, 2.5, np.nan]})
    print(frame.describe(), frame.to_json(), frame.dtypes, sep="\\n")
    print(isinstance(pd.Timestamp.now(), dt.datetime), pd.Timestamp(dt.datetime(2026, 1, 2)) - pd.Timedelta("1D"))
    print("--")
    np.random.seed()
    print(np.random.rand(2), np.random.default_rng().random(), np.random.RandomState().rand())
    print(frame.sample(2, random_state=np.random.default_rng()).n.tolist(), np.random.permutation(100)[:5])
    print(pd.Timestamp.now(), pd.Timestamp("now"), pd.to_datetime("now"), pd.Timestamp.today())
    """

MODELS = """
    import datetime as dt, pickle, time, typing, uuid

    import anthropic, openai, pydantic
    from langgraph.graph import END, START, StateGraph

    class Order(pydantic.BaseModel):
        placed: dt.datetime
        due: dt.date | None = None

    class State(typing.TypedDict):
        words: list[str]

    order = Order.model_validate_json('{"placed": "2026-01-02T03:04:05Z", "due": "2026-01-03"}')
    print(order, order.model_dump_json(), Order.model_json_schema(), type(order.placed) is dt.datetime)
    graph = StateGraph(State)
    graph.add_node("one", lambda state: {"words": [*state["words"], "one"]})
    graph.add_node("two", lambda state: {"words": [*state["words"], "two"]})
    graph.add_edge(START, "one"), graph.add_edge("one", "two"), graph.add_edge("two", END)
    print(graph.compile().invoke({"words": []}))
    print(openai.OpenAI(api_key="x").base_url, anthropic.Anthropic(api_key="x").base_url)
    print("--")

    class Stamped(pydantic.BaseModel):
        at: dt.datetime = pydantic.Field(default_factory=dt.datetime.now)
        seconds: float = pydantic.Field(default_factory=time.time)
        id: uuid.UUID = pydantic.Field(default_factory=uuid.uuid4)

    print(Stamped(), Stamped.model_validate({}))
    """


@pytest.mark.parametrize("code", [NUMPY_AND_PANDAS, MODELS])
def test_libraries_do_not_notice(home, tmp_path, code):
    """The first part prints what it prints without us; the second what it printed, to the last digit."""
    env = plain_environment(home)
    agent = Agent(env, tmp_path, code)
    plain = subprocess.run([sys.executable, agent.path], env=env, capture_output=True, text=True, check=True)
    recorded = agent.record()
    replayed = agent.replay()
    fixed, drawn = recorded.stdout.split("--\n")
    assert fixed == plain.stdout.split("--\n")[0]
    assert drawn != plain.stdout.split("--\n")[1]
    assert replayed.stdout == recorded.stdout, replayed.stderr
    assert replayed.summary["verdict"] == "identical"
    assert replayed.summary["stdout_masked"] == []


GREENLETS = """
    from gevent import monkey; monkey.patch_all()
    import os, queue, threading, time, urllib.request
    import gevent
    from gevent.pool import Pool

    def work(number):
        time.sleep(0.01 * (3 - number % 3))
        return number * number

    print(Pool(4).map(work, range(6)))
    out, lock, ready = [], threading.Lock(), queue.Queue()

    def later(number):
        time.sleep(0.01 * number)
        with lock:
            out.append(number)

    threads = [threading.Thread(target=later, args=(number,)) for number in range(4)]
    [each.start() for each in threads], [each.join() for each in threads]
    gevent.spawn(lambda: (gevent.sleep(0.01), ready.put(5)))
    print(out, ready.get(timeout=20))
    """


def test_greenlets_are_left_alone_and_said(home, tmp_path):
    """After `gevent.monkey.patch_all()` an agent does what it does without; its process is not on the tape inside."""
    agent = Agent(plain_environment(home), tmp_path, GREENLETS)
    bare = subprocess.run([sys.executable, str(agent.path)], capture_output=True, text=True, timeout=120, check=True)
    recorded = agent.record()
    replayed = agent.replay()
    assert bare.stdout == recorded.stdout == replayed.stdout
    assert replayed.summary["verdict"] == "identical", replayed.stderr
    for ran in (recorded, replayed):
        assert ran.stderr.count("playhead: note: gevent runs") == 1


def test_an_older_python_says_that_it_has_no_tape(home, tmp_path):
    """Its site hook leaves a line for the launcher, and the agent runs."""
    hook = Path(hooks.__file__).parent / "python" / "sitecustomize.py"
    code = f"import runpy, sys; sys.version_info = (3, 8, 18); runpy.run_path({str(hook)!r}, run_name='sitecustomize')"
    env = plain_environment(home) | {
        "PLAYHEAD_PORT": "9",
        "PLAYHEAD_TAPE": f"record:{tmp_path}",
        "PLAYHEAD_PROCESS": "0.1",
    }
    subprocess.run([sys.executable, "-c", code], env=env, timeout=120, check=True)
    assert (tmp_path / "0.1.said").read_text().startswith("cpython 3.8 has no tape inside")
    assert list(tmp_path.glob("*.seg")) == []


def test_greenlets_that_are_only_imported_change_nothing(home, tmp_path):
    """Libraries import gevent to ask whether it is in use: the tape goes on, and nothing is said."""
    code = """
    import time
    import gevent.hub, gevent.monkey
    gevent.monkey.is_module_patched("socket")
    print(time.time())
    """
    agent = Agent(plain_environment(home), tmp_path, code)
    recorded = agent.record()
    assert "gevent" not in recorded.stderr
    assert agent.replay().stdout == recorded.stdout


def test_lines_that_libraries_log_have_the_recorded_times(home, tmp_path):
    """An agent shows them among its own; a replay that logs more of them reads the clock for the rest."""
    library = tmp_path / "site-packages"
    library.mkdir()
    (library / "talkative.py").write_text(
        "import logging\ndef say(text): logging.getLogger('talkative').info(text)\n", encoding="utf-8"
    )
    code = f"""
    import logging, sys, threading
    sys.path.insert(0, {str(library)!r})
    import playhead, talkative
    logging.basicConfig(level=logging.INFO, format="%(created).9f %(name)s %(message)s", stream=sys.stdout)
    talkative.say("first")
    logging.info("mine")
    worker = threading.Thread(target=talkative.say, args=("in a thread",))
    worker.start(), worker.join()
    talkative.say("last")
    """
    agent = Agent(plain_environment(home), tmp_path, code)
    recorded = agent.record()
    replayed = agent.replay()
    assert recorded.stdout.count("talkative") == 3
    assert replayed.stdout == recorded.stdout
    assert replayed.summary["verdict"] == "identical", replayed.stderr
    agent.write(f"{code}talkative.say('more')")
    more = agent.replay()
    assert more.stdout.startswith(recorded.stdout)
    assert more.stdout.endswith("talkative more\n")


STREAMED_GRAPH = """
    import operator, threading, time, typing
    from langgraph.config import get_stream_writer
    from langgraph.graph import END, START, StateGraph

    class State(typing.TypedDict):
        words: typing.Annotated[list[str], operator.add]

    def node(name, pauses):
        def run(state):
            write = get_stream_writer()
            for number, pause in enumerate(pauses):
                time.sleep(pause)
                write(f"{name}{number}")
            return {"words": [name]}
        return run

    graph = StateGraph(State)
    graph.add_node("a", node("a", [0, 0.002, 0, 0, 0.001] * 4))
    graph.add_node("b", node("b", [0.001, 0, 0, 0.003] * 5))
    graph.add_edge(START, "a"), graph.add_edge(START, "b"), graph.add_edge("a", END), graph.add_edge("b", END)
    for piece in graph.compile().stream({"words": []}, stream_mode=["custom", "values"]):
        print(piece)
    """


def test_what_the_nodes_of_a_graph_stream_comes_in_the_recorded_order(home, tmp_path):
    """LangGraph hands it out by a queue of its own, whose reader waits anew for what it has not found there."""
    agent = Agent(plain_environment(home), tmp_path, STREAMED_GRAPH)
    recorded = agent.record()
    assert recorded.stdout.count("'custom'") == 40
    for _ in range(3):
        replayed = agent.replay()
        assert replayed.stdout == recorded.stdout, replayed.stderr
        assert replayed.summary["verdict"] == "identical", replayed.stderr


CLOCKED = """
import time

def took(work):
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
"""


@pytest.mark.parametrize(
    ("file", "is_told"), [("smolagents/agents.py", True), ("agno/utils/timer.py", True), ("other/timer.py", False)]
)
def test_how_long_the_steps_of_a_framework_took_comes_again(home, tmp_path, file, is_told):
    """Frameworks print it among what the agent prints. The clocks of another library are its own business: the control."""
    module = tmp_path / "site-packages" / file
    module.parent.mkdir(parents=True)
    module.write_text(CLOCKED, encoding="utf-8")
    code = f"""
    import importlib, sys
    sys.path.insert(0, {str(tmp_path / "site-packages")!r})
    print(importlib.import_module({file.removesuffix(".py").replace("/", ".")!r}).took(lambda: None))
    """
    agent = Agent(plain_environment(home), tmp_path, code)
    recorded = agent.record()
    replayed = agent.replay()
    assert (replayed.stdout == recorded.stdout) is is_told
    assert replayed.summary["verdict"] == ("identical" if is_told else "diverged"), replayed.stderr


EVENT_BUS = """
import threading
from concurrent.futures import ThreadPoolExecutor, wait

class Bus:
    def __init__(self):
        self.executor, self.lock, self.pending = ThreadPoolExecutor(4), threading.Lock(), set()

    def emit(self, handler, *arguments):
        future = self.executor.submit(handler, *arguments)
        with self.lock:
            self.pending.add(future)
        future.add_done_callback(self.forget)

    def forget(self, future):
        with self.lock:
            self.pending.discard(future)

    def flush(self):
        with self.lock:
            left = list(self.pending)
        if left:
            done, _ = wait(left)
            assert not [future for future in done if future.exception()]
"""


def test_who_comes_first_to_the_lock_of_a_frameworks_bus_is_recorded(home, tmp_path):
    """How many handlers are still to be waited for decides what the agent's thread asks next."""
    module = tmp_path / "site-packages" / "crewai" / "events" / "event_bus.py"
    module.parent.mkdir(parents=True)
    module.write_text(EVENT_BUS, encoding="utf-8")
    code = f"""
    import sys
    sys.path.insert(0, {str(tmp_path / "site-packages")!r})
    from crewai.events.event_bus import Bus
    sys.setswitchinterval(1e-6)
    bus = Bus()
    for number in range(200):
        for _ in range(3):
            bus.emit(int)
        bus.flush()
    print("flushed")
    """
    agent = Agent(plain_environment(home), tmp_path, code)
    recorded = agent.record()
    for _ in range(3):
        replayed = agent.replay()
        assert replayed.stdout == recorded.stdout == "flushed\n", replayed.stderr
        assert replayed.summary["verdict"] == "identical", replayed.stderr
