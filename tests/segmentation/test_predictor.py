"""The rounds of the replay and the batches, seen through an engine that draws what it is asked for."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from backend.segmentation.predictor import decode, encode, masks_of
from backend.segmentation.preprocess import LOW_RES_SIDE, Frame
from backend.segmentation.prompts import Prompt
from backend.segmentation.windows import Window

ROWS, COLUMNS = np.mgrid[:LOW_RES_SIDE, :LOW_RES_SIDE] * 4.0 + 2


@dataclass
class DrawingEngine:
    """Boxes come back filled, positive clicks as discs of radius 40, negative ones as holes of radius 20.

    hazy: every which row of them it is not sure of.
    """

    identity: str = "drawing"
    version: str = "drawing-1"
    twice: bool = True
    hazy: int = 0
    asked: list[tuple[np.ndarray, np.ndarray, bool]] = field(default_factory=list)
    seen: np.ndarray | None = None

    def for_picture(self, _embedding):
        return self

    def encode(self, canvas: np.ndarray) -> np.ndarray:
        return np.full((4096, 256), canvas.mean(), np.float16)

    def decode(self, embedding, coordinates, labels, low_res):
        self.seen = embedding.features
        self.asked.append((coordinates, labels, low_res is not None))
        logits = np.full((len(labels), LOW_RES_SIDE, LOW_RES_SIDE), -8.0, np.float32)
        for image, places, kinds in zip(logits, coordinates, labels, strict=True):
            for (x, y), kind in zip(places, kinds, strict=True):
                if kind in (0, 1):
                    image[np.hypot(COLUMNS - x, ROWS - y) < (40 if kind else 20)] = 8.0 if kind else -8.0
            if 2 in kinds:
                (x0, y0), (x1, y1) = places[kinds == 2][0], places[kinds == 3][0]
                image[(x0 <= COLUMNS) & (x1 >= COLUMNS) & (y0 <= ROWS) & (y1 >= ROWS)] = 8.0
        if self.hazy:
            logits[:, :: self.hazy] = logits[:, :: self.hazy].clip(max=0.5)
        return logits


@pytest.fixture
def engine() -> DrawingEngine:
    return DrawingEngine()


def embedded(engine: DrawingEngine, width: int = 512, height: int = 256):
    return encode(engine, np.zeros((height, width, 3), np.uint8), Frame(width, height))


def test_an_embedding_knows_its_image(engine: DrawingEngine) -> None:
    embedding = embedded(engine)
    assert embedding.features.shape == (4096, 256)
    assert (embedding.frame.width, embedding.frame.height) == (512, 256)


def test_an_image_decoded_smaller_is_the_same_image(engine: DrawingEngine) -> None:
    embedding = encode(engine, np.zeros((256, 512, 3), np.uint8), Frame(4000, 2000))
    (mask,) = decode(engine, embedding, [Prompt(((2000.0, 1000.0),), (1,))])
    assert mask.pixels.shape == (2000, 4000)
    np.testing.assert_allclose(engine.asked[0][0][0, 0], (512, 256))


def test_what_is_kept_is_what_the_decoder_sees(engine: DrawingEngine) -> None:
    embedding = embedded(engine)
    assert embedding.features.dtype == np.float16
    decode(engine, embedding, [Prompt(((100.0, 80.0),), (1,))])
    assert engine.seen is embedding.features
    np.testing.assert_array_equal(engine.seen, embedding.features)


def test_a_click_is_scaled_to_the_canvas_and_its_mask_back(engine: DrawingEngine) -> None:
    (mask,) = decode(engine, embedded(engine), [Prompt(((100.25, 80.5),), (1,))])
    coordinates, labels, _ = engine.asked[0]
    np.testing.assert_allclose(coordinates[0, 0], (200.5, 161.0))
    assert labels.tolist() == [[1, -1]]
    assert mask.pixels.shape == (256, 512)
    ys, xs = np.nonzero(mask.pixels)
    assert (xs.mean(), ys.mean()) == pytest.approx((100.25, 80.5), abs=1)
    assert len(xs) == pytest.approx(np.pi * 20**2, rel=0.05)
    assert mask.score == 1.0


def test_clicks_are_replayed_with_the_last_low_res_mask(engine: DrawingEngine) -> None:
    decode(engine, embedded(engine), [Prompt(((10.0, 10.0), (30.0, 10.0), (20.0, 30.0)), (1, 1, 0))])
    assert [(labels.tolist()[0], fed_back) for _, labels, fed_back in engine.asked] == [
        ([1, -1], False),
        ([1, 1, -1], True),
        ([1, 1, 0, -1], True),
    ]


def test_a_box_is_answered_once_more_with_its_own_mask(engine: DrawingEngine) -> None:
    decode(engine, embedded(engine), [Prompt(((30.0, 30.0),), (0,), (10.0, 10.0, 50.0, 50.0))])
    assert [(labels.tolist()[0], fed_back) for _, labels, fed_back in engine.asked] == [
        ([2, 3], False),
        ([2, 3], True),
        ([0, 2, 3], True),
    ]


def test_many_objects_share_batches_and_keep_their_order(engine: DrawingEngine) -> None:
    prompts = [
        Prompt(box=(10.0, 10.0, 50.0, 50.0)),
        Prompt(((300.0, 100.0),), (1,)),
        Prompt(box=(100.0, 20.0, 140.0, 220.0)),
        Prompt(((400.0, 200.0),), (1,)),
    ]
    together = decode(engine, embedded(engine), prompts)
    assert [len(labels) for _, labels, _ in engine.asked] == [2, 2, 2]  # boxes are asked for twice
    for prompt, mask in zip(prompts, together, strict=True):
        (alone,) = decode(engine, embedded(engine), [prompt])
        np.testing.assert_array_equal(mask.pixels, alone.pixels)


def test_a_mask_off_the_image_is_empty_and_scores_nothing(engine: DrawingEngine) -> None:
    (mask,) = decode(engine, embedded(engine), [Prompt(((100.0, 400.0),), (1,))])
    assert not mask.pixels.any()
    assert mask.score == 0.0


def test_specks_go_unless_they_were_clicked(engine: DrawingEngine) -> None:
    box = (10.0, 10.0, 300.0, 240.0)
    clicked = Prompt(((400.0, 100.0),), (1,), box)
    ((_, kept),) = masks_of(engine, embedded(engine), [clicked], smallest_share=0.1)
    assert kept.pixels[100, 400]
    assert kept.pixels[100, 100]


def test_no_prompts_give_no_masks(engine: DrawingEngine) -> None:
    assert decode(engine, embedded(engine), []) == []


class ClosedWindows:
    """Windows of a picture, and which of them were asked for."""

    def __init__(self, engine: DrawingEngine) -> None:
        self.engine = engine
        self.opened: list[Window] = []

    def __call__(self, window: Window):
        self.opened.append(window)
        return encode(self.engine, np.ones((8, 8, 3), np.uint8), window.frame)


def extent(mask) -> tuple[int, int, int, int]:
    ys, xs = np.nonzero(mask.pixels)
    return int(xs.min()), int(ys.min()), int(xs.max()), int(ys.max())


def test_a_tiny_box_is_answered_from_its_window_alone(engine: DrawingEngine) -> None:
    closer, box = ClosedWindows(engine), (401.0, 151.0, 426.0, 171.0)
    (mask,) = decode(engine, embedded(engine), [Prompt(box=box)], closer=closer)
    assert closer.opened == [Window(256, 0, 512, 256)]
    for coordinates, _, _ in engine.asked:
        np.testing.assert_allclose(coordinates[0], [(580, 604), (680, 684)])
    assert extent(mask) == (401, 151, 425, 170)


@pytest.mark.parametrize(
    ("box", "window"),
    [
        ((301.0, 51.0, 391.0, 131.0), Window(256, 0, 512, 256)),
        ((141.0, 31.0, 321.0, 191.0), Window(0, 0, 384, 256)),
        ((261.0, 31.0, 491.0, 191.0), Window(128, 0, 512, 256)),
    ],
)
def test_a_box_is_seen_twice_and_both_looks_count(
    engine: DrawingEngine, box: tuple[float, float, float, float], window: Window
) -> None:
    closer = ClosedWindows(engine)
    (mask,) = decode(engine, embedded(engine), [Prompt(box=box)], closer=closer)
    assert closer.opened == [window]
    assert len(engine.asked) == 4
    assert extent(mask) == pytest.approx((box[0], box[1], box[2] - 1, box[3] - 1), abs=1)


@pytest.mark.parametrize(("whole", "near", "seen"), [(-8.0, 7.0, False), (-7.0, 8.0, True), (8.0, -7.0, True)])
def test_of_two_looks_the_surer_one_decides(whole: float, near: float, seen: bool) -> None:
    class Flat(DrawingEngine):
        def decode(self, embedding, _coordinates, labels, _low_res):
            value = whole if embedding.frame == Frame(512, 256) else near
            return np.full((len(labels), LOW_RES_SIDE, LOW_RES_SIDE), value, np.float32)

    engine = Flat()
    box = Prompt(box=(301.0, 51.0, 391.0, 131.0))
    (mask,) = decode(engine, embedded(engine), [box], closer=ClosedWindows(engine))
    assert mask.pixels[100, 340] == seen
    assert not mask.pixels[100, :256].any(), "beyond the window nothing is meant"


def test_what_clicks_mean_is_looked_at_again_where_it_is_small() -> None:
    engine = DrawingEngine(hazy=8)
    closer = ClosedWindows(engine)
    clicks = Prompt(((300.0, 80.0), (310.0, 80.0)), (1, 0))
    (mask,) = decode(engine, embedded(engine), [clicks], closer=closer)
    assert closer.opened == [Window(128, 0, 384, 256)]
    assert [fed_back for _, _, fed_back in engine.asked] == [False, True] * 2
    np.testing.assert_allclose(engine.asked[2][0][0, 0], (4 * 172, 320))
    ys, xs = np.nonzero(mask.pixels)
    assert (xs.min(), ys.min(), xs.max(), ys.max()) == pytest.approx((290, 70, 306, 89), abs=1)  # half the disc of 20


@pytest.mark.parametrize(("hazy", "clicks"), [(8, [(300.0, 80.0)]), (0, [(300.0, 80.0), (310.0, 80.0)])])
def test_a_first_click_and_what_is_sure_are_not_looked_at_again(hazy: int, clicks: list[tuple[float, float]]) -> None:
    engine = DrawingEngine(hazy=hazy)
    closer = ClosedWindows(engine)
    (mask,) = decode(engine, embedded(engine), [Prompt(tuple(clicks), (1,) * len(clicks))], closer=closer)
    assert not closer.opened
    assert mask.pixels.any()


@pytest.mark.parametrize("prompt", [Prompt(box=(10.0, 10.0, 270.0, 50.0)), Prompt(((300.0, 80.0), (9.0, 9.0)), (1, 1))])
def test_what_is_large_is_not_looked_at_again(engine: DrawingEngine, prompt: Prompt) -> None:
    closer = ClosedWindows(engine)
    (mask,) = decode(engine, embedded(engine), [prompt], closer=closer)
    assert not closer.opened
    assert mask.pixels.any()


def test_a_window_that_cannot_be_had_leaves_the_whole_picture() -> None:
    engine = DrawingEngine(hazy=8)
    prompts = [Prompt(box=(301.0, 151.0, 331.0, 171.0)), Prompt(((300.0, 80.0), (302.0, 80.0)), (1, 1))]
    without = decode(engine, embedded(engine), prompts)
    for mask, wanted in zip(decode(engine, embedded(engine), prompts, closer=lambda _: None), without, strict=True):
        np.testing.assert_array_equal(mask.pixels, wanted.pixels)


def test_a_closer_look_that_is_less_sure_does_not_count_for_clicks() -> None:
    engine, closely = DrawingEngine(hazy=8), DrawingEngine(hazy=2)

    class Both(DrawingEngine):
        def decode(self, embedding, *prompt):
            return (engine if embedding.frame == Frame(512, 256) else closely).decode(embedding, *prompt)

    click = Prompt(((300.0, 80.0), (302.0, 80.0)), (1, 1))
    box = Prompt(box=(301.0, 151.0, 321.0, 171.0))
    (whole,) = decode(engine, embedded(engine), [click])
    by_click, by_box = decode(Both(), embedded(engine), [click, box], closer=ClosedWindows(engine))
    assert len(closely.asked) == 4
    np.testing.assert_array_equal(by_click.pixels, whole.pixels)
    assert by_box.score == pytest.approx(0.5, abs=0.1)


def test_the_whole_picture_says_who_answers_on_its_windows(engine: DrawingEngine) -> None:
    class Two(DrawingEngine):
        def for_picture(self, embedding):
            assert embedding.frame == Frame(512, 256)
            return engine

    decode(Two(), embedded(engine), [Prompt(box=(301.0, 151.0, 331.0, 171.0))], closer=ClosedWindows(engine))
    assert len(engine.asked) == 4
