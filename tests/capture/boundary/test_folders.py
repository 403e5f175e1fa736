"""Folders and facts of files: values of the lane that asks."""

# the functions of `os` are what is tested
# ruff: noqa: PTH103, PTH105, PTH110, PTH202, PTH208
import os
import pathlib
import shutil
import stat
import tempfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from playhead.capture.boundary import folders
from playhead.core.boundary import Diverged
from tests.support.boundaries import Taped, installed

NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=("Cs",)), min_size=1, max_size=20)


@given(names=st.sets(NAMES.filter(lambda name: name not in (".", "..")), max_size=6))
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_any_names_come_again_in_their_order(tmp_path_factory, names):
    """As text, as bytes and as entries, from a folder that is not there any more."""
    root = tmp_path_factory.mktemp("it")
    folder = root / "folder"
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(b"")

    def run():
        with os.scandir(folder) as entries:
            found = [(each.name, each.path, each.inode(), each.is_file(), os.fspath(each)) for each in entries]
        return os.listdir(folder), os.listdir(os.fsencode(folder)), found, sorted(folder.iterdir())

    with installed(folders):
        taped = Taped(root)
        recorded = taped.record(run)
        shutil.rmtree(folder)
        assert taped.replay(run) == recorded
    assert set(recorded[0]) == names


def test_names_that_are_no_text_come_again(tmp_path):
    """A name in another encoding, as Python spells it."""
    folder = tmp_path / "folder"
    folder.mkdir()
    try:
        pathlib.Path(os.fsdecode(os.fsencode(folder) + b"/\xff")).write_bytes(b"")
    except OSError:
        return  # a file system that has no such names

    def run():
        return os.listdir(folder), os.listdir(os.fsencode(folder))

    with installed(folders):
        taped = Taped(tmp_path)
        assert taped.record(run) == (["\udcff"], [b"\xff"])
        assert taped.replay(run) == (["\udcff"], [b"\xff"])


def test_a_secret_in_a_name_is_not_kept(tmp_path):
    """The recording has its token, and the question about it is the same question."""
    secret = "sk-proj-" + "Zq8xTn4vLw2Rk7Yb9Mc3" * 2
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / secret).write_text("")

    def run():
        return os.listdir(tmp_path / "folder"), os.path.getsize(tmp_path / "folder" / secret)

    with installed(folders):
        taped = Taped(tmp_path)
        assert taped.record(run) == ([secret], 0)
        assert secret.encode() not in taped.path.read_bytes()
        names, size = taped.replay(run)
    assert names != [secret]
    assert size == 0


def test_what_libraries_ask_is_not_on_the_tape(tmp_path):
    """A folder for a while looks for its own purpose."""

    def run():
        with tempfile.TemporaryDirectory(dir=tmp_path) as name:
            (pathlib.Path(name) / "file").write_text("")

    with installed(folders):
        taped = Taped(tmp_path)
        taped.record(run)
        assert "VALUES" not in [event.kind.name for event in taped.events()]


def test_a_tree_is_removed_again(tmp_path):
    """Also when there is nothing to remove any more, because a program had made it."""

    def run():
        names = os.listdir(tmp_path / "a")
        shutil.rmtree(tmp_path / "a")
        with pytest.raises(FileNotFoundError):
            shutil.rmtree(tmp_path / "a")
        return names

    (tmp_path / "a" / "b").mkdir(parents=True)
    with installed(folders):
        taped = Taped(tmp_path)
        assert taped.record(run) == ["b"]
        assert taped.replay(run) == ["b"]
        (tmp_path / "a" / "c").mkdir(parents=True)
        assert taped.replay(run) == ["b"]
    assert not (tmp_path / "a").exists()


def test_what_a_function_can_is_still_known():
    """`shutil.rmtree` is as safe as without."""
    able = [(name, getattr(os, name) in os.supports_dir_fd) for name in ("stat", "mkdir", "unlink", "rename")]
    before = set(os.supports_dir_fd)
    with installed(folders):
        assert [(name, getattr(os, name) in os.supports_dir_fd) for name, _ in able] == able
        assert os.scandir in os.supports_fd
    assert set(os.supports_dir_fd) == before


def test_a_folder_is_made_again(tmp_path):
    """It is there already, or is missing: neither is told. That it failed is."""
    folder = tmp_path / "made"

    def run():
        folder.mkdir()
        with pytest.raises(FileExistsError) as caught:
            folder.mkdir()
        folder.mkdir(exist_ok=True)
        os.makedirs(folder / "a" / "b", exist_ok=True)
        return caught.value.filename, stat.S_ISDIR(folder.stat().st_mode)

    with installed(folders):
        taped = Taped(tmp_path)
        recorded = taped.record(run)
        assert taped.replay(run) == recorded
        shutil.rmtree(folder)
        assert taped.replay(run) == recorded
    assert (folder / "a" / "b").is_dir()


def test_another_path_is_a_divergence(tmp_path):
    """The control: what is asked about is compared."""
    with installed(folders):
        taped = Taped(tmp_path)
        taped.record(lambda: os.path.exists("/one"))
        with pytest.raises(Diverged):
            taped.replay(lambda: os.path.exists("/two"))
        with pytest.raises(Diverged):
            taped.replay(lambda: os.listdir("/one"))
    assert taped.reports[0]["divergence"]["observed"] == "os.stat of /two"


def written_beside(folder, name, monkeypatch, number, *, other=""):
    """A file is written beside its place, under a name that has the number of the process, and moved there."""
    monkeypatch.setattr(os, "getpid", lambda: number)
    beside = folder / name.format(os.getpid())
    beside.write_text("new")
    os.replace(beside, folder / (other or "state.json"))
    return os.path.exists(beside)


@pytest.mark.parametrize("name", ["state.json.{0}", "{0}_{0}.tmp", ".state-{0}"])
def test_the_number_of_the_process_in_a_name_is_another_one(tmp_path, monkeypatch, name):
    """What was written beside its place is moved there in a replay, too."""
    with installed(folders):
        taped = Taped(tmp_path)
        assert taped.record(lambda: written_beside(tmp_path, name, monkeypatch, 4711)) is False
        assert taped.replay(lambda: written_beside(tmp_path, name, monkeypatch, 815)) is False


@pytest.mark.parametrize(
    ("name", "number", "other"),
    [("state.json.4712", 815, ""), ("{0}_4712.tmp", 815, ""), ("state.{0}", 815, "else.json"), ("stat.{0}", 815, "")],
)
def test_another_name_beside_that_number_is_a_divergence(tmp_path, monkeypatch, name, number, other):
    """The control: a number that is not the process's own, or more that differs."""
    recorded = {"state.json.4712": "state.json.4711", "{0}_4712.tmp": "{0}_{0}.tmp", "stat.{0}": "state.{0}"}
    with installed(folders):
        taped = Taped(tmp_path)
        taped.record(lambda: written_beside(tmp_path, recorded.get(name, name), monkeypatch, 4711))
        with pytest.raises(Diverged):
            taped.replay(lambda: written_beside(tmp_path, name, monkeypatch, number, other=other))
