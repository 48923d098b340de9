"""Settings of the test suite: the product's own, in a data folder that lives as long as the run.

Workers of pytest-xdist and real child processes inherit the folder through the environment.
"""

import atexit
import os
import shutil
import tempfile

if "PLUMBLINE_TEST_DIR" not in os.environ:
    _folder = tempfile.mkdtemp(prefix="plumbline-test-")
    os.environ["PLUMBLINE_TEST_DIR"] = _folder
    atexit.register(shutil.rmtree, _folder, ignore_errors=True)

os.environ["DATA_DIR"] = os.environ["PLUMBLINE_TEST_DIR"]
os.environ.setdefault("SECRET_KEY", "tests-only")
os.environ.setdefault("LOG_LEVEL", "WARNING")
os.environ["DEBUG"] = "0"
os.environ["ENV_FILE"] = os.devnull

from app.settings import *  # noqa: E402, F403

STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # noqa: F405
