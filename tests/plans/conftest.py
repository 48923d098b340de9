from tests.lm.asked import asker, endpoint, funded, lm_annotator, scripted, scripted_server  # noqa: F401
from tests.lm.judged import judge, plain_project, real_pairs  # noqa: F401
