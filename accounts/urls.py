"""Who one is, one's teams, and what the stock frontend asks about one's workspace."""

from django.urls import path

from accounts import issuing, notices
from accounts.frontend import (
    BillingBalanceView,
    BillingStatusView,
    CapabilitiesView,
    CurrentWorkspaceView,
    PlansView,
    SpokenForView,
    SubscriptionView,
    no_settings,
    releases,
)
from accounts.invitation_pages import invitation
from accounts.support import (
    AdminBalanceView,
    AdminSubscriptionView,
    CustomerBalanceView,
    CustomerView,
    StripeDataView,
)
from accounts.team_views import (
    AcceptView,
    InvitationsView,
    InvitationView,
    MembersView,
    MemberView,
    SwitchView,
    TransferView,
    WorkspacesView,
    WorkspaceView,
)
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
    path(
        "admin/customers/<uuid:user_id>/cloud-subscription-status", AdminSubscriptionView.as_view()
    ),
    path("admin/customers/<uuid:user_id>/stripe-data", StripeDataView.as_view()),
    path("api/workspaces", SpokenForView.as_view()),
    path("api/workspaces/current", CurrentWorkspaceView.as_view()),
    path("api/billing/status", BillingStatusView.as_view()),
    path("api/billing/balance", BillingBalanceView.as_view()),
    path("api/billing/capabilities", CapabilitiesView.as_view()),
    path("api/billing/plans", PlansView.as_view()),
    path("notices/<str:token>", notices.leave_out, name="notices"),
    path("invitations/<str:token>", invitation, name="invitation"),
    path("v1/workspaces", WorkspacesView.as_view()),
    path("v1/workspaces/<uuid:id>", WorkspaceView.as_view()),
    path("v1/workspaces/<uuid:id>/switch", SwitchView.as_view()),
    path("v1/workspaces/<uuid:id>/members", MembersView.as_view()),
    path("v1/workspaces/<uuid:id>/members/<uuid:user>", MemberView.as_view()),
    path("v1/workspaces/<uuid:id>/transfer", TransferView.as_view()),
    path("v1/workspaces/<uuid:id>/invitations", InvitationsView.as_view()),
    path("v1/workspaces/<uuid:id>/invitations/<uuid:invitation>", InvitationView.as_view()),
    path("v1/invitations/accept", AcceptView.as_view()),
]
