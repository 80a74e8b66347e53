"""Providers: who answers.

A dialect is pure: it builds a request's body and parses what comes back; `dialects/` has one
package or module for each, and `wire/` what they share. `remote.py` joins a dialect, an endpoint
and a transport into a provider; `echo.py` is a provider without a network. `signers/` has what lets
requests in that have no key, and `transport/` is the way to the network.

A provider that speaks a known dialect is a row in `catalogue.py`.
"""
