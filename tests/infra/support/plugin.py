"""A provider for Pulumi's real engine that makes nothing: it answers as AWS and Docker are imagined to.

Run as a program it is the plugin `pulumi-resource-aws` or `pulumi-resource-docker`. It says that a resource has to be
made anew where AWS's own schemas say that a property can only be given at its creation, or where Docker changes none.
"""

import sys
from concurrent import futures
from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.mocks import MockCallArgs, MockResourceArgs
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from infra.aws.graph import kind_of
from infra.aws.imagined import Imagined
from infra.inputs import Hidden, plain
from tests.infra.support.cloudformation.names import TYPES
from tests.infra.support.graph import REGION
from tests.infra.support.holding import at_creation_only

# What Docker cannot change in any way that matters here.
_ANEW = {"docker.Container", "docker.Network", "docker.Volume"}
_LONGEST = [("grpc.max_receive_message_length", 2**28), ("grpc.max_send_message_length", 2**28)]


def struct(values: Any) -> Struct:
    return ParseDict(values, Struct())


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    def __init__(self) -> None:
        self._imagined = Imagined(REGION)

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version="1000.0.0")  # as new as anybody expects

    def CheckConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(self, request: Any, context: Any) -> Any:
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True, acceptResources=True)

    def Invoke(self, request: Any, context: Any) -> Any:
        arguments = MockCallArgs(token=request.tok, args=MessageToDict(request.args), provider="")
        return provider_pb2.InvokeResponse(**{"return": struct(self._imagined.call(arguments))})

    def Check(self, request: Any, context: Any) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    def Diff(self, request: Any, context: Any) -> Any:
        kind = kind_of(request.urn.split("::")[2].split("$")[-1])
        before, after = (MessageToDict(one) for one in (request.old_inputs, request.news))
        changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
        changed -= set(request.ignoreChanges)
        anew = sorted(changed & at_creation_only(kind) if kind in TYPES else changed if kind in _ANEW else ())
        some = provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE
        return provider_pb2.DiffResponse(changes=some, replaces=anew, diffs=sorted(changed))

    def Create(self, request: Any, context: Any) -> Any:
        if request.preview:  # what only AWS would know is not known
            return provider_pb2.CreateResponse(properties=request.properties)
        *_, kinds, name = request.urn.split("::")
        inputs = MessageToDict(request.properties)
        made, state = self._imagined.new_resource(
            MockResourceArgs(
                typ=kinds.split("$")[-1], name=name, inputs=plain_of(inputs), provider="", resource_id=None
            )
        )
        known = {"imageId": f"id of {name}"} if kinds.endswith(":RemoteImage") else {}
        return provider_pb2.CreateResponse(id=made, properties=struct(plain_of(state) | inputs | known))

    def Update(self, request: Any, context: Any) -> Any:
        state = MessageToDict(request.olds) | MessageToDict(request.news)
        return provider_pb2.UpdateResponse(properties=struct(state))

    def Delete(self, request: Any, context: Any) -> Any:
        return Empty()

    def Read(self, request: Any, context: Any) -> Any:
        return provider_pb2.ReadResponse(id=request.id, properties=request.properties, inputs=request.inputs)


def plain_of(value: Any) -> Any:
    """Inputs without the marks of secrets."""
    found = plain(value)
    return _bare(found)


def _bare(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _bare(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_bare(part) for part in value]
    return value.value if isinstance(value, Hidden) else value


def main() -> None:
    """Say where it listens, and answer until it is ended."""
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8), options=_LONGEST)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Provider(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
