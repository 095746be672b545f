"""The dashboard: pages that ask the operator contract and show a running system to people."""
