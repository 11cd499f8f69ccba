"""The site's URLs: each app's own."""

from django.urls import path
from drf_spectacular.views import SpectacularJSONAPIView

from accounts.frontend import (
    BillingBalanceView,
    BillingStatusView,
    CapabilitiesView,
    CurrentWorkspaceView,
    PlansView,
)
from accounts.views import CustomersView, MeView
from config.health import health, metrics, ready
from credits.gifts.views import RedeemView
from credits.payments import pages
from credits.payments.views import (
    AutoTopUpSetupView,
    AutoTopUpView,
    BalanceView,
    BillingView,
    CreditView,
    PurchasesView,
    WalletView,
    stripe_webhook,
)
from credits.statements.views import StatementView
from usage.views import EventsView

urlpatterns = [
    path("health", health),
    path("ready", ready),
    path("metrics", metrics),
    path("openapi.json", SpectacularJSONAPIView.as_view()),
    path("customers", CustomersView.as_view()),
    path("customers/me", MeView.as_view()),
    path("customers/balance", BalanceView.as_view()),
    path("customers/credit", CreditView.as_view()),
    path("customers/billing", BillingView.as_view()),
    path("customers/events", EventsView.as_view()),
    path("api/workspaces/current", CurrentWorkspaceView.as_view()),
    path("api/billing/status", BillingStatusView.as_view()),
    path("api/billing/balance", BillingBalanceView.as_view()),
    path("api/billing/capabilities", CapabilitiesView.as_view()),
    path("api/billing/plans", PlansView.as_view()),
    path("v1/wallet", WalletView.as_view()),
    path("v1/statement", StatementView.as_view()),
    path("v1/purchases", PurchasesView.as_view()),
    path("v1/auto-top-up", AutoTopUpView.as_view()),
    path("v1/auto-top-up/setup", AutoTopUpSetupView.as_view()),
    path("v1/vouchers/redeem", RedeemView.as_view()),
    path("purchases/<uuid:top_up_id>", pages.purchase),
    path("purchases/method", pages.method),
    path("webhooks/stripe", stripe_webhook),
]
handler404 = "config.health.not_found"
handler500 = "config.health.server_error"
handler400 = "config.health.bad_request"
