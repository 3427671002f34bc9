"""The other replicas of the deployment, asked through Ray Serve's own handle, which knows who has least to do."""

import asyncio
import logging

from ray import serve
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle

from serve.inference.predictor import PictureResult
from serve.inference.sharing import Part

log = logging.getLogger(__name__)


class OtherReplicas:
    """What `serve.inference.sharing` asks."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._handle: DeploymentHandle | None = None

    async def answer(self, part: Part) -> list[PictureResult] | None:
        """One answer or problem a picture; None where the replica that was asked has other work or has gone."""
        try:
            if self._handle is None:  # asks Serve's controller, which starts later than a replica may
                name = serve.get_replica_context().deployment
                self._handle = await asyncio.to_thread(serve.get_deployment_handle, name)
            given: list[PictureResult] | None = await self._handle.take.remote(part)
        except (RayError, RayServeException) as error:
            log.warning("Request %s: another replica did not answer its part (%s).", part.request_id, error)
            return None
        return given
