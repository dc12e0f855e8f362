"""The manifest template: what a release says, as the command sequences of a SUIT manifest.

One way to say each thing, so that the same release is the same bytes. Written down in `docs/protocol.md`, manifest
template; `pawl.manifest` reads it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pawl import cbor, codes
from pawl.compat import sha256
from pawl_tools.statement import Statement

_REPORT_ON_FAILURE = 2
_FETCH = [
    *(codes.COMMAND_FETCH, _REPORT_ON_FAILURE),
    *(codes.COMMAND_IMAGE_MATCH, _REPORT_ON_FAILURE),
]
_APP = 0
_RUNNING = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image and the URI of its index."""

    content: bytes
    uri: str

    def what(self) -> dict[int, Any]:
        """Return the parameters that say what it is."""
        return _what(sha256(self.content), len(self.content))

    def where(self) -> dict[int, Any]:
        """Return the parameters that say where it comes from."""
        return {codes.PARAMETER_URI: self.uri}


def _what(digest: bytes, size: int) -> dict[int, Any]:
    item = cbor.encode([codes.ALG_SHA256, digest])
    return {codes.PARAMETER_IMAGE_DIGEST: item, codes.PARAMETER_IMAGE_SIZE: size}


def manifest(
    app: Sequence[Image], data: Image | None, statement: Statement, text_digest: bytes | None
) -> bytes:
    """Return the manifest: `app` is one image, or those of slot A and slot B; `text_digest` names the severed text."""
    sequences = _Sequences(app, data, statement)
    common = {
        codes.COMMON_COMPONENTS: [[name] for name in sequences.components],
        codes.COMMON_SHARED_SEQUENCE: cbor.encode(sequences.shared()),
    }
    elements = {
        codes.MANIFEST_VERSION: 1,
        codes.MANIFEST_SEQUENCE_NUMBER: statement.sequence,
        codes.MANIFEST_COMMON: cbor.encode(common),
        codes.MANIFEST_SET_VERSION: cbor.encode(list(statement.version)),
        codes.MANIFEST_VALIDATE: cbor.encode(sequences.validate()),
        codes.MANIFEST_INVOKE: cbor.encode(sequences.invoke()),
        codes.MANIFEST_INSTALL: cbor.encode(sequences.install()),
    }
    if statement.reference_uri is not None:
        elements[codes.MANIFEST_REFERENCE_URI] = statement.reference_uri
    if text_digest is not None:
        elements[codes.MANIFEST_TEXT] = [codes.ALG_SHA256, text_digest]
    return cbor.encode(elements)


class _Sequences:
    """The command sequences of one manifest; with several components each names the one it is about."""

    def __init__(self, app: Sequence[Image], data: Image | None, statement: Statement) -> None:
        self._app = app
        self._data = data
        self._statement = statement
        self.components = [
            codes.COMPONENT_APP,
            *([codes.COMPONENT_RUNNING] if statement.recovers else []),
            *([codes.COMPONENT_DATA] if data else []),
        ]

    def _at(self, component: int) -> list[Any]:
        return [codes.COMMAND_SET_COMPONENT_INDEX, component] if len(self.components) > 1 else []

    def _at_data(self) -> list[Any]:
        return self._at(len(self.components) - 1)

    def _of_slots(self, parameters: Sequence[dict[int, Any]]) -> list[Any]:
        """Return a try-each that sets the parameters of the slot that the release is in."""
        branches = [
            [
                *self._at(_APP),
                *(codes.COMMAND_OVERRIDE_PARAMETERS, {codes.PARAMETER_COMPONENT_SLOT: slot} | own),
                *(codes.COMMAND_COMPONENT_SLOT, _REPORT_ON_FAILURE),
            ]
            for slot, own in enumerate(parameters)
        ]
        return _try_each(branches)

    def shared(self) -> list[Any]:
        """Return what every other sequence begins with: for whom, and what."""
        identity = {
            codes.PARAMETER_VENDOR: self._statement.vendor,
            codes.PARAMETER_CLASS: self._statement.device_class,
        }
        own = [image.what() for image in self._app]
        return [
            *self._at(_APP),
            *(codes.COMMAND_OVERRIDE_PARAMETERS, identity | own[0] if len(own) == 1 else identity),
            *(codes.COMMAND_VENDOR, _REPORT_ON_FAILURE),
            *(codes.COMMAND_CLASS, _REPORT_ON_FAILURE),
            *(self._of_slots(own) if len(own) > 1 else []),
            *([*self._at_data(), *_set(self._data.what())] if self._data else []),
        ]

    def install(self) -> list[Any]:
        """Return what to ask, fetch and match."""
        own = [image.where() for image in self._app]
        return [
            *self._recovered(),
            *self._at(_APP),
            *(item for condition in self._statement.only_if for item in _condition(condition.parameter())),
            *(self._of_slots(own) if len(own) > 1 else _set(own[0])),
            *_FETCH,
            *([*self._at_data(), *_set(self._data.where()), *_FETCH] if self._data else []),
        ]

    def _recovered(self) -> list[Any]:
        """Return the question whether one of the images that it recovers from is what is confirmed."""
        branches = [
            [*self._at(_RUNNING), *_set(_what(digest, size)), codes.COMMAND_IMAGE_MATCH, _REPORT_ON_FAILURE]
            for digest, size in self._statement.recovers
        ]
        if len(branches) < 2:
            return [item for branch in branches for item in branch]
        return [*self._at(_RUNNING), *_try_each(branches)]

    def validate(self) -> list[Any]:
        """Return what every boot matches."""
        match = [codes.COMMAND_IMAGE_MATCH, _REPORT_ON_FAILURE]
        return [*self._at(_APP), *match, *([*self._at_data(), *match] if self._data else [])]

    def invoke(self) -> list[Any]:
        """Return what is run."""
        return [*self._at(_APP), codes.COMMAND_INVOKE, _REPORT_ON_FAILURE]


def _set(parameters: dict[int, Any]) -> list[Any]:
    return [codes.COMMAND_OVERRIDE_PARAMETERS, parameters]


def _try_each(branches: Sequence[list[Any]]) -> list[Any]:
    return [codes.COMMAND_TRY_EACH, [cbor.encode(branch) for branch in branches]]


def _condition(parameter: dict[int, Any]) -> list[Any]:
    """Return a condition: its code is that of its one parameter (update-management)."""
    return [*_set(parameter), *parameter, _REPORT_ON_FAILURE]
