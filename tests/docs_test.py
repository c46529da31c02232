#!/usr/bin/env python3
"""The documents against the program: tables, names, links and lengths (tools/make_docs.py)."""

import os
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

if __name__ == "__main__":
    sys.exit(subprocess.run([sys.executable, os.path.join(TOP, "tools", "make_docs.py"), "--check"],
                            cwd=TOP, check=False).returncode)
