"""A job from end to end, but for the training itself, which is told beforehand."""

import base64
import io
import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import structlog
from PIL import Image

from backend.accepted import jobs, versions
from backend.accepted.annotations import Annotation, accept, forget, new_regions
from backend.labelstudio import rle
from backend.labelstudio.connections import remember
from backend.labelstudio.unanswerable import Unanswerable
from backend.learning import accepted_proposals
from backend.learning import job as learning
from backend.learning.gate import NAMES, Verdict
from backend.learning.masks import DataError
from backend.learning.proposing import Figures, Learned
from backend.learning.tuning import Outcome
from backend.learning.worker import Stopped, work_off
from backend.segmentation.checkpoints import read_state_dict
from backend.segmentation.engine_torch import load_torch_engine
from backend.segmentation.engines import FEATURES, Embedding
from backend.segmentation.familiar import familiar_with
from backend.segmentation.preprocess import Frame
from backend.segmentation.proposals import Linear, Proposer, Usual
from backend.segmentation.proposer_files import read_proposer, write_proposer
from backend.segmentation.weights import WeightsError
from backend.settings import Settings
from tests.segmentation.spots import EVERYWHERE

FIRST = "asking Label Studio for what was accepted"
KEY = "27.1795354711"
CONFIG = (
    '<View><Image name="image" value="$image"/><BrushLabels name="brush" toName="image">'
    '<Label value="Cell"/></BrushLabels></View>'
)
NOTHING = Embedding(np.full(FEATURES, -100, np.float16), Frame(8, 8))
BIAS = "mask_decoder.output_hypernetworks_mlps.0.layers.2.bias"


def picture(seed):
    pixels = np.random.default_rng(seed).integers(0, 255, (24, 32, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def annotation(number, masks):
    result = []
    for index in range(masks):
        mask = np.zeros((24, 32), bool)
        mask[4:12, 6 * index : 6 * index + 5] = True
        value = {"format": "rle", "rle": rle.encode(mask), "brushlabels": ["Cell"]}
        about = {"id": f"r{index}", "type": "brushlabels", "from_name": "brush", "to_name": "image"}
        result.append(about | {"original_width": 32, "original_height": 24, "value": value})
    return Annotation(KEY, number, number, {"image": picture(number)}, result, "2026-11-22T13:38:42.747451Z")


@pytest.fixture(scope="module")
def settings(tmp_path_factory, random_weights):
    """Two pictures with four masks each are accepted; webhooks told it, /setup how they are labelled."""
    folder = tmp_path_factory.mktemp("learning")
    accept(folder, [annotation(1, 4), annotation(2, 4)])
    remember(folder, KEY, "http://127.0.0.1:1", "", CONFIG)
    return Settings(model_dir=folder, edgesam_weights=str(random_weights.path), edgesam_engine="torch")


@pytest.fixture(scope="module")
def engine(random_weights):
    """Loaded once: it takes seconds."""
    return load_torch_engine(random_weights, "cpu")


@pytest.fixture
def training(monkeypatch, engine):
    """Stands for the training: .promoted is the verdict to come, .seen what it was given, .makes what it gives."""

    class Training:
        promoted = True
        seen = None
        step = 1.0
        parts = ("mask_decoder.",)

        def __call__(self, model, engine, examples, minutes, say, serving):
            self.seen = model, examples, minutes, serving
            say("learning")
            learned = {name: value.clone() for name, value in model.state_dict().items() if name.startswith(self.parts)}
            learned[BIAS] += self.step
            figures = dict.fromkeys(NAMES, 50.0)
            verdict = Verdict(self.promoted, "as told", figures, figures, figures, figures)
            familiar = familiar_with([one.embedding for one in examples], [NOTHING])
            return Outcome(learned, familiar, [{"minutes": 0.0, **figures}], verdict, examples[:1])

    training = Training()
    monkeypatch.setattr(learning, "tuned", training)
    monkeypatch.setattr(learning, "engine_of", lambda _settings, _weights: engine)
    return training


def run(settings, project=KEY):
    jobs.enqueue(settings.model_dir, project, "because")
    job = jobs.claim(settings.model_dir)
    told = learning.run_job(settings, job)
    jobs.finish(settings.model_dir, job.number, told)
    return told


def test_a_better_version_serves_and_the_next_one_is_compared_with_it(settings, training, random_weights):
    folder, base = settings.model_dir, random_weights.sha256[:8]
    assert run(settings) == f"edgesam-{base}-p27-v1, from 8 masks on 2 pictures: as told"
    first = versions.current(folder, KEY)
    assert first.name == f"edgesam-{base}-p27-v1"
    assert first.file == folder / "versions" / KEY / f"{first.name}.safetensors"
    assert first.metrics["compared_with"] == f"random-{base}"
    assert (first.metrics["pictures"], first.metrics["masks"]) == (2, 8)
    page = first.file.with_suffix(".html").read_text()
    assert "data:image/jpeg;base64," in page
    before = read_state_dict(random_weights.path)[BIAS]
    assert read_state_dict(first.file)[BIAS].allclose(before + 1, atol=4e-3)
    assert training.seen[2] == settings.edgesam_finetune_minutes

    training.promoted = False
    run(settings)
    assert versions.current(folder, KEY) == first
    second = versions.versions_of(folder, KEY)[0]
    assert (second.number, second.promoted) == (2, False)
    assert second.metrics["compared_with"] == first.name
    learned, familiar = training.seen[3]
    assert learned[BIAS].allclose(before + 1, atol=4e-3)
    assert all(name.startswith("mask_decoder.") for name in learned)
    assert familiar.holds(training.seen[1][0].embedding)
    assert not familiar.holds(NOTHING)
    assert read_state_dict(second.file)[BIAS].allclose(before + 1, atol=4e-3), "both begin with the base"


@pytest.mark.parametrize(("seconds", "logged"), [(0, [FIRST, "pictures with masks: 1", "learning"]), (60, [FIRST])])
def test_how_far_it_is_stands_in_the_log_from_time_to_time(settings, training, monkeypatch, seconds, logged):
    monkeypatch.setattr(learning, "LOGGED_SECONDS", seconds)
    with structlog.testing.capture_logs() as logs:
        run(settings)
    told = [line["message"] for line in logs if line["event"] == "learning_progress"]
    assert [text for text in told if text in {FIRST, "pictures with masks: 1", "learning"}] == logged


def test_a_version_with_an_encoder_of_its_own_is_compared_with_that(settings, training):
    training.parts = ("mask_decoder.", "image_encoder.")
    run(settings)
    served = versions.current(settings.model_dir, KEY)
    run(settings)
    learned, _ = training.seen[3]
    assert versions.versions_of(settings.model_dir, KEY)[0].metrics["compared_with"] == served.name
    assert "image_encoder.neck.2.weight" in learned


def test_nothing_learns_from_weights_that_were_fine_tuned_themselves(settings, training):
    run(settings)
    file = versions.versions_of(settings.model_dir, KEY)[0].file
    training.seen = None
    told = run(settings.model_copy(update={"edgesam_weights": str(file)}))
    assert told == f"no project learns from {file}: it is TorchScript, or was fine-tuned itself"
    assert training.seen is None


def test_a_version_that_does_not_load_is_neither_kept_nor_chosen(settings, training, monkeypatch):
    before = versions.versions_of(settings.model_dir, KEY), versions.current(settings.model_dir, KEY)

    def torn(_base, _decoder, _familiar, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half a file")

    monkeypatch.setattr(learning, "write_version", torn)
    with pytest.raises(WeightsError, match="cannot be read as safetensors"):
        run(settings)
    assert (versions.versions_of(settings.model_dir, KEY), versions.current(settings.model_dir, KEY)) == before


@pytest.fixture
def proposing(monkeypatch):
    """Stands for the fits: .learned is what they give, .engine and .kinds what they were given."""

    class Proposing:
        learned = None

        def __call__(self, engine, examples, familiar):
            assert familiar.holds(examples[0][0].embedding)
            self.engine, self.kinds = engine, [kinds for _, kinds in examples]
            if isinstance(self.learned, Exception):
                raise self.learned
            return self.learned

    proposing = Proposing()
    monkeypatch.setattr(accepted_proposals, "learned_proposals", proposing)
    return proposing


PLACES = Linear(np.zeros((2, 512), np.float32), np.zeros(2, np.float32))
MASKS = Linear(np.zeros((1, 15), np.float32), np.zeros(1, np.float32))
PROPOSER = Proposer(("Cell",), PLACES, MASKS, Usual(0, 0), 0.5, EVERYWHERE)


@pytest.mark.parametrize("promoted", [True, False])
def test_what_serves_afterwards_is_what_proposes(settings, training, proposing, promoted):
    versions.choose(settings.model_dir, KEY, None)
    training.promoted = promoted
    proposing.learned = Learned(PROPOSER, Figures(20, 18, 30, 2, 2))
    assert run(settings).endswith("as told; 18 of 20 proposals are right, 18 of 30 objects found")
    assert proposing.kinds == [("Cell",) * 4] * 2
    judged_with, proposer = read_proposer(versions.proposer_file(settings.model_dir, KEY))
    serving = versions.current(settings.model_dir, KEY)
    assert (serving is not None) == promoted
    assert judged_with == proposing.engine.version
    if promoted:
        assert judged_with == serving.name
    assert proposer.kinds == ("Cell",)


def test_a_fit_that_fails_takes_nothing_with_it(settings, training, proposing):
    proposing.learned = RuntimeError("broken on purpose")
    before = versions.versions_of(settings.model_dir, KEY)
    with structlog.testing.capture_logs() as logs:
        assert run(settings).endswith("as told")
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["proposals_failed"]
    assert versions.versions_of(settings.model_dir, KEY) != before


def test_pictures_on_which_nothing_is_are_shown_too(settings, training, proposing):
    """They were submitted without a region: what is proposed there is wrong. Nothing else learns from them."""
    empty = replace(annotation(3, 4), result=[])
    accept(settings.model_dir, [empty])
    run(settings)
    assert proposing.kinds == [("Cell",) * 4] * 2 + [()]
    assert len(training.seen[1]) == 2
    accept(settings.model_dir, [replace(annotation(4, 4), task=3, updated="2026-11-23T13:38:42.747451Z")])
    run(settings)
    assert () not in proposing.kinds, "somebody else found something there"
    forget(settings.model_dir, KEY, [3, 4])


def test_who_wants_no_proposals_gets_none(settings, training, proposing):
    assert run(settings.model_copy(update={"edgesam_proposals": False})).endswith("as told")
    assert not hasattr(proposing, "engine"), "nothing was fitted"


@pytest.mark.parametrize(
    ("learned", "end"),
    [
        (
            Learned(None, Figures(20, 9, 30, 2, 2)),
            "; nothing is proposed: 9 of 20 proposals are right, 9 of 30 objects found; 17 should be right",
        ),
        (None, "as told"),
    ],
)
def test_what_is_not_good_enough_any_more_proposes_no_longer(settings, training, proposing, learned, end):
    file = versions.proposer_file(settings.model_dir, KEY)
    write_proposer(PROPOSER, "an earlier version", "", file)
    proposing.learned = learned
    assert run(settings).endswith(end)
    assert not file.exists()
    assert run(settings).endswith(end), "and again"


def test_what_a_person_chooses_while_a_job_runs_goes_on_serving(settings, training, monkeypatch):
    run(settings)
    served = versions.current(settings.model_dir, KEY)
    tuned = learning.tuned

    def chosen_meanwhile(*given, **more):
        versions.choose(settings.model_dir, KEY, None)
        return tuned(*given, **more)

    monkeypatch.setattr(learning, "tuned", chosen_meanwhile)
    assert run(settings).endswith("as told; what somebody chose meanwhile goes on serving")
    assert versions.current(settings.model_dir, KEY) is None
    newest = versions.versions_of(settings.model_dir, KEY)[0]
    assert (newest.promoted, newest.metrics["compared_with"]) == (True, served.name)


def test_where_the_version_that_serves_cannot_be_read_the_base_is_compared(settings, training, random_weights):
    run(settings)
    served = versions.current(settings.model_dir, KEY)
    served.file.write_bytes(b"half a file")
    run(settings)
    assert training.seen[3] is None
    newest = versions.current(settings.model_dir, KEY)
    assert newest.metrics["compared_with"] == f"random-{random_weights.sha256[:8]}"


def test_too_few_masks_are_not_learned_from(settings, training):
    accept(settings.model_dir, [Annotation("5.5", 1, 1, {"image": picture(1)}, [], "2026-11-22")])
    remember(settings.model_dir, "5.5", "http://127.0.0.1:1", "", CONFIG)
    assert run(settings, "5.5") == "0 masks on 0 pictures are too few: 8 on 2 are the least"
    assert training.seen is None


def test_pictures_that_cannot_be_had_fail_the_job_and_their_regions_count_as_new(settings, training):
    folder, away = settings.model_dir, "http://127.0.0.1:1/gone.jpg"
    accept(folder, [replace(annotation(number, 5), project="6.6", data={"image": away}) for number in (1, 2)])
    remember(folder, "6.6", "http://127.0.0.1:1", "", CONFIG)
    jobs.enqueue(folder, "6.6", "because")
    assert new_regions(folder, "6.6") == 0
    assert work_off(folder, lambda job: learning.run_job(settings, job), "6.6")
    [job] = jobs.jobs(folder, "6.6")
    assert job.state == "failed"
    assert "0 masks on 0 pictures are too few: 8 on 2 are the least, and 2 more could not be had, the first" in job.told
    assert new_regions(folder, "6.6") == 10
    assert training.seen is None


def test_a_project_that_is_run_here_and_now(settings, training, monkeypatch):
    monkeypatch.setattr(learning, "give_way", lambda: None)  # it would hold for all tests to come
    said = []
    waiting = jobs.enqueue(settings.model_dir, "99.9", "20 new regions")
    learning.finetune_project(settings, 27, said.append)
    assert jobs.unfinished(settings.model_dir) == [waiting], "others are for the service"
    assert said[:2] == [FIRST, "pictures with masks: 1"]
    assert said[-1].endswith("as told")
    with pytest.raises(Unanswerable, match="no project 3 is known"):
        learning.finetune_project(settings, 3, said.append)


@pytest.mark.parametrize(
    ("asked_by", "end", "state"),
    [
        ("20 new regions", KeyboardInterrupt(), "queued"),
        (None, KeyboardInterrupt(), "failed"),
        (None, OSError("No space left"), "failed"),
    ],
)
def test_a_job_that_ends_early_here_waits_on_where_the_service_asked_for_it(
    settings, monkeypatch, asked_by, end, state
):
    folder = settings.model_dir
    if asked_by:
        jobs.enqueue(folder, KEY, asked_by)
    monkeypatch.setattr(learning, "give_way", lambda: None)

    def ends(_settings, _job, _say):
        raise end

    monkeypatch.setattr(learning, "run_job", ends)
    with pytest.raises(type(end)):
        learning.finetune_project(settings, 27, print)
    job = jobs.jobs(folder, KEY)[0]
    assert job.state == state
    jobs.finish(folder, job.number, "")


def test_sigterm_leaves_no_job_behind_either(settings, monkeypatch):
    monkeypatch.setattr(learning, "give_way", lambda: None)
    monkeypatch.setattr(learning, "run_job", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Stopped):
        learning.finetune_project(settings, 27, print)
    assert jobs.jobs(settings.model_dir, KEY)[0].state == "failed"


def test_the_end_of_the_job_that_ran_here_is_told_though_another_one_was_asked_for(settings, monkeypatch):
    folder = settings.model_dir
    jobs.enqueue(folder, KEY, learning.BY_COMMAND)
    jobs.claim(folder)  # by a command that was killed
    monkeypatch.setattr(learning, "give_way", lambda: None)

    def fails(_settings, _job, _say):
        raise Unanswerable("image", "Label Studio is away")

    monkeypatch.setattr(learning, "run_job", fails)
    with pytest.raises(DataError, match="Label Studio is away"):
        learning.finetune_project(settings, 27, print)
