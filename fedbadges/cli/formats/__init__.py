"""What ``check`` and ``test`` print for machines that build and review: GitHub, JUnit and SARIF."""
