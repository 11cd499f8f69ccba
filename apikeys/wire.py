"""A key on the wire: what may be asked for, and how it is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rest_framework import serializers

from apikeys import keys, rights, states

if TYPE_CHECKING:
    from apikeys.models import ApiKey


class Contracted(serializers.Serializer[object]):
    """A key as the contract has it."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    description = serializers.CharField()
    key_prefix = serializers.CharField()
    created_at = serializers.DateTimeField()


class ContractedMade(Contracted):
    """The same in the one answer that holds the whole key."""

    plaintext_key = serializers.CharField()


class Key(Contracted):
    """A key with all that may be known of it."""

    state = serializers.CharField(help_text="living, disabled, expired, revoked")
    user_id = serializers.UUIDField()
    scopes = serializers.ListField(child=serializers.CharField())
    allowed_vendors = serializers.ListField(child=serializers.CharField(), allow_null=True)
    allowed_networks = serializers.ListField(child=serializers.CharField(), allow_null=True)
    call_limit_micro_usd = serializers.IntegerField(allow_null=True)
    last_used_at = serializers.DateTimeField(allow_null=True)
    expires_at = serializers.DateTimeField(allow_null=True)
    replaces = serializers.UUIDField(allow_null=True)
    made_by = serializers.UUIDField(allow_null=True, help_text="The key that it was made with")
    status_reason = serializers.CharField()


class KeyMade(Key):
    """The same in the one answer that holds the whole key."""

    key = serializers.CharField()


class Bounds(serializers.Serializer[object]):
    """What a key may; null is no bound."""

    scopes = serializers.ListField(child=serializers.CharField(max_length=32), max_length=10)
    allowed_vendors = serializers.ListField(
        child=serializers.CharField(max_length=32), allow_null=True, max_length=rights.MOST_VENDORS
    )
    allowed_networks = serializers.ListField(
        child=serializers.CharField(max_length=64), allow_null=True, max_length=rights.MOST_NETWORKS
    )
    call_limit_micro_usd = serializers.IntegerField(
        allow_null=True, min_value=1, max_value=rights.MOST_MICROS
    )
    expires_at = serializers.DateTimeField(allow_null=True)


class Name(serializers.Serializer[object]):
    """How a key is told from others."""

    name = serializers.CharField(max_length=keys.MOST_NAME)
    description = serializers.CharField(max_length=500, allow_blank=True, default="")


def read(asked: dict[str, Any]) -> dict[str, Any]:
    """Return fields of `Rights` for those of `Bounds` that are there."""
    readers: dict[str, Any] = {
        "scopes": ("scopes", rights.scopes),
        "allowed_vendors": ("vendors", rights.vendors),
        "allowed_networks": ("networks", rights.networks),
        "call_limit_micro_usd": ("call_limit", None),
        "expires_at": ("expires_at", None),
    }
    found = {}
    for wire, (name, reader) in readers.items():
        if wire in asked:
            found[name] = reader(asked[wire]) if reader else asked[wire]
    return found


def contracted(key: ApiKey) -> dict[str, Any]:
    """Return a key as the contract has it."""
    return {
        "id": str(key.pk),
        "name": key.name,
        "description": key.description,
        "key_prefix": key.prefix,
        "created_at": key.created_at,
    }


def shown(key: ApiKey) -> dict[str, Any]:
    """Return a key with all that may be known of it."""
    return {
        **contracted(key),
        "state": states.told(key),
        "user_id": str(key.user_id),
        "scopes": key.scopes,
        "allowed_vendors": key.allowed_vendors,
        "allowed_networks": key.allowed_networks,
        "call_limit_micro_usd": key.call_limit_micros,
        "last_used_at": key.last_used_at,
        "expires_at": key.expires_at,
        "replaces": str(key.replaces_id) if key.replaces_id else None,
        "made_by": str(key.made_by_id) if key.made_by_id else None,
        "status_reason": key.status_reason,
    }
