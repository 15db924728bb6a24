"""Tests of dumps and restores by hand: no server, no PostgreSQL, only `tidegate` and the sqlite3 shell."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
