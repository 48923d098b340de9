from django.urls import path

from . import distil_views, views

app_name = "rewards"
urlpatterns = [
    path("p/<slug:slug>/reward-models/", views.model_list, name="list"),
    path("p/<slug:slug>/reward-models/train/", views.train_new, name="train"),
    path("p/<slug:slug>/reward-models/distil/", distil_views.distil_page, name="distil"),
    path("p/<slug:slug>/reward-models/compare/", views.compare, name="compare"),
    path("p/<slug:slug>/reward-models/loop/", views.loop_page, name="loop"),
    path("p/<slug:slug>/reward-models/loop/begin/", views.loop_begin, name="loop_begin"),
    path("p/<slug:slug>/reward-models/loop/<int:number>/<str:what>/", views.loop_decide, name="loop_decide"),
    path("p/<slug:slug>/reward-models/roll-back/", views.roll_back, name="roll_back"),
    path("p/<slug:slug>/reward-models/runs/<int:pk>/", views.run_detail, name="run"),
    path("p/<slug:slug>/reward-models/runs/<int:pk>/live/", views.run_live, name="run_live"),
    path("p/<slug:slug>/reward-models/<str:public_id>/", views.model_detail, name="detail"),
    path("p/<slug:slug>/reward-models/<str:public_id>/score/", views.model_score, name="score"),
    path("p/<slug:slug>/reward-models/<str:public_id>/curve/", views.model_curve, name="curve"),
    path("p/<slug:slug>/reward-models/<str:public_id>/promote/", views.model_promote, name="promote"),
    path("p/<slug:slug>/reward-models/<str:public_id>/judge/", views.model_judge, name="judge"),
    path("p/<slug:slug>/reward-models/<str:public_id>/archive/", views.model_archive, name="archive"),
    path("p/<slug:slug>/reward-models/<str:public_id>/files/<str:name>", views.model_file, name="file"),
]
