"""Tickets: each is taken once, in time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from stemwright_server.ports.jobs import JobRepository


def test_a_ticket_is_taken_once(repository: JobRepository) -> None:
    repository.add_ticket("d", owner="o", until=100.0)
    assert repository.take_ticket("e", 50.0) is None
    assert repository.take_ticket("d", 50.0) == "o"
    assert repository.take_ticket("d", 50.0) is None


def test_of_many_who_take_it_at_once_one_gets_it(repository: JobRepository) -> None:
    repository.add_ticket("d", owner="o", until=100.0)
    with ThreadPoolExecutor(8) as hands:
        got = list(hands.map(lambda _: repository.take_ticket("d", 50.0), range(8)))
    assert sorted(got, key=str) == [None] * 7 + ["o"]


def test_a_ticket_whose_time_is_over_opens_nothing(repository: JobRepository) -> None:
    repository.add_ticket("d", owner="o", until=100.0)
    repository.add_ticket("e", owner="o", until=200.0)
    repository.add_ticket("f", owner="p", until=200.0)
    assert (repository.tickets_of("o", 50.0), repository.tickets_of("o", 100.0)) == (2, 1)
    assert repository.take_ticket("d", 100.0) is None
    repository.drop_tickets(150.0)
    assert repository.take_ticket("e", 150.0) == "o"
    repository.drop_tickets(200.0)
    assert repository.tickets_of("p", 0.0) == 0
