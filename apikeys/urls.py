"""What a member does with their keys, and what the operator's programs ask of one."""

from django.urls import path

from apikeys.limit_views import AllowancesView, AnswerView, AsksView, KeyLimitsView
from apikeys.me import SelfView
from apikeys.pairing_views import PairingsView, PairingView, TakenView
from apikeys.recorded_views import RecordedView
from apikeys.reports import leaked_keys
from apikeys.signin_views import SignInsView, SignInView
from apikeys.verifying import VerifyView
from apikeys.views import (
    CustomerKeysView,
    CustomerKeyView,
    KeysView,
    KeyView,
    RevokeAllView,
    RotateView,
)

urlpatterns = [
    path("customers/api-keys", CustomerKeysView.as_view()),
    path("customers/api-keys/<uuid:key_id>", CustomerKeyView.as_view()),
    path("v1/me", SelfView.as_view()),
    path("v1/keys", KeysView.as_view()),
    path("v1/keys/revoke-all", RevokeAllView.as_view()),
    path("v1/keys/<uuid:key_id>", KeyView.as_view()),
    path("v1/keys/<uuid:key_id>/rotate", RotateView.as_view()),
    path("v1/keys/<uuid:key_id>/limits", KeyLimitsView.as_view()),
    path("v1/workspaces/<uuid:id>/allowances", AllowancesView.as_view()),
    path("v1/workspaces/<uuid:id>/asks", AsksView.as_view()),
    path("v1/workspaces/<uuid:id>/asks/<uuid:ask>/answer", AnswerView.as_view()),
    path("v1/sign-ins", SignInsView.as_view()),
    path("v1/sign-ins/<uuid:sign_in_id>", SignInView.as_view()),
    path("v1/pairings", PairingsView.as_view()),
    path("v1/pairings/<uuid:pairing_id>", PairingView.as_view()),
    path("v1/pairings/<uuid:pairing_id>/taken", TakenView.as_view()),
    path("webhooks/leaked-keys", leaked_keys),
    path("admin/verify-api-key", VerifyView.as_view()),
    path("customers/<uuid:user_id>/usage", RecordedView.as_view()),
]
