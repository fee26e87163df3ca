"""What is found unasked: each object once, with its kind, and nothing where nothing is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from backend.segmentation.checkpoints import WeightsError
from backend.segmentation.engines import Embedding, Floats
from backend.segmentation.familiar import familiar_with
from backend.segmentation.preprocess import Frame
from backend.segmentation.proposals import (
    CLICKS_AT_ONCE,
    MOST_CLICKS,
    Candidate,
    Linear,
    Proposer,
    Scored,
    Usual,
    candidates,
    chosen,
    clicks_on,
    places_of,
    proposals,
    shares_of,
    traits_of,
    walked,
)
from backend.segmentation.proposer_files import read_proposer, write_proposer
from tests.segmentation.spots import EVERYWHERE, FRAME, SpotEngine, numbers_of, seen

USUAL = Usual(area=np.log(600.0), aspect=0.0)


def proposer(least: float = 0.5) -> Proposer:
    """Channel 0 says "Cell", channel 1 says "Dirt"; a mask is an object where what it shows is sure."""
    places = np.zeros((3, 512), np.float32)
    places[1, 0] = places[2, 1] = 10
    masks = np.zeros((1, 15), np.float32)
    masks[0, 0] = 20
    bias = np.array([0, -15, -15], np.float32)
    return Proposer(
        ("Cell", "Dirt"), Linear(places, bias), Linear(masks, np.array([-12], np.float32)), USUAL, least, EVERYWHERE
    )


def found(picture: Embedding, by: Proposer | None = None) -> list[tuple[int, int, str | None]]:
    """Row and column, in places of 10 pixels, and kind of each proposal, in order of these."""
    made = proposals(by or proposer(), picture, SpotEngine(), picture)
    side = 16 * picture.frame.width / 1024
    return sorted((int(one.click[1] / side), int(one.click[0] / side), one.kind) for one in made)


def test_each_spot_is_found_once_where_it_is_and_by_its_name() -> None:
    spots = [(10, 8, 0), (10, 40, 1), (36, 55, 0)]
    near = [(row, column, ("Cell", "Dirt")[kind]) for row, column, kind in spots]
    for frame in (FRAME, Frame(4000, 3000)):
        made = found(seen(spots, frame))
        assert len(made) == 3
        for (row, column, name), (wanted_row, wanted_column, wanted) in zip(made, near, strict=True):
            assert np.hypot(row - wanted_row, column - wanted_column) < 3.5
            assert name == wanted


def test_nothing_is_found_where_nothing_is_and_outside_of_the_picture() -> None:
    assert found(seen([])) == []
    assert found(seen([(60, 30, 0)])) == [], "below the picture's last row of places, 48"


def test_clicks_lie_on_the_picture_however_narrow_it_is() -> None:
    frame = Frame(1000, 9)
    made = proposals(proposer(), seen([(0, 20, 0)], frame), SpotEngine(), seen([(0, 20, 0)], frame))
    assert made
    assert all(0 <= one.click[0] <= 1000 and 0 <= one.click[1] <= 9 for one in made)


def test_pictures_that_do_not_look_like_the_projects_get_nothing() -> None:
    spots, others = seen([(10, 8, 0)]), seen([(10, 8, 0)], seed=9)
    bright = Embedding(others.features + np.float16(5), FRAME)
    familiar = familiar_with([spots], [bright])
    assert found(spots, replace(proposer(), familiar=familiar))
    assert not found(bright, replace(proposer(), familiar=familiar))


def test_what_is_less_sure_than_the_least_is_not_proposed() -> None:
    spots = seen([(10, 8, 0)])
    [sure] = proposals(proposer(), spots, SpotEngine(), spots)
    assert found(spots, proposer(least=sure.score - 0.001)) != []
    assert found(spots, proposer(least=sure.score + 0.001)) == []


def test_the_answering_engine_sees_its_own_embedding() -> None:
    engine, own = SpotEngine(), seen([(10, 8, 0)], seed=1)
    assert proposals(proposer(), seen([(10, 8, 0)]), engine, own)
    assert engine.asked
    assert all(one is own for one in engine.asked)


def test_a_picture_full_of_objects_is_clicked_at_no_more_than_so_often() -> None:
    shares = np.zeros((48, 64, 2), np.float32)
    shares[..., 1] = 1
    clicks = clicks_on(shares, FRAME)
    assert len(clicks) == MOST_CLICKS
    assert len(set(clicks)) == MOST_CLICKS
    assert len(candidates(clicks, shares, USUAL, SpotEngine(), seen([]))) == MOST_CLICKS


def test_what_is_settled_is_not_clicked_at_again() -> None:
    engine, picture = SpotEngine(), seen([(10, 8, 0), (10, 40, 1), (36, 55, 0)])
    assert len(clicks_on(shares_of(proposer().places, picture), FRAME)) > 3 * CLICKS_AT_ONCE
    assert len(proposals(proposer(), picture, engine, picture)) == 3
    assert len(engine.asked) == 1, "a few clicks find all three"
    unsure = replace(proposer(), masks=ANY)
    assert len(proposals(unsure, picture, engine, picture)) == 3
    assert len(engine.asked) > 3, "0.79 is not settled"


def candidate(rows: slice, columns: slice, score: float) -> Scored:
    cells = np.zeros((192, 256), bool)
    cells[rows, columns] = True
    return Candidate((0, 0), cells, 0, np.zeros(15, np.float32)), score


def test_of_masks_that_share_their_cells_the_surest_is_proposed() -> None:
    whole, part = candidate(slice(0, 20), slice(20), 0.7), candidate(slice(0, 20), slice(8, 20), 0.9)
    beside = candidate(slice(0, 20), slice(12, 40), 0.8)
    assert chosen([whole, part, beside], 0.5) == [1], "both others share more than half of the smaller one"
    assert chosen([whole, beside], 0.5) == [1, 0], "8 of 20 columns are less than half"
    assert chosen([whole, beside], 0.8) == [1]
    assert chosen([candidate(slice(0, 20), slice(20), float("nan")), beside], 0.5) == [1]


@pytest.mark.parametrize(("least", "asked"), [(0.5, 1), (0.9, 2)])
def test_a_mask_that_is_not_sure_enough_to_be_proposed_settles_nothing(least: float, asked: int) -> None:
    """The second click on it may give a better one."""
    one, better = candidate(slice(0, 40), slice(40), 0.85), candidate(slice(0, 40), slice(40), 0.95)
    clicks = [(float(x), 5.0) for x in range(5, 5 + CLICKS_AT_ONCE + 1)]
    looks: list[int] = []

    def look(few: Sequence[tuple[float, float]]) -> list[Scored | None]:
        looks.append(len(few))
        return [None] * (len(few) - 1) + [better if len(looks) > 1 else one]

    found = walked(clicks, FRAME, look, least)
    assert len(looks) == asked
    assert found == [better if asked > 1 else one]


def test_who_does_not_want_more_gets_what_there_is() -> None:
    picture, unsure = seen([(10, 8, 0), (10, 40, 1)]), replace(proposer(), masks=ANY)
    engine, left = SpotEngine(), [True, False]
    made = proposals(unsure, picture, engine, picture, lambda: left.pop(0))
    assert len(engine.asked) == 1
    assert made


ANY = Linear(np.zeros((1, 15), np.float32), np.array([1.3], np.float32))
"""Finds all masks sure, but none so sure that it is settled."""


def test_the_kind_is_that_of_most_of_the_mask_and_not_of_the_click() -> None:
    shares = np.zeros((48, 64, 3), np.float32)
    shares[..., 0] = 1
    spot = numbers_of([(20, 20, 0)])[:48] == 1
    shares[spot] = (0, 0, 1)
    shares[20, 20] = (0, 1, 0)
    [made] = candidates([(205.0, 205.0)], shares, USUAL, SpotEngine(), seen([(20, 20, 0)]))
    assert made
    assert made.kind == 1


def test_tiny_masks_are_no_candidates() -> None:
    class Tiny(SpotEngine):
        side = 3

        def decode(self, embedding, coordinates, labels, low_res) -> Floats:  # type: ignore[no-untyped-def]
            logits = np.full((len(labels), 256, 256), -8, np.float32)
            logits[:, :4, : self.side] = 8
            return logits

    shares, engine = np.ones((48, 64, 2), np.float32) / 2, Tiny()
    [made] = candidates([(5.0, 5.0)], shares, USUAL, engine, seen([]))
    assert made, "twelve cells"
    engine.side = 2
    assert candidates([(5.0, 5.0)], shares, USUAL, engine, seen([])) == [None]


def test_what_lies_around_a_place_says_something_of_it() -> None:
    values = places_of(seen([(10, 8, 0)]))
    assert values.shape == (48, 64, 512)
    assert values[10, 8, 0] > 2
    assert values[10, 8, 256] == pytest.approx(values[9:12, 7:10, 0].mean(), abs=1e-4)


def test_clicks_are_not_beside_each_other() -> None:
    shares = np.zeros((48, 64, 2), np.float32)
    shares[..., 1] = 1
    clicks = np.array(clicks_on(shares, FRAME)) / 10
    apart = np.abs(clicks[:, None] - clicks[None]).max(axis=-1)
    assert apart[~np.eye(len(clicks), dtype=bool)].min() >= 2


def test_shares_are_of_nothing_and_each_kind_and_add_up() -> None:
    shares = shares_of(proposer().places, seen([(10, 8, 0), (10, 40, 1)]))
    assert shares.shape == (48, 64, 3)
    assert np.allclose(shares.sum(axis=-1), 1, atol=1e-5)
    assert shares[10, 8].argmax() == 1
    assert shares[10, 40].argmax() == 2
    assert shares[30, 30].argmax() == 0


def test_traits_tell_whole_objects_from_others() -> None:
    objects = np.zeros((192, 256), np.float32)
    objects[50:80, 60:100] = 1

    def traits(rows: slice, columns: slice) -> Floats:
        logits = np.full((192, 256), -8, np.float32)
        logits[rows, columns] = 8
        return traits_of(logits, objects, Usual(np.log(1200.0), np.log(40 / 30)))

    whole, part = traits(slice(50, 80), slice(60, 100)), traits(slice(50, 80), slice(60, 70))
    assert np.allclose(whole[:4], [1, 0, 1, 1])
    assert np.allclose(whole[4:9], 0, atol=1e-6), "as large and as wide as usual"
    assert part[1] > 0.2, "more of the object lies around"
    assert part[4] == pytest.approx(np.log(1 / 4))
    assert part[7] == pytest.approx(np.log(1 / 4), abs=1e-5)
    assert whole[13] == 1, "in one part"
    assert whole[14] == 0
    assert traits(slice(0, 192), slice(0, 256))[14] == 4, "at all edges, with nothing around"


def test_a_proposer_comes_back_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "proposer.safetensors"
    written = replace(proposer(), kinds=(None, "Dirt"))
    write_proposer(written, "edgesam-1", "9 of 9 are right", path)
    version, read = read_proposer(path)
    assert (version, read.kinds, read.usual, read.least) == ("edgesam-1", (None, "Dirt"), USUAL, 0.5)
    assert (read.familiar.own == EVERYWHERE.own).all()
    assert (read.familiar.others == EVERYWHERE.others).all()
    read = replace(read, familiar=EVERYWHERE)
    spots = seen([(10, 8, 0), (10, 40, 1)])
    assert proposals(read, spots, SpotEngine(), spots) == proposals(written, spots, SpotEngine(), spots)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_what_is_no_safetensors_file_is_refused(tmp_path: Path) -> None:
    torn = tmp_path / "torn.safetensors"
    torn.write_bytes(b"half a file")
    for path in (torn, tmp_path / "missing.safetensors"):
        with pytest.raises(WeightsError, match="cannot be read"):
            read_proposer(path)


ABOUT = '{"format": 1, "kinds": ["Cell", "Dirt"], "area": 6, "aspect": 0, "least": 0.5}'
SHAPES: dict[str, tuple[int, ...] | None] = {
    "places.weight": (3, 512),
    "places.bias": (3,),
    "masks.weight": (1, 15),
    "masks.bias": (1,),
    "familiar.own": (2, 512),
    "familiar.others": (4, 512),
}


@pytest.mark.parametrize(
    ("said", "shapes", "fill"),
    [
        ({}, {}, 0),
        ({"about": "{"}, {}, 0),
        ({"about": "[]"}, {}, 0),
        ({"about": "null"}, {}, 0),
        ({"about": ABOUT.replace(": 1,", ": 2,")}, {}, 0),
        ({"about": ABOUT.replace('"kinds"', '"other"')}, {}, 0),
        ({"about": ABOUT.replace(', "Dirt"', "")}, {}, 0),
        ({"about": ABOUT}, {"masks.weight": (1, 16)}, 0),
        ({"about": ABOUT}, {"places.weight": (3, 256)}, 0),
        ({"about": ABOUT}, {"masks.bias": (2,)}, 0),
        ({"about": ABOUT}, {"masks.bias": None}, 0),
        ({"about": ABOUT}, {"familiar.own": None}, 0),
        ({"about": ABOUT}, {"familiar.own": (0, 512)}, 0),
        ({"about": ABOUT}, {"familiar.others": (4, 256)}, 0),
        ({"about": ABOUT}, {}, np.nan),
    ],
)
def test_what_is_no_proposer_is_refused(
    tmp_path: Path, said: dict[str, str], shapes: dict[str, Any], fill: float
) -> None:
    path = tmp_path / "other.safetensors"
    arrays = {name: np.full(shape, fill, np.float32) for name, shape in (SHAPES | shapes).items() if shape}
    save_file(arrays, path, {"version": "v1", "proposer": said["about"]} if said else None)
    with pytest.raises(WeightsError, match="is no proposer"):
        read_proposer(path)


def test_a_file_as_those_that_are_refused_but_for_one_thing_is_one(tmp_path: Path) -> None:
    path = tmp_path / "whole.safetensors"
    arrays = {name: np.zeros(shape, np.float32) for name, shape in SHAPES.items() if shape}
    save_file(arrays, path, {"version": "v1", "proposer": ABOUT})
    assert read_proposer(path)[0] == "v1"
