"""Learning to propose: from masks alone, judged on pictures that the fits have not seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from backend.learning import proposing
from backend.learning.examples import Example
from backend.learning.proposing import FEWEST_PICTURES, Figures, Kinds, Learned, judged_elsewhere, learned_proposals
from backend.learning.softmax import fitted
from backend.segmentation.engines import Embedding, Engine, Floats
from backend.segmentation.preprocess import Frame
from backend.segmentation.proposals import proposals
from tests.segmentation.spots import COLUMNS, FRAME, ROWS, SpotEngine, Spots, numbers_of, seen

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
    made = learned_proposals(engine or SpotEngine(), pictures)
    assert made
    return made


def test_what_was_accepted_is_found_elsewhere() -> None:
    made = learned([picture(seed) for seed in range(6)])
    assert made.told == "36 of 36 proposals are right, 36 of 36 objects found"
    assert made.proposer
    assert judged_elsewhere(made.proposer, SpotEngine(), [picture(seed) for seed in range(20, 23)]) == Figures(
        18, 18, 18
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
    assert judged_elsewhere(made.proposer, SpotEngine(), swapped) == Figures(6, 0, 6)


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
    assert learned_proposals(SpotEngine(), few) is None
    copies = [few[0]] * 8
    assert learned_proposals(SpotEngine(), copies) is None, "one picture in many tasks"


@pytest.mark.parametrize(
    ("figures", "enough"),
    [
        (Figures(18, 15, 75), True),
        (Figures(18, 14, 70), False),  # 14 of 20 are too few
        (Figures(18, 15, 76), False),  # too little is found
        (Figures(2, 2, 4), False),  # luck
        (Figures(0, 0, 30), False),
    ],
)
def test_what_is_good_enough(figures: Figures, enough: bool) -> None:
    assert figures.enough == enough


def test_too_few_masks_say_nothing() -> None:
    assert learned_proposals(SpotEngine(), [picture(seed, (1, 2)) for seed in range(6)]) is None


def test_a_picture_that_is_there_twice_does_not_judge_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its copies are in the same fold."""
    fits: list[set[str]] = []
    judged: list[str] = []
    fit, look = proposing._fitted_places, proposing._candidates

    def noted_fit(few, kinds):  # type: ignore[no-untyped-def]
        fits.append({one.example.key for one in few})
        return fit(few, kinds)

    def noted_look(places, usual, one):  # type: ignore[no-untyped-def]
        judged.append(one.example.key)
        assert one.example.key not in fits[-1]
        return look(places, usual, one)

    monkeypatch.setattr(proposing, "_fitted_places", noted_fit)
    monkeypatch.setattr(proposing, "_candidates", noted_look)
    learned([picture(seed) for seed in (0, 1, 2, 3, 4, 5, 0, 2)])
    assert len(judged) == 8


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
    made = learned_proposals(engine, [(Example(str(n), *_rest(own)), kinds) for n in range(FEWEST_PICTURES)])
    assert made
    assert made.figures == Figures(24, 24, 24)
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
