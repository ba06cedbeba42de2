"""A wrong number of inputs is said with the field that has to be changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from one_process import TOOLS, announce, api_of, caller_of


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"variation": "count"}, "file_id: The model 'count' of 'tools' takes 1 input, not 0."),
        ({"variation": "count", "inputs": []}, "inputs: The model 'count' of 'tools' takes 1 input, not 0."),
        ({"variation": "sum", "file_id": "f"}, "inputs: The model 'sum' of 'tools' takes 2 inputs, not 1."),
        ({"variation": "silence", "file_id": "f"}, "file_id: The model 'silence' of 'tools' takes no input, not 1."),
    ],
)
def test_the_field_is_named(tmp_path: Path, asked: dict[str, Any], said: str) -> None:
    api = api_of(tmp_path)
    client = caller_of(api)
    assert announce(client, TOOLS) == 204
    answer = client.post("/process", json={"model": "tools", **asked})
    assert (answer.status_code, answer.json()["code"], answer.json()["detail"]) == (422, "bad_inputs", said)
    api.repository.close()
