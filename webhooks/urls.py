"""The addresses of webhooks."""

from django.urls import path

from webhooks import views

urlpatterns = [
    path("v1/webhooks", views.WebhooksView.as_view()),
    path("v1/webhooks/secret", views.RunsSecretView.as_view()),
    path("v1/webhooks/<uuid:endpoint_id>", views.WebhookView.as_view()),
    path("v1/webhooks/<uuid:endpoint_id>/rotate", views.WebhookRotateView.as_view()),
    path("v1/webhooks/<uuid:endpoint_id>/test", views.WebhookTestView.as_view()),
    path("v1/webhooks/<uuid:endpoint_id>/deliveries", views.DeliveriesView.as_view()),
    path("v1/webhooks/deliveries/<uuid:delivery_id>/resend", views.ResendView.as_view()),
]
