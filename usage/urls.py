"""A workspace's history."""

from django.urls import path

from usage.call_views import CallsView, CallView, ExportView, RefusalsView, RunsView, SpendView
from usage.views import EventsView

urlpatterns = [
    path("customers/events", EventsView.as_view()),
    path("v1/calls", CallsView.as_view()),
    path("v1/calls/export", ExportView.as_view()),
    path("v1/calls/<uuid:call_id>", CallView.as_view()),
    path("v1/runs", RunsView.as_view()),
    path("v1/refusals", RefusalsView.as_view()),
    path("v1/spend", SpendView.as_view()),
]
