"""Tests of the reader processes: no server, no database, only `tidegate read` and what it says."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
