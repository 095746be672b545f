"""Who sends a request: by a token of an issuer, by a key, by a session that a sign-in has begun."""
