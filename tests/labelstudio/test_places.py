"""Places go round: nobody jumps the line, nobody keeps a place that others wait for."""

import threading
from concurrent.futures import ThreadPoolExecutor

from backend.labelstudio.places import Places
from demo.services import patiently


def test_no_more_are_in_than_there_are_places():
    places, seen, lock = Places(3), [], threading.Lock()
    inside = 0

    def come_and_go():
        nonlocal inside
        with lock:
            inside += 1
            seen.append(inside)
        with lock:
            inside -= 1

    def work():
        with places.taken():
            come_and_go()
            places.step_back()
            come_and_go()

    with ThreadPoolExecutor(16) as pool:
        for one in [pool.submit(work) for _ in range(200)]:
            one.result()
    assert places.free == 3
    assert places.waiting == 0
    assert len(seen) == 400
    assert max(seen) <= 3


def test_who_waits_longest_goes_first_and_who_steps_back_goes_last():
    places, order = Places(1), []

    def wait(name):
        with places.taken():
            order.append(name)

    with ThreadPoolExecutor(3) as pool, places.taken():
        for name in "abc":
            pool.submit(wait, name)
            patiently(lambda name=name: places.waiting == "abc".index(name) + 1, f"{name} in line", 30)
        places.step_back()
        order.append("who stepped back")
    assert order == ["a", "b", "c", "who stepped back"]


def test_alone_nobody_steps_back():
    places = Places(1)
    with places.taken():
        places.step_back()
        assert places.free == 0
    assert places.free == 1


def test_a_place_that_was_left_comes_back_after_an_error():
    places = Places(1)
    try:
        with places.taken(), places.left():
            assert places.free == 1
            raise OSError
    except OSError:
        assert places.free == 1


def test_who_is_patient_leaves_half_of_the_places_to_who_hurries():
    places, leave, order = Places(4), threading.Event(), []

    def sit(name, patient):
        with places.taken(patient):
            order.append(name)
            assert leave.wait(30)

    with ThreadPoolExecutor(5) as pool:
        patients = [pool.submit(sit, "patient", True) for _ in range(3)]
        patiently(lambda: len(order) == 2 and places.waiting == 1, "two patients inside, one in line", 30)
        pool.submit(sit, "click", False)
        patiently(lambda: order[2:] == ["click"], "the click, past the one in line", 30)
        assert places.waiting == 1
        leave.set()
        for one in patients:
            one.result(30)
    assert order == ["patient", "patient", "click", "patient"]
    assert places.free == 4


def test_the_only_place_is_for_the_patient_too():
    places = Places(1)
    with places.taken(patient=True):
        assert places.free == 0


def test_who_is_patient_still_is_when_it_comes_back():
    places, back = Places(2), threading.Event()

    def come_back():
        with places.taken(patient=True):
            with places.left():
                assert back.wait(30)
            assert places.free == 1

    with ThreadPoolExecutor(1) as pool:
        one = pool.submit(come_back)
        with places.taken(patient=True):
            back.set()
            patiently(lambda: places.waiting == 1, "the one who comes back in line, though a place is free", 30)
            assert places.free == 1
        one.result(30)
