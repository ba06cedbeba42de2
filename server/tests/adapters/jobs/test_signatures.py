"""Signatures of requests: each is new once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from stemwright_server.ports.jobs import JobRepository


def test_a_signature_is_new_once_and_again_when_it_is_over(repository: JobRepository) -> None:
    assert repository.see_signature("sha256=a", key="", now=10.0, until=20.0)
    assert not repository.see_signature("sha256=a", key="", now=11.0, until=21.0)
    assert not repository.see_signature("sha256=a", key="k", now=20.0, until=30.0)
    assert repository.see_signature("sha256=b", key="", now=11.0, until=21.0)
    assert repository.see_signature("sha256=a", key="", now=20.1, until=30.0)


def test_a_signature_under_its_own_key_is_a_second_try(repository: JobRepository) -> None:
    assert repository.see_signature("sha256=a", key="k", now=10.0, until=20.0)
    assert repository.see_signature("sha256=a", key="k", now=11.0, until=21.0)
    assert not repository.see_signature("sha256=a", key="other", now=11.0, until=21.0)
    assert not repository.see_signature("sha256=a", key="", now=11.0, until=21.0)


def test_signatures_are_forgotten_in_time_and_not_before(repository: JobRepository) -> None:
    repository.see_signature("sha256=a", key="", now=10.0, until=20.0)
    repository.see_signature("sha256=b", key="", now=10.0, until=30.0)
    repository.drop_signatures(25.0)
    assert repository.see_signature("sha256=a", key="", now=15.0, until=20.0)  # as if never seen
    assert not repository.see_signature("sha256=b", key="", now=25.0, until=40.0)


def test_of_many_who_bring_a_signature_at_once_one_is_the_first(repository: JobRepository) -> None:
    with ThreadPoolExecutor(8) as pool:
        first = pool.map(lambda _: repository.see_signature("sha256=a", key="", now=1.0, until=9.0), range(40))
        assert sum(first) == 1
