"""LitServe: ``python -m benchmarks.others.with_litserve PORT``, by the Python of `benchmarks.environments`."""

import base64
import sys
from typing import Any

import litserve  # type: ignore[import-not-found]

from benchmarks.others.model import Score, scorer


class Xray(litserve.LitAPI):  # type: ignore[misc]
    """A picture in base64, since LitServe takes JSON and forms."""

    score: Score

    def setup(self, device: str) -> None:  # noqa: ARG002
        """Read the model, in the worker."""
        self.score = scorer()

    def decode_request(self, request):  # type: ignore[no-untyped-def]  # LitServe reads types
        """The picture of a request."""
        return base64.b64decode(request["image"])

    def predict(self, image: bytes) -> dict[str, Any]:
        """Its answer."""
        return self.score(image)

    def encode_response(self, output):  # type: ignore[no-untyped-def]
        """The answer as JSON."""
        return output


def main() -> None:
    """Serve until interrupted."""
    server = litserve.LitServer(Xray(), accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), num_api_servers=1, generate_client_file=False)


if __name__ == "__main__":
    main()
