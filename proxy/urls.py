"""The proxy's reads; what is metered never comes here (app.py)."""

from django.urls import path

from proxy.views import CallResultView

urlpatterns = [path("v1/calls/<uuid:call_id>/result", CallResultView.as_view())]
