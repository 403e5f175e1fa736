"""Tools of a Python agent, recorded and replayed by the real command: what ran once does not run again."""

import pytest

from tests.support.executable import plain_environment
from tests.support.inside import Agent

REFUND = """
    import pathlib, sys, time
    import playhead

    RAN = pathlib.Path(sys.argv[1])

    class Late(Exception):
        def __init__(self, order, days):
            super().__init__(f"{order} is {days} days late")
            self.days = days

    @playhead.tool(effect="read")
    def lookup(order):
        if order == "C":
            raise Late(order, days=40)
        return {"order": order, "amount": 10 + ord(order), "seen": time.time()}

    @playhead.tool(effect="irreversible")
    def refund(order, amount):
        with RAN.open("a") as file:
            file.write(order)
        return f"refunded {amount} of {order} at {time.time()}"

    @playhead.tool
    def parts(order):
        with RAN.open("a") as file:
            file.write(order.lower())
        yield from (f"{order}{n}" for n in range(3))

    @playhead.step("agent")
    def agent(orders):
        for order in orders:
            try:
                found = lookup(order)
            except Late as error:
                print("late", error, error.days)
                continue
            print(found, refund(order, found["amount"]), list(parts(order)))

    agent(["A", "B", "C"])
    """


@pytest.fixture
def ran(tmp_path):
    return tmp_path / "ran"


@pytest.fixture
def agent(home, tmp_path, ran):
    return Agent(plain_environment(home), tmp_path, REFUND, str(ran))


def test_a_refund_runs_once(agent, ran):
    """Answers, exceptions and items come again; nothing of the tools does. The steps say what was asked."""
    first = agent.record()
    assert first.stdout.count("refunded") == 2
    assert "late C is 40 days late 40" in first.stdout
    assert first.summary["tool_calls"] == 7
    assert ran.read_text() == "AaBb"
    for _ in range(3):
        replayed = agent.replay()
        assert (replayed.returncode, replayed.summary["verdict"]) == (0, "identical"), replayed.stderr
        assert replayed.stdout == first.stdout
    assert ran.read_text() == "AaBb"


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_a_refund_never_runs_in_a_thousand_replays(agent, ran):
    """Not once."""
    first = agent.record()
    for _ in range(1000):
        assert agent.replay().stdout == first.stdout
    assert ran.read_text() == "AaBb"


EDITS = [
    ('refund(order, found["amount"])', 'refund(order, found["amount"] + 1)', "changed", "tool refund"),
    ("refund(order, found", "lookup(order), refund(order, found", "extra", "tool lookup"),
    (', refund(order, found["amount"])', "", "missing", "tool refund"),
    (
        'refund(order, found["amount"]), list(parts(order))',
        'list(parts(order)), refund(order, found["amount"])',
        "reordered",
        "tool refund",
    ),
]


def test_edits_are_named(agent, ran):
    """Which tool, in which lane, and what it is; no tool runs, and the exit code is 1. What a tool does inside is not on
    the tape."""
    agent.record()
    ran.write_text("")
    for old, new, kind, about in EDITS:
        assert old in REFUND
        agent.write(REFUND.replace(old, new))
        replayed = agent.replay()
        assert (replayed.returncode, replayed.summary["verdict"]) == (1, "diverged")
        divergence = replayed.summary["divergences"][0]
        assert (divergence["class"], divergence["lane"]) == (kind, "main")
        assert about in replayed.stderr
        assert ran.read_text() == ""
    agent.write(REFUND.replace("yield from", "time.time(); yield from"))
    assert agent.replay().summary["verdict"] == "identical"


def test_what_cannot_be_stored_is_said_when_it_is_replayed(home, tmp_path):
    """The recording is made; the replay is refused with the class, and what to return instead."""
    code = """
        import threading
        import playhead

        @playhead.tool
        def connect():
            return threading.Lock()

        with connect():
            print("held")
        """
    agent = Agent(plain_environment(home), tmp_path, code)
    assert agent.record().stdout == "held\n"
    replayed = agent.replay()
    assert replayed.returncode == 1
    assert "_thread:lock cannot be stored: return what it holds as plain data" in replayed.stderr


def test_threads_of_a_tool_are_part_of_its_answer(home, tmp_path):
    """What they read and ask is not on the tape; tools called from the agent's own threads are, each in its lane."""
    code = """
        import threading, time
        from concurrent.futures import ThreadPoolExecutor
        import playhead

        @playhead.tool
        def inner(n):
            return n, time.time()

        @playhead.tool
        def outer():
            found = []
            thread = threading.Thread(target=lambda: found.append(inner(0)))
            thread.start()
            thread.join()
            with ThreadPoolExecutor(2) as pool:
                return found + list(pool.map(inner, range(3)))

        found = {}

        def work(n):
            found[n] = inner(n)

        print(outer())
        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(sorted(found.items()), sorted(found, key=lambda n: found[n][1]))  # what threads print at once has no order
        """
    agent = Agent(plain_environment(home), tmp_path, code)
    first = agent.record()
    assert first.summary["tool_calls"] == 5
    for _ in range(3):
        replayed = agent.replay()
        assert (replayed.stdout, replayed.summary["verdict"]) == (first.stdout, "identical"), replayed.stderr


def test_what_tools_print_is_printed_again(home, tmp_path):
    """Their work does not run, and the output is the recorded one: by streams, logs, threads, and what the agent put in its place."""
    code = """
    import asyncio, contextlib, io, logging, sys
    from concurrent.futures import ThreadPoolExecutor
    import playhead
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(created).9f %(message)s")

    class Tee:
        def __init__(self, to): self.to = to
        def write(self, text): return self.to.write(text.upper())
        def flush(self): self.to.flush()

    @playhead.tool
    def plain(i):
        print("in a tool", i)
        print("aside", i, file=sys.stderr)
        logging.info("logged %s", i)
        if i < 0:
            raise ValueError(i)
        return i

    @playhead.tool
    async def awaited(i):
        print("before", i)
        await asyncio.sleep(0.001)
        print("behind", i)

    @playhead.tool
    def items():
        for i in range(2):
            print("item", i)
            yield i

    print(plain(1))
    try:
        plain(-1)
    except ValueError as error:
        print(error)
    print(*items())
    print(playhead.boundary("asked", lambda: print("in a boundary")))
    taken = io.StringIO()
    with contextlib.redirect_stdout(taken):
        plain(2)
    print(repr(taken.getvalue()))
    sys.stdout = Tee(sys.stdout)
    plain(3)
    sys.stdout = sys.__stdout__
    asyncio.run(awaited(4))
    with ThreadPoolExecutor(1) as pool:
        print(list(pool.map(plain, range(5, 7))))
    """
    agent = Agent(plain_environment(home), tmp_path, code)
    recorded = agent.record()
    replayed = agent.replay()
    assert "in a tool 1\n" in recorded.stdout
    assert "behind 4\n" in recorded.stdout
    assert replayed.stdout == recorded.stdout
    assert replayed.stderr.count("aside") == recorded.stderr.count("aside") == 6
    assert replayed.summary["verdict"] == "identical", replayed.stderr
