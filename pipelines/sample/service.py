"""Door of the sample city: write it, or carry it on to a later day.

The city lies in ``<home>/sample``: one folder a subject, a manifest, and the ledger of planted errors.
A part file holds the records that were made or last changed in the days of its name; carrying the city on
adds part files and changes none: a case that was open comes again, in its new state, in a later part.
"""

import json
import shutil
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from models.domain.contracts import SUBJECTS
from models.domain.errors import YiwangError
from models.domain.progress import NoProgress, Progress
from models.domain.schema import arrow_schema
from pipelines.sample import results
from pipelines.sample.columns import Frame, Ints, concat, write
from pipelines.sample.days import DAY, EPOCH, counts, day_number, next_month, weights
from pipelines.sample.faults import stock
from pipelines.sample.lives import World, live
from pipelines.sample.matters import matters
from pipelines.sample.people import people
from pipelines.sample.places import places
from pipelines.sample.planting import LEDGER, Ledger, Planter
from pipelines.sample.rows import vocabulary
from pipelines.sample.sources import write_sources

FORMAT = 1
"""Version of what the generator writes; a city of another version is written anew."""
STAGE = "生成样例城市"
BAD_SHARES = {"normal": 0.001, "stress": 0.02}
"""Share of bad reviews among active ones, by profile; ``stress`` exercises flows and is not realistic."""
CASES = (1_000, 10_000_000)
"""Least and greatest size that the command takes; tests make smaller cities."""
CHUNK_CASES = 60_000
"""Cases of an ordinary chunk at most: a large city is drawn in fewer days at a time, so that memory stays bounded."""
MOVING = ("case", "case_event", "certificate", "review")
_FIXED_DATES = {"issued_on", "valid_from", "valid_to"}
_EARLIEST, _LATEST = date(2016, 1, 1), date(2040, 12, 31)


@dataclass(frozen=True)
class SampleSummary:
    """What a call has written.

    Attributes:
        home: Folder that holds ``sample``.
        since: First day of the city.
        until: Last day; nothing later exists.
        rows: Rows of all files by subject, later versions of a record counted too.
        files: Files that this call has written.
        planted: Rows of the ledger by kind of error.
    """

    home: Path
    since: date
    until: date
    rows: dict[str, int]
    files: int
    planted: dict[str, int]


def write_sample(
    home: Path,
    cases: int,
    until: date,
    since: date | None = None,
    seed: int = 7,
    errors: float = 0.01,
    profile: str = "normal",
    progress: Progress | None = None,
    chunk_days: int = 31,
    replace: bool = False,
) -> SampleSummary:
    """Write the sample city, or carry on the one that lies there.

    The same arguments with a later ``until`` carry the city on at the same rate; the same ``until`` does
    nothing; any other arguments are another city, which takes the place of one only with ``replace``.
    The caller holds the home (:func:`pipelines.sources.service.run_lock`) where a run might read it.

    Args:
        home: Folder that gets ``sample`` and, where it has none, ``sources.yml``.
        cases: Cases received from ``since`` to ``until``.
        until: Last day, included; the horizon is its end in Asia/Shanghai.
        since: First day; default: 18 months before ``until``.
        seed: Another seed is another history of the same city.
        errors: Share of the records of cases, events, certificates, reviews and matters with a planted error.
        profile: ``normal``, or ``stress`` with 2 % bad reviews.
        progress: Receiver of progress, in days.
        chunk_days: Days that are drawn together at most: memory against speed, never content.
        replace: Whether another city that lies there may be deleted.

    Raises:
        YiwangError: YW-SAMPLE-001 where an argument makes no sense, YW-SAMPLE-002 where another city lies there.
    """
    start = since or _months_before(min(max(until, _EARLIEST), _LATEST) + timedelta(days=1), 18)
    _check(cases, start, until, errors, profile, chunk_days)
    known = _manifest(home)
    city = {"format": FORMAT, "seed": seed, "cases": cases, "errors": errors, "profile": profile}
    same = known is not None and all(known.get(k) == v for k, v in city.items()) and since in (None, date.fromisoformat(known["since"]))
    if known is not None and same and until >= date.fromisoformat(known["until"]):
        return _Writer(home, known, until, progress or NoProgress(), chunk_days).run()
    if (manifest := home / "sample" / "manifest.json").exists():
        if not replace:
            raise YiwangError("YW-SAMPLE-002", home=home, city=_described(known))
        manifest.unlink()  # first, so that a kill leaves no manifest without its files
    shutil.rmtree(home / "sample", ignore_errors=True)
    total = float(weights(day_number(start), day_number(until)).sum())
    fresh = city | {"since": start.isoformat(), "until": None, "rate": cases / total, "rows": {}, "planted": {}, "files": []}
    return _Writer(home, fresh, until, progress or NoProgress(), chunk_days).run()


def extend_sample(home: Path, until: date, progress: Progress | None = None) -> SampleSummary:
    """Carry the city that lies in ``home`` on to a later day.

    Raises:
        YiwangError: YW-SAMPLE-001 where no city lies there, or the day makes no sense.
    """
    known = _manifest(home)
    if known is None:
        raise YiwangError("YW-SAMPLE-001", detail=f"{home} 里还没有样例城市，请先生成")
    _check(known["cases"], date.fromisoformat(known["since"]), until, known["errors"], known["profile"], 31)
    return _Writer(home, known, max(until, date.fromisoformat(known["until"])), progress or NoProgress(), 31).run()


def _manifest(home: Path) -> dict[str, Any] | None:
    """What is known of the city that lies there; None where there is none, or none of this format."""
    try:
        known = json.loads((home / "sample" / "manifest.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return known if isinstance(known, dict) and known.get("format") == FORMAT else None


def _described(known: dict[str, Any] | None) -> str:
    if known is None:
        return "由其他版本生成"
    city = f"{known['cases']:,} 件，{known['since']} 至 {known['until']}，种子 {known['seed']}"
    return f"{city}，错误比例 {known['errors']}，{known['profile']}"


def check_cases(cases: int) -> None:
    """Whether the command takes this many cases.

    Raises:
        YiwangError: YW-SAMPLE-001.
    """
    if not CASES[0] <= cases <= CASES[1]:
        raise YiwangError("YW-SAMPLE-001", detail=f"办件数须在 {CASES[0]} 到 {CASES[1]} 之间")


def _check(cases: int, since: date, until: date, errors: float, profile: str, chunk_days: int) -> None:
    problems = {
        "办件数须在 1 到 20000000 之间": 1 <= cases <= 20_000_000,
        f"日期须在 {_EARLIEST} 到 {_LATEST} 之间，且起始日不晚于截止日": _EARLIEST <= since <= until <= _LATEST,
        "错误比例须在 0 到 0.5 之间": 0 <= errors <= 0.5,
        f"profile 只能是 {'、'.join(BAD_SHARES)}": profile in BAD_SHARES,
        "chunk_days 须为正数": chunk_days > 0,
    }
    for detail, fine in problems.items():
        if not fine:
            raise YiwangError("YW-SAMPLE-001", detail=detail)


def _months_before(day: date, months: int) -> date:
    month = day.year * 12 + day.month - 1 - months
    first = date(month // 12, month % 12 + 1, 1)
    return min(first + timedelta(days=day.day - 1), next_month(first) - timedelta(days=1))


class _Writer:
    """One call: generates by chunks of days, holds rows until their month is over, writes a part a month."""

    def __init__(self, home: Path, manifest: dict[str, Any], until: date, progress: Progress, chunk_days: int) -> None:
        self.home, self.folder, self.manifest, self.until = home, home / "sample", manifest, until
        self.progress, self.chunk_days = progress, chunk_days
        self.since = day_number(date.fromisoformat(manifest["since"]))
        self.last = day_number(until)
        # Records that changed up to here lie in earlier parts.
        self.before = day_number(date.fromisoformat(manifest["until"])) if manifest["until"] else self.since - 1
        yearly = manifest["rate"] * 255
        self.world = World(places(), matters(), people(manifest["seed"], yearly, places()), manifest["seed"])
        retired = [r["matter_code"] for r in self.world.matters.rows if r["matter_state_code"] == "cancelled"]
        self.planter = Planter(self.world, manifest["errors"], stock(self.world.places, retired))
        self.words = vocabulary(self.world)
        self.numbers = results.CertificateNumbers(self.world)
        self.schemas = {s: _file_schema(s) for s in MOVING}
        self.pending: dict[tuple[str, int], list[tuple[Frame, Ledger]]] = defaultdict(list)
        self.ledger: list[pa.Table] = []
        self.written: list[str] = []

    def run(self) -> SampleSummary:
        """Write all that is missing up to the last day."""
        write_sources(self.home)
        self._clean()
        if not self.manifest["until"]:
            self._master()
        if self.last > self.before:
            self._days()
            self._save()
        m = self.manifest
        return SampleSummary(self.home, date.fromisoformat(m["since"]), self.until, m["rows"], len(self.written), m["planted"])

    def _clean(self) -> None:
        """Take away what a killed call left behind."""
        for path in self.folder.glob("*/part-*"):
            if f"{path.parent.name}/{path.name}" not in self.manifest["files"]:
                path.unlink()

    def _master(self) -> None:
        m = self.world.matters
        rows, ledger = self.planter.matters(m.rows, m.share)
        tables = {**self.world.places.tables(), "matter": pa.Table.from_pylist(rows + m.older, arrow_schema(SUBJECTS["matter"]))}
        for subject, table in tables.items():
            path = self.folder / subject / "part-0.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(table, path, store_schema=False)
            self._note(subject, path, table.num_rows)
        self.ledger.append(ledger.table("matter/part-0.parquet", 0))

    def _note(self, subject: str, path: Path, rows: int) -> None:
        self.written.append(f"{subject}/{path.name}")
        self.manifest["rows"][subject] = self.manifest["rows"].get(subject, 0) + rows

    def _days(self) -> None:
        sizes = counts(self.since, self.last, self.manifest["rate"])
        first = max(self.since, self.before + 1 - results.LOOK_BACK) if self.manifest["until"] else self.since
        months = _months(self.before + 1, self.last)
        self.progress.start(STAGE, self.last - first + 1)
        step = max(1, min(self.chunk_days, int(CHUNK_CASES / self.manifest["rate"])))
        for start in range(first, self.last + 1, step):
            day = np.arange(start, min(start + step, self.last + 1))
            self._chunk(day, sizes[day - self.since], months)
            while len(months) > 1 and months[0][1] <= day[-1]:
                self._flush(months.pop(0))
            self.progress.advance(STAGE, len(day))
        for month in months:
            self._flush(month)
        self.progress.finish(STAGE, f"{sum(self.manifest['rows'].values())} 行")

    def _chunk(self, day: Ints, size: Ints, months: list[tuple[int, int]]) -> None:
        rows = results.Results(self.world, self.words, live(self.world, day, size), (self.last + 1) * DAY - 1, BAD_SHARES[self.manifest["profile"]])
        builders: dict[str, tuple[Callable[[], tuple[Ints, Ints, Ints]], Callable[[Ints, Ints, Ints], Frame]]] = {
            "case": (rows.case_places, lambda c, p, t: rows.cases(c, t)),
            "case_event": (rows.event_places, rows.events),
            "certificate": (lambda: results.certificate_places(rows), lambda c, p, t: results.certificates(rows, self.numbers, c, p, t)),
            "review": (lambda: results.review_places(rows), lambda c, p, t: results.reviews(rows, c, p, t)),
        }
        starts = np.array([first for first, _ in months])
        for subject, (find, build) in builders.items():
            case, part, changed = find()
            month = np.searchsorted(starts, changed // DAY, side="right") - 1
            for number in np.unique(month[month >= 0]):
                at = np.flatnonzero(month == number)
                plan = self.planter.plan(subject, rows, case[at], part[at])
                kept = at[plan.order]
                frame = build(case[kept], part[kept], changed[kept])
                ledger = self.planter.strike(subject, frame, plan)
                lost = {code: build(case[at[p]], part[at[p]], changed[at[p]]) for code, p in plan.missing.items() if len(p)}
                self.planter.strike_out(subject, lost, ledger)
                self.pending[subject, months[number][0]].append((frame, ledger))

    def _flush(self, month: tuple[int, int]) -> None:
        first, last = (EPOCH + timedelta(days=d) for d in month)
        for subject in MOVING:
            pieces = self.pending.pop((subject, month[0]), [])
            if not pieces:
                continue
            path = self.folder / subject / f"part-{first:%Y%m%d}-{last:%Y%m%d}.parquet"
            frame = concat([f for f, _ in pieces])
            start = 0
            for piece, ledger in pieces:
                self.ledger.append(ledger.table(f"{subject}/{path.name}", start))
                start += piece.size
            write(frame, self.schemas[subject], path)
            self._note(subject, path, frame.size)

    def _save(self) -> None:
        """The ledger, then the manifest: until that is in place, the new parts do not count."""
        path = self.folder / "planted_errors.parquet"
        old = [pq.read_table(path)] if self.manifest["until"] else []
        ledger = pa.concat_tables([*(t.cast(LEDGER) for t in old), *self.ledger])
        _replace(path, lambda temporary: pq.write_table(ledger, temporary))
        kinds, sizes = np.unique(ledger["kind"].to_numpy(zero_copy_only=False).astype(str), return_counts=True)
        self.manifest["planted"] = dict(zip(kinds.tolist(), sizes.tolist(), strict=True))
        self.manifest["until"] = self.until.isoformat()
        self.manifest["files"] = sorted([*self.manifest["files"], *self.written])
        text = json.dumps(self.manifest, ensure_ascii=False, indent=1)
        _replace(self.folder / "manifest.json", lambda temporary: temporary.write_text(text, encoding="utf-8"))


def _replace(path: Path, fill: Callable[[Path], object]) -> None:
    temporary = path.with_suffix(".tmp")
    fill(temporary)
    temporary.replace(path)


def _months(first: int, last: int) -> list[tuple[int, int]]:
    """First and last day of each month, or part of a month, from ``first`` to ``last``."""
    months, day = [], EPOCH + timedelta(days=first)
    while day_number(day) <= last:
        following = next_month(day)
        months.append((day_number(day), min(day_number(following) - 1, last)))
        day = following
    return months


def _file_schema(subject: str) -> pa.Schema:
    """The contract's schema, with the days of certificates as text: so catalogues export them."""
    schema = arrow_schema(SUBJECTS[subject])
    if subject != "certificate":
        return schema
    return pa.schema([f.with_type(pa.string()) if f.name in _FIXED_DATES else f for f in schema])
