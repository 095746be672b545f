"""The same policy elsewhere: a `[gateway]` table written for nginx, for Envoy, and for the Kubernetes Gateway API."""
