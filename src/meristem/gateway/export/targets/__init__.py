"""All proxies for which a policy can be written, in one place."""
