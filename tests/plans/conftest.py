from tests.lm.judged import judge, plain_project, real_pairs  # noqa: F401
