"""What the contestants of `python -m benchmarks` are asked, each in its own form, and whether they answer the same."""

import base64
import json

import httpx
import numpy as np

from benchmarks.load import post
from benchmarks.peers import Peer

SAME, SAME_UNDER_TRITON = 1e-6, 1e-3  # NumPy under Triton is an older one, whose sums are in another order
_JSON = {"Content-Type": "application/json"}


def form_of(name: str, picture: bytes) -> tuple[bytes, dict[str, str]]:
    """Body and headers of a request to a contestant: the raw picture, unless it takes JSON only."""
    if name == "triton":  # no header of JSON before the picture
        return picture, {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": "0"}
    if name == "mlflow":
        rows = {"columns": ["image"], "data": [[base64.b64encode(picture).decode()]]}
        return json.dumps({"dataframe_split": rows}).encode(), _JSON
    if name == "litserve":
        return json.dumps({"image": base64.b64encode(picture).decode()}).encode(), _JSON
    return picture, {"Content-Type": "image/jpeg"}


def requests_of(peer: Peer, pictures: list[bytes]) -> list[bytes]:
    """The pictures as requests to a contestant, as they go over the wire."""
    return [post(peer.url, *form_of(peer.name, picture)) for picture in pictures]


def together(peer: Peer, pictures: list[bytes]) -> bytes:
    """One request with all of the pictures, as it goes over the wire; raises unless each is answered."""
    files = [("file", (f"{number}.jpeg", picture, "image/jpeg")) for number, picture in enumerate(pictures)]
    request = httpx.Request("POST", peer.url, files=files)
    answer = httpx.post(peer.url, content=request.read(), headers=request.headers, timeout=60).raise_for_status().json()
    if [("probability" in one) for one in answer["results"]] != [True] * len(pictures):
        raise RuntimeError(f"of {len(pictures)} pictures in one request not all are answered")
    return post(peer.url, request.read(), {"Content-Type": request.headers["content-type"]})


def probability_of(peer: Peer, picture: bytes) -> float:
    """What a contestant answers to one picture."""
    body, headers = form_of(peer.name, picture)
    response = httpx.post(peer.url, content=body, headers=headers, timeout=60).raise_for_status()
    if peer.name == "triton":  # JSON that describes the outputs, then their bytes
        return float(np.frombuffer(response.content[int(response.headers["inference-header-content-length"]) :][:8])[0])
    answer = response.json()
    return float((answer["predictions"][0] if peer.name == "mlflow" else answer)["probability"])


def agree(peers: dict[str, Peer], picture: bytes) -> None:
    """Raise unless all contestants give one picture the same probability."""
    found = {name: probability_of(peer, picture) for name, peer in peers.items()}
    off = {name: abs(probability - found["bare"]) for name, probability in found.items()}
    if any(far > (SAME_UNDER_TRITON if name == "triton" else SAME) for name, far in off.items()):
        raise RuntimeError(f"the contestants do not answer the same: {found}")
