"""What is done ahead comes in order, errors in their turn, and no more of it than is said."""

import threading
import time

import pytest

from seec.pipeline.archive.ahead import each_ahead


def test_results_come_in_order_whatever_takes_longest():
    def slow(number: int) -> int:
        time.sleep(0.002 * (number % 5 == 0))
        return number

    assert list(each_ahead(slow, range(100))) == list(range(100))


def test_items_are_taken_only_a_little_ahead():
    taken = 0

    def items():
        nonlocal taken
        for number in range(10_000):
            taken += 1
            yield number

    results = each_ahead(lambda number: number, items())
    assert [next(results) for _ in range(10)] == list(range(10))
    assert taken < 100


def test_large_items_are_in_work_together_only_as_far_as_there_is_room():
    in_work = most = 0
    guard = threading.Lock()

    def function(size: int) -> int:
        nonlocal in_work, most
        with guard:
            in_work += size
            most = max(most, in_work)
        time.sleep(0.005)
        with guard:
            in_work -= size
        return size

    sizes = [4, 4, 4, 30, 4, 4, 8, 8, 4]
    results = each_ahead(function, sizes, 4, size_bytes=lambda size: size, most_bytes=12)
    assert list(results) == sizes
    assert most == 30  # alone: nothing was beside it


def test_an_error_is_raised_in_its_turn_and_ends_the_rest():

    def fails(number: int) -> int:
        if number == 3:
            raise ValueError("three")
        return number

    results = each_ahead(fails, range(1000))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(results)
    assert list(results) == []


def test_a_caller_that_stops_early_waits_for_nothing():
    started, go_on = threading.Event(), threading.Event()

    def slow(number: int) -> int:
        if number:
            started.set()
            go_on.wait(60)
        return number

    results = each_ahead(slow, range(1000))
    assert next(results) == 0
    assert started.wait(60)
    results.close()
    go_on.set()
