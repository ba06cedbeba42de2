"""The type of a moment on the wire, the same in every dialect."""

from typing import Annotated

from pydantic import WithJsonSchema

# What stemwright_worker.timestamp writes. A str, so that nothing on the way to the wire writes it another way.
Moment = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
