"""What the next step needs is read while this one trains, and is what reading at once would give."""

import threading

import numpy as np
import pytest
import torch

from showtell.errors import StoreError
from showtell.training.order import Order, Window
from showtell.training.read_ahead import ReadAhead

COUNT = 103
LYING = np.random.default_rng(5).permutation(COUNT).tolist()


def orders():
    plain = Order(COUNT, 8, 3)
    return {"even": plain, "windows": Order(COUNT, 8, 3, Window(steps=4, block=5), LYING)}


@pytest.mark.parametrize("how", ["even", "windows"])
def test_every_image_comes_once_an_epoch_in_another_order(how):
    order = orders()[how]
    epochs = [
        [i for index in range(order.steps_per_epoch) for i in order.images(epoch, index)]
        for epoch in (0, 1, 0)
    ]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(COUNT))
    assert epochs[0] != epochs[1]
    assert epochs[0] == epochs[2], "a resume asks again"


def test_a_window_holds_whole_blocks_of_the_file_in_no_order():
    order = orders()["windows"]
    place = np.argsort(LYING)
    first = [i for index in range(4) for i in order.images(0, index)]
    lying = np.sort(place[first])
    runs = np.split(lying, np.flatnonzero(np.diff(lying) != 1) + 1)
    assert len(runs) <= 8, "32 images in blocks of 5 need 7, and one may be cut"
    assert place[first].tolist() != sorted(place[first].tolist())
    assert place[order.as_they_lie(first)].tolist() == lying.tolist()
    assert sorted(set(place[first] // 5)) != list(range(7)), "blocks are shuffled, too"


class Reading:
    """Counts what is read, and can be held."""

    def __init__(self):
        self.calls, self.threads, self.go = [], set(), threading.Event()
        self.go.set()

    def __call__(self, epoch, images):
        self.go.wait(10)
        self.calls.append((epoch, list(images)))
        self.threads.add(threading.current_thread())
        return torch.tensor([[1000 * epoch + i] for i in images])


@pytest.mark.parametrize("how", ["even", "windows"])
def test_rows_are_those_of_the_images_however_one_asks(how):
    order, read = orders()[how], Reading()
    ahead = ReadAhead(read, order)
    steps = [(e, i) for e in range(2) for i in range(order.steps_per_epoch)]
    for epoch, index in [*steps, (0, 3), (0, 3), (1, 1), (0, 12)]:
        expected = [1000 * epoch + i for i in order.images(epoch, index)]
        assert ahead.rows(epoch, index)[:, 0].tolist() == expected
    assert threading.current_thread() not in read.threads


@pytest.mark.parametrize("how", ["even", "windows"])
def test_of_several_processes_each_reads_its_share(how):
    order, read = orders()[how], Reading()
    shares = [ReadAhead(read, order, lambda images, rank=rank: images[rank::2]) for rank in range(2)]
    for index in range(order.steps_per_epoch):
        whole = order.images(0, index)
        for rank, ahead in enumerate(shares):
            assert ahead.rows(0, index)[:, 0].tolist() == whole[rank::2]


def test_each_step_is_read_once_and_the_next_is_asked_for_before_it_is_needed():
    order, read = orders()["even"], Reading()
    ahead = ReadAhead(read, order)
    ahead.rows(0, 0)
    ahead.rows(0, 1)
    while len(read.calls) < 3:  # the third is under way without having been asked for
        pass
    assert [images for _, images in read.calls] == [order.images(0, index) for index in range(3)]
    last = order.steps_per_epoch - 1
    ahead.rows(0, last)
    ahead.rows(1, 0)
    assert read.calls[4] == (1, order.images(1, 0)), "the next epoch begins while the last step trains"


def test_a_window_is_read_once_in_the_order_of_the_file():
    order, read = orders()["windows"], Reading()
    ahead = ReadAhead(read, order)
    for index in range(8):
        ahead.rows(0, index)
    while len(read.calls) < 3:
        pass
    place = np.argsort(LYING)
    assert len(read.calls) == 3
    assert all((np.diff(place[images]) > 0).all() for _, images in read.calls)


def test_what_goes_wrong_while_reading_ahead_is_said_when_it_is_needed():
    def read(epoch, images):
        if epoch == 1:
            raise StoreError("The store is damaged.")
        return torch.zeros(len(images), 1)

    order = orders()["even"]
    ahead = ReadAhead(read, order)
    ahead.rows(0, order.steps_per_epoch - 1)
    with pytest.raises(StoreError, match="damaged"):
        ahead.rows(1, 0)
