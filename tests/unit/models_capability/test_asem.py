"""A published index, every stage: the ASEM Sustainable Connectivity index of the European Commission's JRC (51 countries, 2018)."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from models.capability.methods.arrays import Array
from models.capability.service import TableScores, load_system, score_table

DATA = Path(__file__).parents[4] / "shared" / "data" / "asem"


def read(name: str) -> list[dict[str, str]]:
    with (DATA / f"ASEM_COIN.{name}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def system() -> dict[str, Any]:
    """The system file, from the index's own metadata."""
    names = {row["Code"]: row["Name"] for row in read("Input.AggMeta")}
    weights = {row["Code"]: float(row["Weight"]) for row in read("Parameters.Weights.Original")}
    below: dict[str, list[str]] = {}
    indicators = {}
    for row in read("Input.IndMeta"):
        for child, parent in ((row["IndCode"], row["Agg1"]), (row["Agg1"], row["Agg2"]), (row["Agg2"], row["Agg3"])):
            if child not in below.setdefault(parent, []):
                below[parent].append(child)
        indicators[row["IndCode"]] = {
            "code": row["IndCode"], "name": row["IndName"], "unit": row["IndUnit"], "direction": "higher" if row["Direction"] == "1.0" else "lower",
        } | ({"denominator": row["Denominator"]} if row["Denominator"] else {})

    def part(code: str) -> dict[str, Any]:
        if code in indicators:
            return indicators[code]
        children = [part(child) | {"weight": weights[child] / sum(weights[c] for c in below[code])} for child in below[code]]
        return {"code": code, "name": names[code], "children": children}

    return {key if key != "code" else "system_code": value for key, value in part("Index").items()} | {
        "year": 2018, "label": "JRC", "weight_source": "decided", "columns": {"unit": "UnitCode", "name": "UnitName", "period": "Year"},
        "defaults": {
            "external": "ASEM", "missing": {"method": "group_mean", "group": "Group_EurAsia"}, "outliers": {"method": "winsorise", "then": "log"},
            "normalisation": {"method": "minmax"}, "minimum_sample": 1e-12,
        },
    }  # fmt: skip


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> TableScores:
    if not DATA.is_dir():
        pytest.skip("real data not here: asem")
    folder = tmp_path_factory.mktemp("asem")
    (folder / "asem.yml").write_text(yaml.safe_dump(system(), allow_unicode=True), encoding="utf-8")
    divisors = {row["UnitCode"]: row for row in read("Input.Denominators")}
    rows = [row | {key: value for key, value in divisors[row["UnitCode"]].items() if key.startswith("Den_")} for row in read("Input.IndData")]
    with (folder / "asem.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return score_table(load_system(folder / "asem.yml"), folder / "asem.csv", "2018")


def published(name: str, codes: list[str], scores: TableScores) -> Array:
    rows = {row["UnitCode"]: row for row in read(name)}
    return np.array([[np.nan if rows[unit][code] in ("", "NA") else float(rows[unit][code]) for code in codes] for unit in scores.evaluation.figures.units])


@pytest.mark.parametrize("stage", ["Raw", "Denominated", "Imputed", "Treated", "Normalised"])
def test_every_stage_is_the_published_one(stage: str, scores: TableScores) -> None:
    evaluation = scores.evaluation
    ours = evaluation.figures.values if stage == "Raw" else getattr(evaluation, stage.lower())
    theirs = published(f"Data.{stage}", [leaf.code for leaf in evaluation.system.indicators], scores)
    assert theirs.shape == (51, 49)
    np.testing.assert_allclose(ours[0], theirs, rtol=0, atol=1e-9)


def test_outliers_are_treated_as_published(scores: TableScores) -> None:
    theirs = {row["IndCode"]: (int(float(row["Low"])), int(float(row["High"]))) for row in read("Analysis.Treated.TreatSummary")}
    treatment = scores.evaluation.treatment
    ours = {leaf.code: (int(treatment.low[0, n]), int(treatment.high[0, n])) for n, leaf in enumerate(scores.evaluation.system.indicators)}
    assert ours == theirs and sum(high for _, high in ours.values()) == 34 and not treatment.is_transformed.any()


def test_every_node_and_the_index_are_the_published_ones(scores: TableScores) -> None:
    evaluation = scores.evaluation
    codes = list(evaluation.nodes)
    assert len(codes) == 11
    ours = np.stack([evaluation.nodes[code][0] for code in codes], axis=-1)
    np.testing.assert_allclose(ours, published("Data.Aggregated", codes, scores), rtol=0, atol=1e-9)
    index = published("Results.AggregatesScore", ["Index", "Rank"], scores)
    assert np.abs(evaluation.score[0] - index[:, 0]).max() < 0.0045
    assert evaluation.rank[0].tolist() == index[:, 1].tolist()
