#!/usr/bin/env python3
"""Tests of the notebook tools.

    python3 notebooks/tools/test_tools.py --quick    those that need Python and cargo alone
    python3 notebooks/tools/test_tools.py            all; they need the environment of setup.py
"""

import sys
import unittest

from project import enter_venv

if __name__ == "__main__":
    modules = ["test_lab", "test_lint", "test_setup"]
    if "--quick" in sys.argv:
        sys.argv.remove("--quick")
    else:
        enter_venv()
        modules += ["test_chapter", "test_run", "test_linking", "test_types"]
    suite = unittest.defaultTestLoader.loadTestsFromNames(modules)
    sys.exit(not unittest.TextTestRunner(verbosity=2).run(suite).wasSuccessful())
