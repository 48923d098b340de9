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
os.environ.setdefault("DATABASE_POOL", "16")  # tests of many workers at once hold a connection in each
os.environ["DEBUG"] = "0"
os.environ["ENV_FILE"] = os.devnull

from app.settings import *  # noqa: F403

REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"] = {"user": None, "anon": None}  # noqa: F405
STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # noqa: F405

if DATABASES["default"]["ENGINE"].endswith("sqlite3"):  # noqa: F405
    # Tests in this process need no protection from a power cut; the fault tests run the product's own settings.
    _options = DATABASES["default"]["OPTIONS"]  # noqa: F405
    assert "synchronous=FULL" in _options["init_command"]
    _options["init_command"] = _options["init_command"].replace("synchronous=FULL", "synchronous=OFF")
