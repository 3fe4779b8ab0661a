"""What the tests share: real databases, a real bus, a real hub as a process of its own."""

import pytest

pytest.register_assert_rewrite("support.rule_text")
