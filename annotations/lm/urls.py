app_name = "lm"
urlpatterns: list = []
