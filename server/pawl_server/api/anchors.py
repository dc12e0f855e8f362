"""Trust anchor documents: the chain that offers and releases are judged by, extended by import."""

from typing import Self

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.requests import Request

from pawl.index import b64u
from pawl_server.api.context import Service
from pawl_server.api.keyed import KEYED, answered
from pawl_server.store.anchors import StoredAnchor

router = APIRouter(prefix="/anchors", tags=["anchors"])

_FILE = {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}


class AnchorView(BaseModel):
    """An anchor of the chain."""

    version: int
    digest: str
    imported_at_s: int

    @classmethod
    def of(cls, anchor: StoredAnchor) -> Self:
        """Return what people see of an anchor."""
        return cls(version=anchor.version, digest=b64u(anchor.digest), imported_at_s=anchor.imported_at_s)


class AnchorList(BaseModel):
    """The chain, the oldest first: the last one is in force."""

    anchors: list[AnchorView]


@router.get("")
async def list_anchors(service: Service) -> AnchorList:
    """List the chain of trust anchor documents."""
    return AnchorList(anchors=[AnchorView.of(one) for one in await service.anchors()])


@router.post(
    "",
    status_code=201,
    openapi_extra={"requestBody": _FILE | {"required": True}},
    dependencies=KEYED,
    responses=answered(201, "The anchor is in the chain"),
)
async def import_anchor(service: Service, request: Request) -> AnchorView:
    """Import the anchor that follows the newest one: releases that it stops are offered no more.

    Refused with the device's reason if devices would not walk to it, or if it names none of the server's director keys.
    """
    # The gate bounds what is read here.
    version = await service.import_anchor(await request.body())
    return next(AnchorView.of(one) for one in await service.anchors() if one.version == version)
