from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import torch
from torch import Generator, Tensor

from backend.learning.losses import mask_loss
from backend.learning.prompting import (
    LEARNED_SHARES,
    SEVERAL_SHARE,
    Objects,
    learned_rounds,
    prompt_rounds,
    teachers_objects,
)

SIDE = 256


def objects(number: int, weight: float = 1.0) -> Objects:
    """Squares, each beside the one before, of one embedding in turn of three."""
    coverage = torch.zeros(number, SIDE, SIDE, dtype=torch.uint8)
    for place in range(number):
        coverage[place, 40:80, 4 * place : 4 * place + 40] = 255
    coverage[:, 80] = coverage[:, 79] // 4  # a row that they touch
    return Objects(coverage, torch.arange(number) % 3, torch.full((number,), weight))


@dataclass
class Decoder:
    """Answers every prompt with the mean of its embedding, everywhere, plus 0, 1, 2 or 3; remembers what was asked."""

    asked: list[tuple[bool, Tensor, Tensor, Tensor, float]] = field(default_factory=list)

    def __call__(
        self, places: Tensor, coordinates: Tensor, labels: Tensor, low_res: Tensor, has_low_res: Tensor
    ) -> tuple[Tensor, Tensor]:
        self.asked.append((torch.is_grad_enabled(), places, labels, low_res, float(has_low_res)))
        answers = places.mean((1, 2))[:, None] + torch.arange(4)
        return answers[..., None, None].expand(-1, -1, SIDE, SIDE), torch.zeros(len(places), 4)


def embeddings() -> Tensor:
    """Three, with values of their own."""
    return torch.stack([torch.full((4, 256), value) for value in (-1.0, 0.5, 2.0)]).requires_grad_()


def rounds(number: int, weight: float = 1.0, box_share: float = 1.0) -> tuple[Decoder, Tensor, dict[str, float]]:
    decoder, places = Decoder(), embeddings()
    chance = Generator().manual_seed(0)
    learned = learned_rounds(number, chance)
    figures = prompt_rounds(decoder, places, objects(number, weight), learned, box_share, chance)
    return decoder, places, figures


def expected_gradient(wanted: Objects) -> Tensor:
    """Of the weighted sum of losses where all began with a box: each object once, in whichever round."""
    places = embeddings()
    logits = places.mean((1, 2))[wanted.owner, None, None].expand(-1, SIDE, SIDE)
    (mask_loss(logits, wanted.coverage / 255, wanted.truth.float()) * wanted.weight).sum().backward()
    assert places.grad is not None
    return places.grad


def test_each_object_is_learned_from_once_and_its_embedding_moves_by_its_weight() -> None:
    decoder, places, _ = rounds(24, 0.25)
    learning = [len(labels) for learned, _, labels, _, _ in decoder.asked if learned]
    assert sum(learning) == 24
    assert len(learning) == 3
    assert places.grad is not None
    torch.testing.assert_close(places.grad, expected_gradient(objects(24, 0.25)))


@pytest.mark.parametrize(
    ("box_share", "tokens"), [(1.0, [2, 2, 3]), (0.0, [2, 3, 4])], ids=["a box, again, and a click", "three clicks"]
)
def test_rounds_come_as_often_as_they_should_and_ask_on_with_the_mask_before(
    box_share: float, tokens: list[int]
) -> None:
    decoder, _, _ = rounds(200, box_share=box_share)
    learning = [(labels.shape, low_res, has) for learned, _, labels, low_res, has in decoder.asked if learned]
    shares = [shape[0] / 200 for shape, _, _ in learning]
    assert shares == pytest.approx(LEARNED_SHARES, abs=0.1)
    assert [shape[1] for shape, _, _ in learning] == tokens
    assert [has for _, _, has in learning] == [0.0, 1.0, 1.0]
    assert not learning[0][1].any()
    for _, low_res, _ in learning[1:]:
        assert set(low_res.unique().tolist()) == {-1.0, 0.5, 2.0}  # the answers of the three embeddings
    going_on = [len(labels) for learned, _, labels, _, _ in decoder.asked if not learned]
    assert going_on == [200 - learning[0][0][0], learning[2][0][0]]


def test_an_object_sees_its_own_embedding_and_mask() -> None:
    decoder, _, _ = rounds(60)
    for _, places, _, low_res, has in decoder.asked:
        if has:
            assert torch.equal(places.mean((1, 2)), low_res.mean((1, 2, 3)))


def test_rounds_before_the_learned_one_cost_no_graph() -> None:
    decoder, _, _ = rounds(24)
    assert all(places.requires_grad == learned for learned, places, _, _, _ in decoder.asked)


def test_the_best_of_several_masks_learns_at_a_first_click_only() -> None:
    """Mask 0 answers `value`, the best of the others `value` + 1 where the object is large: +1 is right more often."""
    full = Objects(torch.full((1, SIDE, SIDE), 255, dtype=torch.uint8), torch.zeros(1, dtype=torch.long), torch.ones(1))
    truth = torch.ones(1, SIDE, SIDE)
    found: dict[str, list[float]] = {"box": [], "click": []}
    for round_learned in range(3):
        for name, share in (("box", 1.0), ("click", 0.0)):
            decoder, learned = Decoder(), torch.tensor([round_learned])
            figures = prompt_rounds(decoder, embeddings(), full, learned, share, Generator().manual_seed(0))
            assert len(decoder.asked) == 1 + round_learned
            found[name].append(figures["loss"])
    own, best = (mask_loss(torch.full_like(truth, value), truth, truth).item() for value in (-1.0, 2.0))
    assert found["box"] == pytest.approx([own] * 3)
    assert found["click"] == pytest.approx([own + SEVERAL_SHARE * best, own, own])


def test_figures_are_the_mean_loss_and_the_overlap_after_the_first_prompt() -> None:
    right = Objects(torch.full((4, SIDE, SIDE), 255, dtype=torch.uint8), torch.full((4,), 2), torch.full((4,), 9.0))
    learned = torch.tensor([0, 1, 2, 0])
    figures = prompt_rounds(Decoder(), embeddings(), right, learned, 1.0, Generator().manual_seed(1))
    truth = torch.ones(SIDE, SIDE)
    assert figures["loss"] == pytest.approx(mask_loss(2 * truth, truth, truth).item())
    assert figures["first_iou"] == 1.0


@dataclass
class Teacher:
    """Under the left half of a canvas it sees one square, under the right half another; it is unsure low down."""

    logit: float = 5.0

    def __call__(
        self, places: Tensor, coordinates: Tensor, labels: Tensor, low_res: Tensor, has_low_res: Tensor
    ) -> tuple[Tensor, Tensor]:
        logits = torch.full((len(places), 4, SIDE, SIDE), -5.0)
        scores = torch.full((len(places), 4), 0.1)
        for number, (x, y) in enumerate(coordinates[:, 0].tolist()):
            left = 20 if x < 512 else 150
            logits[number, 2, 20:100, left : left + 60] = self.logit
            scores[number, 2] = 0.95 if y < 512 else 0.5
        return logits, scores


def seen(teacher: Teacher, extents: list[tuple[int, int]], most: int = 8) -> tuple[Tensor, Tensor]:
    places = torch.zeros(len(extents), 4096, 256)
    return teachers_objects(teacher, places, torch.tensor(extents), most, Generator().manual_seed(0))


def test_a_teachers_object_comes_once_and_knows_its_picture() -> None:
    coverage, owner = seen(Teacher(), [(1024, 1024), (1024, 400), (1024, 1024)])
    assert owner.tolist() == [0, 0, 1, 2, 2]  # the second picture is narrow: all its points are left
    assert coverage.dtype == torch.uint8
    assert set(coverage.unique().tolist()) == {0, 255}
    lefts = coverage.any(1).float().argmax(1).tolist()
    assert [sorted(lefts[:2]), lefts[2], sorted(lefts[3:])] == [[20, 150], 20, [20, 150]]
    few, whose = seen(Teacher(), [(500, 1024)] * 2, most=1)  # no point is low down
    assert whose.tolist() == [0, 1]
    assert len(few) == 2


def test_what_lies_off_the_picture_is_no_object() -> None:
    coverage, _ = seen(Teacher(), [(202, 1024)])
    assert coverage[:, :51].any()
    assert not coverage[:, 51:].any()


def test_a_teachers_mask_that_moves_with_its_threshold_is_left_out() -> None:
    assert len(seen(Teacher(logit=0.5), [(1024, 1024)])[0]) == 0
