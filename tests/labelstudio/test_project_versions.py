"""Which engine answers a project: swapped between requests, and never for another project."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs

from backend.accepted import versions
from backend.accepted.versions import Version, choose, record
from backend.labelstudio import project_versions
from backend.labelstudio.answering import answer
from backend.labelstudio.configured import version_engine
from backend.labelstudio.project_versions import AGAIN_SECONDS, KEPT, ProjectVersions
from backend.segmentation.checkpoints import read_state_dict, sha256_of
from backend.segmentation.engine_openvino import load_openvino_engine
from backend.segmentation.engines import FEATURES, Embedding
from backend.segmentation.familiar import OTHERS, OWN
from backend.segmentation.preprocess import Frame
from backend.segmentation.weights import WeightsError, WeightsFile
from tests.labelstudio.standins import DiscEngine, data_uri, picture, segmenter_of

P, Q = "27.1795354711", "28.1800000000"
BASE_NAME = "edgesam-c168a5b0"


class Learned(DiscEngine):
    def __init__(self, version: str) -> None:
        super().__init__()
        self.version = version


BASE = Learned(BASE_NAME)


class Loader:
    """Makes an engine when `go` is set; those of `broken` never."""

    def __init__(self) -> None:
        self.loaded: list[str] = []
        self.broken: set[str] = set()
        self.go = threading.Event()
        self.go.set()

    def __call__(self, base: DiscEngine, version: Version) -> DiscEngine:
        self.go.wait(10)
        self.loaded.append(version.name)
        if version.name in self.broken:
            raise WeightsError("broken on purpose")
        return Learned(version.name)


@pytest.fixture
def load() -> Iterator[Loader]:
    loader = Loader()
    yield loader
    loader.go.set()


@pytest.fixture
def served(tmp_path: Path, load: Loader) -> ProjectVersions:
    return ProjectVersions(tmp_path, load)


def learned(folder: Path, number: int, project: str = P) -> str:
    name = f"edgesam-c168a5b0-p{project.partition('.')[0]}-v{number}"
    file = folder / "versions" / project / f"{name}.safetensors"
    record(folder, Version(project, number, name, file, "0" * 64, "c168a5b0", True, {}, "2026-11-22T13:38:31", None))
    return name


def settled(ask: Callable[[], str], wanted: str) -> None:
    """What loads in the background is there before long."""
    give_up = threading.Event()
    for _ in range(1000):
        if ask() == wanted:
            return
        give_up.wait(0.01)
    assert ask() == wanted


def test_a_project_without_a_version_is_answered_by_the_base(served: ProjectVersions) -> None:
    assert [served.engine_for(BASE, project) for project in (None, P, "27")] == [BASE] * 3
    assert served.name_for(BASE_NAME, P) == BASE_NAME


def test_who_can_wait_gets_no_answer_of_the_base_while_a_version_loads(
    served: ProjectVersions, load: Loader, tmp_path: Path
) -> None:
    first = learned(tmp_path, 1)
    choose(tmp_path, P, first)
    assert [served.engine_once_loaded(BASE, P).version for _ in range(2)] == [first] * 2
    assert load.loaded == [first]
    assert served.engine_once_loaded(BASE, None) is served.engine_once_loaded(BASE, Q) is BASE


def test_a_version_takes_over_when_it_is_loaded_and_goes_at_once(
    served: ProjectVersions, load: Loader, tmp_path: Path
) -> None:
    def version() -> str:
        return served.engine_for(BASE, P).version

    first, second = learned(tmp_path, 1), learned(tmp_path, 2)
    choose(tmp_path, P, first)
    settled(version, first)
    load.go.clear()
    choose(tmp_path, P, second)
    assert [version() for _ in range(5)] == [first] * 5, "the old one goes on until the new one is there"
    assert [thread.name for thread in threading.enumerate()].count("version") == 1
    assert served.name_for(BASE_NAME, P) == second
    load.go.set()
    settled(version, second)
    choose(tmp_path, P, None)
    assert served.engine_for(BASE, P) is BASE
    assert served.engine_for(BASE, Q) is BASE
    assert load.loaded == [first, second], "each is loaded once, however often it was asked for meanwhile"


def test_a_version_of_other_weights_neither_answers_nor_is_named(
    served: ProjectVersions, load: Loader, tmp_path: Path
) -> None:
    """Not where they have the same encoder either: it was judged beside other answers."""
    choose(tmp_path, P, learned(tmp_path, 1))
    others = Learned("edgesam-0a0a0a0a")
    with capture_logs() as lines:
        assert [served.engine_for(others, P) for _ in range(2)] == [others] * 2
        assert served.engine_once_loaded(others, P) is others
    assert served.name_for(others.version, P) == others.version
    assert load.loaded == []
    [told] = lines
    assert (told["event"], told["version"]) == ("version_unusable", "edgesam-c168a5b0-p27-v1")
    assert told["message"] == "it was learned from other weights (c168a5b0) than those that answer: edgesam-0a0a0a0a"


def test_the_id_alone_means_the_newest_project_of_that_id(served: ProjectVersions, tmp_path: Path) -> None:
    older, newer = learned(tmp_path, 1, "27.100"), learned(tmp_path, 2, "27.200")
    choose(tmp_path, "27.100", older)
    choose(tmp_path, "27.200", newer)
    settled(lambda: served.engine_for(BASE, "27").version, newer)
    settled(lambda: served.engine_for(BASE, "27.100").version, older)


def test_a_version_that_does_not_load_is_told_once_and_what_served_goes_on(
    served: ProjectVersions, load: Loader, tmp_path: Path
) -> None:
    first, broken = learned(tmp_path, 1), learned(tmp_path, 2)
    load.broken = {broken}
    choose(tmp_path, P, broken)
    with capture_logs() as lines:
        settled(lambda: served.name_for(BASE_NAME, P) if served.engine_for(BASE, P) is BASE else "", BASE_NAME)
        choose(tmp_path, P, first)
        settled(lambda: served.engine_for(BASE, P).version, first)
        choose(tmp_path, P, broken)
        assert served.engine_for(BASE, P).version == first
        assert served.name_for(BASE_NAME, P) == first
    told = [line for line in lines if line["event"] == "version_unusable"]
    assert [(line["version"], line["message"]) for line in told] == [(broken, "broken on purpose")]


def test_a_version_that_did_not_load_is_tried_again_after_a_while(
    served: ProjectVersions, load: Loader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = learned(tmp_path, 1)
    load.broken = {name}
    choose(tmp_path, P, name)
    settled(lambda: served.name_for(BASE_NAME, P) if served.engine_for(BASE, P) is BASE else "", BASE_NAME)
    load.broken = set()
    assert served.engine_for(BASE, P) is BASE
    assert served.name_for(BASE_NAME, P) == BASE_NAME
    later = time.monotonic() + AGAIN_SECONDS
    monkeypatch.setattr(project_versions.time, "monotonic", lambda: later)
    settled(lambda: served.engine_for(BASE, P).version, name)


def test_more_projects_than_fit_in_memory_are_all_answered_by_their_own_version(
    served: ProjectVersions, load: Loader, tmp_path: Path
) -> None:
    names = {f"{number}.1": learned(tmp_path, 1, f"{number}.1") for number in range(KEPT + 2)}
    for project, name in names.items():
        choose(tmp_path, project, name)
        settled(lambda project=project: served.engine_for(BASE, project).version, name)
    for project, name in names.items():
        assert served.engine_for(BASE, project).version == name, "it was loaded before: nobody gets the base's masks"


def test_a_database_that_cannot_be_read_stops_no_annotator(served: ProjectVersions, tmp_path: Path) -> None:
    name = learned(tmp_path, 1)
    choose(tmp_path, P, name)
    settled(lambda: served.engine_for(BASE, P).version, name)
    for file in tmp_path.glob("learning.sqlite*"):
        file.write_bytes(b"no database at all" * 500)
    with pytest.raises(sqlite3.Error):
        versions.current(tmp_path, P)
    with capture_logs() as lines:
        assert [served.engine_for(BASE, P).version for _ in range(3)] == [name] * 3
        assert served.engine_for(BASE, Q) is BASE
    assert [line["event"] for line in lines] == ["versions_unreadable"]


def test_predictions_name_the_version_and_use_the_base_s_embedding(
    served: ProjectVersions, load: Loader, tmp_path: Path
) -> None:
    config = """<View><Image name="image" value="$image"/>
        <BrushLabels name="brush" toName="image"><Label value="Dog"/></BrushLabels>
        <KeyPointLabels name="keypoint" toName="image" smart="true"><Label value="Dog"/></KeyPointLabels></View>"""
    value = {"x": 50, "y": 50, "width": 0.2, "keypointlabels": ["Dog"]}
    click = {"type": "keypointlabels", "from_name": "keypoint", "to_name": "image", "value": value, "is_positive": True}
    task = {"id": 1, "project": 27, "data": {"image": data_uri(picture(80, 60))}}
    segmenter = segmenter_of(BASE, version_for=served.engine_for)

    def version(project: str) -> str:
        return answer(segmenter, [task], config, {"result": [click]}, project)[0]["model_version"]

    name = learned(tmp_path, 1)
    assert version(P) == BASE_NAME
    choose(tmp_path, P, name)
    settled(lambda: version(P), name)
    assert version(Q) == BASE_NAME
    assert segmenter.embeddings.figures.misses == 1


def test_a_real_version_answers_until_its_file_changes(
    edgesam: WeightsFile, graphs_folder: Path, tmp_path: Path
) -> None:
    import torch
    from safetensors.torch import save_file

    state = read_state_dict(edgesam.path)
    state["mask_decoder.output_hypernetworks_mlps.0.layers.2.bias"] += 0.5
    file = tmp_path / "versions" / P / "edgesam-c168a5b0-p27-v1.safetensors"
    file.parent.mkdir(parents=True)
    state |= {OWN: torch.zeros(1, 512), OTHERS: torch.ones(1, 512).tril(255)}
    save_file(state, file, {"encoder": "repvit_m1", "upsample": "bilinear"})
    made = Version(P, 1, file.stem, file, sha256_of(file), "c168a5b0", True, {}, "2026-11-22T13:38:31", None)
    base = load_openvino_engine(edgesam, graphs_folder)
    engine = version_engine(base, made)
    assert (engine.version, engine.identity) == (made.name, base.identity)
    prompt = np.full((1, 2, 2), 500, np.float32), np.array([[1, -1]]), None
    embedding, other = (Embedding(np.full(FEATURES, fill, np.float16), Frame(1024, 1024)) for fill in (0, 1))
    assert np.abs(engine.decode(embedding, *prompt) - base.decode(embedding, *prompt)).max() > 0.1
    np.testing.assert_array_equal(engine.decode(other, *prompt), base.decode(other, *prompt))
    file.write_bytes(file.read_bytes()[:-4] + b"\0\0\0\0")
    with pytest.raises(WeightsError, match="is not what was recorded"):
        version_engine(base, made)
    with pytest.raises(WeightsError, match="takes no version"):
        version_engine(DiscEngine(), Version(P, 1, file.stem, file, sha256_of(file), "c168a5b0", True, {}, "", None))
