"""RemoteImage: an image that is built (classic builder), already there, or pulled by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import docker.errors
from docker.utils import parse_repository_tag

from toolchain.offline.docker_plugin.failures import PluginError, explain
from toolchain.offline.docker_plugin.properties import Failure
from toolchain.offline.docker_plugin.resource import Resource
from toolchain.offline.docker_plugin.resources import REMOTE_IMAGE

COMPUTED: Final = ("imageId", "repoDigest")
_LOG_LINES: Final = 30
_LOG_WIDTH: Final = 400
_BUILD_TIMEOUT_SECONDS: Final = 1800


def build_arguments(name: str, build: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keyword arguments of docker-py's `APIClient.build` for `build`."""
    return {
        "path": build["context"],
        "dockerfile": build.get("dockerfile") or "Dockerfile",
        "tag": name,
        "buildargs": build.get("buildArgs"),
        "labels": {**build.get("label", {}), **build.get("labels", {})} or None,
        "target": build.get("target") or "",
        "nocache": build.get("noCache", False),
        "pull": build.get("pullParent", False),
        "rm": build.get("remove", True),
        "forcerm": build.get("forceRemove", False),
        "network_mode": build.get("networkMode"),
    }


def build_failure(name: str, messages: Iterable[Mapping[str, Any]]) -> str | None:
    """Read the stream of a build to its end. Return why it failed with the end of its log."""
    log: list[str] = []
    failure: str | None = None
    for message in messages:
        if text := str(message.get("stream", "")).rstrip():
            log += [line[:_LOG_WIDTH] for line in text.splitlines() if line.strip()]
        if "error" in message:
            failure = str(message["error"]).strip()
    if failure is None:
        return None
    tail = "\n".join(f"  {line}" for line in log[-_LOG_LINES:]) or "  (empty)"
    return f"Unable to build image {name}: {failure}\nThe end of the build log:\n{tail}"


def repo_digest(name: str, inspection: Mapping[str, Any]) -> str:
    """Return the registry's digest of the image, or its id where no registry knows it."""
    repository = parse_repository_tag(name)[0]
    digests: list[str] = inspection.get("RepoDigests") or []
    matching = [digest for digest in digests if digest.startswith(f"{repository}@")]
    return (matching or [str(inspection["Id"])])[0]


class RemoteImages(Resource):
    """The RemoteImage resource. Its id is the image's id and its name, as the real plugin's."""

    type = "docker:index/remoteImage:RemoteImage"
    table = REMOTE_IMAGE
    computed = COMPUTED
    autonamed = False

    def check(self, inputs: Mapping[str, Any]) -> list[Failure]:
        """Return what is wrong with the build context."""
        build = inputs.get("build")
        context = build.get("context") if isinstance(build, Mapping) else None
        if not isinstance(context, str) or not context:
            return []
        if "://" in context or not Path(context).expanduser().is_dir():
            return [
                Failure(
                    "build.context",
                    f"RemoteImage property 'build.context' is no directory: {context} "
                    f"(seen from {Path.cwd()})",
                )
            ]
        return []

    def create(self, inputs: Mapping[str, Any], timeout: float) -> tuple[str, dict[str, Any]]:
        """Build or find or pull the image. Return its id and outputs."""
        name = inputs["name"]
        if build := inputs.get("build"):
            self._build(name, build, timeout)
        found = self._inspect(name)
        if found is None:
            self._pull(name)
            found = self._inspect(name)
        if found is None:
            raise PluginError(f"Unable to find or pull image {name}.")
        return f"{found['Id']}{name}", self._outputs(found, inputs)

    def _build(self, name: str, build: Mapping[str, Any], timeout: float) -> None:
        arguments = build_arguments(name, build)
        arguments["path"] = str(Path(arguments["path"]).expanduser())
        client = self._engine.client
        try:
            messages = client.build(
                **arguments, decode=True, timeout=int(timeout) or _BUILD_TIMEOUT_SECONDS
            )
            failure = build_failure(name, messages)
        except (docker.errors.APIError, OSError, TypeError) as error:
            raise PluginError(
                f"Unable to build image {name} from {build['context']}: "
                f"{explain(error, self._engine.host)}"
            ) from error
        if failure:
            raise PluginError(failure)
        for extra in build.get("tags") or []:
            repository, tag = parse_repository_tag(extra)
            client.tag(name, repository, tag, force=True)

    def _pull(self, name: str) -> None:
        repository, tag = parse_repository_tag(name)
        try:
            for message in self._engine.client.pull(
                repository, tag=tag or "latest", stream=True, decode=True
            ):
                if "error" in message:
                    raise PluginError(f"Unable to pull image {name}: {message['error']}")
        except docker.errors.APIError as error:
            raise PluginError(
                f"Unable to pull image {name}: {explain(error, self._engine.host)}. It is not on "
                "the engine: build or import it under this name, or make its registry reachable."
            ) from error

    def _inspect(self, name: str) -> dict[str, Any] | None:
        try:
            client: Any = self._engine.client  # inspect_image has no types
            found: dict[str, Any] = client.inspect_image(name)
        except docker.errors.ImageNotFound:
            return None
        return found

    @staticmethod
    def _outputs(found: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
        return {
            **inputs,
            "imageId": found["Id"],
            "repoDigest": repo_digest(inputs["name"], found),
        }

    def read(
        self, identity: str, outputs: Mapping[str, Any], inputs: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """Return the live outputs and inputs, or None where no image has the name any more."""
        del identity
        found = self._inspect(inputs.get("name") or outputs["name"])
        if found is None:
            return None
        return {**outputs, **self._outputs(found, inputs)}, dict(inputs)

    def update(
        self, identity: str, outputs: Mapping[str, Any], inputs: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Record `inputs` and read the image again; nothing is built: that takes `triggers`."""
        del identity
        found = self._inspect(inputs["name"])
        if found is None:
            raise PluginError(
                f"Image {inputs['name']} is no longer on the engine: run `pulumi refresh`, then "
                "`pulumi up`."
            )
        return {**outputs, **self._outputs(found, inputs)}

    def delete(self, identity: str, outputs: Mapping[str, Any], timeout: float) -> None:
        """Remove the image by its name, unless it is to be kept.

        By its name, as the real plugin: after a replacement under the same name that is the new
        image, so such images want keepLocally.
        """
        del identity, timeout
        if outputs.get("keepLocally"):
            return
        name = outputs["name"]
        try:
            self._engine.client.remove_image(name, force=outputs.get("forceRemove", False))
        except docker.errors.ImageNotFound:
            return
        except docker.errors.APIError as error:
            raise PluginError(
                f"Unable to remove image {name}: {explain(error, self._engine.host)}. Remove its "
                "containers first, or set keep_locally."
            ) from error
