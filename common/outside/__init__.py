"""Asking addresses that members name, without becoming a way into the operator's network."""
