"""The proxy's reads; what is metered never comes here (app.py)."""

from django.urls import path

from proxy.openapi import document_view
from proxy.own_views import OwnAccountView
from proxy.quoting.views import PricesView, QuoteView
from proxy.views import CallResultView

urlpatterns = [
    path("openapi-proxy.json", document_view),
    path("v1/calls/<uuid:call_id>/result", CallResultView.as_view()),
    path("v1/workspaces/<uuid:workspace_id>/vendors/<vendor>/account", OwnAccountView.as_view()),
    path("v1/quote", QuoteView.as_view()),
    path("prices", PricesView.as_view()),
]
