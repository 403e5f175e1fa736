"""What libraries ask of the machine once: whoever asks first, in whichever order, and nothing is started for it again."""

import asyncio
import ctypes.util
import platform
import threading
from types import SimpleNamespace

import pytest

from playhead.capture.boundary import executors, kept, loops, threads
from playhead.capture.boundary import machine as machine_boundary
from playhead.capture.boundary.calls import call
from playhead.core.boundary import Diverged
from tests.support.boundaries import Taped, installed


@pytest.fixture
def machine(monkeypatch):
    """One that says what it is asked, as often as it is."""
    asked = []

    def of(name):
        asked.append(name)
        return f"lib{name}.so.{len(asked)}"

    monkeypatch.setattr(ctypes.util, "find_library", of)
    monkeypatch.setattr(platform._Processor, "from_subprocess", staticmethod(lambda: of("processor")))
    return asked


@pytest.fixture
def put(machine):
    with installed(threads, executors, loops) as patches:
        kept.install(patches, ctypes.util)
        kept.install(patches, platform)
        yield patches


def in_a_tool(work):
    return call("tool", "work", b"", lambda: work() and None)


def test_what_a_tool_asked_first_is_known_outside(put, machine, tmp_path):
    """The tool does not run in a replay; the agent is the first to ask there."""

    def agent():
        in_a_tool(lambda: ctypes.util.find_library("c"))
        return ctypes.util.find_library("c"), ctypes.util.find_library("m"), platform._Processor.from_subprocess()

    taped = Taped(tmp_path)
    assert taped.record(agent) == ("libc.so.1", "libm.so.2", "libprocessor.so.3")
    assert taped.replay(agent) == ("libc.so.1", "libm.so.2", "libprocessor.so.3")
    assert machine == ["c", "m", "processor"]
    assert not [facts for facts in taped.reports if "divergence" in facts]


def test_what_the_recording_did_not_ask_is_an_extra_question(monkeypatch, tmp_path):
    """It starts nothing, and does not pass."""
    started = []
    monkeypatch.setattr(
        ctypes.util,
        "find_library",
        lambda name: call("subprocess", f"ldconfig {name}", b"", lambda: started.append(name)),
    )
    taped = Taped(tmp_path)
    with installed(threads, executors, loops) as patches:
        kept.install(patches, ctypes.util)
        taped.record(lambda: ctypes.util.find_library("c"))
        with pytest.raises(Diverged):
            taped.replay(lambda: (ctypes.util.find_library("c"), ctypes.util.find_library("z")))
    assert started == ["c"]
    assert [facts["divergence"]["class"] for facts in taped.reports if "divergence" in facts] == ["extra"]


def test_which_thread_asks_first_is_nobody_s_business(put, machine, tmp_path):
    """The lanes have the same acts whoever it was."""

    def agent(order):
        found = []
        for number in order:
            own = threading.Thread(target=lambda number=number: found.append((number, ctypes.util.find_library("c"))))
            own.start()
            own.join()
        return sorted(found)

    taped = Taped(tmp_path)
    recorded = taped.record(lambda: agent([1, 2]))
    assert taped.replay(lambda: agent([2, 1])) == recorded
    assert machine == ["c"]
    assert not [facts for facts in taped.reports if "divergence" in facts]


def test_names_of_the_system_that_a_tool_read_first_are_known_outside(machine, tmp_path, monkeypatch):
    """`platform` keeps them; in a replay the agent is the first to ask."""
    monkeypatch.setattr(platform, "_uname_cache", None)
    monkeypatch.setattr(platform, "_os_release_cache", {"ID": "recorded"})

    def agent():
        in_a_tool(lambda: (platform.uname(), platform.freedesktop_os_release()))
        return tuple(platform.uname()), platform.node(), platform.freedesktop_os_release()

    with installed(threads, machine_boundary) as patches:
        kept.install(patches, platform)
        taped = Taped(tmp_path)
        recorded = taped.record(agent)
        monkeypatch.setattr(platform, "_uname_cache", None)
        monkeypatch.setattr(platform, "_os_release_cache", {"ID": "another"})
        assert taped.replay(agent) == recorded
    assert recorded[2] == {"ID": "recorded"}
    assert not [facts for facts in taped.reports if "divergence" in facts]


def test_a_distribution_without_a_name_is_one_again(put, tmp_path, monkeypatch):
    """The error is an answer, too."""
    monkeypatch.setattr(platform, "_os_release_cache", None)
    monkeypatch.setattr(platform, "_os_release_candidates", ("/nowhere/os-release",))

    def agent():
        with pytest.raises(OSError, match="Unable to read files /nowhere") as caught:
            platform.freedesktop_os_release()
        return caught.value.errno

    taped = Taped(tmp_path)
    recorded = taped.record(agent)
    monkeypatch.setattr(platform, "_os_release_cache", {"ID": "here"})
    assert taped.replay(agent) == recorded


def test_what_was_not_recorded_is_asked(put, machine, tmp_path):
    """An edited agent asks for another library: that is no question to the tape."""
    taped = Taped(tmp_path)
    taped.record(lambda: ctypes.util.find_library("c"))
    assert taped.replay(lambda: ctypes.util.find_library("z")) == "libz.so.2"
    assert not [facts for facts in taped.reports if "divergence" in facts]


def test_an_sdk_s_client_for_tasks_asks_without_a_thread(put, tmp_path):
    """It asks where it is first used, which may be in a tool; what else it does in threads is ordered."""
    used = []

    def get_platform():
        used.append(threading.current_thread())
        return "Linux"

    sdk = SimpleNamespace(__name__="sdk", get_platform=get_platform)
    sdk.asyncify = lambda function: lambda: asyncio.to_thread(function)
    kept.install(put, sdk)

    async def first():
        return await sdk.asyncify(get_platform)()

    async def agent():
        return await first(), await sdk.asyncify(lambda: threading.current_thread() is not threading.main_thread())()

    taped = Taped(tmp_path)
    assert taped.record(lambda: asyncio.run(agent())) == ("Linux", True)
    assert taped.replay(lambda: asyncio.run(agent())) == ("Linux", True)
    assert used == [threading.main_thread()] * 2
    assert asyncio.run(first()) == "Linux"
    assert used[-1] is not threading.main_thread()
