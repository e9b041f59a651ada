"""Prepared data: what comes back is what was loaded, at once, whatever happened to the cache in between."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recbench import prepared
from recbench.data import ContextEvents, Interactions
from recbench.dataset import DataParams, Dataset, DatasetInfo, DatasetSource, Holds
from recbench.errors import RecbenchError
from recbench.fetch import SourceFile
from recbench.params import param
from recbench.testing.snapshot import changed, snapshot
from recbench.testing.worlds import WORLDS


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    """The folder of entries of a cache of its own."""
    monkeypatch.setenv("RECBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("RECBENCH_DATA_DIR", raising=False)
    prepared._say_once.cache_clear()
    return tmp_path / "cache" / "prepared"


@dataclass(frozen=True)
class NumbersParams(DataParams):
    times: int = param(1, "How often the numbers are repeated.", low=1)


class Numbers(DatasetSource):
    """Items listed in a file, one a line; counts how often it was loaded."""

    Params = NumbersParams
    info = DatasetInfo("numbers", "testing", "order", "MIT", "tests")
    files = (SourceFile("numbers.txt"), SourceFile("more.txt", optional=True))
    no_board = "it is for tests"
    loads = 0

    def load(self) -> Dataset:
        type(self).loads += 1
        more = self.content("more.txt") if self.has("more.txt") else b""
        item = np.array((self.content("numbers.txt") + more).split() * self.params.times, int)
        zeros = np.zeros(len(item), int)
        log = Interactions.sorted(zeros, item, np.arange(len(item)), n_users=1, n_items=int(item.max()) + 1)
        return Dataset(self.info, log, np.array(["ü"]), np.arange(log.n_items), checksum=self.checksum())


@pytest.fixture
def numbers(tmp_path):
    """A way to load the numbers: the items and whether the source was read for them."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "numbers.txt").write_text("3 1 2")

    def load(cls=Numbers, **params):
        before = cls.loads
        dataset = prepared.load(cls(cls.Params(root=str(root), **params)))
        return dataset.interactions.item.tolist(), cls.loads > before

    load.root = root
    return load


class Given(DatasetSource):
    """Whatever data set it is given, as if read from a file."""

    no_board = "it is for tests"

    def __init__(self, dataset: Dataset, path: Path) -> None:
        super().__init__()
        self.info, self.dataset, self.path, self.loads = dataset.info, dataset, path, 0

    def paths(self) -> list[Path]:
        return [self.path]

    def load(self) -> Dataset:
        self.loads += 1
        return self.dataset


def rich() -> Dataset:
    """A data set with every field set, and every kind of column that a table may have."""
    n_users, n_items = 4, 3
    log = Interactions.sorted(
        np.array([0, 1, 2, 3, 0]), np.array([2, 1, 0, 0, 1]), np.array([-5, 7, 7, 9, 2**40]),
        n_users=n_users, n_items=n_items, behavior=np.array([1, 0, 1, 1, 0]),
        value=np.array([1.5, np.nan, -2, 0, np.inf]), behaviors=("view", "buy"),
    )  # fmt: skip
    items = pd.DataFrame(
        {
            "text": ["Käse \N{CHEESE WEDGE}", None, ""],
            "price": [1.5, np.nan, -0.0],
            "count": [2**62, -1, 0],
            "maybe": pd.array([1, None, 3], dtype="Int64"),
            "category": pd.Categorical(["b", None, "a"], categories=["b", "a", "never"], ordered=True),
            "genres": [["a", "b"], [], None],
            "mixed": pd.Series(["x", None, "y"], dtype=object),
            "nothing": pd.Series([None, None, None], dtype=object),
            "when": pd.to_datetime(["2020-01-01", None, "1999-12-31 23:59:59.123456"], format="ISO8601").tz_localize(
                "Europe/Berlin"
            ),
            "good": [True, False, True],
            "small": np.array([1, 2, 3], np.int8),
        }
    )
    users = pd.DataFrame({"age": np.array([1, 2, 3, 4], np.float32), "text": ["a", "b", None, "\u4e16"]})
    context = ContextEvents(
        np.array([0, 3], np.int32), np.array([1, 2]), np.array([0, 0], np.int8),
        np.array(["red shoes", "größer\0"], dtype=object), ("search",),
    )  # fmt: skip
    return Dataset(
        DatasetInfo("rich", "testing", "seconds", "MIT", "tests", notes="beware", holds=Holds(2, 4, 3, ("view",))),
        log,
        np.array(["u1", "ü2", "", "a much longer one"], dtype=object),
        np.array([2**60, -3, 5]),
        items,
        users,
        context,
        knowledge=pd.DataFrame({"head": ["a"], "relation": ["is"], "tail": ["b"]}),
        social=pd.DataFrame({"user": ["u1", "ü2"], "friend": ["ü2", "stranger"]}, index=[7, 9]),
        part=np.array([0, 0, 1, 2, 0], np.int8),
        checksum="ab" * 32,
        cleaning={"rows": np.int64(6), "broken": 1},
    )


def kinds(dataset: Dataset) -> dict[str, str]:
    """The dtype of everything inside, by path; of tables with objects also the types of the values."""
    found = {name: str(part.dtype) for name, part in snapshot(dataset).items()}
    tables = {name: getattr(dataset, name) for name in ("items", "users", "knowledge", "social")}
    for name, table in tables.items():
        if table is not None:
            found[name] = str([*table.columns, table.index]) + str(
                table.map(lambda value: type(value).__name__).to_dict()
            )
    return found


def reloaded(dataset: Dataset, tmp_path: Path) -> Dataset:
    """The data set as a second run gets it; it must not have been loaded twice."""
    source = Given(dataset, tmp_path / "source")
    source.path.write_text("x")
    first, second = prepared.load(source), prepared.load(source)
    assert source.loads == 1 and not changed(snapshot(first), snapshot(second))
    return second


def test_every_field_comes_back_as_it_was(tmp_path):
    fresh = rich()
    again = reloaded(fresh, tmp_path)
    assert not changed(snapshot(fresh), snapshot(again))
    assert kinds(again) == kinds(fresh)
    assert again.info == fresh.info and again.cleaning == {"rows": 6, "broken": 1}
    assert again.interactions.behaviors == ("view", "buy") and again.n_users == 4
    assert again.items["genres"].tolist() == [["a", "b"], [], None]
    assert replace(again, part=None).user_ids.tolist() == fresh.user_ids.tolist()


def test_all_arrays_are_mapped_and_read_only(tmp_path):
    again = reloaded(rich(), tmp_path)
    log, context = again.interactions, again.context
    for array in (log.user, log.time, log.value, again.item_ids, again.part, context.time):
        assert isinstance(array.base, np.memmap) and not array.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        again.user_ids[0] = "x"
    with pytest.raises(AttributeError, match="no attribute 'colour'"):
        _ = context.colour


@pytest.mark.parametrize("name", WORLDS)
def test_worlds_come_back(name, tmp_path):
    world = WORLDS[name]()
    assert not changed(snapshot(world.dataset), snapshot(reloaded(world.dataset, tmp_path)))
    again = replace(world, dataset=reloaded(world.dataset, tmp_path))
    assert not changed(snapshot(world.split()), snapshot(again.split()))


def test_no_events_come_back(tmp_path):
    nothing = np.empty(0, int)
    log = Interactions.sorted(nothing, nothing, nothing, n_users=0, n_items=0)
    empty = Dataset(rich().info, log, np.empty(0, "U3"), nothing)
    assert not changed(snapshot(empty), snapshot(reloaded(empty, tmp_path)))


@pytest.mark.parametrize(
    "column", [[{1}, {2}, {3}], [(1,), (2,), (3,)], ["a", float("nan"), None], [1, "a", 2.5], [object(), 1, 2]]
)
def test_what_no_file_can_hold_is_loaded_anew(column, tmp_path, capsys, store):
    items = pd.DataFrame({"odd": pd.Series(column, dtype=object)})
    source = Given(replace(rich(), items=items), tmp_path / "source")
    for _ in range(2):
        assert prepared.load(source) is source.dataset
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1 and told[0].startswith("recbench: data=rich is not kept in the cache"), told
    assert source.loads == 2 and [path.name for path in store.iterdir()] == ["rich.lock"]


def test_a_changed_file_or_parameter_is_loaded_anew(numbers, store):
    assert numbers() == ([3, 1, 2], True)
    assert numbers() == ([3, 1, 2], False)
    assert numbers(times=2) == ([3, 1, 2, 3, 1, 2], True)
    assert numbers() == ([3, 1, 2], False)
    (numbers.root / "numbers.txt").write_text("3 1 2 0")  # another size
    assert numbers() == ([3, 1, 2, 0], True)
    (numbers.root / "numbers.txt").write_text("0 1 2 0")
    os.utime(numbers.root / "numbers.txt", ns=(1, 1))  # the same size, another date
    assert numbers() == ([0, 1, 2, 0], True)
    (numbers.root / "more.txt").write_text(" 7")  # an optional file that was not there
    assert numbers() == ([0, 1, 2, 0, 7], True)
    assert numbers() == ([0, 1, 2, 0, 7], False)


def test_the_root_is_no_part_of_the_key_but_the_files_are(numbers, tmp_path):
    assert numbers() == ([3, 1, 2], True)
    (tmp_path / "link").symlink_to(numbers.root)
    numbers.root = tmp_path / "link"
    assert numbers() == ([3, 1, 2], False)


def test_a_file_that_changes_before_it_is_read_is_not_kept_as_what_it_was(numbers):
    path = numbers.root / "numbers.txt"
    os.utime(path, ns=(5, 5))

    class Late(Numbers):
        loads = 0

        def load(self):
            if not Late.loads:
                path.write_text("1 1 1")
            return super().load()

    assert numbers(Late) == ([1, 1, 1], True)
    path.write_text("3 1 2")
    os.utime(path, ns=(5, 5))
    assert numbers(Late) == ([3, 1, 2], True)


def test_the_entry_unused_for_longest_goes_first(numbers, store):
    last = prepared.KEPT + 2
    for times in range(1, last + 1):
        assert numbers(times=times)[1] is True
        assert numbers(times=1)[1] is False  # in use, so it stays
    assert len(list(store.glob("numbers-*"))) == prepared.KEPT
    assert [numbers(times=times)[1] for times in (last, 2)] == [False, True]


def _cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def _garbled(path):
    path.write_bytes(b"\0" * path.stat().st_size)


def _grown(path):
    path.write_bytes(path.read_bytes() + b"\0")


DAMAGES = {
    "array grown": ("dataset.interactions.user.npy", _grown),
    "array cut": ("dataset.interactions.item.npy", _cut),
    "array missing": ("dataset.interactions.time.npy", Path.unlink),
    "head of an array": ("dataset.user_ids.npy", _garbled),
    "table": ("dataset.items.arrow", _garbled),
    "meta cut": ("meta.json", _cut),
    "meta missing": ("meta.json", Path.unlink),
    "meta of something else": ("meta.json", lambda path: path.write_text('{"sizes": {}, "dataset": {"value": 1}}')),
    "no object": ("meta.json", lambda path: path.write_text("[]")),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_entry_is_made_anew(damage, tmp_path, store):
    source = Given(replace(rich(), user_ids=np.array(["a", "b", "c", "d"])), tmp_path / "source")
    prepared.load(source)
    name, spoil = DAMAGES[damage]
    (entry,) = store.glob("rich-*")
    spoil(entry / name)
    for _ in range(2):
        assert not changed(snapshot(source.dataset), snapshot(prepared.load(source)))
    assert source.loads == 2


@pytest.mark.parametrize("where", ["cache", "cache/prepared", "cache/prepared/numbers.lock"])
def test_a_folder_that_cannot_be_written_costs_time_only(where, numbers, tmp_path, capsys):
    path = tmp_path / where
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir() if where.endswith(".lock") else path.write_text("in the way")
    assert numbers() == ([3, 1, 2], True)
    assert numbers() == ([3, 1, 2], True)
    assert capsys.readouterr().err.count("recbench: data=numbers is not kept in the cache") == 1


def test_a_full_disk_costs_time_only(numbers, capsys):
    """A limit on the size of a file stands for the disk; 3 numbers fit, 30,000 do not."""
    code = f"""
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
sys.path.insert(0, {str(Path(__file__).parent)!r})
import test_prepared as t
for times in (10_000, 1):
    source = t.Numbers(t.NumbersParams(root={str(numbers.root)!r}, times=times))
    print(len(t.prepared.load(source).interactions))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["30000", "3"]
    assert len(done.stderr.splitlines()) == 1 and "not kept in the cache" in done.stderr
    assert [numbers(times=10_000)[1], numbers(times=1)[1]] == [True, False]


def test_errors_are_the_source_s_own(numbers):
    (numbers.root / "numbers.txt").unlink()
    with pytest.raises(RecbenchError, match=r"data=numbers: numbers\.txt not found"):
        numbers()


def test_a_source_without_files_is_kept_only_where_it_says_so(numbers, store):
    class Made(Numbers):
        files = ()

        def load(self):
            Numbers.loads += 1
            return rich()

    class Kept(Made):
        def paths(self):
            return []

    before = Numbers.loads
    assert prepared.load(Made()).info.name == prepared.load(Made()).info.name == "rich"
    assert Numbers.loads == before + 2 and not store.exists()
    for times in (1, 1, 2):
        prepared.load(Kept(NumbersParams(times=times)))
    assert Numbers.loads == before + 4


WIDE = """
import sys, time
import numpy as np
from recbench import Interactions, prepared
from recbench.dataset import DataParams, Dataset, DatasetInfo, DatasetSource
from recbench.fetch import SourceFile

class Wide(DatasetSource):
    info = DatasetInfo("wide", "testing", "order", "MIT", "tests")
    files = (SourceFile("numbers.txt"),)

    def load(self):
        print("loading", flush=True)
        time.sleep(float(sys.argv[2]))
        many = np.arange(4_000_000)
        log = Interactions.sorted(many, many, many, n_users=len(many), n_items=len(many))
        return Dataset(self.info, log, many, many[::-1].copy())

dataset = prepared.load(Wide(DataParams(root=sys.argv[1])))
print(dataset.item_ids.sum(), dataset.interactions.time.sum(), flush=True)
"""
SUM = sum(range(4_000_000))


def start(root: Path, seconds: float = 0.0) -> subprocess.Popen:
    """A process that prepares 4 million events after a while and prints whether it loaded and what it has."""
    command = [sys.executable, "-c", WIDE, str(root), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def told(process: subprocess.Popen) -> list[str]:
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0 and not err, err
    return out.splitlines()


def test_two_processes_at_once_load_once(numbers):
    both = [start(numbers.root, seconds=1.0) for _ in range(2)]
    assert sorted(told(both[0]) + told(both[1])) == sorted([f"{SUM} {SUM}", f"{SUM} {SUM}", "loading"])


@pytest.mark.parametrize("reached", ["loading", "arrays"])
def test_a_killed_process_leaves_a_whole_cache(reached, numbers, store):
    victim = start(numbers.root, seconds=0.5)
    assert victim.stdout.readline() == "loading\n"
    waiting = start(numbers.root)  # held back by the lock until the victim is gone
    deadline = time.monotonic() + 30
    while reached == "arrays" and not list(store.glob("*.tmp/*.time.npy")) and time.monotonic() < deadline:
        time.sleep(0.0005)
    victim.send_signal(signal.SIGKILL)
    assert victim.wait() == -signal.SIGKILL
    assert told(waiting) == ["loading", f"{SUM} {SUM}"]
    assert told(start(numbers.root)) == [f"{SUM} {SUM}"]
    assert len(list(store.glob("wide-*"))) == 1 and not list(store.glob("*.tmp"))


def test_millions_of_events_are_back_at_once(tmp_path):
    """2 million events, searches and rows of text; the data layer promises 0.3 s at any size."""
    n = 2_000_000
    many = np.arange(n)
    words = [f"some words {i}" for i in range(n)]
    log = Interactions.sorted(many[::-1], many, many // 2, n_users=n, n_items=n)
    context = ContextEvents(many, many, np.zeros(n, np.int8), np.array(words, object), ("search",))
    items = pd.DataFrame({"text": words, "price": many / 7, "category": pd.Categorical(many % 10)})
    source = Given(Dataset(rich().info, log, many, many.astype("U8"), items, context=context), tmp_path / "source")
    source.path.write_text("x")
    prepared.load(source)
    begun = time.perf_counter()
    again = prepared.load(source)
    seconds = time.perf_counter() - begun
    assert source.loads == 1 and again.items["text"].iloc[-1] == words[-1] == again.context.text[-1]
    assert seconds < 0.3, f"took {seconds:.2f} s"
