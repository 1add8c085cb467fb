from collections import Counter
from itertools import islice

import pytest

from sr.data.sampler import Draw, EndlessBatchSampler, count_draws
from sr.data.sources import Group


def draws(sampler: EndlessBatchSampler, steps: int) -> list[Draw]:
    return [draw for batch in islice(sampler, steps) for draw in batch]


def test_two_samplers_of_the_same_seed_give_the_same_endless_order() -> None:
    one = list(islice(EndlessBatchSampler(7, 3, seed=5), 20))
    assert one == list(islice(EndlessBatchSampler(7, 3, seed=5), 20))
    assert all(len(batch) == 3 for batch in one)


def test_another_seed_gives_another_order() -> None:
    orders = {tuple(draws(EndlessBatchSampler(20, 4, seed), 5)) for seed in range(10)}
    assert len(orders) == 10


def test_the_order_of_an_epoch_does_not_depend_on_the_batch_size() -> None:
    expected = draws(EndlessBatchSampler(7, 1, seed=2), 60)
    for batch_size in (2, 3, 5, 12):
        assert draws(EndlessBatchSampler(7, batch_size, seed=2), 60 // batch_size) == expected


@pytest.mark.parametrize(("num_images", "batch_size"), [(12, 4), (7, 3), (3, 8), (1, 2)])
def test_starting_at_any_batch_gives_what_the_unbroken_order_gives(
    num_images: int, batch_size: int
) -> None:
    unbroken = list(islice(EndlessBatchSampler(num_images, batch_size, seed=1), 20))
    for steps_done in range(12):
        resumed = EndlessBatchSampler(num_images, batch_size, 1, first_batch=steps_done)
        assert list(islice(resumed, 8)) == unbroken[steps_done : steps_done + 8]


@pytest.mark.parametrize("batch_size", [1, 4, 7, 30])
def test_every_image_comes_once_in_every_epoch(batch_size: int) -> None:
    order = draws(EndlessBatchSampler(7, batch_size, seed=0), 42)
    for epoch in range(len(order) // 7):
        indices = [index for index, _ in order[7 * epoch : 7 * epoch + 7]]
        assert Counter(indices) == Counter(range(7))


def test_epochs_have_different_orders() -> None:
    order = [index for index, _ in draws(EndlessBatchSampler(20, 20, seed=0), 6)]
    epochs = {tuple(order[start : start + 20]) for start in range(0, 120, 20)}
    assert len(epochs) == 6


def test_draws_are_numbered_from_zero_without_gaps() -> None:
    numbers = [number for _, number in draws(EndlessBatchSampler(5, 3, seed=0), 10)]
    assert numbers == list(range(30))


def test_a_sampler_can_be_run_through_again() -> None:
    sampler = EndlessBatchSampler(5, 2, seed=0, first_batch=3)
    assert draws(sampler, 6) == draws(sampler, 6)


def test_two_processes_draw_together_what_one_draws_in_batches_of_twice_the_size() -> None:
    together = list(islice(EndlessBatchSampler(7, 6, seed=3), 5))
    shares = [
        list(islice(EndlessBatchSampler(7, 3, 3, first_batch=rank, stride=2), 5)) for rank in (0, 1)
    ]
    assert [first + second for first, second in zip(*shares, strict=True)] == together


def test_a_mixture_has_exact_shares_and_runs_through_every_group() -> None:
    groups = (Group(7, 0.85), Group(1, 0.1), Group(30, 0.05))
    order = draws(EndlessBatchSampler(38, 10, seed=3, groups=groups), 200)
    indices = [index for index, _ in order]
    assert [number for _, number in order] == list(range(2000))
    for first in (0, 1000):
        part = indices[first : first + 1000]
        assert sum(index < 7 for index in part) == 850
        assert part.count(7) == 100
        assert sum(index > 7 for index in part) == 50
    counts = Counter(index for index in indices if index < 7)
    assert max(counts.values()) - min(counts.values()) <= 1  # each as often as the others
    rest = [index for index in indices if index > 7]
    assert len(set(rest[:30])) == 30


def test_a_mixture_can_start_anywhere_and_be_shared() -> None:
    groups = (Group(7, 2.0), Group(5, 1.0))
    whole = list(islice(EndlessBatchSampler(12, 6, 1, groups=groups), 400))
    for first in (0, 1, 170, 333):
        sampler = EndlessBatchSampler(12, 6, 1, first, stride=3, groups=groups)
        assert list(islice(sampler, 20)) == whole[first : first + 60 : 3]


def test_one_group_is_no_mixture() -> None:
    plain = draws(EndlessBatchSampler(7, 3, seed=5), 40)
    assert draws(EndlessBatchSampler(7, 3, seed=5, groups=(Group(7, 0.3),)), 40) == plain


@pytest.mark.parametrize("shares", [[1.0], [1, 1, 1], [0.85, 0.15], [0.001, 1.0], [2, 0.5, 3.3]])
def test_counts_follow_shares(shares: list[float]) -> None:
    counts = count_draws(shares)
    assert sum(counts) == 1000
    for count, share in zip(counts, shares, strict=True):
        assert count == pytest.approx(1000 * share / sum(shares), abs=1)
        assert count > 0


def test_a_run_goes_on_with_the_next_draws_whatever_its_batches_and_processes() -> None:
    expected = draws(EndlessBatchSampler(7, 1, seed=3), 60)
    done = 0
    for batch_size, num_processes, steps in ((3, 2, 2), (4, 1, 3), (2, 3, 1), (5, 2, 2)):
        parts = [
            islice(EndlessBatchSampler(7, batch_size, 3, rank, num_processes, (), done), steps)
            for rank in range(num_processes)
        ]
        seen = [draw for step in zip(*parts, strict=True) for batch in step for draw in batch]
        assert seen == expected[done : done + len(seen)]
        done += len(seen)
    assert done == 50
