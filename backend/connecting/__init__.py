"""Connecting to a project of Label Studio, and finding out why a click brings nothing. Stands beside the server."""
