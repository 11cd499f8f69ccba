"""Privacy on the wire, and where links in mails lead."""

from django.urls import path

from privacy import status_pages
from privacy.views import ArchivesView, DeletionView

urlpatterns = [
    path("v1/privacy/deletion", DeletionView.as_view()),
    path("v1/privacy/archives", ArchivesView.as_view()),
    path("privacy/confirm/<str:token>", status_pages.confirm, name="deletion_confirm"),
    path("privacy/<str:token>", status_pages.status, name="deletion_status"),
    path("privacy/<str:token>/certificate", status_pages.certificate, name="certificate"),
    path("privacy/<str:token>/certificate.json", status_pages.certificate_json),
]
