"""A workspace's history."""

from django.urls import path

from usage.views import EventsView

urlpatterns = [path("customers/events", EventsView.as_view())]
