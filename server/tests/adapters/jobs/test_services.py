"""Services: what the workers say that they offer."""

from __future__ import annotations

from dataclasses import replace

from stemwright_server.domain.worker import AnnouncedService
from stemwright_server.ports.jobs import JobRepository
from stemwright_worker.contract.description import ModelDescription, ServiceDescription


def test_what_a_service_offers_is_kept_and_the_last_word_holds(repository: JobRepository) -> None:
    model = ModelDescription(name="v", description="d", licence="MIT", params={"properties": {"a": {"default": None}}})
    first = AnnouncedService(
        description=ServiceDescription(name="m", version="1", models=(model,)),
        described="hash",
        announced_at=1.0,
        worker="w",
    )
    other = replace(first, description=ServiceDescription(name="a", version="1"))
    newer = replace(first, described="other hash", announced_at=2.0)
    for each in (first, other, newer):
        repository.keep_service(each)
    assert list(repository.services()) == [other, newer]
