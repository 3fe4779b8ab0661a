"""What the tests stand on: real databases, a real bus, a real hub as a process."""

import pytest

pytest.register_assert_rewrite("support.inline")
