from django.urls import path

from . import conflict_views, grading_views, prompt_views, release_views, views

app_name = "criteria"
P = "p/<slug:slug>/criteria/"
urlpatterns = [
    path(P, views.board, name="board"),
    path(P + "round/", views.start, name="start"),
    path(P + "new/", views.new, name="new"),
    path(P + "settings/", views.settings, name="settings"),
    path(P + "judging/", views.judging_now, name="judging_now"),
    path(P + "follow/", views.follow, name="follow"),
    path(P + "releases/", release_views.releases, name="releases"),
    path(P + "releases/<int:number>/roll-back/", release_views.roll_back, name="roll_back"),
    path(P + "releases/<int:number>/<slug:form>/", release_views.export, name="export"),
    path(P + "proposals/<int:pk>/", views.decide, name="decide"),
    path(P + "read/", grading_views.read, name="read"),
    path(P + "grade/", grading_views.grade, name="grade"),
    path(P + "grade/one/", grading_views.grade_one, name="grade_one"),
    path(P + "grade/<int:pk>/", grading_views.revealed, name="revealed"),
    path(P + "grade/<int:pk>/<int:response>/", grading_views.revealed, name="revealed_one"),
    path(P + "grades/<int:pk>/blame/", grading_views.blame, name="blame"),
    path(P + "card/", grading_views.card, name="card"),
    path(P + "drift/", grading_views.drifting, name="drift"),
    path(P + "drift/panel/", views.panel, name="panel"),
    path(P + "conflicts/", conflict_views.conflict, name="conflicts"),
    path(P + "conflicts/interview/", conflict_views.interview, name="interview"),
    path(P + "prompts/", prompt_views.prompts, name="prompts"),
    path(P + "prompts/<int:pk>/", prompt_views.prompt, name="prompt"),
    path(P + "prompts/<int:pk>/propose/", prompt_views.propose, name="propose_prompt"),
    path(P + "prompts/<int:pk>/duel/", prompt_views.duel, name="duel"),
    path(P + "wordings/<int:pk>/", prompt_views.decide, name="wording"),
    path(P + "<int:pk>/", views.detail, name="detail"),
    path(P + "<int:pk>/so-far/", views.said_so_far, name="said_so_far"),
    path(P + "<int:pk>/cases/", views.cases, name="cases"),
    path(P + "<int:pk>/code/", views.code, name="code"),
    path(P + "<int:pk>/status/", views.set_status, name="status"),
]
