"""Where nodes ask for a place; the files themselves go by `config/storage.py`."""

from django.urls import path

from uploads.views import StorageView

urlpatterns = [path("customers/storage", StorageView.as_view())]
