"""What a wallet's owner asks for, the pages they come back to, and where Stripe speaks to us."""

from django.urls import path

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

urlpatterns = [
    path("customers/balance", BalanceView.as_view()),
    path("customers/credit", CreditView.as_view()),
    path("customers/billing", BillingView.as_view()),
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
