"""What an agent asks of folders, and files that something else than its own code has changed."""

import pytest

from tests.support.executable import plain_environment
from tests.support.inside import Agent

ASKS = """
    import glob, os, pathlib

    here = pathlib.Path()
    print(os.path.exists("made"), os.path.isdir("made"))
    os.mkdir("made")
    open("made/b", "x").write("text")
    for name in ("c", "a"):
        (here / "made" / name).write_text(name)
    print(os.listdir("made"), os.listdir(b"made"), [each.name for each in here.joinpath("made").iterdir()])
    with os.scandir("made") as entries:
        print([(e.name, e.path, e.is_file(), e.is_dir(), e.is_symlink(), e.inode(), e.stat().st_mtime_ns) for e in entries])
    print(list(os.walk(".")), sorted(here.glob("**/*")), sorted(here.rglob("a")), glob.glob("made/*"))
    found = os.stat("made/b")
    print(found, found.st_mtime, os.path.getmtime("made/b"), os.path.getsize("made/b"), pathlib.Path("made/b").stat().st_ino)
    with open("made/b") as file:
        print(os.path.samestat(os.fstat(file.fileno()), os.stat("made/b")))
    os.rename("made/a", "made/d")
    print(open("made/d").read(), os.path.exists("made/a"), os.access("made/d", os.R_OK))
    os.symlink("d", "link")
    print(os.readlink("link"), os.path.realpath("link"), os.path.islink("link"))
    (here / "made" / "c").unlink()
    for ask in (os.listdir, os.stat, os.rmdir, os.remove, lambda path: open(path, "x")):
        try:
            ask("made" if ask is os.rmdir else "link" if ask.__name__ == "<lambda>" else "missing")
        except OSError as error:
            print(type(error), error.errno, error.filename)
    """

CHANGED = """
    import os, pathlib, subprocess, sys

    pathlib.Path("mine").write_text("mine ")
    pathlib.Path("again").write_text("mine ")
    subprocess.run("echo x >> count; echo $$ > new; echo $$ >> mine; echo $$ > kept; mkdir -p more; echo 1 > more/n", shell=True)
    print(open("new").read(), open("mine").read(), open("kept").read(), open("again").read(), os.listdir("more"))
    with open("new", "a") as file:
        file.write("more ")
    print(open("new").read(), os.path.getsize("mine"))
    fd = os.open("kept", os.O_RDONLY)
    print(os.read(fd, 100))
    os.close(fd)
    subprocess.run("echo x >> count; echo later $$ > new; rm kept", shell=True)
    print(open("new").read(), os.path.exists("kept"))
    try:
        open("kept")
    except FileNotFoundError as error:
        print(error)
    """


@pytest.fixture
def env(home):
    return plain_environment(home)


def _replayed(agent, folder):
    recorded = agent.record(cwd=folder)
    replayed = agent.replay(cwd=folder)
    assert replayed.stdout == recorded.stdout, replayed.stderr
    assert replayed.summary["verdict"] == "identical", replayed.stderr
    return recorded.stdout


def test_folders_and_facts_of_files_are_as_they_were(env, tmp_path):
    """Names, order, times, errors; what the recorded run made is made again without a word."""
    printed = _replayed(Agent(env, tmp_path, ASKS), tmp_path)
    assert printed.startswith("False False\n")
    assert printed.count("Error") == 5
    assert (tmp_path / "made").is_dir()
    assert (tmp_path / "link").is_symlink()


def test_a_replay_needs_nothing_of_what_was_there(env, tmp_path):
    """The folder that the agent looked at is gone."""
    there = tmp_path / "there"
    (there / "sub").mkdir(parents=True)
    (there / "sub" / "file").write_text("text")
    agent = Agent(env, tmp_path, f"import os\nprint(list(os.walk({str(there)!r})), os.stat({str(there)!r}).st_ino)")
    recorded = agent.record(cwd=tmp_path)
    there.rename(tmp_path / "elsewhere")
    replayed = agent.replay(cwd=tmp_path)
    assert replayed.stdout == recorded.stdout != ""
    assert replayed.summary["verdict"] == "identical"


@pytest.mark.parametrize(("old", "new"), [("'/'", "'/tmp'"), ("os.stat", "os.lstat"), ("print", "os.stat('.'), print")])
def test_another_question_is_not_answered(env, tmp_path, old, new):
    """About another path, another question, or one more."""
    code = "import os\nprint(os.stat('/'))\n"
    agent = Agent(env, tmp_path, code)
    agent.record(cwd=tmp_path)
    agent.write(code.replace(old, new))
    replayed = agent.replay(cwd=tmp_path)
    [divergence] = replayed.summary["divergences"]
    assert divergence["class"] == "changed"
    assert "stat of" in divergence["observed"]


def test_what_programs_changed_is_read_as_it_was(env, tmp_path):
    """They do not run again, and what they wrote in the workspace is read all the same, whatever lies there now."""
    agent = Agent(env, tmp_path, CHANGED)
    recorded = agent.record(cwd=tmp_path)
    for name in ("new", "kept", "mine"):
        (tmp_path / name).unlink(missing_ok=True)
    replayed = agent.replay(cwd=tmp_path)
    assert replayed.stdout == recorded.stdout, replayed.stderr
    assert replayed.summary["verdict"] == "identical", replayed.stderr
    assert (tmp_path / "count").read_text() == "x\nx\n"
    assert not (tmp_path / "kept").exists()


def test_what_the_agent_itself_writes_is_not_told_from_the_tape(env, tmp_path):
    """The control: an agent that was changed to write something else reads that."""
    code = (
        "import os, subprocess\nsubprocess.run(['true'])\nopen('mine', 'w').write('one')\nprint(open('mine').read())\n"
    )
    agent = Agent(env, tmp_path, code)
    agent.record(cwd=tmp_path)
    agent.write(code.replace("'one'", "'two'"))
    replayed = agent.replay(cwd=tmp_path)
    assert replayed.stdout == "two\n"
    assert replayed.summary["verdict"] == "diverged"


def test_what_a_tool_wrote_is_read_as_it_was(env, tmp_path):
    """Its body does not run in a replay."""
    code = """
        import playhead, time

        @playhead.tool
        def fetch():
            with open("fetched", "w") as file:
                file.write(str(time.time_ns()))

        fetch()
        print(open("fetched").read())
        """
    agent = Agent(env, tmp_path, code)
    recorded = agent.record(cwd=tmp_path)
    (tmp_path / "fetched").write_text("another")
    replayed = agent.replay(cwd=tmp_path)
    assert replayed.stdout == recorded.stdout, replayed.stderr
    assert replayed.summary["verdict"] == "identical"
