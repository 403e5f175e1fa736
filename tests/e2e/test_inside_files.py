"""Files that an agent reads: from outside its workspace as they were, from inside it unchanged or not at all."""

import pytest

from tests.support.inside import Agent

READS = """
    import json, pathlib, sys

    folder = pathlib.Path(sys.argv[1])
    with open(folder / "a.txt", encoding="utf-8", newline="") as file:
        print(file.name == str(folder / "a.txt"), file.readline(), file.read(), file.fileno() > 2)
    print((folder / "a.txt").read_bytes(), json.load(open(folder / "b.json")), open(folder / "big", "rb").read()[:3])
    try:
        open(folder / "missing")
    except FileNotFoundError as error:
        print(error.errno, error.filename == str(folder / "missing"), type(error))
    with open(folder / "own", "a") as file:
        file.write("mine ")
    print(open(folder / "own").read().count("mine") > 0)
    """


@pytest.fixture
def folder(tmp_path):
    """With what the agent reads in it."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "a.txt").write_text("wörds\r\nmore\n", "utf-8")
    (folder / "b.json").write_text('{"n": 1}')
    (folder / "big").write_bytes(b"big" * (2 << 20))
    return folder


def test_what_lay_outside_is_read_as_it_was(env, tmp_path, folder):
    """Changed, deleted and new files do not change a replay."""
    agent = Agent(env, tmp_path, READS, str(folder))
    recorded = agent.record()
    (folder / "a.txt").write_text("other")
    (folder / "b.json").unlink()
    (folder / "missing").write_text("here now")
    replayed = agent.replay()
    assert replayed.stdout == recorded.stdout, replayed.stderr
    assert replayed.summary["verdict"] == "identical"


def test_a_large_file_that_changed_is_named(env, tmp_path, folder):
    """Its content is not kept: the replay says so, and what the agent prints of it is compared."""
    agent = Agent(env, tmp_path, READS, str(folder))
    agent.record()
    (folder / "big").write_bytes(b"bog" * (2 << 20))
    replayed = agent.replay()
    assert replayed.summary["verdict"] == "diverged"
    assert f"{folder / 'big'} is not the file that was recorded" in replayed.stderr


def test_a_file_of_the_workspace_that_changed_is_named(env, tmp_path):
    """It is read as it is; when it is another one the replay says so, and what comes of it is compared."""
    agent = Agent(env, tmp_path, "print(open('notes.txt').read(), open('notes.txt').read())")
    (tmp_path / "notes.txt").write_text("first")
    recorded = agent.record(cwd=tmp_path)
    replayed = agent.replay()
    assert replayed.stdout == recorded.stdout == "first first\n", replayed.stderr
    (tmp_path / "notes.txt").write_text("second")
    replayed = agent.replay()
    assert replayed.summary["verdict"] == "diverged"
    assert replayed.stdout == "second second\n"
    assert f"{tmp_path / 'notes.txt'} is not the file that was recorded" in replayed.stderr


def test_another_key_in_a_file_of_settings_is_no_other_file(env, tmp_path):
    """No hash of a secret is kept, so a colleague with a key of his own replays without a word."""
    agent = Agent(env, tmp_path, "print(len(open('.env').read()))")
    (tmp_path / ".env").write_text("OPENAI_API_KEY=sk-proj-" + "Zq8xTn4vLw2Rk7Yb9Mc3" * 2)
    agent.record(cwd=tmp_path)
    (tmp_path / ".env").write_text("OPENAI_API_KEY=sk-proj-" + "Pw3kHd7sVx5Jt1Fg8Lb4" * 2)
    replayed = agent.replay()
    assert replayed.summary["verdict"] == "identical", replayed.stderr
    assert "is not the file" not in replayed.stderr


def test_another_file_is_a_divergence(env, tmp_path, folder):
    """The control: what is read is compared by its path."""
    agent = Agent(env, tmp_path, f"print(open({str(folder / 'b.json')!r}).read())")
    agent.record()
    agent.write(f"print(open({str(folder / 'a.txt')!r}).read())")
    replayed = agent.replay()
    assert replayed.returncode == 1
    [divergence] = replayed.summary["divergences"]
    assert divergence["class"] in ("changed", "extra")
    assert str(folder / "a.txt") in divergence["observed"]


def test_a_secret_in_a_file_is_not_kept(env, tmp_path, folder):
    """The recording has its token, and so has the replay."""
    secret = "sk-proj-" + "Zq8xTn4vLw2Rk7Yb9Mc3" * 2
    (folder / "a.txt").write_text(f"key = {secret}\n")
    agent = Agent(env, tmp_path, f"print(open({str(folder / 'a.txt')!r}).read().startswith('key = '))")
    agent.record()
    stored = b"".join(path.read_bytes() for path in (tmp_path / "..").rglob("*.tape"))
    assert secret.encode() not in stored
    replayed = agent.replay()
    assert replayed.stdout == "True\n", replayed.stderr
