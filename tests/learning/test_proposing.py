"""Learning to propose: from masks alone, judged on pictures that the fits have not seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from backend.learning import proposing
from backend.learning.examples import Example
from backend.learning.proposer_fits import fitted_masks, seen_by
from backend.learning.proposing import FEWEST_PICTURES, Figures, Kinds, Learned, judged_elsewhere, learned_proposals
from backend.learning.softmax import fitted
from backend.segmentation.engines import Embedding, Engine, Floats
from backend.segmentation.preprocess import Frame
from backend.segmentation.proposals import Candidate, proposals
from tests.segmentation.spots import COLUMNS, EVERYWHERE, FRAME, ROWS, SpotEngine, Spots, numbers_of, seen

NAMES = ("Cell", "Dirt")
Pictures = list[tuple[Example, Kinds]]


def spots_in(seed: int) -> Spots:
    """Six spots apart from each other, of both kinds."""
    random = np.random.default_rng(seed)
    places = [(row, column) for row in range(5, ROWS - 4, 12) for column in range(5, COLUMNS - 4, 12)]
    chosen = random.choice(len(places), 6, replace=False)
    return [(*places[place], number % 2) for number, place in enumerate(chosen)]


ALL, HALF = (1, 2, 3, 4, 5, 6), (1, 4, 5)
"""Numbers of spots. No linear fit tells these from those between them by their number."""


def picture(seed: int, labelled: tuple[int, ...] = ALL) -> tuple[Example, Kinds]:
    """A picture and the masks of these spots. Its label map is the canvas."""
    spots = spots_in(seed)
    new = np.zeros(len(spots) + 1, np.int16)
    new[list(labelled)] = np.arange(1, len(labelled) + 1)
    labels = np.kron(new[numbers_of(spots)[:ROWS, :COLUMNS]], np.ones((16, 16), np.int16))
    features = seen(spots, seed=seed).features
    example = Example(f"picture {seed}", features, Frame(1024, 768), labels, (1.0,) * len(labelled), b"")
    return example, tuple(NAMES[spots[number - 1][2]] for number in labelled)


def learned(pictures: Pictures, engine: Engine | None = None) -> Learned:
    made = learned_proposals(engine or SpotEngine(), pictures, EVERYWHERE)
    assert made
    return made


def test_what_was_accepted_is_found_elsewhere() -> None:
    made = learned([picture(seed) for seed in range(6)])
    assert made.told == "36 of 36 proposals are right, 36 of 36 objects found"
    assert made.proposer
    assert judged_elsewhere(made.proposer, SpotEngine(), [picture(seed) for seed in range(20, 23)]) == Figures(
        18, 18, 18, 3, 3
    )
    new = seen(spots_in(30), seed=30)
    by_place = {
        (int(one.click[1] // 10), int(one.click[0] // 10)): one.kind
        for one in proposals(made.proposer, new, SpotEngine(), new)
    }
    assert len(by_place) == 6
    for row, column, kind in spots_in(30):
        assert min((np.hypot(row - y, column - x), name) for (y, x), name in by_place.items())[1] == NAMES[kind]


def test_masks_without_a_label_are_a_kind() -> None:
    made = learned([(example, (None,) * len(kinds)) for example, kinds in (picture(seed) for seed in range(6))])
    assert made.proposer
    assert made.proposer.kinds == (None,)


def test_where_half_of_the_objects_were_not_labelled_nothing_is_proposed() -> None:
    """They look like those that were: what is proposed would be as wrong as right."""
    made = learned([picture(seed, HALF) for seed in range(8)])
    assert made.proposer is None
    assert made.told.startswith("nothing is proposed: ")
    assert made.figures.objects == 24
    assert made.figures.made > made.figures.right > 0


def test_the_wrong_kind_is_not_right() -> None:
    made = learned([picture(seed) for seed in range(6)])
    assert made.proposer
    swapped = [
        (example, tuple(NAMES[1 - NAMES.index(str(kind))] for kind in kinds)) for example, kinds in [picture(20)]
    ]
    assert judged_elsewhere(made.proposer, SpotEngine(), swapped) == Figures(6, 0, 6, 1, 0)


class Blind(SpotEngine):
    """Every click gives the same square."""

    def decode(self, embedding: Embedding, coordinates: Floats, labels: Floats, low_res: Floats | None) -> Floats:  # type: ignore[override]
        logits = np.full((len(labels), 256, 256), -8, np.float32)
        logits[:, 90:130, 90:130] = 8
        return logits


def test_where_clicks_give_no_objects_nothing_is_proposed() -> None:
    made = learned([picture(seed) for seed in range(6)], Blind())
    assert made.proposer is None


@pytest.mark.parametrize("pictures", [FEWEST_PICTURES - 1, 1])
def test_too_few_pictures_say_nothing(pictures: int) -> None:
    few = [picture(seed) for seed in range(pictures)]
    assert learned_proposals(SpotEngine(), few, EVERYWHERE) is None
    copies = [few[0]] * 8
    assert learned_proposals(SpotEngine(), copies, EVERYWHERE) is None, "one picture in many tasks"


@pytest.mark.parametrize(
    ("figures", "missing"),
    [
        (Figures(18, 15, 75, 20, 10), None),
        (Figures(18, 14, 70, 20, 10), "15 should be right"),
        (Figures(18, 15, 76, 20, 10), "16 should be found"),
        (Figures(18, 15, 75, 21, 10), "on 11 of 21 pictures one should be right, on 10 one is"),
        (Figures(2, 2, 4, 2, 2), "3 should be right"),  # luck
        (Figures(0, 0, 30, 10, 0), "2 should be right"),
    ],
)
def test_what_is_missing_to_be_served(figures: Figures, missing: str | None) -> None:
    assert figures.missing == missing


def test_too_few_masks_say_nothing() -> None:
    assert learned_proposals(SpotEngine(), [picture(seed, (1, 2)) for seed in range(6)], EVERYWHERE) is None


@pytest.fixture
def judges(monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """Of each picture that is judged: its name, and those that neither fit may have seen."""
    seen: list[set[str]] = []
    fit_places, fit_masks, look, walk = (
        getattr(proposing, name) for name in ("fitted_places", "fitted_masks", "candidates", "_walked")
    )
    places: set[str] = set()
    masks: set[str] = set()

    def fitted_places(few, kinds):  # type: ignore[no-untyped-def]
        places.clear()
        places.update(one.example.key for one in few)
        return fit_places(few, kinds)

    def fitted_masks(few, found):  # type: ignore[no-untyped-def]
        masks.clear()
        masks.update(one.example.key for one in few)
        return fit_masks(few, found)

    def candidates(clicks, shares, usual, engine, embedding):  # type: ignore[no-untyped-def]
        assert by_key[embedding.features.tobytes()] not in places
        return look(clicks, shares, usual, engine, embedding)

    def walked(one, linear, least):  # type: ignore[no-untyped-def]
        assert one.seen.example.key not in masks
        seen.append({one.seen.example.key, *masks})
        return walk(one, linear, least)

    by_key = {picture(number)[0].features.tobytes(): f"picture {number}" for number in range(8)}
    for name, fake in (("fitted_places", fitted_places), ("fitted_masks", fitted_masks)):
        monkeypatch.setattr(proposing, name, fake)
    monkeypatch.setattr(proposing, "candidates", candidates)
    monkeypatch.setattr(proposing, "_walked", walked)
    return seen


def test_neither_fit_has_seen_the_picture_nor_its_copies_nor_its_neighbour(judges: list[set[str]]) -> None:
    learned([picture(seed) for seed in (0, 1, 2, 3, 4, 5, 6, 7, 0, 2)])
    assert len(judges) == 10 * 5, "each picture at each threshold"
    neighbours = [{f"picture {number}" for number in pair} for pair in ((0, 1), (2, 3), (4, 5), (6, 7))]
    for names in judges:
        assert sum(pair <= names for pair in neighbours) == 3, "of the fourth pair only the one that is judged"


def test_pictures_without_objects_teach_what_is_none() -> None:
    """Dirt is not labelled on them: it is learned to be nothing, at the cost of what looks like it."""
    full = [picture(seed) for seed in range(6)]
    bare = [(picture(seed, ())[0], ()) for seed in range(10, 13)]
    made = learned(full + bare)
    assert made.figures.made > made.figures.right, "what is proposed on them is wrong"
    assert made.figures.objects == 36
    assert made.figures.pictures == 6


def test_pictures_that_are_not_numbers_are_left_out() -> None:
    torn, kinds = picture(9)
    broken = Example(torn.key, np.full_like(torn.features, np.inf), *_rest(torn)[1:])
    assert learned([picture(seed) for seed in range(6)] + [(broken, kinds)]).figures == Figures(36, 36, 36, 6, 6)


def test_no_more_pictures_and_kinds_than_can_be_fitted_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proposing, "MOST_PICTURES", 6)
    monkeypatch.setattr(proposing, "MOST_KINDS", 1)
    made = learned([picture(seed) for seed in range(8)])
    assert made.figures.objects == 6 * 3, "Cell and Dirt are as many; the other kind is nothing"
    assert made.proposer is None or len(made.proposer.kinds) == 1


def test_many_candidates_on_one_object_are_right_once_and_the_others_wrong() -> None:
    one = seen_by(SpotEngine(), picture(0)[0], [0] * 6)
    cells = one.labels == 1
    several = [(Candidate((0, 0), cells, 0, np.zeros(15, np.float32)), 0.9)] * 3
    assert proposing._told(one, several) == Figures(3, 1, 6, 1, 1)
    rows, columns = np.nonzero(cells)
    for share, right in ((0.55, 1), (0.45, 0)):
        part = np.zeros_like(cells)
        part[rows[: int(share * len(rows))], columns[: int(share * len(rows))]] = True
        assert proposing._told(one, [(Candidate((0, 0), part, 0, np.zeros(15, np.float32)), 0.9)]).right == right


def test_one_candidate_is_enough_for_a_fit_that_is_a_number() -> None:
    one = seen_by(SpotEngine(), picture(0)[0], [0] * 6)
    linear = fitted_masks([one], [[Candidate((0, 0), one.labels == 1, 0, np.ones(15, np.float32)), None]])
    assert linear
    assert np.isfinite(linear.weight).all()
    assert fitted_masks([one], [[None]]) is None


class OwnEyes(SpotEngine):
    """Answers with an encoder of its own."""

    identity = "other-torch"

    def encode(self, canvas: Floats):  # type: ignore[no-untyped-def]
        self.asked.append(Embedding(np.zeros(1, np.float16), FRAME))
        return seen(spots_in(0), seed=0).features


class Versioned(SpotEngine):
    def __init__(self) -> None:
        super().__init__()
        self.own = OwnEyes()

    def for_picture(self, _embedding: Embedding) -> Engine:
        return self.own


def test_a_version_answers_with_its_own_encoder(jpeg: bytes) -> None:
    engine = Versioned()
    example, kinds = picture(0)
    own = Example(example.key, example.features, example.frame, example.labels, example.weights, jpeg)
    made = learned_proposals(
        engine, [(Example(str(n), *_rest(own)), kinds) for n in range(FEWEST_PICTURES)], EVERYWHERE
    )
    assert made
    assert made.figures == Figures(24, 24, 24, 4, 4)
    assert engine.own.asked
    assert not engine.asked


def _rest(example: Example) -> tuple:  # type: ignore[type-arg]
    return example.features, example.frame, example.labels, example.weights, example.jpeg


@pytest.fixture
def jpeg() -> bytes:
    from backend.learning.examples import jpeg_of

    return jpeg_of(np.zeros((768, 1024, 3), np.uint8), Frame(1024, 768))


def test_the_softmax_tells_apart_what_can_be_told_apart() -> None:
    random = np.random.default_rng(0)
    values = random.normal(5, 3, (300, 4)).astype(np.float32)
    classes: Sequence[int] = np.digitize(values[:, 2], [4, 6])  # type: ignore[assignment]
    targets = np.eye(3, dtype=np.float32)[classes]
    made = fitted(values, targets, np.full(300, 1 / 300, np.float32), 1e-6)
    assert (made(values).argmax(axis=1) == classes).mean() > 0.97
    heavy = np.where(np.array(classes) == 0, 1.0, 1e-6).astype(np.float32)
    assert (fitted(values, targets, heavy / heavy.sum(), 1e-3)(values).argmax(axis=1) == 0).all(), "only these count"
    assert np.abs(fitted(values, targets, np.full(300, 1 / 300, np.float32), 10.0).weight).max() < 0.05
