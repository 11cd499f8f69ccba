"""Who one is, one's teams, and what the stock frontend asks about one's workspace."""

from django.urls import path

from accounts.frontend import (
    BillingBalanceView,
    BillingStatusView,
    CapabilitiesView,
    CurrentWorkspaceView,
    PlansView,
    SubscriptionView,
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
    path("api/workspaces/current", CurrentWorkspaceView.as_view()),
    path("api/billing/status", BillingStatusView.as_view()),
    path("api/billing/balance", BillingBalanceView.as_view()),
    path("api/billing/capabilities", CapabilitiesView.as_view()),
    path("api/billing/plans", PlansView.as_view()),
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
