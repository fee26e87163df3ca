from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from backend.learning.clicks import Click, Region
from backend.learning.evaluate import ModelDoor, Selection, as_prompt, clicked, evaluate, summed_up
from backend.learning.masks import DataError, Sample, samples_of
from backend.learning.report import picture_of, table_of
from backend.segmentation.engine_torch import TorchEngine, load_torch_engine
from backend.segmentation.prompts import Prompt
from backend.segmentation.weights import WeightsFile


class PerfectDoor:
    """Knows the label maps, and answers with the object under the first click or in the middle of the box."""

    def __init__(self, samples: list[Sample]) -> None:
        self.labels = {sample.pixels().tobytes(): sample.labels() for sample in samples}

    def open(self, pixels: NDArray[np.uint8]) -> None:
        self.seen = self.labels[pixels.tobytes()]

    def ask(self, prompt: Prompt) -> Region:
        x, y = prompt.points[0] if prompt.box is None else np.array(prompt.box).reshape(2, 2).mean(0)
        return np.asarray(self.seen == self.seen[int(y), int(x)])


def test_a_perfect_door_gets_full_marks_with_one_click(masks: Path) -> None:
    door = PerfectDoor(samples_of(masks / "discs"))
    report = evaluate(door, masks, Selection(clicks=20))
    figures = report.averages["object sources"]
    assert figures == {"box": 1, "click1": 1, "click2": 1, "click3": 1, "noc85": 1, "noc90": 1}
    assert report.objects_of("discs") == 10


def test_random_weights_fail(masks: Path, random_weights: WeightsFile) -> None:
    door = ModelDoor(load_torch_engine(random_weights, "cpu"))
    report = evaluate(door, masks, Selection(images=1, objects=2))
    assert report.averages["all sources"]["box"] < 0.5
    assert report.averages["all sources"]["click1"] < 0.5


@pytest.mark.parametrize(("windows", "encoded"), [(True, 2), (False, 1)])
def test_a_small_box_opens_a_window_once_unless_it_is_told_not_to(
    random_weights: WeightsFile, windows: bool, encoded: int
) -> None:
    engine, canvases = load_torch_engine(random_weights, "cpu"), []

    def encoder(canvas: Tensor) -> Tensor:
        canvases.append(canvas)
        return engine.encoder(canvas)

    door = ModelDoor(replace(engine, encoder=encoder), windows)
    door.open(np.zeros((120, 160, 3), np.uint8))
    for left in (20, 22):
        assert door.ask(Prompt(box=(left, 30, left + 10, 40))).shape == (120, 160)
    assert len(canvases) == encoded


@pytest.mark.parametrize(("smallest_share", "kept"), [(0.0, True), (0.005, False)])
def test_small_parts_are_cut_away_where_it_is_told_to(
    random_weights: WeightsFile, monkeypatch: pytest.MonkeyPatch, smallest_share: float, kept: bool
) -> None:
    logits = np.full((1, 256, 256), -1.0, np.float32)
    logits[:, 10:100, 10:100] = logits[:, 150:152, 150:152] = 1.0
    monkeypatch.setattr(TorchEngine, "decode", lambda *_: logits)
    door = ModelDoor(load_torch_engine(random_weights, "cpu"), smallest_share=smallest_share)
    door.open(np.zeros((256, 256, 3), np.uint8))
    mask = door.ask(as_prompt([Click(50, 50, True)]))
    assert mask[50, 50]
    assert mask[150:152, 150:152].any() == kept


def test_clicks_end_when_it_is_good_enough_after_three() -> None:
    truth = np.zeros((30, 30), bool)
    truth[5:25, 5:25] = True
    nearly = truth.copy()
    nearly[5, 5] = False
    assert len(clicked(lambda prompt: nearly, truth, 20)) == 3
    assert len(clicked(lambda prompt: truth, truth, 20)) == 1
    assert len(clicked(lambda prompt: np.zeros_like(truth), truth, 20)) == 20


def test_the_count_of_clicks_is_the_first_that_reached_the_goal(masks: Path) -> None:
    class OneBetterEachTime(PerfectDoor):
        """Adds rows of the object from the top, a quarter of them with each click."""

        def ask(self, prompt: Prompt) -> Region:
            whole = super().ask(prompt)
            if prompt.box is not None:
                return whole
            rows = np.flatnonzero(whole.any(1))
            shown = np.zeros_like(whole)
            seen = rows[: max(1, round(len(rows) * len(prompt.points) / 4))]
            shown[seen] = whole[seen]
            return shown

    report = evaluate(OneBetterEachTime(samples_of(masks / "discs")), masks, Selection(clicks=20))
    assert report.averages["all sources"]["noc85"] == 4
    assert report.averages["all sources"]["click1"] < 0.3 < report.averages["all sources"]["click2"]


def test_a_large_source_does_not_outweigh_the_others() -> None:
    rows = [{"source": "large", "box": 1.0}] * 9 + [{"source": "small", "box": 0.0}, {"source": "field", "box": 0.4}]
    report = summed_up([dict(row) for row in rows], {"field": "domain"})
    assert report.averages["object sources"]["box"] == 0.5
    assert report.averages["domain sources"]["box"] == 0.4
    assert report.averages["all sources"]["box"] == pytest.approx(1.4 / 3)


def test_a_folder_without_sources_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no source"):
        evaluate(PerfectDoor([]), tmp_path, Selection())


@pytest.mark.parametrize(
    ("selection", "said"),
    [
        (Selection(sources=("dsics",)), "has no source dsics; it has discs"),
        (Selection(skip=99), "nothing to measure"),
        (Selection(split="test"), "nothing to measure"),
    ],
)
def test_nothing_to_measure_is_no_result(masks: Path, selection: Selection, said: str) -> None:
    with pytest.raises(DataError, match=said):
        evaluate(PerfectDoor([]), masks, selection)


@pytest.mark.parametrize("which", ["image", "mask"])
def test_a_file_that_is_missing_or_torn_is_named(masks: Path, tmp_path: Path, which: str) -> None:
    torn = tmp_path / "torn.png"
    sample = replace(samples_of(masks / "discs")[0], **{which: torn})
    read = sample.pixels if which == "image" else sample.labels
    with pytest.raises(DataError, match=r"torn\.png cannot be read: there is no such file"):
        read()
    torn.write_bytes(getattr(samples_of(masks / "discs")[0], which).read_bytes()[:60])
    with pytest.raises(DataError, match=r"torn\.png cannot be read"):
        read()


@pytest.mark.parametrize(("size", "mode"), [((30, 20), "L"), (None, "RGB")])
def test_a_label_map_has_one_channel_and_its_pictures_size(
    masks: Path, tmp_path: Path, size: tuple[int, int] | None, mode: str
) -> None:
    sample = samples_of(masks / "discs")[0]
    other = tmp_path / "other.png"
    Image.new(mode, size or sample.pixels().shape[1::-1]).save(other)
    with pytest.raises(DataError, match=r"other\.png is .* one channel and the size of its picture"):
        replace(sample, mask=other).labels()


def test_a_grey_picture_of_twelve_bits_is_seen_as_it_is_served(masks: Path, tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 2048, 4095]], np.uint16)).save(tmp_path / "grey.png")
    sample = replace(samples_of(masks / "discs")[0], image=tmp_path / "grey.png")
    assert sample.pixels()[0, :, 0].tolist() == [0, 128, 255]


def test_an_index_that_leads_out_of_its_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text('[{"image": "../../x.png", "mask": "m.png", "objects": []}]')
    with pytest.raises(DataError, match="leads out"):
        samples_of(tmp_path)


def test_the_report_is_a_table_and_a_picture(masks: Path, tmp_path: Path) -> None:
    samples = samples_of(masks / "discs")
    door = PerfectDoor(samples)
    report = evaluate(door, masks, Selection())
    table = table_of(report, {"discs": {"box": 0.75}})
    assert table.row_count == 3
    assert "100.0 (+25.0)" in list(table.columns[2].cells)
    picture_of(door, samples, report.rows, tmp_path / "cases.png", each=2)
    assert (tmp_path / "cases.png").stat().st_size > 1000


def test_what_was_trained_on_is_left_out_and_the_rest_counted_from_there(masks: Path) -> None:
    everything = Selection().samples(masks)
    assert Selection(skip=3).samples(masks) == everything[3:]
    assert Selection(skip=1, images=2).samples(masks) == everything[1:3]
