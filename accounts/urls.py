"""Who one is, and what the stock frontend asks about one's workspace."""

from django.urls import path

from accounts import issuing
from accounts.frontend import (
    BillingBalanceView,
    BillingStatusView,
    CapabilitiesView,
    CurrentWorkspaceView,
    PlansView,
    SubscriptionView,
    WorkspacesView,
    no_settings,
    releases,
)
from accounts.support import AdminBalanceView, CustomerBalanceView, CustomerView
from accounts.views import CustomersView, MeView

urlpatterns = [
    path("customers", CustomersView.as_view()),
    path("customers/me", MeView.as_view()),
    path("customers/cloud-subscription-status", SubscriptionView.as_view()),
    path("releases", releases),
    path("api/global-settings", no_settings),
    path("api/global-settings/<str:key>", no_settings),
    path("oauth/authorize", issuing.authorize),
    path("oauth/token", issuing.token),
    path("auth/partner-node/renew", issuing.renew),
    path(".well-known/oauth-authorization-server", issuing.metadata),
    path(".well-known/jwks.json", issuing.jwks),
    path("customers/<uuid:user_id>", CustomerView.as_view()),
    path("customers/<uuid:user_id>/balance", CustomerBalanceView.as_view()),
    path("admin/customers/<uuid:user_id>/balance", AdminBalanceView.as_view()),
    path("api/workspaces", WorkspacesView.as_view()),
    path("api/workspaces/current", CurrentWorkspaceView.as_view()),
    path("api/billing/status", BillingStatusView.as_view()),
    path("api/billing/balance", BillingBalanceView.as_view()),
    path("api/billing/capabilities", CapabilitiesView.as_view()),
    path("api/billing/plans", PlansView.as_view()),
]
