"""Planting errors: where they strike, and the ledger of what was planted.

Whether and how a record is struck follows from the case's own draws, so that it is the same for any chunk
and for every later version of the record. The kinds themselves are in :mod:`pipelines.sample.faults`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from models.domain.contracts import SUBJECTS, key_of
from pipelines.sample.columns import Frame, Ints
from pipelines.sample.days import Draw, mixed
from pipelines.sample.faults import Effect, Kind, Stock, kinds
from pipelines.sample.lives import World
from pipelines.sample.matters import POPULAR
from pipelines.sample.results import Results

LEDGER = pa.schema([
    ("subject", pa.string()), ("key", pa.string()), ("field", pa.string()), ("kind", pa.string()), ("planted_value", pa.string()),
    ("right_value", pa.string()), ("change", pa.string()), ("file", pa.string()), ("file_row", pa.int64()),
])  # fmt: skip
"""Columns of the ledger: ``key`` as it stands in the file, parts joined by ``/``; ``change`` a value, an
added row (each of its fields that differ from the row before it) or a missing row (``right_value`` is the
row as JSON); ``file_row`` counts the file's rows from 1, null for a missing row. Key and row are those of
the raw layer and its quarantine."""
MATTER_KINDS = {"zero_limit": "承诺件承诺时限为零", "promised_over_statutory": "承诺时限长于法定时限", "absurd_trips": "到现场次数荒谬"}
REVERSED_DEPARTMENT = "财政"
"""The department whose interface sends 5 for 非常满意."""
_DRAWS = {"case": Draw.ERROR_CASE, "case_event": Draw.ERROR_EVENT, "certificate": Draw.ERROR_CERTIFICATE, "review": Draw.ERROR_REVIEW}


def catalogue() -> dict[str, tuple[str, str]]:
    """All kinds: code → (subject, Chinese title)."""
    return {c: (k.subject, k.title) for c, k in kinds().items()} | {c: ("matter", t) for c, t in MATTER_KINDS.items()}


@dataclass
class Ledger:
    """Rows of the ledger, columns side by side; ``row`` counts from the start of the frame they belong to."""

    entries: list[tuple[str, str, str, str, str | None, str | None, str]] = field(default_factory=list)
    rows: list[int | None] = field(default_factory=list)

    def add(self, entry: tuple[str, str, str, str, str | None, str | None, str], row: int | None) -> None:
        """One planted value."""
        self.entries.append(entry)
        self.rows.append(row)

    def table(self, file: str, start: int) -> pa.Table:
        """As rows of :data:`LEDGER`, the frame standing in ``file`` from row ``start``."""
        columns: list[Any] = [list(c) for c in zip(*self.entries, strict=True)] if self.entries else [[] for _ in range(7)]
        columns += [[file] * len(self.rows), [None if r is None else r + start + 1 for r in self.rows]]
        return pa.table([pa.array(c, f.type) for c, f in zip(columns, LEDGER, strict=True)], schema=LEDGER)


@dataclass
class Plan:
    """Which rows a piece has, and which of them are struck.

    Attributes:
        order: Places of the rows that the piece has: struck-out rows left out, added rows after their originals.
        struck: Kind → (rows of the frame, draws).
        missing: Kind → places left out.
    """

    order: Ints
    struck: dict[str, tuple[Ints, Ints]]
    missing: dict[str, Ints]


class Planter:
    """Plants errors at a rate; at rate 0 nothing, and every right value is the same as at any other rate."""

    def __init__(self, world: World, rate: float, stock: Stock) -> None:
        self.world, self.rate, self.stock = world, rate, stock
        shorts = [d.short for d in world.places.departments]
        self.reversed = shorts.index(REVERSED_DEPARTMENT)

    def plan(self, subject: str, rows: Results, case: Ints, part: Ints) -> Plan:
        """Where errors strike among the rows (case, part) of a subject."""
        every = np.arange(len(case))
        if self.rate <= 0:
            return Plan(every, {}, {})
        base = mixed(rows.lives.draw[_DRAWS[subject]][case].astype(np.uint64) << np.uint64(6) | part.astype(np.uint64), 50)
        chance = (base >> np.uint64(11)).astype(np.float64) * 2.0**-53
        chosen = self._choose(subject, rows, case, part, chance, base)
        whole = self._whole(subject, rows, case)
        if whole is not None:
            code, mask = whole
            chosen = {c: at[~mask[at]] for c, at in chosen.items()}
            chosen[code] = np.flatnonzero(mask)
        catalogue = kinds()
        added = {c: at for c, at in chosen.items() if catalogue[c].effect is Effect.ADDED}
        missing = {c: at for c, at in chosen.items() if catalogue[c].effect is Effect.MISSING}
        kept = np.ones(len(case), np.int64)
        for at in added.values():
            kept[at] += 1
        for at in missing.values():
            kept[at] = 0
        first = np.cumsum(kept) - kept
        struck = {c: (first[at] + (c in added), base[at]) for c, at in chosen.items() if c not in missing}
        return Plan(np.repeat(every, kept), struck, missing)

    def _choose(self, subject: str, rows: Results, case: Ints, part: Ints, chance: Ints, base: Ints) -> dict[str, Ints]:
        listed = [k for k in kinds().values() if k.subject == subject and k.boost]
        candidates = np.flatnonzero(chance < self.rate * max(k.boost for k in listed))
        able = np.column_stack([self._able(k, rows, case[candidates], part[candidates], chance[candidates]) for k in listed])
        turn = (base[candidates] % np.uint64(len(listed))).astype(np.int64)
        cycle = (turn[:, None] + np.arange(len(listed))) % len(listed)
        first = np.take_along_axis(able, cycle, axis=1).argmax(axis=1)
        kind = np.where(able.any(axis=1), cycle[np.arange(len(cycle)), first] if len(cycle) else 0, -1)
        return {k.code: candidates[kind == i] for i, k in enumerate(listed)}

    def _able(self, kind: Kind, rows: Results, case: Ints, part: Ints, chance: Ints) -> Ints:
        return np.asarray(kind.eligible(rows, case, part)) & (chance < self.rate * kind.boost)

    def _whole(self, subject: str, rows: Results, case: Ints) -> tuple[str, Ints] | None:
        """Kinds that strike all rows of a case, or of a department."""
        if subject == "case_event":
            draw = mixed(rows.lives.draw[Draw.ERROR_EVENT].astype(np.uint64), 51)
            return "same_minute", ((draw >> np.uint64(11)).astype(np.float64) * 2.0**-53 < self.rate / 8)[case]
        if subject == "review":
            return "reversed_scale", (rows.department == self.reversed)[case]
        return None

    def strike(self, subject: str, frame: Frame, plan: Plan) -> Ledger:
        """Change the frame of a plan's rows, and say what was changed."""
        ledger = Ledger()
        edits: list[tuple[Kind, str, Ints, list[str | None], list[str | None]]] = []
        for code, (at, draw) in plan.struck.items():
            if len(at):
                for name, planted in kinds()[code].change(frame, at, draw >> np.uint64(8), self.stock).items():
                    right = frame.values(name, at)
                    differs = np.array([p != r for p, r in zip(planted, right, strict=True)], bool)
                    if differs.any():
                        wrong = [p for p, d in zip(planted, differs, strict=True) if d]
                        edits.append((kinds()[code], name, at[differs], wrong, [r for r, d in zip(right, differs, strict=True) if d]))
        for name in {e[1] for e in edits}:
            own = [e for e in edits if e[1] == name]
            frame.replace(name, np.concatenate([e[2] for e in own]), [v for e in own for v in e[3]])
        for kind, name, at, planted, right in edits:
            for row, key, wrong_value, right_value in zip(at, self.keys(subject, frame, at), planted, right, strict=True):
                ledger.add((subject, key, name, kind.code, wrong_value, right_value, kind.effect.value), int(row))
        return ledger

    def strike_out(self, subject: str, frames: dict[str, Frame], ledger: Ledger) -> None:
        """Record the rows that a plan left out."""
        for code, frame in frames.items():
            every = np.arange(frame.size)
            values = {n: frame.values(n, every) for n in frame.columns}
            for i, key in enumerate(self.keys(subject, frame, every)):
                row = json.dumps({n: v[i] for n, v in values.items() if v[i] is not None}, ensure_ascii=False)
                ledger.add((subject, key, "*", code, None, row, Effect.MISSING.value), None)

    def keys(self, subject: str, frame: Frame, rows: Ints) -> list[str]:
        """Keys of some rows as they stand."""
        parts = [frame.values(name, rows) for name in key_of(SUBJECTS[subject])]
        return ["/".join(v or "" for v in key) for key in zip(*parts, strict=True)]

    def matters(self, rows: list[dict[str, Any]], share: Ints) -> tuple[list[dict[str, Any]], Ledger]:
        """Matters with errors among those that few cases belong to, and what was planted."""
        ledger, rows = Ledger(), [dict(r) for r in rows]
        if self.rate <= 0:
            return rows, ledger
        rng = np.random.Generator(np.random.Philox(key=[self.world.seed, 2]))
        promised = [i for i in np.argsort(-share, kind="stable")[POPULAR:] if rows[i]["promised_limit"]]
        each = min(max(1, round(len(rows) * self.rate / len(MATTER_KINDS))), len(promised) // len(MATTER_KINDS))
        for place, i in enumerate(rng.choice(promised, each * len(MATTER_KINDS), replace=False)):
            row, kind = rows[i], list(MATTER_KINDS)[place % len(MATTER_KINDS)]
            name, wrong = {
                "zero_limit": ("promised_limit", 0),
                "promised_over_statutory": ("promised_limit", row["statutory_limit"] + 10),
                "absurd_trips": ("trips", [-1, 99][place % 2]),
            }[kind]
            ledger.add(("matter", row["matter_code"], name, kind, str(wrong), str(row[name]), Effect.VALUE.value), int(i))
            row[name] = wrong
        return rows, ledger
