"""BytePlus's asset library, from which Seedance 2 is shown people: free, and each its workspace's.

One address, what is asked stands in its query, signed with an access key. Clients ask with a GET
what is a POST there, and read names of their own. A group of real people's assets comes of a
session in which they show their face; all else goes into one group (of the type AIGC) that the
operator made once, ASSET_GROUP. A repeated file is kept again: its hash is not looked at.
Sources: the vendor's pages and examples in public repositories.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from common.errors import InvalidRequest
from proxy.catalogue import Kind, Named, Operation
from proxy.pricing.shapes import at, choice_of
from proxy.signatures import AccessKey, whole
from proxy.vendors.byteplus_prices import ADDRESS
from proxy.vendors.states import assets_at, ids_at

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from proxy.asked import Asked
    from proxy.catalogue import Use
    from proxy.credentials import Account, Exchange
    from proxy.relay import Outgoing

SIGNED = AccessKey("ark", "ap-southeast-1")
KINDS = ("Image", "Video", "Audio")


@dataclass(frozen=True, slots=True)
class IntoTheLibrary(AccessKey):
    """Puts what is sent into the operator's group, and signs it."""

    public: tuple[str, ...] = ("ASSET_GROUP",)

    def problem(self, account: Account) -> str:
        """See Scheme."""
        if "ASSET_GROUP" not in account.settings:
            return "has no asset group set up on this platform. Ask its operator."
        return AccessKey.problem(self, account)

    async def sign(self, outgoing: Outgoing, account: Account, exchange: Exchange) -> None:
        """See Scheme."""
        body = {**orjson.loads(whole(outgoing)), "GroupId": account.settings["ASSET_GROUP"]}
        outgoing.body = orjson.dumps(body)
        await AccessKey.sign(self, outgoing, account, exchange)


def _file(asked: Asked) -> dict[str, Any]:
    """Return the file that is kept, as the library has it."""
    url = asked.text("url", most=10_000)
    if not ADDRESS.match(url) or not url.lower().startswith("http"):
        raise InvalidRequest("url must begin with http.")
    kind = choice_of(asked.body, "asset_type", KINDS, default="Image").capitalize()
    return {"URL": url, "AssetType": kind}


def _asset(asked: Asked, inputs: Mapping[str, Any]) -> dict[str, Any]:
    name = {"Name": asked.text("name", most=64)} if asked.body.get("name") else {}
    return {"GroupId": asked.text("group_id"), **_file(asked), **name}


def _kept(answer: Any) -> dict[str, Any]:
    return {"asset_id": at(answer, "Result.Id") if isinstance(answer, dict) else None}


def _state(answer: Any) -> dict[str, Any]:
    """Return an asset as clients read it, who insist on its group."""
    found = answer.get("Result") if isinstance(answer, dict) else None
    told = found if isinstance(found, dict) else {}
    error = told.get("Error")
    why = (
        {"code": f"{error.get('Code')}", "message": f"{error.get('Message')}"}
        if (isinstance(error, dict) and error.get("Code"))
        else None
    )
    return {
        "id": f"{told.get('Id', '')}",
        "name": told.get("Name"),
        "url": told.get("URL"),
        "asset_type": f"{told.get('AssetType', '')}",
        "group_id": f"{told.get('GroupId', '')}",
        "status": f"{told.get('Status', 'Processing')}",
        "error": why,
    }


def _begun(answer: Any) -> dict[str, Any]:
    token, link = (at(answer, f"Result.{name}") for name in ("BytedToken", "H5Link"))
    return {"session_id": token, "h5_link": link}


def _session(answer: Any) -> dict[str, Any]:
    """Return a session as clients read it: it has a group once the person has finished."""
    group = at(answer, "Result.GroupId") if isinstance(answer, dict) else None
    token = at(answer, "Result.BytedToken") if isinstance(answer, dict) else None
    told = {"session_id": token or "", "status": "completed" if group else "pending"}
    return {**told, "group_id": group} if group else told


def _named(name: str, part: str) -> Callable[[Asked, Mapping[str, Any]], dict[str, Any]]:
    return lambda asked, _: {name: asked.parts[part]}


def _own(scope: str, part: str) -> Callable[[Asked], list[Use]]:
    return lambda asked: [(scope, asked.parts[part])]


def _act(action: str) -> str:
    return f"/?Action={action}&Version=2024-01-01"


def _keeps(path: str, action: str, **more: Any) -> Operation:
    return Operation(
        "POST",
        f"seedance/{path}",
        _act(action),
        kind=Kind.UPLOAD,
        along={},
        base="assets",
        timeout_seconds=120,
        **{"credential": SIGNED, **more},
    )


def _asks(path: str, action: str, scope: str, part: str, name: str, **more: Any) -> Operation:
    return Operation(
        "GET",
        f"seedance/{path}/{{{part}}}",
        _act(action),
        kind=Kind.POLL,
        sends="POST",
        names=Named("path", part),
        scope=scope,
        public=True,
        uses=_own(scope, part),
        prepare=_named(name, part),
        base="assets",
        credential=SIGNED,
        timeout_seconds=60,
        **more,
    )


ASSETS = (
    _keeps(
        "assets",
        "CreateAsset",
        prepare=_asset,
        uses=ids_at(("group", "group_id")),
        makes=assets_at(("asset", "Result.Id")),
        reply=_kept,
    ),
    _keeps(
        "virtual-library/assets",
        "CreateAsset",
        prepare=lambda asked, _: _file(asked),
        makes=assets_at(("asset", "Result.Id")),
        reply=_kept,
        credential=IntoTheLibrary("ark", "ap-southeast-1"),
    ),
    _keeps(
        "visual-validate/sessions",
        "CreateVisualValidateSession",
        prepare=lambda _, __: {},
        makes=assets_at(("session", "Result.BytedToken")),
        reply=_begun,
    ),
    _asks("assets", "GetAsset", "asset", "asset_id", "Id", reply=_state),
    _asks(
        "visual-validate/sessions",
        "GetVisualValidateResult",
        "session",
        "session_id",
        "BytedToken",
        makes=assets_at(("group", "Result.GroupId")),
        reply=_session,
    ),
)
