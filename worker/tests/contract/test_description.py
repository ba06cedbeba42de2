"""What a service may say of itself."""

from __future__ import annotations

import pytest

from stemwright_worker.contract.description import FileFormat, OutputRule


@pytest.mark.parametrize("filename", ["{0}", "{nope}.wav", "{extension.nope}", "a{", "../a.{extension}", ""])
def test_a_file_that_no_run_could_make_is_refused_where_it_is_described(filename: str) -> None:
    with pytest.raises(ValueError, match="output file"):
        OutputRule(name="a", filename=filename)


@pytest.mark.parametrize("extension", [".wav", "", "wav/x"])
def test_an_extension_is_a_plain_name(extension: str) -> None:
    with pytest.raises(ValueError, match="extension"):
        FileFormat(extension=extension, content_type="audio/wav")
