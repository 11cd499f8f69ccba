"""The addresses of all faces."""

from django.urls import path

from runs.faces import (
    addresses,
    asset_views,
    files,
    icu,
    machines,
    modelslab,
    native,
    preferring,
    registry,
    tagging,
    v2,
)

J, A, W = "api/v2/jobs", "api/v2/assets", "api/v1/workflows/<uuid:workflow_id>/runs"
R, M = "v1/workflows/<uuid:workflow_id>", "api/v7/comfyui"
N = "admin/workers"
urlpatterns = [
    path("files/<uuid:output_id>/<path:name>", files.fetch),
    path(J, v2.JobsView.as_view()),
    path(J + "/<uuid:run_id>", v2.JobView.as_view()),
    path(J + "/<uuid:run_id>/workflow", v2.WorkflowView.as_view()),
    path(J + "/<uuid:run_id>/outputs", v2.OutputsView.as_view()),
    path(J + "/<uuid:run_id>/events", v2.EventsView.as_view()),
    path(J + "/<uuid:run_id>/cancel", v2.CancelView.as_view()),
    path(A, asset_views.AssetsView.as_view()),
    path(A + "/from-hash", asset_views.FromHashView.as_view()),
    path(A + "/by-hash/<digest>", asset_views.ByHashView.as_view()),
    path(A + "/<uuid:asset_id>", asset_views.AssetView.as_view()),
    path(A + "/<uuid:asset_id>/content", asset_views.ContentView.as_view()),
    path(W, icu.RunsView.as_view()),
    path(W + "/<uuid:run_id>", icu.RunView.as_view()),
    path(W + "/<uuid:run_id>/cancel", icu.CancelView.as_view()),
    path(M + "/execute", modelslab.ExecuteView.as_view()),
    path(M + "/fetch/<uuid:run_id>", modelslab.FetchView.as_view()),
    path("v1/workflows", registry.WorkflowsView.as_view()),
    path(R, registry.WorkflowView.as_view()),
    path(R + "/versions", registry.VersionsView.as_view()),
    path(R + "/versions/<str:number>", registry.VersionView.as_view()),
    path(N, machines.MachinesView.as_view()),
    path(N + "/<str:name>", machines.MachineView.as_view()),
    path(N + "/<str:name>/nodes", machines.MachineNodesView.as_view()),
    path(N + "/<str:name>/drain", machines.MachineDrainView.as_view()),
    path(N + "/<str:name>/back", machines.MachineBackView.as_view()),
    path("v1/runs/<path:run_id>", tagging.TaggingView.as_view()),
    path("v1/run-preferences", preferring.PreferencesView.as_view()),
    path("v1/run-address", addresses.AddressView.as_view()),
    path("v1/run-addresses", addresses.AddressesView.as_view()),
    path("v1/run-addresses/<uuid:address_id>", addresses.OneAddressView.as_view()),
    *native.urls("comfy"),
    *native.urls("run/<token>"),
]
