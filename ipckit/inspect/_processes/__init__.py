"""Looks into processes, of which none may block and none may disturb."""
