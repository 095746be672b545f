"""The books of the shop, and finding one."""
