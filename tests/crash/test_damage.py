"""Bits turned over (F8), and files that are missing, old, swapped or cut (F9).

A damaged cell is refused, or says that it is unwell, or refuses the pages that
it cannot make whole; or nobody can see a difference, now and later. Never a
wrong page, and never one that is silently shorter.
"""
import concurrent.futures
import functools
import os
import random
import shutil
import typing

import pytest

import synthetic
from damage import (CELLS, EQUAL, GOOD, REFUSED, Base, Trial, flip, kinds,
                    manifest_records)
from rows import open_rows

# Trials at a time: most of one is waiting.
WORKERS = max(2, os.cpu_count())
# How often a kind of file is drawn, if not once: most of the data is there,
# and most of what can hide a loss.
READER = synthetic.USERS + 1  # one of those who follow everybody
WEIGHTS = {"store/N.sst": 5, "store/MANIFEST-N": 3}


@pytest.fixture(scope="module")
def base(tmp_path_factory, seed):
    """Tables, chunks and both tail generations, in two cells."""
    made = Base(tmp_path_factory.mktemp("base"), seed)
    for cell in CELLS:
        found = kinds(made.data / cell)
        assert len(found["store/N.sst"]) > 1, found
        assert "tails" in found and "tails.old" in found, found
    return made


class Case(typing.NamedTuple):
    """One damage."""

    name: str
    damage: typing.Callable  # of a data directory; may answer what it did
    allowed: set             # outcomes
    killed: bool = False     # on the copy that kill -9 left


def run_trials(base, directory, tally, cases):
    """Every case; failures in words."""
    def run(number, case):
        place = directory / str(number)
        trial = Trial(base, place, case.killed)
        what = case.damage(trial.data) or case.name
        outcome = trial.run()
        shutil.rmtree(place)
        return what, outcome

    failures = []
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        for case, (what, outcome) in zip(cases, pool.map(
                run, range(len(cases)), cases)):
            tally[f"{case.name}: {outcome.name}"] += 1
            if outcome.name not in case.allowed:
                source = base.killed if case.killed else base.data
                failures.append(f"{what}: {outcome.name}: {outcome.detail}; "
                                f"undamaged: {source}")
    told = "\n".join(failures)
    assert not failures, f"{told}\nseed {base.seed}"


# --- F8 --------------------------------------------------------------------

def draw_flip(base, chance, kind):
    """A case: one bit of one file of a kind, each bit of the kind alike."""
    killed = chance.random() < 0.5
    source = base.killed if killed else base.data
    places = [(cell, name, (source / cell / name).stat().st_size)
              for cell in CELLS for name in kinds(source / cell)[kind]]
    cell, name, size = chance.choices(places, [p[2] for p in places])[0]
    offset, bit = chance.randrange(size), chance.randrange(8)

    def damage(data):
        flip(data / cell / name, offset, bit)
        return f"{cell}/{name} byte {offset} bit {bit} turned over"

    return Case(f"flip in {kind}", damage, GOOD, killed)


# RocksDB takes a record that seems to be longer than its file, or one of a
# reused file, for the end of the MANIFEST: it forgets the tables that later
# records name, and removes them.
def forgetful_flips(base):
    """Cases: every record of a MANIFEST made the last but one in both ways."""
    cell = base.data / CELLS[0]
    name, = kinds(cell)["store/MANIFEST-N"]
    for at in manifest_records(cell / name):
        for offset, bit in ((at + 5, 7), (at + 6, 2)):
            def damage(data, offset=offset, bit=bit):
                flip(data / CELLS[0] / name, offset, bit)
                return f"{CELLS[0]}/{name} byte {offset} bit {bit} turned over"

            yield Case("flip that ends the MANIFEST", damage, GOOD)


def test_forgotten_tables(base, tmp_path, tally):
    run_trials(base, tmp_path, tally, list(forgetful_flips(base)))


def newest_chunk_alone(data):
    """Give a reader's newest chunk a table of its own, the last one.

    As where the memtable is full just before sealing commits its rows, and
    nothing more is applied before the checkpoint. The count of batches is in
    that table too, as it is in every batch. Answers the cell.
    """
    for cell in CELLS:
        with open_rows(data / cell / "store") as rows:
            row = rows.last(b"i" + READER.to_bytes(8, "big"))
            if row is not None:
                commits, count = rows.last(b"mcommits")
                before = int.from_bytes(count, "little") - 1
                rows.delete(row[0])
                rows.put(commits, before.to_bytes(8, "little"))
                rows.flush()
                rows.compact()
                rows.put(*row)
                rows.put(commits, count)
                rows.flush()
                return cell
    raise LookupError(f"user {READER} has no chunks")


def forget_last_table(data):
    """End the MANIFEST before the record that names the last table."""
    cell = newest_chunk_alone(data)
    name, = kinds(data / cell)["store/MANIFEST-N"]
    path = data / cell / name
    # The last record says where the log begins, the one before names it.
    at = list(manifest_records(path))[-2]
    flip(path, at + 5, 7)
    return f"{cell}/{name} byte {at + 5} bit 7 turned over, of a table of " \
        "chunk rows alone"


# The positions are in older tables and agree with the tails; the count of
# batches tells.
def test_forgotten_chunk(base, tmp_path, tally):
    run_trials(base, tmp_path, tally, [
        Case("chunk rows moved",
             lambda data: newest_chunk_alone(data) and None, {EQUAL}),
        Case("chunk rows forgotten", forget_last_table, GOOD)])


def test_flips(base, tmp_path, seed, tally, flips):
    chance = random.Random(seed)
    order = [kind for kind in sorted(kinds(base.data / CELLS[0]))
             for _ in range(WEIGHTS.get(kind, 1))]
    cases = [draw_flip(base, chance, order[number % len(order)])
             for number in range(flips)]
    run_trials(base, tmp_path, tally, cases)


# --- F9 --------------------------------------------------------------------

def first_of(cell, kind):
    """A file of a kind, by its name in a cell."""
    return kinds(cell)[kind][0]


def swap(one, other):
    """Two files or directories change places."""
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


def replace(old, new):
    """A copy of new where old was."""
    if old.is_dir():
        shutil.rmtree(old)
        shutil.copytree(new, old)
    else:
        old.unlink(missing_ok=True)
        shutil.copy(new, old)


def damage_missing(data, kind, extra):
    """One file is not there."""
    (data / CELLS[0] / first_of(data / CELLS[0], kind)).unlink()


def damage_empty(data, kind, extra):
    """One file has nothing in it."""
    os.truncate(data / CELLS[0] / first_of(data / CELLS[0], kind), 0)


def damage_cut(data, kind, extra):
    """One file ends too early."""
    path = data / CELLS[0] / first_of(data / CELLS[0], kind)
    size = extra.randrange(path.stat().st_size)
    os.truncate(path, size)
    return f"{path.name} cut to {size} bytes"


def damage_swapped(data, kind, extra):
    """Two cells' files of a kind have changed places."""
    swap(*(data / cell / first_of(data / cell, kind) for cell in CELLS))


def damage_stale(data, kind, extra):
    """A file of a kind as it was in the older copy."""
    replace(data / CELLS[0] / first_of(data / CELLS[0], kind),
            extra / CELLS[0] / first_of(extra / CELLS[0], kind))


def cases_of_kinds(base, chance):
    """Whatever kinds of files there are, each in every way."""
    ways = {"missing": (damage_missing, None), "empty": (damage_empty, None),
            "cut": (damage_cut, chance), "swapped": (damage_swapped, None),
            "stale": (damage_stale, base.older)}
    for kind in sorted(kinds(base.data / CELLS[0])):
        for way, (damage, extra) in ways.items():
            yield Case(f"{way} {kind}", functools.partial(
                damage, kind=kind, extra=extra), GOOD)


def remove_all(*names):
    """These names of cell 0 are gone."""
    def damage(data):
        for name in names:
            path = data / CELLS[0] / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return damage


def swap_all(*names):
    """These names have changed places between the cells."""
    def damage(data):
        for name in names:
            swap(*(data / cell / name for cell in CELLS))
    return damage


def from_older(base, *names, to=CELLS[0], source=CELLS[0]):
    """These names of a cell are the older copy's."""
    def damage(data):
        for name in names:
            replace(data / to / name, base.older / source / name)
    return damage


def whole_cases(base):
    """What an operator or a bad restore does; what must come of it."""
    def no_tables(data):
        for path in (data / CELLS[0] / "store").glob("*"):
            path.unlink()

    def other_cell(data):
        replace(data / CELLS[0], data / CELLS[1])

    def two_tables(data):
        one, other = kinds(data / CELLS[0])["store/N.sst"][:2]
        swap(data / CELLS[0] / one, data / CELLS[0] / other)

    return [
        ("nothing at all", lambda data: None, {EQUAL}),
        ("both tail files missing", remove_all("tails", "tails.old"),
         {REFUSED}),
        ("the newest tail file missing", remove_all("tails"), {EQUAL}),
        ("store missing", remove_all("store"), {REFUSED}),
        ("store empty", no_tables, {REFUSED}),
        ("whole cell missing", remove_all(""), {EQUAL}),
        ("another cell's directory", other_cell, {REFUSED}),
        ("whole cells swapped", swap_all(""), {REFUSED}),
        ("two tables of a store swapped", two_tables, {REFUSED}),
        ("stores swapped", swap_all("store"), {REFUSED}),
        ("tail files swapped", swap_all("tails", "tails.old"), {REFUSED}),
        ("older tails", from_older(base, "tails", "tails.old"), {EQUAL}),
        ("older store", from_older(base, "store"), {REFUSED}),
        ("whole cell older", from_older(base, ""), {EQUAL}),
        ("log older than the cells",
         lambda data: replace(data / "log", base.older / "log"), {REFUSED}),
        ("older, of another cell",
         from_older(base, "", source=CELLS[1]), {REFUSED}),
    ]


def test_files(base, tmp_path, seed, tally):
    cases = [*(Case(*case) for case in whole_cases(base)), *cases_of_kinds(base, random.Random(seed))]
    run_trials(base, tmp_path, tally, cases)
