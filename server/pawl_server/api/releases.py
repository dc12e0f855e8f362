"""Releases: imported as bundles, judged by the device's own verifier."""

from typing import Self

from fastapi import APIRouter, Response
from pydantic import BaseModel
from starlette.requests import Request

from pawl.index import b64u
from pawl_server.api.context import Service
from pawl_server.api.cursors import PAGE_DEFAULT, Cursor, Limit, TextCursor
from pawl_server.api.keyed import KEYED, answered
from pawl_server.api.values import ReleasePath
from pawl_server.domain.fleet import Release

router = APIRouter(prefix="/releases", tags=["releases"])

_RELEASES = TextCursor("releases")
_BUNDLE = {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}


class ReleaseView(BaseModel):
    """An imported release, named by its manifest digest; `retained` is whether the broker may have anything of it."""

    digest: str
    version: str
    epoch: int
    sequence: int
    image_bytes: int
    imported_at_s: int | None
    published_at_s: int | None
    is_recovery: bool
    retained: bool

    @classmethod
    def of(cls, release: Release) -> Self:
        """Return the view of a release."""
        return cls(
            digest=b64u(release.digest),
            version=release.version,
            epoch=release.sequence >> 32,
            sequence=release.sequence % 2**32,
            image_bytes=release.size_bytes,
            imported_at_s=release.imported_at_s,
            published_at_s=release.published_at_s,
            is_recovery=release.is_recovery,
            retained=release.is_retained,
        )


class ReleasePage(BaseModel):
    """Some releases, the newest sequence first; `next` is the `after` of the following page."""

    releases: list[ReleaseView]
    next: str | None


@router.get("")
async def list_releases(service: Service, after: Cursor = "", limit: Limit = PAGE_DEFAULT) -> ReleasePage:
    """List the imported releases, a page at a time."""
    last = _RELEASES.read(after)
    found = await service.inventory.releases()
    start = next((place + 1 for place, one in enumerate(found) if b64u(one.digest) == last), 0)
    page = found[start : start + limit]
    following = _RELEASES.write(b64u(page[-1].digest)) if start + limit < len(found) else None
    return ReleasePage(releases=[ReleaseView.of(one) for one in page], next=following)


@router.get("/{digest}")
async def show_release(service: Service, digest: ReleasePath) -> ReleaseView:
    """Show a release by its digest, or by what the digest begins with."""
    return ReleaseView.of(await service.inventory.release(digest))


@router.post(
    "",
    status_code=201,
    openapi_extra={"requestBody": _BUNDLE | {"required": True}},
    dependencies=KEYED,
    responses=answered(201, "The release is imported"),
)
async def import_release(service: Service, request: Request, response: Response) -> ReleaseView:
    """Import a bundle; refused with the device's reason if a device would refuse it. The same again changes nothing."""
    # The gate bounds what is read here.
    digest = await service.import_release(await request.body())
    response.headers["Location"] = f"/v1/releases/{b64u(digest)}"
    return ReleaseView.of(await service.inventory.release(b64u(digest)))
