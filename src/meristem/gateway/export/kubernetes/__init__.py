"""The policy as manifests of the Kubernetes Gateway API."""
