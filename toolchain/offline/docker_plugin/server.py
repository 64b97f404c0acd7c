"""The provider protocol: requests in, resources called, answers and readable errors out.

Implements `pulumirpc.ResourceProvider` as the engine of Pulumi 3.220 and later calls it. Secrets:
the plugin declares that it takes none, so the engine hands it plain values and marks the outputs
that came from secret inputs as secret again.
"""

# The protocol names the methods and their arguments, and pulumi documents them.
# ruff: noqa: D102, ARG002

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, Final, NoReturn, TypeVar

import docker.errors
import grpc
import requests.exceptions
from google.protobuf import empty_pb2
from pulumi.runtime import proto
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc, status_pb2

from toolchain.offline.docker_plugin.answers import (
    autoname,
    check_failures,
    diff_response,
    resource_type,
)
from toolchain.offline.docker_plugin.container import Containers
from toolchain.offline.docker_plugin.engine import Engine
from toolchain.offline.docker_plugin.failures import InitFailedError, PluginError, explain
from toolchain.offline.docker_plugin.image import RemoteImages
from toolchain.offline.docker_plugin.network import Networks
from toolchain.offline.docker_plugin.properties import check, differences
from toolchain.offline.docker_plugin.resource import Resource
from toolchain.offline.docker_plugin.resources import PROVIDER
from toolchain.offline.docker_plugin.values import UNKNOWN, from_struct, has_unknown, to_struct
from toolchain.offline.docker_plugin.volume import Volumes

PLUGIN_VERSION: Final = version("pulumi-docker")


class _Status(grpc.Status):
    """An error with details, as grpc sends it."""

    def __init__(self, code: grpc.StatusCode, message: str, details: bytes) -> None:
        self.code = code
        self.details = message
        self.trailing_metadata = (("grpc-status-details-bin", details),)


_Method = TypeVar("_Method", bound=Callable[..., Any])


def _readable(method: _Method) -> _Method:
    """Turn the errors of `method` into gRPC errors that the engine shows as they are."""

    @functools.wraps(method)
    def call(self: DockerPlugin, request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return method(self, request, context)
        except PluginError as error:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        except InitFailedError as error:
            _abort_initialised(context, error)
        except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
            context.abort(grpc.StatusCode.UNAVAILABLE, explain(error, self.host))

    return call  # type: ignore[return-value]  # functools.wraps keeps the signature


def _abort_initialised(context: grpc.ServicerContext, error: InitFailedError) -> NoReturn:
    detail = provider_pb2.ErrorResourceInitFailed(
        id=error.resource_id, properties=to_struct(error.properties), reasons=[str(error)]
    )
    code, _ = grpc.StatusCode.UNKNOWN.value
    status = status_pb2.Status(code=code, message=str(error))
    status.details.add().Pack(detail)
    context.abort_with_status(
        _Status(grpc.StatusCode.UNKNOWN, str(error), status.SerializeToString())
    )
    raise AssertionError("abort returns never")


class DockerPlugin(provider_pb2_grpc.ResourceProviderServicer):
    """One plugin process: the engine that was configured and the resources on it."""

    def __init__(self) -> None:
        self._cancelled = threading.Event()
        self._resources: dict[str, Resource] = {}
        self.host = ""
        self._use(Engine(None))

    def _use(self, engine: Engine) -> None:
        self.host = engine.host
        resources: tuple[Resource, ...] = (
            Networks(engine),
            Volumes(engine),
            RemoteImages(engine),
            Containers(engine, self._cancelled),
        )
        self._resources = {resource.type: resource for resource in resources}

    def _resource(self, urn: str) -> Resource:
        token = resource_type(urn)
        try:
            return self._resources[token]
        except KeyError:
            raise PluginError(
                f"lab stand-in for the Docker plugin does not implement the resource {token} "
                f"(it has {', '.join(sorted(self._resources))}); use the real plugin"
            ) from None

    @_readable
    def Handshake(self, request: Any, context: Any) -> proto.ProviderHandshakeResponse:
        return proto.ProviderHandshakeResponse()

    @_readable
    def Attach(self, request: Any, context: Any) -> empty_pb2.Empty:
        return empty_pb2.Empty()

    @_readable
    def GetPluginInfo(self, request: Any, context: Any) -> proto.PluginInfo:
        return proto.PluginInfo(version=PLUGIN_VERSION)

    @_readable
    def GetSchema(self, request: Any, context: Any) -> proto.GetSchemaResponse:
        schema = {
            "name": "docker",
            "version": PLUGIN_VERSION,
            "resources": {token: {} for token in self._resources},
        }
        return proto.GetSchemaResponse(schema=json.dumps(schema))

    @_readable
    def CheckConfig(self, request: Any, context: Any) -> proto.CheckResponse:
        news = from_struct(request.news)
        failures = check("provider", PROVIDER, news)
        return proto.CheckResponse(inputs=request.news, failures=check_failures(failures))

    @_readable
    def DiffConfig(self, request: Any, context: Any) -> proto.DiffResponse:
        olds = from_struct(request.old_inputs) or from_struct(request.olds)
        news = from_struct(request.news)
        changed = sorted(key for key in {*olds, *news} if olds.get(key) != news.get(key))
        return proto.DiffResponse(
            changes=proto.DiffResponse.DIFF_SOME if changed else proto.DiffResponse.DIFF_NONE,
            diffs=changed,
        )

    @_readable
    def Configure(self, request: Any, context: Any) -> proto.ConfigureResponse:
        host = from_struct(request.args).get("host") or request.variables.get("docker:config:host")
        if not has_unknown(host):
            engine = Engine(host)
            engine.verify()
            self._use(engine)
        return proto.ConfigureResponse(supportsPreview=True)

    @_readable
    def Check(self, request: Any, context: Any) -> proto.CheckResponse:
        resource = self._resource(request.urn)
        inputs = from_struct(request.news)
        kind = resource_type(request.urn).rpartition(":")[2]
        failures = check(kind, resource.table, inputs)
        failures += [f for f in resource.check(inputs) if not failures]
        if resource.autonamed and not inputs.get("name"):
            inputs["name"] = from_struct(request.olds).get("name") or autoname(
                request.urn, request.randomSeed
            )
        return proto.CheckResponse(inputs=to_struct(inputs), failures=check_failures(failures))

    @_readable
    def Diff(self, request: Any, context: Any) -> proto.DiffResponse:
        resource = self._resource(request.urn)
        outputs = from_struct(request.olds)
        old_inputs = from_struct(request.old_inputs) or outputs
        forced = resource.forced_replacement(outputs)
        changes = forced + differences(
            resource.table, old_inputs, outputs, from_struct(request.news)
        )
        return diff_response(changes, delete_first=bool(forced))

    @_readable
    def Create(self, request: Any, context: Any) -> proto.CreateResponse:
        resource = self._resource(request.urn)
        inputs = from_struct(request.properties)
        if request.preview:
            shown = {**dict.fromkeys(resource.computed, UNKNOWN), **inputs}
            return proto.CreateResponse(properties=to_struct(shown))
        identity, outputs = resource.create(inputs, request.timeout)
        return proto.CreateResponse(id=identity, properties=to_struct(outputs))

    @_readable
    def Read(self, request: Any, context: Any) -> proto.ReadResponse:
        resource = self._resource(request.urn)
        outputs, inputs = from_struct(request.properties), from_struct(request.inputs)
        if not outputs:
            raise PluginError(
                "lab stand-in for the Docker plugin does not implement import or get of "
                f"{resource_type(request.urn)} {request.id}; use the real plugin"
            )
        live = resource.read(request.id, outputs, inputs)
        if live is None:
            return proto.ReadResponse()
        return proto.ReadResponse(
            id=request.id, properties=to_struct(live[0]), inputs=to_struct(live[1])
        )

    @_readable
    def Update(self, request: Any, context: Any) -> proto.UpdateResponse:
        resource = self._resource(request.urn)
        outputs, inputs = from_struct(request.olds), from_struct(request.news)
        if request.preview:
            computed = {key: outputs.get(key) for key in resource.computed}
            return proto.UpdateResponse(properties=to_struct({**computed, **inputs}))
        return proto.UpdateResponse(
            properties=to_struct(resource.update(request.id, outputs, inputs))
        )

    @_readable
    def Delete(self, request: Any, context: Any) -> empty_pb2.Empty:
        resource = self._resource(request.urn)
        resource.delete(request.id, from_struct(request.properties), request.timeout)
        return empty_pb2.Empty()

    @_readable
    def Invoke(self, request: Any, context: Any) -> NoReturn:
        raise PluginError(
            f"lab stand-in for the Docker plugin does not implement the function {request.tok}; "
            "use the real plugin"
        )

    @_readable
    def Call(self, request: Any, context: Any) -> NoReturn:
        raise PluginError(
            f"lab stand-in for the Docker plugin does not implement the method {request.tok}; "
            "use the real plugin"
        )

    @_readable
    def Construct(self, request: Any, context: Any) -> NoReturn:
        raise PluginError(
            f"lab stand-in for the Docker plugin does not implement the component {request.type}; "
            "use the real plugin"
        )

    @_readable
    def Cancel(self, request: Any, context: Any) -> empty_pb2.Empty:
        self._cancelled.set()
        return empty_pb2.Empty()
