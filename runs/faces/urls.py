"""The addresses of all faces."""

from django.urls import path

from runs.faces import files, icu, v2

J, W = "api/v2/jobs", "api/v1/workflows/<uuid:workflow_id>/runs"
urlpatterns = [
    path("files/<uuid:output_id>/<path:name>", files.fetch),
    path(J, v2.JobsView.as_view()),
    path(J + "/<uuid:run_id>", v2.JobView.as_view()),
    path(J + "/<uuid:run_id>/workflow", v2.WorkflowView.as_view()),
    path(J + "/<uuid:run_id>/outputs", v2.OutputsView.as_view()),
    path(J + "/<uuid:run_id>/events", v2.EventsView.as_view()),
    path(J + "/<uuid:run_id>/cancel", v2.CancelView.as_view()),
    path(W, icu.RunsView.as_view()),
    path(W + "/<uuid:run_id>", icu.RunView.as_view()),
]
