"""Answers: one per task, nothing computed twice, every failure named."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import httpx
import numpy as np
import pytest
import structlog

from backend.labelstudio import rle, unasked
from backend.labelstudio.answering import answer
from backend.labelstudio.places import Places
from backend.labelstudio.segmenter import PATIENCE
from backend.labelstudio.unanswerable import Unanswerable
from backend.segmentation.embeddings import EmbeddingCache
from demo.services import patiently
from tests.labelstudio.standins import DiscEngine, NothingEngine, data_uri, loader, picture, segmenter_of

CONFIG = """<View><Image name="image" value="$image"/>
<BrushLabels name="brush" toName="image"><Label value="Dog"/><Label value="Cat"/></BrushLabels>
<KeyPointLabels name="keypoint" toName="image" smart="true"><Label value="Dog"/><Label value="Cat"/></KeyPointLabels>
</View>"""


def task(**settings):
    return {"id": 1, "data": {"image": data_uri(picture(**{"width": 80, "height": 60, **settings}))}}


def click(x=50, y=50, label="Dog", **beside):
    value = {"x": x, "y": y, "width": 0.2, "keypointlabels": [label]}
    return {
        "type": "keypointlabels",
        "from_name": "keypoint",
        "to_name": "image",
        "image_rotation": 0,
        "value": value,
        "is_positive": True,
        **beside,
    }


def context(*items):
    return {"result": list(items) or [click()]}


@pytest.mark.parametrize("without", [None, {}])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_without_a_context_an_empty_list_per_task_and_nothing_is_asked_of_anyone(without, count):
    def engine():
        raise AssertionError("nobody needs the engine")

    segmenter = segmenter_of()
    object.__setattr__(segmenter, "engine", engine)
    assert answer(segmenter, [{}] * count, "no xml", without) == [[]] * count


def boxed(*boxes, by="predictions", label="Dog", **settings):
    """A task with boxes (x, y, width, height in percent) of a detector, or of an annotation."""
    names = ("x", "y", "width", "height")
    items = [
        {
            "id": f"box{number}",
            "type": "rectanglelabels",
            "from_name": "found",
            "to_name": "image",
            "value": {**dict(zip(names, box, strict=True)), "rotation": 0, "rectanglelabels": [label]},
        }
        for number, box in enumerate(boxes)
    ]
    return {**task(**settings), by: [{"result": items, "created_at": "2026-11-27T10:00:00Z"}]}


LEFT, RIGHT = (10, 20, 30, 40), (60, 20, 30, 40)


@pytest.mark.parametrize("by", ["predictions", "annotations"])
def test_boxes_on_several_tasks_become_masks(by):
    tasks = [boxed(LEFT, RIGHT, by=by), task(), boxed(RIGHT, by=by, label="Cat")]
    two, none, one = answer(segmenter_of(), tasks, CONFIG, None)
    assert none == []
    assert [region["type"] for region in two["result"]] == ["brushlabels"] * 2
    assert [region["value"]["brushlabels"] for region in one["result"]] == [["Cat"]]
    assert two["model_version"] == "disc-v1"
    left, right = (rle.decode(region["value"]["rle"], 80, 60) for region in two["result"])
    assert left[24, 20]
    assert right[24, 60]
    assert not (left & right).any()


def test_a_task_that_is_opened_keeps_its_drawn_boxes():
    opened = []
    segmenter = segmenter_of(opened=lambda task, _: opened.append(task["id"]))
    assert answer(segmenter, [boxed(LEFT, by="annotations")], CONFIG, None) == [[]]
    assert opened == [1]


def test_a_task_that_nobody_opens_for_it_has_predictions_gets_masks():
    [prediction] = answer(segmenter_of(), [boxed(LEFT)], CONFIG, None)
    assert len(prediction["result"]) == 1


def test_boxes_that_cannot_be_answered_are_lines_in_the_log():
    missing = {**boxed(LEFT), "data": {}}
    with structlog.testing.capture_logs() as logs:
        nothing, something = answer(segmenter_of(), [missing, boxed(RIGHT)], CONFIG, None)
    assert nothing == []
    assert len(something["result"]) == 1
    assert ["address" in line["message"] for line in logs if line["event"] == "left_out"] == [True]
    for config in ("no xml", "<View><Image name='image' value='$image'/></View>"):
        with structlog.testing.capture_logs() as logs:
            assert answer(segmenter_of(), [boxed(LEFT), boxed(RIGHT)], config, None) == [[], []]
        assert [line["event"] for line in logs] == ["left_out"], "once for both"


def test_what_is_not_done_in_time_is_left_for_the_next_time(monkeypatch):
    times = iter(range(0, 10_000, 25))  # seconds: a task with one box looks once, one with two boxes twice
    monkeypatch.setattr(unasked, "monotonic", lambda: next(times))
    with structlog.testing.capture_logs() as logs:
        tasks = [boxed(LEFT), task(), boxed(LEFT, RIGHT), boxed(RIGHT)]
        first, *rest = answer(segmenter_of(), tasks, CONFIG, None)
    assert len(first["result"]) == 1
    assert rest == [[], [], []], "half of a task's masks would be taken for all of them"
    [told] = [line for line in logs if "again" in line["event"]]
    assert (told["tasks"], told["left"]) == (1, 2)


def test_a_box_that_cannot_be_read_does_not_take_the_others_with_it():
    odd = boxed(LEFT, LEFT, RIGHT)
    regions = odd["predictions"][0]["result"]
    regions[0]["value"]["width"] = None
    regions[1]["id"] = 7
    with structlog.testing.capture_logs() as logs:
        first, second = answer(segmenter_of(), [odd, boxed(RIGHT)], CONFIG, None)
    assert [len(one["result"]) for one in (first, second)] == [2, 1]
    told = [line["message"] for line in logs if line["event"] == "left_out"]
    assert [message.split(" of ")[0] for message in told] == ["width"]


def test_a_task_may_have_more_boxes_than_one_request():
    many = [(x, y, 4, 4) for x in range(0, 95, 5) for y in range(0, 60, 5)]
    assert len(many) > 200
    [prediction] = answer(segmenter_of(), [boxed(*many)], CONFIG, None)
    assert len(prediction["result"]) == len(many)
    assert prediction["score"] == pytest.approx(1)


def test_the_last_of_many_boxes_may_lie_outside():
    many = [(x, y, 4, 4) for x in range(0, 100, 5) for y in range(0, 50, 5)]
    assert len(many) == 200
    with structlog.testing.capture_logs() as logs:
        [prediction] = answer(segmenter_of(), [boxed(*many, (150, 150, 4, 4))], CONFIG, None)
    assert len(prediction["result"]) == 200
    assert ["outside" in line["message"] for line in logs if line["event"] == "left_out"] == [True]


def test_where_only_rectangles_hold_masks_boxes_stay_boxes():
    config = CONFIG.replace('BrushLabels name="brush"', 'RectangleLabels smart="false" name="brush"').replace(
        "</BrushLabels>", "</RectangleLabels>"
    )
    with structlog.testing.capture_logs() as logs:
        assert answer(segmenter_of(), [boxed(LEFT), boxed(RIGHT)], config, None) == [[], []]
    assert "boxes would become boxes" in logs[0]["message"]
    assert answer(segmenter_of(), [task()], config, context())[0]["result"][0]["type"] == "rectanglelabels"


def test_boxes_of_many_tasks_let_clicks_go_first():
    asked = []

    class Watched(Places):
        def taken(self, patient=False):
            asked.append(patient)
            return super().taken(patient)

    segmenter = segmenter_of(at_once=Watched(2))
    answer(segmenter, [boxed(LEFT), boxed(RIGHT)], CONFIG, None)
    answer(segmenter, [task()], CONFIG, context())
    assert asked == [True, True, False]


def test_neither_pictures_nor_windows_of_boxes_are_encoded_before_clicks():
    hurried = []

    class Watched(EmbeddingCache):
        def get(self, key, compute, urgent=True, lasting=True):
            hurried.append((lasting, urgent))
            return super().get(key, compute, urgent, lasting)

    segmenter = replace(segmenter_of(), embeddings=Watched(64 << 20))
    answer(segmenter, [boxed((40, 40, 10, 10))], CONFIG, None)
    assert hurried == [(True, False), (False, False)]
    answer(segmenter, [task(width=90)], CONFIG, context())
    assert hurried[2:] == [(True, True)]


def test_nothing_more_is_computed_of_boxes_for_who_has_gone():
    def gone():
        raise ConnectionError("hung up")

    with pytest.raises(ConnectionError, match="hung up"):
        answer(segmenter_of(), [boxed(LEFT), boxed(RIGHT)], CONFIG, None, go_on=gone)


def test_every_task_gets_its_own_answer_in_order():
    tasks = [task(width=80), task(width=120), task(width=160)]
    predictions = answer(segmenter_of(), tasks, CONFIG, context())
    assert [one["result"][0]["original_width"] for one in predictions] == [80, 120, 160]


def test_every_object_gets_its_mask_the_newest_last():
    [prediction] = answer(segmenter_of(), [task()], CONFIG, context(click(20, 50, "Cat"), click(80, 50)))
    assert [region["value"]["brushlabels"] for region in prediction["result"]] == [["Cat"], ["Dog"]]
    left, right = (rle.decode(region["value"]["rle"], 80, 60) for region in prediction["result"])
    assert left[30, 16]
    assert right[30, 64]
    assert not (left & right).any()


@pytest.mark.parametrize("nothing", [[], [click(is_positive=False)]])
def test_a_context_that_asks_for_nothing_gets_an_empty_prediction(nothing):
    predictions = answer(segmenter_of(), [task(), task()], CONFIG, {"result": nothing})
    assert predictions == [{"result": [], "score": 0.0, "model_version": "disc-v1"}] * 2


def test_a_model_that_finds_nothing_gives_an_empty_prediction():
    assert answer(segmenter_of(NothingEngine()), [task()], CONFIG, context()) == [
        {"result": [], "score": 0.0, "model_version": "disc-v1"}
    ]


def test_a_known_picture_is_not_encoded_again_under_any_address():
    engine = DiscEngine()
    segmenter = segmenter_of(engine)
    for _ in range(2):
        answer(segmenter, [task()], CONFIG, context())
    answer(segmenter, [{"data": {"image": "http://elsewhere/dog.jpg"}}], CONFIG, context())
    assert engine.encoded == 2
    answer(segmenter, [{"id": 5, "data": {"image": data_uri(picture(), "image/png")}}], CONFIG, context())
    assert engine.encoded == 2


def test_another_engine_encodes_anew():
    engine, other = DiscEngine(), DiscEngine()
    other.identity = "other"
    segmenter = segmenter_of(engine)
    answer(segmenter, [task()], CONFIG, context())
    object.__setattr__(segmenter, "engine", lambda: other)
    answer(segmenter, [task()], CONFIG, context())
    assert (engine.encoded, other.encoded) == (1, 1)


def test_many_at_once_get_the_masks_of_their_own_pictures():
    """32 threads, 8 pictures: as one by one, and every picture is encoded once."""
    tasks = [task(width=64 + 16 * n, colour=(20 * n, 100, 30)) for n in range(8)]
    contexts = [context(click(10 + 10 * n, 50)) for n in range(8)]

    def masks(segmenter, n):
        [prediction] = answer(segmenter, [tasks[n % 8]], CONFIG, contexts[n % 8])
        return [region["value"]["rle"] for region in prediction["result"]]

    alone = [masks(segmenter_of(), n) for n in range(8)]
    engine = DiscEngine()
    segmenter, together = segmenter_of(engine), threading.Barrier(32)

    def ask(n):
        together.wait()
        return masks(segmenter, n)

    with ThreadPoolExecutor(32) as pool:
        assert list(pool.map(ask, range(32))) == alone * 4
    assert engine.encoded == 8


def test_the_exif_orientation_counts_before_the_model():
    [prediction] = answer(segmenter_of(), [task(orientation=6)], CONFIG, context(click(10, 50)))
    [region] = prediction["result"]
    assert (region["original_width"], region["original_height"]) == (80, 60)
    assert rle.decode(region["value"]["rle"], 80, 60)[30, 8]


def test_specks_are_left_out_when_asked():
    class Specks(DiscEngine):
        def decode(self, embedding, coordinates, labels, low_res):
            logits = super().decode(embedding, coordinates, labels, low_res)
            logits[:, 2, 2] = 8
            return logits

    def corner(**settings):
        [prediction] = answer(segmenter_of(Specks(), **settings), [task(width=1024, height=768)], CONFIG, context())
        return rle.decode(prediction["result"][0]["value"]["rle"], 1024, 768)[:20, :20].any()

    assert corner()
    assert not corner(smallest_share=0.01)


PHASES = ("image", "wait", "encode", "decode", "answer", "image", "decode", "answer")


@pytest.mark.usefixtures("no_bytes_kept")
def test_a_server_that_is_gone_is_asked_for_one_window_only_and_not_for_long():
    asked = []

    def once(request):
        asked.append(request)
        return httpx.Response(200, content=picture(1024, 768)) if len(asked) == 1 else httpx.Response(500)

    tasks = [{"data": {"image": "http://elsewhere/a.jpg"}}]
    segmenter = segmenter_of(SpotEngine(), images=loader(once))
    answer(segmenter, tasks, CONFIG, context(click(20, 20)))
    twice = context(click(20, 20), click(20, 21), click(80, 80, "Cat"), click(80, 81, "Cat"))
    [prediction] = answer(segmenter, tasks, CONFIG, twice)
    assert len(prediction["result"]) == 2
    assert len(asked) == 2
    assert asked[1].extensions["timeout"]["read"] <= PATIENCE < asked[0].extensions["timeout"]["read"]
    answer(segmenter, tasks, CONFIG, twice)
    assert len(asked) == 2, "nor soon again"


def test_windows_of_a_picture_that_was_fetched_just_now_need_no_server():
    asked = []

    def once(request):
        asked.append(request)
        return httpx.Response(200, content=picture(1024, 768))

    engine = SpotEngine()
    twice = context(click(20, 20), click(20, 21), click(80, 80, "Cat"), click(80, 81, "Cat"))
    tasks = [{"data": {"image": "http://elsewhere/a.jpg"}}]
    segmenter = segmenter_of(engine, images=loader(once))
    answer(segmenter, tasks, CONFIG, context(click(20, 20)))
    answer(segmenter, tasks, CONFIG, twice)
    assert (len(asked), engine.encoded) == (1, 3)


def test_the_phases_are_observed():
    seen = []
    segmenter = segmenter_of(observe=lambda phase, seconds: seen.append((phase, seconds >= 0)))
    answer(segmenter, [task()], CONFIG, context())
    answer(segmenter, [task()], CONFIG, context())
    assert seen == [(phase, True) for phase in PHASES]


def test_log_lines_name_the_task_and_the_project():
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        answer(segmenter_of(NothingEngine()), [task()], CONFIG, context(), project="7.1")
    assert [(line["event"], line["task"], line["project"]) for line in lines] == [
        ("The model found nothing for this prompt", 1, "7.1")
    ]


def test_scores_are_the_masks_own():
    [prediction] = answer(segmenter_of(), [task()], CONFIG, context())
    assert prediction["score"] == prediction["result"][0]["score"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("config", "given", "data", "link"),
    [
        ("no xml", context(), None, "labelling configuration"),
        ('<View><Image name="image" value="$image"/></View>', context(), None, "labelling configuration"),
        (CONFIG, context(click(x="left")), None, "context"),
        (CONFIG, {"result": 5}, None, "context"),
        (CONFIG, context(), {}, "task"),
        (CONFIG, context(), {"image": "data:image/png;base64,aGVsbG8="}, "image"),
        (CONFIG, context(), {"image": "file:///etc/passwd"}, "image"),
    ],
)
def test_what_cannot_be_answered_says_which_link_is_broken(config, given, data, link):
    with pytest.raises(Unanswerable) as caught:
        answer(segmenter_of(), [task() if data is None else {"id": 1, "data": data}], config, given)
    assert caught.value.link == link
    assert str(caught.value)


@pytest.mark.usefixtures("no_bytes_kept")
def test_a_known_address_is_fetched_again_only_where_its_embedding_is_gone():
    fetched = []

    def server(request):
        fetched.append(str(request.url))
        return httpx.Response(200, content=picture(colour=(len(str(request.url)) * 5, 0, 0)))

    segmenter = segmenter_of(images=loader(server))
    segmenter = replace(segmenter, embeddings=EmbeddingCache(1))
    tasks = [{"data": {"image": f"http://elsewhere/{name}.jpg"}} for name in ("a", "bb")]
    for task in (tasks[0], tasks[0], tasks[1], tasks[0]):
        [prediction] = answer(segmenter, [task], CONFIG, context())
        assert prediction["result"]
    assert fetched == [f"http://elsewhere/{name}.jpg" for name in ("a", "bb", "a")]
    assert segmenter.engine().encoded == 3


def test_who_waits_for_a_pictures_server_holds_up_nobody():
    waiting, go_on = threading.Semaphore(0), threading.Event()

    def stalls(_request):
        waiting.release()
        assert go_on.wait(30)
        return httpx.Response(200, content=picture(80, 60))

    segmenter = segmenter_of(images=loader(stalls), at_once=Places(1))
    with ThreadPoolExecutor(2) as pool:
        slow = [
            pool.submit(answer, segmenter, [{"data": {"image": f"http://elsewhere/{n}.jpg"}}], CONFIG, context())
            for n in range(2)
        ]
        assert all(waiting.acquire(timeout=30) for _ in slow)
        [prediction] = answer(segmenter, [task()], CONFIG, context())
        assert prediction["result"]
        assert not any(one.done() for one in slow)
        go_on.set()
        assert all(one.result()[0]["result"] for one in slow)
    assert segmenter.at_once.free == 1


def test_who_asks_for_many_masks_lets_others_go_between_them():
    segmenter = segmenter_of(at_once=Places(1))
    answers, begun, click_is_here = [], threading.Event(), threading.Event()
    decode = segmenter.engine().decode

    def slow(*asked):
        begun.set()
        assert click_is_here.wait(30)
        return decode(*asked)

    segmenter.engine().decode = slow
    objects = [click(x, 50, str(x)) for x in range(10, 90, 10)]  # each of a label of its own
    with ThreadPoolExecutor(2) as pool:
        many = pool.submit(answer, segmenter, [task()], CONFIG, context(*objects))
        many.add_done_callback(lambda _: answers.append("many"))
        assert begun.wait(30)
        one = pool.submit(answer, segmenter, [task()], CONFIG, context())
        one.add_done_callback(lambda _: answers.append("one"))
        patiently(lambda: segmenter.at_once.waiting == 1, "the click in line", 30)
        click_is_here.set()
        assert one.result()[0]["result"]
        assert many.result()[0]["result"]
    assert answers == ["one", "many"]


def rectangle(x, label="Dog"):
    value = {"x": x, "y": 40, "width": 20, "height": 20, "rotation": 0, "rectanglelabels": [label]}
    return {"type": "rectanglelabels", "to_name": "image", "image_rotation": 0, "value": value}


def test_one_object_that_cannot_be_answered_takes_no_other_with_it():
    objects = [rectangle(120), rectangle(10), rectangle(60)]
    with structlog.testing.capture_logs() as lines:
        [prediction] = answer(segmenter_of(), [task()], CONFIG, context(*objects))
    assert len(prediction["result"]) == 2
    [line] = [line for line in lines if line["event"] == "left_out"]
    assert (line["link"], line["answered"]) == ("context", 2)
    assert line["message"].startswith("a box at 120 %, 40 % lies outside of the picture")


def test_where_no_object_can_be_answered_the_first_ones_reason_is_told():
    with pytest.raises(Unanswerable, match="a box at 120 %"):
        answer(segmenter_of(), [task()], CONFIG, context(rectangle(120), rectangle(140)))


def test_one_task_that_cannot_be_answered_takes_no_other_with_it():
    broken = {"id": 7, "data": {"image": data_uri(b"no image")}}
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        first, second, third = answer(segmenter_of(), [task(), broken, task()], CONFIG, context())
    assert first["result"]
    assert second == []
    assert third["result"]
    [line] = [line for line in lines if line["event"] == "left_out"]
    assert (line["link"], line["answered"]) == ("image", 2)


def test_where_no_task_can_be_answered_the_first_ones_reason_is_told():
    tasks = [{"data": {"image": data_uri(data)}} for data in (b"no image", b"another")]
    with pytest.raises(Unanswerable, match="the 8 bytes"):
        answer(segmenter_of(), tasks, CONFIG, context())


def test_masks_for_a_caller_who_has_gone_are_not_made():
    segmenter, asked = segmenter_of(), []

    def go_on():
        asked.append(len(segmenter.engine().colours))
        if len(asked) == 3:
            raise ConnectionAbortedError

    objects = [click(x, 50, str(x)) for x in range(10, 90, 10)]
    with pytest.raises(ConnectionAbortedError):
        answer(segmenter, [task()], CONFIG, context(*objects), go_on=go_on)
    assert len(asked) == 3
    assert segmenter.at_once.free == 8


def test_a_broken_picture_names_its_address():
    images = loader(lambda request: httpx.Response(200, content=b"no image"))
    with pytest.raises(Unanswerable, match=r"http://elsewhere/dog\.jpg: the 8 bytes that begin with"):
        answer(segmenter_of(images=images), [{"data": {"image": "http://elsewhere/dog.jpg"}}], CONFIG, context())


def test_what_the_engine_says_of_its_weights_reaches_the_caller():
    segmenter = segmenter_of()

    def engine():
        raise Unanswerable("weights", "no weights")

    object.__setattr__(segmenter, "engine", engine)
    with pytest.raises(Unanswerable, match="no weights"):
        answer(segmenter, [task()], CONFIG, context())


def test_a_mask_covers_what_the_engine_drew():
    [prediction] = answer(segmenter_of(), [task(width=1024, height=1024)], CONFIG, context(click(25, 75)))
    mask = rle.decode(prediction["result"][0]["value"]["rle"], 1024, 1024)
    y, x = np.mgrid[:1024, :1024] + 0.5
    disc = np.hypot(x - 256, y - 768) < 96
    assert (mask & disc).sum() / (mask | disc).sum() > 0.97


class OwnEncoder(DiscEngine):
    """A version's: sees pictures in its own way."""

    identity = "own"


class Chooser(DiscEngine):
    """A version beside its base, which leaves every picture to it, or none."""

    def __init__(self, learned, knows):
        super().__init__()
        self.learned, self.knows = learned, knows

    def for_picture(self, _embedding):
        return self.learned if self.knows else self


@pytest.mark.parametrize("knows", [True, False])
def test_who_answers_on_a_picture_sees_it_with_its_own_encoder_once(knows):
    learned = OwnEncoder()
    engine = Chooser(learned, knows)
    segmenter = segmenter_of(engine)
    for _ in range(2):
        [prediction] = answer(segmenter, [task()], CONFIG, context())
        assert prediction["result"]
    assert (engine.encoded, learned.encoded) == (1, int(knows))
    assert (len(engine.colours), len(learned.colours)) == ((0, 2) if knows else (2, 0))


class SpotEngine(DiscEngine):
    """Sees small things, and is not sure of their upper edge."""

    def decode(self, embedding, coordinates, labels, low_res):
        logits = np.full((len(labels), 256, 256), -8, np.float32)
        for one, (x, y) in zip(logits, coordinates[:, 0] / 4, strict=True):
            one[int(y) - 3 : int(y) + 3, int(x) - 3 : int(x) + 3] = 8
            one[int(y) - 3, int(x) - 3 : int(x) + 3] = 0.5
        return logits


def test_a_small_object_is_looked_at_closely_and_its_window_is_kept():
    engine = SpotEngine()
    segmenter = segmenter_of(engine)
    for x in (30, 34):
        twice = context(click(x, 50), click(x, 51))
        [prediction] = answer(segmenter, [task(width=1024, height=768)], CONFIG, twice)
        mask = rle.decode(prediction["result"][0]["value"]["rle"], 1024, 768)
        ys, xs = np.nonzero(mask)
        assert (xs.mean(), ys.mean()) == pytest.approx((10.24 * x, 384), abs=4)
        assert mask.sum() == pytest.approx(12 * 12, rel=0.1)  # in the whole picture it is 24 pixels wide
    assert engine.encoded == 2
    answer(segmenter, [task(width=1024, height=768)], CONFIG, context(click(90, 50), click(90, 51)))
    assert engine.encoded == 3


@pytest.mark.parametrize("later", [httpx.Response(500), httpx.Response(200, content=picture(1024, 768, (1, 2, 3)))])
@pytest.mark.usefixtures("no_bytes_kept")
def test_a_picture_that_is_gone_or_another_is_answered_without_a_closer_look(later):
    """Between a click's first look and its second."""
    answers = iter([httpx.Response(200, content=picture(1024, 768))])
    segmenter = segmenter_of(SpotEngine(), images=loader(lambda request: next(answers, later)))
    tasks = [{"data": {"image": "http://elsewhere/a.jpg"}}]
    answer(segmenter, tasks, CONFIG, context())
    [prediction] = answer(segmenter, tasks, CONFIG, context(click(), click(51)))
    assert rle.decode(prediction["result"][0]["value"]["rle"], 1024, 768).sum() == pytest.approx(24 * 24, rel=0.1)
