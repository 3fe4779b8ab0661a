"""A message in, verdicts and awards out; and the explanation of both."""
