"""A node asks where it may put a file (contract 5)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from common.drf import base_url, workspace_id
from uploads import places

if TYPE_CHECKING:
    from rest_framework.request import Request


class StorageView(APIView):
    """A place for a file, and its address for vendors."""

    scopes: ClassVar[dict[str, str]] = {"POST": "proxy"}

    class Input(serializers.Serializer[object]):
        """Further fields, which newer websites send, are not looked at."""

        file_name = serializers.CharField(max_length=300)
        content_type = serializers.CharField(
            max_length=100, required=False, allow_null=True, allow_blank=True
        )

    class Output(serializers.Serializer[object]):
        """Both are secrets: who has the first may put the file, who has the second may have it."""

        upload_url = serializers.CharField()
        download_url = serializers.CharField()
        expires_at = serializers.DateTimeField()
        existing_file = serializers.BooleanField()

    @extend_schema(request=Input, responses=Output)
    def post(self, request: Request) -> Response:
        """Offer a place, for one file and for a day. Nothing is charged."""
        asked = self.Input(data=request.data)
        asked.is_valid(raise_exception=True)
        made = places.offer(
            workspace_id=workspace_id(request),
            file_name=asked.validated_data["file_name"],
            content_type=asked.validated_data.get("content_type") or "",
            base=base_url(request),
        )
        return Response({**dataclasses.asdict(made), "existing_file": False})
