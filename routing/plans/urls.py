from django.urls import path

from . import budget_views, views

app_name = "plans"
urlpatterns = [
    path("system/budgets/", budget_views.all_budgets, name="budgets"),
    path("p/<slug:slug>/budget/", budget_views.budget, name="budget"),
    path("p/<slug:slug>/budget/change/", budget_views.change, name="budget_change"),
    path("p/<slug:slug>/budget/spending.csv", budget_views.lines_csv, name="budget_lines"),
    path("p/<slug:slug>/routing/", views.plan_list, name="list"),
    path("p/<slug:slug>/routing/new/", views.plan_new, name="new"),
    path("p/<slug:slug>/routing/<int:number>/", views.plan_detail, name="detail"),
    path("p/<slug:slug>/routing/<int:number>/outlook/", views.plan_outlook, name="outlook"),
    path("p/<slug:slug>/routing/<int:number>/again/", views.plan_again, name="again"),
    path("p/<slug:slug>/routing/refit/<slug:public_id>/<str:what>/", views.refit_decide, name="refit_decide"),
    path("p/<slug:slug>/routing/items/<int:pk>/", views.item_why, name="item_why"),
    path("p/<slug:slug>/routing/<int:number>/apply/", views.plan_apply, name="apply"),
    path("p/<slug:slug>/routing/<int:number>/discard/", views.plan_drop, name="drop"),
]
