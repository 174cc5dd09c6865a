"""Authorisation: roles, allow and deny rules, CSRF and CORS."""
